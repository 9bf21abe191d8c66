//! The data blocks of a section, as the lowest level of its index lists them.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::header::BlockKind;
use crate::format::record::{IndexRecord, KeyBuf, next_record};
use crate::table::{Block, Table};

/// A walk over the index of a section: the last key and the offset of each data block, in order.
/// The blocks themselves are not looked at.
#[derive(Debug)]
pub(crate) struct IndexWalk {
    table: Arc<Table>,
    kind: BlockKind,
    /// The index block at hand; `None` at the end.
    block: Option<Block>,
    pos: usize,
    key: KeyBuf,
    /// The offset of the data block at hand.
    child: u64,
}

impl IndexWalk {
    /// Stands at the first data block that ends with `key` or later, if there is one. `None` if the
    /// section has no index.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub(crate) fn seek(table: &Arc<Table>, kind: BlockKind, key: &[u8]) -> Result<Option<IndexWalk>> {
        let Some(section) = table.section(kind).filter(|section| section.index > 0) else { return Ok(None) };
        let mut leaves =
            IndexWalk { table: Arc::clone(table), kind, block: None, pos: 0, key: KeyBuf::default(), child: 0 };
        let (mut at, mut is_root) = (section.index, true);
        loop {
            leaves.enter(table.index_block(at)?);
            while leaves.step()? {
                if leaves.key.as_slice() >= key {
                    break;
                }
            }
            match leaves.block {
                Some(_) if table.kind_at(leaves.child)? == Some(kind) => return Ok(Some(leaves)),
                Some(_) => (at, is_root) = (leaves.child, false),
                // The topmost level may have up to three blocks side by side.
                None if is_root => {
                    at += table.index_block(at)?.stride;
                    if table.kind_at(at)? != Some(BlockKind::Index) {
                        return Ok(Some(leaves));
                    }
                }
                None => {
                    let message = "an index block ends before the key its parent promises";
                    return Err(table.in_file(Error::corrupt(message).at(at)));
                }
            }
        }
    }

    /// The last key and the offset of the block at hand; `None` behind the last.
    pub(crate) fn block(&self) -> Option<(&[u8], u64)> {
        self.block.map(|_| (self.key.as_slice(), self.child))
    }

    /// Moves to the next block.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset; nothing follows it.
    pub(crate) fn advance(&mut self) -> Result<()> {
        let Some(block) = self.block else { return Ok(()) };
        if self.step()? {
            return Ok(());
        }
        // The next index block is of this level if it lists data blocks, too.
        let next = block.offset + block.stride;
        if self.table.kind_at(next)? == Some(BlockKind::Index) {
            self.enter(self.table.index_block(next)?);
            if self.step()? && self.table.kind_at(self.child)? != Some(self.kind) {
                self.block = None;
            }
        }
        Ok(())
    }

    fn enter(&mut self, block: Block) {
        self.pos = block.shape.first();
        self.key.clear();
        self.block = Some(block);
    }

    /// Moves to the next entry of the index block at hand. `false` at its end, and at no block
    /// then.
    fn step(&mut self) -> Result<bool> {
        let Some(block) = self.block.take() else { return Ok(false) };
        let data = self.table.bytes_of(&block);
        let mut r = block.shape.reader(data, self.pos);
        let next = next_record::<IndexRecord>(&mut r, &mut self.key, &self.table.context());
        let Some(child) = next.map_err(|error| self.table.locate(error, &block))? else { return Ok(false) };
        if child >= block.offset {
            let message = format!("an index entry points forward, to {child}");
            return Err(self.table.in_file(Error::corrupt(message).at(block.offset)));
        }
        (self.pos, self.child, self.block) = (r.pos(), child, Some(block));
        Ok(true)
    }
}
