//! Finished blocks that wait for their place in a table.

use std::mem;

use crate::error::{Error, ErrorKind, Result};
use crate::escape::escaped;
use crate::format::block::{Added, BlockWriter};
use crate::format::header::{BlockKind, Header};
use crate::format::record::{Context, KeyBuf, LogRecord, Record, RefRecord};
use crate::mutant::{self, Mutant};
use crate::table::WriteOptions;
use crate::value::{LogRecordView, RefRecordView, TargetView};

/// Bytes of an id that the object index sorts by, see [`object`]. Ids that agree in all of them
/// share a record.
pub(crate) const OBJECT_KEY_LEN: usize = 12;

/// A block that is written, as the next index level will describe it.
#[derive(Debug)]
pub(crate) struct IndexEntry {
    pub(crate) last_key: Vec<u8>,
    /// Where it starts: in the file, or in the piece as long as it is part of one.
    pub(crate) offset: u64,
}

/// Blocks of one section as they go into the file, but for their place: it does not matter what
/// comes before, so the pieces of a table can be made in any order, and appended to it
/// ([`crate::table::TableWriter::append`]) in that of their keys.
#[derive(Debug, Default)]
pub(crate) struct BlockRun {
    /// The blocks; after each but the last, its padding.
    pub(crate) bytes: Vec<u8>,
    /// The padding after the last one.
    pub(crate) padding: usize,
    pub(crate) blocks: Vec<IndexEntry>,
    /// For each id of a reference: its first 12 bytes, then the number of its block in `blocks`.
    pub(crate) objects: Vec<u128>,
    pub(crate) records: u64,
    /// What the blocks are; `None` while there is none.
    pub(crate) kind: Option<BlockKind>,
    /// Records in the blocks: those of the current block are not among them.
    pub(crate) entries: u64,
    /// Restarts in the blocks.
    pub(crate) restarts: u64,
    /// Blocks that come from other tables as they are.
    pub(crate) copied: u64,
    /// Whether the file header is in it.
    pub(crate) has_header: bool,
    /// The key of its first record: of references and logs, whose pieces come from elsewhere.
    pub(crate) first_key: Vec<u8>,
}

impl BlockRun {
    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Whether it is the first of its file.
    pub(crate) fn has_header(&self) -> bool {
        self.has_header
    }

    /// Appends a finished block.
    pub(crate) fn push(&mut self, bytes: &[u8], kind: BlockKind, last_key: Vec<u8>, options: &WriteOptions) {
        self.kind = Some(kind);
        self.bytes.resize(self.bytes.len() + mem::take(&mut self.padding), 0);
        self.blocks.push(IndexEntry { last_key, offset: self.bytes.len() as u64 });
        self.bytes.extend_from_slice(bytes);
        if options.padding && kind != BlockKind::Log {
            self.padding = (options.block_size as usize).saturating_sub(bytes.len());
        }
    }
}

/// What was copied from other tables as it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Copied {
    /// Bytes of the blocks in those tables, padding included.
    pub(crate) bytes: u64,
    /// Records in the blocks.
    pub(crate) records: u64,
}

/// Fills blocks with records, in order.
#[derive(Debug)]
pub(crate) struct RunWriter {
    pub(crate) header: Header,
    pub(crate) options: WriteOptions,
    /// Whether the next block is the first of the file, and holds its header.
    is_first: bool,
    block: BlockWriter,
    /// Whether the block is one that has been started.
    is_open: bool,
    /// The key of the record before; empty at the start of a section.
    pub(crate) last_key: Vec<u8>,
    scratch: Vec<u8>,
    /// The last key of a block that was copied.
    pub(crate) key: KeyBuf,
    /// In all pieces so far.
    pub(crate) copied: Copied,
    pub(crate) piece: BlockRun,
}

impl RunWriter {
    /// Starts a piece of a table with this header; `is_first` puts the header into the first block.
    pub(crate) fn new(header: Header, options: &WriteOptions, is_first: bool) -> RunWriter {
        RunWriter {
            header,
            options: options.clone(),
            is_first,
            block: options.block_writer(),
            is_open: false,
            last_key: Vec::new(),
            scratch: Vec::new(),
            key: KeyBuf::default(),
            copied: Copied::default(),
            piece: BlockRun::default(),
        }
    }

    /// Makes room for about so many bytes of blocks, and so many ids of references. What grows
    /// piecemeal takes more.
    pub(crate) fn with_room(mut self, bytes: usize, ids: usize) -> RunWriter {
        self.piece.bytes.reserve_exact(bytes);
        self.piece.objects.reserve_exact(ids);
        self
    }

    /// Adds a reference or its tombstone. Names must ascend bytewise.
    ///
    /// # Errors
    /// `Invalid` when out of order or range, `TooLarge` when the record does not fit into a block.
    #[inline]
    pub(crate) fn add_ref(&mut self, record: &RefRecordView<'_>) -> Result<()> {
        self.check_update_index(record.update_index)?;
        self.add::<RefRecord>(record)?;
        if let (true, Some(target)) = (self.options.object_index, record.target) {
            match target {
                TargetView::Id(id) => self.note_object(id.as_bytes()),
                TargetView::Tag { id, peeled } => {
                    self.note_object(id.as_bytes());
                    self.note_object(peeled.as_bytes());
                }
                TargetView::Symbolic(_) => {}
            }
        }
        Ok(())
    }

    /// The same for a record of others: an update index outside of the table's range becomes the
    /// nearest one within. dulwich writes such records, and no order depends on theirs.
    ///
    /// # Errors
    /// As for [`Self::add_ref`], but for ranges.
    #[inline]
    pub(crate) fn add_ref_within(&mut self, record: RefRecordView<'_>) -> Result<()> {
        let update_index = record.update_index.max(self.header.min_update_index).min(self.header.max_update_index);
        self.add_ref(&RefRecordView { update_index, ..record })
    }

    /// Adds a log entry or its tombstone. Names must ascend bytewise; the entries of a name, newest
    /// first.
    ///
    /// # Errors
    /// As for [`Self::add_ref`], but for ranges.
    pub(crate) fn add_log(&mut self, record: &LogRecordView<'_>) -> Result<()> {
        if record.refname.is_empty() || record.refname.contains(&0) {
            return Err(Error::invalid("the name of a log must not be empty or have zero bytes"));
        }
        self.add::<LogRecord>(record)
    }

    /// The key of the last record; empty before the first.
    pub(crate) fn last_key(&self) -> &[u8] {
        &self.last_key
    }

    /// What was copied so far.
    pub(crate) fn copied(&self) -> Copied {
        self.copied
    }

    /// Ends the current block, and the piece. The next one gets as much room.
    ///
    /// # Errors
    /// `Invalid` when a log block cannot be deflated, which does not happen.
    pub(crate) fn finish(&mut self) -> Result<BlockRun> {
        self.flush_block()?;
        Ok(self.take())
    }

    /// Ends the current block, and the last piece.
    ///
    /// # Errors
    /// As for [`Self::finish`].
    pub(crate) fn into_run(mut self) -> Result<BlockRun> {
        self.flush_block()?;
        Ok(self.piece)
    }

    /// The blocks that are finished. The current one goes into the next piece.
    pub(crate) fn take(&mut self) -> BlockRun {
        let bytes = Vec::with_capacity(self.piece.bytes.capacity());
        mem::replace(&mut self.piece, BlockRun { bytes, ..BlockRun::default() })
    }

    /// What the next [`Self::take`] gives.
    pub(crate) fn finished(&self) -> &BlockRun {
        &self.piece
    }

    /// Bytes of the blocks that are finished.
    pub(crate) fn len(&self) -> usize {
        self.piece.bytes.len()
    }

    /// Says that blocks come before the next one which were made elsewhere.
    pub(crate) fn continue_behind(&mut self, last_key: &[u8]) {
        self.is_first = false;
        self.last_key.clear();
        self.last_key.extend_from_slice(last_key);
    }

    /// Starts over with the first key, of another section.
    pub(crate) fn begin_section(&mut self) {
        self.last_key.clear();
    }

    fn start_block(&mut self, kind: BlockKind) {
        let mut header = Vec::new();
        if self.is_first {
            self.header.encode(&mut header);
        }
        self.block.start(kind, &header);
        self.is_open = true;
    }

    fn check_update_index(&self, update_index: u64) -> Result<()> {
        let range = self.header.min_update_index..=self.header.max_update_index;
        if range.contains(&update_index) {
            return Ok(());
        }
        let message = format!("update index {update_index} lies outside of the table's range {range:?}");
        Err(Error::invalid(message))
    }

    pub(crate) fn context(&self) -> Context {
        Context { hash: self.header.hash, min_update_index: self.header.min_update_index }
    }

    /// Adds a record after checking its order.
    fn add<R: Record>(&mut self, view: &R::View<'_>) -> Result<()> {
        let mut key = mem::take(&mut self.scratch);
        R::key(view, &mut key);
        if key.is_empty() || key.as_slice() <= self.last_key.as_slice() {
            return Err(not_above(&key));
        }
        let result = self.add_ordered::<R>(&key, view);
        if self.piece.records == 0 {
            key.clone_into(&mut self.piece.first_key);
        }
        self.piece.records += 1;
        self.scratch = mem::replace(&mut self.last_key, key);
        result
    }

    /// Adds a record to the current block, or to a new one when that is full.
    pub(crate) fn add_ordered<R: Record>(&mut self, key: &[u8], view: &R::View<'_>) -> Result<()> {
        if self.try_add::<R>(key, view)? == Added::Yes {
            return Ok(());
        }
        self.flush_block()?;
        if self.try_add::<R>(key, view)? == Added::Yes {
            return Ok(());
        }
        let name = key.split(|&byte| byte == 0).next().unwrap_or_default();
        let shown = escaped(name.get(..name.len().min(80)).unwrap_or_default());
        let message = format!(
            "the {} record of '{shown}' does not fit into a block of {} bytes",
            R::KIND.name(),
            self.options.block_size
        );
        Err(Error::new(ErrorKind::TooLarge, message))
    }

    pub(crate) fn try_add<R: Record>(&mut self, key: &[u8], view: &R::View<'_>) -> Result<Added> {
        if !self.is_open {
            self.start_block(R::KIND);
        }
        let cx = self.context();
        self.block.add::<R>(key, view, &cx)
    }

    /// Remembers that the current block has a reference to `id`.
    fn note_object(&mut self, id: &[u8]) {
        self.piece.objects.push(object(id, self.piece.blocks.len()));
    }

    /// The part of a block that is lost if the current block ends now, in hundredths.
    pub(crate) fn loss(&self) -> usize {
        if self.is_open { 100 * self.block.room() / (self.options.block_size as usize).max(1) } else { 0 }
    }

    /// The number that the block after the current one will have; `None` if it would be the first
    /// of the file.
    pub(crate) fn next_number(&self) -> Option<usize> {
        let at_hand = usize::from(self.is_open && !self.block.is_empty());
        (!self.is_first || at_hand > 0).then_some(self.piece.blocks.len() + at_hand)
    }

    /// Puts the current block after those that are finished, unless it is empty.
    pub(crate) fn flush_block(&mut self) -> Result<()> {
        if !mem::take(&mut self.is_open) || self.block.is_empty() {
            return Ok(());
        }
        self.piece.has_header |= mem::take(&mut self.is_first);
        self.piece.entries += self.block.entries() as u64;
        self.piece.restarts += self.block.restarts() as u64;
        let (kind, mut last_key) = (self.block.kind(), self.block.last_key().to_vec());
        if mutant::is_on(Mutant::IndexBeyond) {
            last_key.push(u8::MAX);
        }
        let bytes = self.block.finish()?;
        self.piece.push(bytes, kind, last_key, &self.options);
        Ok(())
    }
}

#[cold]
fn not_above(key: &[u8]) -> Error {
    let shown = escaped(key);
    Error::invalid(format!("the key '{shown}' is empty or not above the one before it"))
}

/// An entry of [`BlockRun::objects`].
#[inline(always)]
pub(crate) fn object(id: &[u8], block: usize) -> u128 {
    let prefix = id.first_chunk().copied().map_or(0, u128::from_be_bytes);
    prefix & !u128::from(u32::MAX) | block as u128
}
