//! Whole blocks: what a merge copies instead of taking it apart.

use std::sync::Arc;

use crate::error::Result;
use crate::format::header::BlockKind;
use crate::format::record::Record;
use crate::invariant::{invariant, violated};
use crate::merge::Merge;
use crate::mutant::{self, Mutant};
use crate::table::{Cursor, IndexWalk, RunWriter, Table, WholeBlock};

/// What may be lost by ending a block early for the sake of one that is copied, in hundredths of a
/// block: each compaction makes at most a quarter more blocks.
const REFS_LOSS: usize = 25;
/// The same for logs, which are costly to deflate, and lose little by an early end: they are not
/// padded.
const LOGS_LOSS: usize = 50;

/// Finds the blocks of some tables among whose keys no other table has one.
#[derive(Debug)]
pub(super) struct Copier<'a> {
    kind: BlockKind,
    sources: Vec<BlockSource<'a>>,
    /// The key that the range ends before.
    end: Option<&'a [u8]>,
    /// Blocks that end before all other tables go on.
    row: Vec<u64>,
    inflated: Vec<u8>,
}

/// A table to copy from. Its blocks before the one that `leaves` is at need no look any more.
#[derive(Debug)]
struct BlockSource<'a> {
    table: &'a Arc<Table>,
    leaves: IndexWalk<'a>,
}

impl BlockSource<'_> {
    #[inline(always)]
    fn awaits<R: Record>(&self, record: &Cursor<R>) -> bool {
        let next = self.leaves.block().map(|(_, offset)| offset);
        next.is_some_and(|next| record.offset() >= Some(next)) && record.is_in(self.table)
    }

    /// Passes the next block, if it ends before the key `limit`, and returns where it is.
    fn next_before(&mut self, limit: Option<&[u8]>) -> Result<Option<u64>> {
        let next = self.leaves.block().filter(|(last_key, _)| limit.is_none_or(|limit| *last_key < limit));
        let next = next.map(|(_, offset)| offset);
        if next.is_some() {
            self.leaves.advance()?;
        }
        Ok(next)
    }

    /// Passes the blocks up to the one at `offset`, and returns whether that is the next one.
    fn is_next(&mut self, offset: u64) -> Result<bool> {
        while self.leaves.block().is_some_and(|(_, next)| next < offset) {
            self.leaves.advance()?;
        }
        Ok(self.leaves.block().is_some_and(|(_, next)| next == offset))
    }
}

impl<'a> Copier<'a> {
    /// Copies blocks of these tables in the range of keys from `from` to before `end`.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset, if an index cannot be read.
    pub(super) fn new(
        tables: impl Iterator<Item = &'a Arc<Table>>,
        kind: BlockKind,
        from: &[u8],
        end: Option<&'a [u8]>,
    ) -> Result<Self> {
        let mut sources = Vec::new();
        for table in tables {
            let leaves = IndexWalk::seek(&table.file, kind, from)?;
            sources.extend(leaves.map(|leaves| BlockSource { table, leaves }));
        }
        Ok(Copier { kind, sources, end, row: Vec::new(), inflated: Vec::new() })
    }

    /// Whether the record is in a block that has not been looked at yet.
    #[inline(always)]
    pub(super) fn awaits<R: Record>(&self, record: &Cursor<R>) -> bool {
        self.sources.iter().any(|source| source.awaits(record))
    }

    /// Copies the block that begins with the current record, and those that follow, as far as no
    /// other table has a key among theirs and `copy` agrees. Returns whether it was any; then the
    /// current record is among them.
    ///
    /// What the index says of a block decides only whether to try.
    #[cold]
    pub(super) fn copy<R: Record>(
        &mut self,
        merge: &mut Merge<R>,
        out: &mut RunWriter,
        mut copy: impl FnMut(&mut RunWriter, &WholeBlock<'_>, Option<&[u8]>) -> Result<bool>,
    ) -> Result<bool> {
        let Copier { kind, sources, end, row, inflated } = self;
        let record = merge.front().ok_or_else(|| violated("a merge has lost the current record"))?;
        let source = sources.iter_mut().find(|source| source.awaits(record));
        let source = source.ok_or_else(|| violated("no table awaits a record that is to be copied with its block"))?;
        let limit = merge.next_key().into_iter().chain(*end).min();
        let is_next = source.is_next(record.offset().unwrap_or_default())?;
        let Some(whole) = record.block_begun().filter(|_| is_next) else {
            source.leaves.advance()?;
            return Ok(false);
        };
        let loss = if *kind == BlockKind::Log { LOGS_LOSS } else { REFS_LOSS };
        let in_a_row = out.loss().div_ceil(loss).max(1);
        row.clear();
        while row.len() < in_a_row {
            match source.next_before(limit)? {
                Some(offset) => row.push(offset),
                None if row.is_empty() => {
                    source.leaves.advance()?;
                    return Ok(false);
                }
                None => return Ok(false),
            }
        }
        let before = out.copied();
        if !copy(out, &whole, limit)? {
            return Ok(false);
        }
        let first = whole.block();
        let mut last = first;
        let mut row = row.iter().skip(1);
        loop {
            let next = match row.next() {
                Some(offset) => Some(*offset),
                None => source.next_before(limit)?,
            };
            let Some(offset) = next.filter(|offset| *offset == last.offset + last.stride) else { break };
            let whole = source.table.whole_block(*kind, offset, inflated)?;
            if !mutant::is_on(Mutant::SkipCopiedBlock) && !copy(out, &whole, limit)? {
                break;
            }
            last = whole.block();
        }
        let after = out.copied();
        let (passed, copied) = (last.offset + last.stride - first.offset, after.bytes - before.bytes);
        invariant!(passed == copied, "a compaction passes {passed} bytes of blocks, of which it has copied {copied}");
        merge.skip_behind(last, out.last_key(), after.records - before.records);
        Ok(true)
    }
}
