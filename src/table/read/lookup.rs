//! Finding one record of a table.

use super::bloom::NameHash;
use super::index_cache::{SeekStart, WarmUp};
use crate::error::Result;
use crate::format::block::Hit;
use crate::format::header::BlockKind;
use crate::format::record::{Record, RefRecord};
use crate::table::{Block, Table};
use crate::value::RefRecordView;

/// A record that was sought, and the block it is in.
#[derive(Debug)]
pub(crate) struct Found<R: Record> {
    pub(crate) block: Block,
    pub(crate) hit: Hit<R::Span>,
}

impl Table {
    /// The reference record of `name`, which may be a tombstone. Allocates nothing but what is
    /// kept, after `warm_up`, for the next look-up.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    #[inline]
    pub(crate) fn reference<'a>(
        &'a self,
        name: &'a [u8],
        hash: NameHash,
        warm_up: WarmUp,
    ) -> Result<Option<RefRecordView<'a>>> {
        let Some(cache) = self.index_cache(BlockKind::Ref) else { return Ok(None) };
        let place = cache.place(&self.file, name, Some(hash), warm_up, &mut Vec::new())?;
        let Some(place) = place else { return Ok(None) };
        match self.seek_from::<RefRecord>(&place, name, &mut Vec::new())? {
            Some(Found { block, hit }) if hit.is_equal => {
                Ok(Some(RefRecord::view(name, self.file.bytes_of(&block), &hit.span, &self.file.context())))
            }
            _ => {
                if let Some(filter) = place.filter {
                    filter.record_miss(&self.file, &place.block);
                }
                Ok(None)
            }
        }
    }

    /// The first record whose key is at least `key`; `None` at the end. A log block is inflated
    /// into `inflated`. What the next look-up needs is kept after `warm_up`; without one the cache
    /// is not used.
    pub(crate) fn seek<R: Record>(
        &self,
        key: &[u8],
        inflated: &mut Vec<u8>,
        warm_up: Option<WarmUp>,
    ) -> Result<Option<Found<R>>> {
        let Some(cache) = self.index_cache(R::KIND) else { return Ok(None) };
        let place = match warm_up {
            Some(warm_up) => cache.place(&self.file, key, None, warm_up, inflated)?,
            None => cache.place_without_cache(&self.file, key, inflated)?,
        };
        let Some(place) = place else { return Ok(None) };
        self.seek_from::<R>(&place, key, inflated)
    }

    #[inline]
    fn seek_from<R: Record>(
        &self,
        place: &SeekStart<'_>,
        key: &[u8],
        inflated: &mut Vec<u8>,
    ) -> Result<Option<Found<R>>> {
        let SeekStart { mut block, mut start, .. } = *place;
        let cx = self.file.context();
        loop {
            let data = self.file.records_of::<R>(&block, inflated);
            match block.shape.walk::<R>(data, start, key, &cx) {
                Ok(Some(hit)) => return Ok(Some(Found { block, hit })),
                Ok(None) => match self.file.following::<R>(&block, inflated)? {
                    Some(next) => (block, start) = (next, next.shape.first()),
                    None => return Ok(None),
                },
                Err(error) => return Err(self.file.locate(error, &block)),
            }
        }
    }
}
