//! A block of a table as it is, to be copied.

use crate::error::Result;
use crate::format::header::BlockKind;
use crate::mutant::{self, Mutant};
use crate::table::{Block, Table};

/// A block that was found and validated, and what its positions count in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WholeBlock<'a> {
    pub(crate) table: &'a Table,
    pub(crate) block: Block,
    pub(crate) data: &'a [u8],
}

impl<'a> WholeBlock<'a> {
    pub(crate) fn new(table: &'a Table, block: Block, data: &'a [u8]) -> Self {
        WholeBlock { table, block, data }
    }

    pub(crate) fn block(&self) -> Block {
        self.block
    }

    /// The key of its first record; `None` if it cannot be read.
    pub(crate) fn first_key(&self) -> Option<&'a [u8]> {
        self.block.shape.restart_key(self.data, self.block.shape.first()).ok()
    }

    /// The bytes that it takes in the file, without padding.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        match self.block.shape.kind {
            BlockKind::Log => {
                self.table.file.from(self.block.offset).get(..self.block.stride as usize).unwrap_or_default()
            }
            _ if mutant::is_on(Mutant::CopyWithoutPadding) => {
                let padded = self.table.header().block_size as usize;
                self.table.file.from(self.block.offset).get(..padded).unwrap_or(self.data)
            }
            _ => self.data,
        }
    }
}

impl Table {
    /// The block of `kind` at `offset`. A log block is inflated into `inflated`.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub(crate) fn whole_block<'a>(
        &'a self,
        kind: BlockKind,
        offset: u64,
        inflated: &'a mut Vec<u8>,
    ) -> Result<WholeBlock<'a>> {
        let block = self.file.data_block(kind, offset, inflated)?;
        Ok(WholeBlock::new(self, block, self.file.data_of(&block, inflated)))
    }
}
