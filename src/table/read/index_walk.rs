//! The index of a section: the way down to a key, and the data blocks as its lowest level lists
//! them.

use crate::error::{Error, Result};
use crate::format::block::Hit;
use crate::format::header::BlockKind;
use crate::format::record::{IndexRecord, KeyBuf, next_record};
use crate::table::file::{Block, TableFile};

/// Goes down the index from the block at `at` to the data block that may hold `key`; `None` when
/// `key` is after the last. Shows each index block on the way, with the entry that leads on. The
/// root of an index is an index block, or the table is damaged.
#[inline]
pub(super) fn descend(
    file: &TableFile,
    kind: BlockKind,
    mut at: u64,
    mut is_root: bool,
    key: &[u8],
    mut visit: impl FnMut(&Block, &Hit<u64>),
) -> Result<Option<u64>> {
    let cx = file.context();
    loop {
        // From a data block where the root should be, what lies before it would not be found.
        if !is_root && file.kind_at(at)? == Some(kind) {
            return Ok(Some(at));
        }
        let block = file.index_block(at)?;
        let data = file.bytes_of(&block);
        let start = block.shape.restart_before(data, key);
        let hit = start.and_then(|start| block.shape.walk::<IndexRecord>(data, start, key, &cx));
        match hit.map_err(|error| file.locate(error, &block))? {
            Some(hit) => {
                visit(&block, &hit);
                (at, is_root) = (before(file, at, hit.span)?, false);
            }
            // The topmost level may have up to three blocks side by side.
            None if is_root => {
                let next = at + block.stride;
                match file.kind_at(next)? {
                    Some(BlockKind::Index) => at = next,
                    _ => return Ok(None),
                }
            }
            None => {
                let message = "an index block ends before the key its parent promises";
                return Err(file.in_file(Error::corrupt(message).at(at)));
            }
        }
    }
}

/// The entries of one index block, in order.
#[derive(Debug)]
pub(super) struct IndexEntries {
    block: Block,
    pos: usize,
    key: KeyBuf,
    child: u64,
}

impl IndexEntries {
    /// Before the first.
    pub(super) fn of(block: Block) -> IndexEntries {
        IndexEntries { block, pos: block.shape.first(), key: KeyBuf::default(), child: 0 }
    }

    /// The last key of the block that the current entry leads to.
    pub(super) fn last_key(&self) -> &[u8] {
        self.key.as_slice()
    }

    /// Where that block is.
    pub(super) fn child(&self) -> u64 {
        self.child
    }

    /// Moves to the next entry. `false` at the end.
    pub(super) fn step(&mut self, file: &TableFile) -> Result<bool> {
        let mut r = self.block.shape.reader(file.bytes_of(&self.block), self.pos);
        let next = next_record::<IndexRecord>(&mut r, &mut self.key, &file.context());
        let Some(child) = next.map_err(|error| file.locate(error, &self.block))? else { return Ok(false) };
        (self.pos, self.child) = (r.pos(), before(file, self.block.offset, child)?);
        Ok(true)
    }

    /// Moves to the entry that a search for `key` has found.
    fn enter(&mut self, file: &TableFile, block: Block, key: &[u8], hit: &Hit<u64>) {
        self.key.set(key.get(..hit.shared).unwrap_or_default());
        self.key.push(hit.suffix.of(file.bytes_of(&block)));
        (self.block, self.pos, self.child) = (block, hit.next, hit.span);
    }
}

/// A walk along the index of a section: the last key and the offset of each data block, in order.
/// The blocks themselves are not looked at.
#[derive(Debug)]
pub(crate) struct IndexWalk<'a> {
    file: &'a TableFile,
    kind: BlockKind,
    /// The current index block, at its entry for the current data block; `None` at the end.
    entries: Option<IndexEntries>,
}

impl<'a> IndexWalk<'a> {
    /// Stands at the first data block that ends with `key` or later, if there is one. `None` if the
    /// section has no index.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub(crate) fn seek(file: &'a TableFile, kind: BlockKind, key: &[u8]) -> Result<Option<IndexWalk<'a>>> {
        let Some(section) = file.section(kind).filter(|section| section.index > 0) else { return Ok(None) };
        let mut lowest = None;
        let found = descend(file, kind, section.index, true, key, |block, hit| {
            lowest.get_or_insert_with(|| IndexEntries::of(*block)).enter(file, *block, key, hit);
        })?;
        Ok(Some(IndexWalk { file, kind, entries: lowest.filter(|_| found.is_some()) }))
    }

    /// The last key and the offset of the current block; `None` after the last.
    pub(crate) fn block(&self) -> Option<(&[u8], u64)> {
        self.entries.as_ref().map(|entries| (entries.last_key(), entries.child()))
    }

    /// Moves to the next block.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset; nothing follows it.
    pub(crate) fn advance(&mut self) -> Result<()> {
        let Some(mut entries) = self.entries.take() else { return Ok(()) };
        if entries.step(self.file)? {
            self.entries = Some(entries);
            return Ok(());
        }
        // The next index block is of this level if it lists data blocks, too.
        let next = entries.block.offset + entries.block.stride;
        if self.file.kind_at(next)? == Some(BlockKind::Index) {
            let mut entries = IndexEntries::of(self.file.index_block(next)?);
            if entries.step(self.file)? && self.file.kind_at(entries.child)? == Some(self.kind) {
                self.entries = Some(entries);
            }
        }
        Ok(())
    }
}

/// Children lie before their parents, because index levels are written bottom up. Insisting on it
/// rules out cycles.
fn before(file: &TableFile, parent: u64, child: u64) -> Result<u64> {
    if child < parent {
        return Ok(child);
    }
    let message = format!("an index entry points forward, to {child}");
    Err(file.in_file(Error::corrupt(message).at(parent)))
}
