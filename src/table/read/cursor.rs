//! Walking the records of one table, forwards, from any key.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::record::{Context, KeyBuf, Record, common_prefix, next_record, next_shared};
use crate::format::varint::Reader;
use crate::table::{Block, Table, WarmUp, WholeBlock};

/// A position among the records of kind `R`. It owns its table, so it has no lifetime.
#[derive(Debug)]
pub(crate) struct Cursor<R: Record> {
    table: Arc<Table>,
    block: Option<Block>,
    inflated: Vec<u8>,
    /// When its seeks fill the index cache of the table; `None`: they do not use it.
    warm_up: Option<WarmUp>,
    pos: usize,
    key: KeyBuf,
    span: R::Span,
    /// The last key of the block before this one, for [`Self::next_shared`].
    before: Vec<u8>,
    /// Where the section has ended, once it has.
    end: Option<u64>,
}

/// How a run over records has ended.
#[derive(Debug)]
pub(crate) enum Ran<B> {
    /// There are no more.
    Ended,
    /// As it was asked to.
    Broke(B),
    /// At a record that does not stay, whose key shares so many bytes with the one before. It has
    /// not been yielded.
    Met(usize),
}

impl<R: Record> Cursor<R> {
    /// A cursor before nothing: seek it first. With `warm_up` its seeks use the table's index
    /// cache, and fill it; without, for one that will be sought in many places, once each, they do
    /// not.
    pub(crate) fn new(table: Arc<Table>, warm_up: Option<WarmUp>) -> Self {
        Cursor {
            table,
            block: None,
            inflated: Vec::new(),
            warm_up,
            pos: 0,
            key: KeyBuf::default(),
            span: R::Span::default(),
            before: Vec::new(),
            end: None,
        }
    }

    /// The key of the current record.
    #[inline(always)]
    pub(crate) fn key(&self) -> &[u8] {
        self.key.as_slice()
    }

    /// The same with its buffer.
    #[inline(always)]
    pub(crate) fn key_buf(&self) -> &KeyBuf {
        &self.key
    }

    #[inline(always)]
    pub(crate) fn is_tombstone(&self) -> bool {
        R::is_tombstone(&self.span)
    }

    /// The current record.
    #[inline(always)]
    pub(crate) fn view(&self) -> R::View<'_> {
        let data = match &self.block {
            Some(block) => self.table.file.records_of::<R>(block, &self.inflated),
            None => &[],
        };
        R::view(self.key.as_slice(), data, &self.span, &self.table.file.context())
    }

    /// Whether it scans this table.
    #[inline(always)]
    pub(crate) fn is_in(&self, table: &Arc<Table>) -> bool {
        Arc::ptr_eq(&self.table, table)
    }

    /// Where the current block is.
    #[inline(always)]
    pub(crate) fn offset(&self) -> Option<u64> {
        self.block.as_ref().map(|block| block.offset)
    }

    /// Where the current record is: its block, and the end of it in that. After all others once
    /// there is none.
    pub(crate) fn place(&self) -> (u64, usize) {
        self.block.as_ref().map_or((u64::MAX, usize::MAX), |block| (block.offset, self.pos))
    }

    /// Where the section has ended, once the cursor has come there from its last block.
    pub(crate) fn section_end(&self) -> Option<u64> {
        self.end
    }

    /// The block of which the current record is the first.
    pub(crate) fn block_begun(&self) -> Option<WholeBlock<'_>> {
        let block = self.block?;
        let whole = WholeBlock::new(&self.table, block, self.table.file.records_of::<R>(&block, &self.inflated));
        (whole.first_key() == Some(self.key())).then_some(whole)
    }

    /// Goes on after `block`, which ends with the key `last_key`.
    pub(crate) fn skip_behind(&mut self, block: Block, last_key: &[u8]) {
        self.pos = block.shape.restart_table();
        self.key.set(last_key);
        self.block = Some(block);
    }

    /// The error of a writer that refuses the current record: no table that was written well has
    /// such a record.
    #[cold]
    pub(crate) fn refused(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Invalid => self.misplaced(Error::corrupt(error.message().to_owned())),
            _ => error,
        }
    }

    /// `error`, which is about the current record, with its place.
    #[cold]
    pub(crate) fn misplaced(&self, error: Error) -> Error {
        match &self.block {
            Some(block) => self.table.file.locate(error.at(self.pos as u64), block),
            None => error,
        }
    }

    /// Steps to the next record. `false` at the end of the section.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<bool> {
        let Cursor { table, block: Some(block), inflated, pos, key, span, .. } = self else { return Ok(false) };
        let mut r = table.file.reader::<R>(block, inflated, *pos);
        match next_record::<R>(&mut r, key, &table.file.context()) {
            Ok(Some(next)) => {
                (*span, *pos) = (next, r.pos());
                Ok(true)
            }
            Ok(None) => self.next_in_following(),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Steps to the first record of the blocks that follow.
    #[cold]
    fn next_in_following(&mut self) -> Result<bool> {
        Ok(self.next_shared_in_following()?.is_some())
    }

    /// Steps to the next record and says how many bytes its key has in common with the one before.
    #[inline(always)]
    pub(crate) fn next_shared(&mut self) -> Result<Option<usize>> {
        let Cursor { table, block: Some(block), inflated, pos, key, span, .. } = self else { return Ok(None) };
        let mut r = table.file.reader::<R>(block, inflated, *pos);
        match next_shared::<R>(&mut r, key, &table.file.context()) {
            Ok(Some((next, shared))) => {
                (*span, *pos) = (next, r.pos());
                Ok(Some(shared))
            }
            Ok(None) => self.next_shared_in_following(),
            Err(error) => Err(self.fail(error)),
        }
    }

    #[cold]
    fn next_shared_in_following(&mut self) -> Result<Option<usize>> {
        self.before.clear();
        self.before.extend_from_slice(self.key.as_slice());
        loop {
            self.load_following()?;
            let Cursor { table, block: Some(block), inflated, pos, key, span, before, .. } = self else {
                return Ok(None);
            };
            let mut r = table.file.reader::<R>(block, inflated, *pos);
            match next_record::<R>(&mut r, key, &table.file.context()) {
                Ok(Some(next)) => {
                    (*span, *pos) = (next, r.pos());
                    return Ok(Some(common_prefix(before, key.as_slice())));
                }
                Ok(None) => {}
                Err(error) => return Err(self.fail(error)),
            }
        }
    }

    /// Hands the records that follow to `each`, until it breaks, as repeated [`Self::next`] and
    /// [`Self::view`] would: in less than half the time, because what they need stays in registers.
    /// `hide` leaves out tombstones.
    #[inline(always)]
    pub(crate) fn for_each<B>(
        &mut self,
        hide: bool,
        mut each: impl FnMut(R::View<'_>) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>> {
        while self.block.is_some() {
            match self.for_each_in_block(
                hide,
                |r, key, cx| Ok(next_record::<R>(r, key, cx)?.map(|span| (span, 0))),
                |_, _| true,
                &mut each,
            )? {
                Ran::Broke(why) => return Ok(ControlFlow::Break(why)),
                Ran::Met(_) | Ran::Ended => self.load_following()?,
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The same as long as `stays` says so of a key and the number of bytes it shares with the one
    /// before. The first that does not stay is left as the current one.
    #[inline(always)]
    pub(crate) fn run<B>(
        &mut self,
        hide: bool,
        stays: impl Fn(&KeyBuf, usize) -> bool,
        mut each: impl FnMut(R::View<'_>) -> ControlFlow<B>,
    ) -> Result<Ran<B>> {
        loop {
            match self.for_each_in_block(hide, next_shared::<R>, &stays, &mut each)? {
                Ran::Ended => {}
                ran => return Ok(ran),
            }
            match self.next_shared_in_following()? {
                None => return Ok(Ran::Ended),
                Some(shared) if !stays(&self.key, shared) => return Ok(Ran::Met(shared)),
                Some(_) if hide && self.is_tombstone() => {}
                Some(_) => {
                    if let ControlFlow::Break(why) = each(self.view()) {
                        return Ok(Ran::Broke(why));
                    }
                }
            }
        }
    }

    /// What both do within the current block; `step` reads a record and says how much of its key is
    /// shared.
    #[inline(always)]
    fn for_each_in_block<B>(
        &mut self,
        hide: bool,
        step: impl Fn(&mut Reader<'_>, &mut KeyBuf, &Context) -> Result<Option<(R::Span, usize)>>,
        stays: impl Fn(&KeyBuf, usize) -> bool,
        each: &mut impl FnMut(R::View<'_>) -> ControlFlow<B>,
    ) -> Result<Ran<B>> {
        let Cursor { table, block: Some(block), inflated, pos, key: own_key, span: own_span, .. } = self else {
            return Ok(Ran::Ended);
        };
        let (data, cx) = (table.file.records_of::<R>(block, inflated), table.file.context());
        let (mut r, mut key) = (table.file.reader::<R>(block, inflated, *pos), std::mem::take(own_key));
        let ran = loop {
            let (span, shared) = match step(&mut r, &mut key, &cx) {
                Ok(Some(record)) => record,
                Ok(None) => break Ok(Ran::Ended),
                Err(error) => break Err(error),
            };
            if !stays(&key, shared) {
                *own_span = span;
                break Ok(Ran::Met(shared));
            }
            if hide && R::is_tombstone(&span) {
                continue;
            }
            if let ControlFlow::Break(why) = each(R::view(key.as_slice(), data, &span, &cx)) {
                *own_span = span;
                break Ok(Ran::Broke(why));
            }
        };
        (*own_key, *pos) = (key, r.pos());
        ran.map_err(|error| self.fail(error))
    }

    /// Moves to the first record whose key is at least `key`. `false` if there is none.
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<bool> {
        self.block = None;
        if key.is_empty() {
            let Some(section) = self.table.section(R::KIND) else { return Ok(false) };
            self.seek_block(section.offset)?;
            return self.next();
        }
        let Some(found) = self.table.seek::<R>(key, &mut self.inflated, self.warm_up)? else { return Ok(false) };
        let hit = found.hit;
        let data = self.table.file.data_of(&found.block, &self.inflated);
        self.key.set(key.get(..hit.shared).unwrap_or_default());
        self.key.push(hit.suffix.of(data));
        if let Err(error) = R::check_key(self.key.as_slice(), hit.next) {
            return Err(self.table.file.locate(error, &found.block));
        }
        (self.block, self.pos, self.span) = (Some(found.block), hit.next, hit.span);
        Ok(true)
    }

    /// Moves before the first record of the block at `offset`.
    fn seek_block(&mut self, offset: u64) -> Result<()> {
        self.block = None;
        let block = self.table.file.data_block(R::KIND, offset, &mut self.inflated)?;
        self.enter(block);
        Ok(())
    }

    /// A record could not be decoded: nothing follows it.
    #[cold]
    fn fail(&mut self, error: Error) -> Error {
        match self.block.take() {
            Some(block) => self.table.file.locate(error, &block),
            None => error,
        }
    }

    fn enter(&mut self, block: Block) {
        self.pos = block.shape.first();
        self.key.clear();
        self.block = Some(block);
    }

    /// Loads the block after the current one, unless the section ends there.
    fn load_following(&mut self) -> Result<()> {
        let Some(block) = self.block.take() else { return Ok(()) };
        match self.table.file.following::<R>(&block, &mut self.inflated)? {
            Some(next) => self.enter(next),
            None => self.end = Some(block.offset + block.stride),
        }
        Ok(())
    }
}
