//! Finding one record of a table.

use super::guide::Place;
use super::{Block, Table};
use crate::block::Hit;
use crate::error::Result;
use crate::record::{Record, RefRecord, RefRecordView};

/// A record that was sought, and the block it is in.
#[derive(Debug)]
pub(super) struct Found<R: Record> {
    pub(super) block: Block,
    pub(super) hit: Hit<R::Span>,
}

impl Table {
    /// The reference record of `name`, which may be a tombstone. Allocates nothing once look-ups have been here before.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub(crate) fn reference<'a>(&'a self, name: &'a [u8]) -> Result<Option<RefRecordView<'a>>> {
        let found = self.seek::<RefRecord>(name, &mut Vec::new())?.filter(|found| found.hit.is_equal);
        Ok(found.map(|found| RefRecord::view(name, self.bytes_of(&found.block), &found.hit.span, &self.context())))
    }

    /// The first record whose key is not below `key`; `None` at the end. A log block is inflated into `inflated`.
    #[inline]
    pub(super) fn seek<R: Record>(&self, key: &[u8], inflated: &mut Vec<u8>) -> Result<Option<Found<R>>> {
        let Some(guide) = self.guide(R::KIND) else { return Ok(None) };
        let Some(Place { mut block, mut start }) = guide.place(self, key, inflated)? else { return Ok(None) };
        let cx = self.context();
        loop {
            let data = self.records_of::<R>(&block, inflated);
            match block.shape.walk::<R>(data, start, key, &cx) {
                Ok(Some(hit)) => return Ok(Some(Found { block, hit })),
                Ok(None) => match self.following::<R>(&block, inflated)? {
                    Some(next) => (block, start) = (next, next.shape.first()),
                    None => return Ok(None),
                },
                Err(error) => return Err(self.locate(error, &block)),
            }
        }
    }

    /// The block behind `block`, unless the section of `R` ends there.
    #[cold]
    pub(super) fn following<R: Record>(&self, block: &Block, inflated: &mut Vec<u8>) -> Result<Option<Block>> {
        let next = block.offset + block.stride;
        match self.kind_at(next)? {
            Some(kind) if kind == R::KIND => self.read_block(next, inflated).map(Some),
            _ => Ok(None),
        }
    }
}
