//! Copying a block from one table to another as it is.
//!
//! `docs/format.md` ("Whole blocks") argues why what comes out is a valid table.

use std::mem;

use super::run::object;
use crate::error::Result;
use crate::format::record::{LogRecord, Record, RefRecord};
use crate::invariant::invariant;
use crate::mutant::{self, Mutant};
use crate::table::{RunWriter, WholeBlock};
use crate::value::LogRecordView;

/// The references and logs of a piece, block by block. The tables that blocks are copied from must
/// be ones that [`crate::table::TableWriter::copies_from`] agrees with.
impl RunWriter {
    /// Appends a block of references as it is. The current block ends before it. Does nothing and
    /// returns false if it must not be copied: it has the file header, or must have it; it reaches
    /// to the key `limit`; it has an update index beyond the table's; or it has tombstones and
    /// those are to be dropped.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset, if a record of the block is damaged.
    pub(crate) fn copy_refs(
        &mut self,
        from: &WholeBlock<'_>,
        limit: Option<&[u8]>,
        drop_tombstones: bool,
    ) -> Result<bool> {
        let (largest, id_len, has_objects) =
            (self.header.max_update_index, self.header.hash.len(), self.options.object_index);
        let number = self.next_number().unwrap_or(0);
        let mut objects = mem::take(&mut self.piece.objects);
        let before = objects.len();
        let copied = self.copy::<RefRecord>(from, limit, |_, span, _| {
            if span.update_index() > largest {
                // Taken apart, it gets one within.
                return Ok(false);
            }
            if has_objects {
                objects.extend(span.ids(from.data).chunks_exact(id_len).map(|id| object(id, number)));
            }
            let must_go = drop_tombstones && !mutant::is_on(Mutant::CopyTombstones);
            Ok(!(must_go && RefRecord::is_tombstone(span)))
        });
        if !matches!(copied, Ok(true)) {
            objects.truncate(before);
        }
        self.piece.objects = objects;
        copied
    }

    /// The same for a block of logs, which stays deflated, unless a record of it `must_go`.
    ///
    /// # Errors
    /// As for [`Self::copy_refs`].
    pub(crate) fn copy_logs(
        &mut self,
        from: &WholeBlock<'_>,
        limit: Option<&[u8]>,
        must_go: impl Fn(&LogRecordView<'_>) -> bool,
    ) -> Result<bool> {
        let cx = from.table.file.context();
        self.copy::<LogRecord>(from, limit, |key, span, _| {
            let record = LogRecord::view(key, from.data, span, &cx);
            Ok(!record.refname.contains(&0) && !must_go(&record))
        })
    }

    #[inline(always)]
    fn copy<R: Record>(
        &mut self,
        from: &WholeBlock<'_>,
        limit: Option<&[u8]>,
        may_stay: impl FnMut(&[u8], &R::Span, usize) -> Result<bool>,
    ) -> Result<bool> {
        let WholeBlock { table, block, data } = *from;
        let Some(first_key) = from.first_key().filter(|key| *key > self.last_key.as_slice()) else { return Ok(false) };
        if block.offset == 0 || self.next_number().is_none() || block.shape.len() > self.options.block_size as usize {
            return Ok(false);
        }
        table.file.check_padding(&block)?;
        let mut key = mem::take(&mut self.key);
        let validated = block.shape.validate::<R>(data, &table.file.context(), &mut key, may_stay);
        let validated = validated.map_err(|error| table.file.locate(error, &block));
        let is_before = |key: &[u8]| limit.is_none_or(|limit| key < limit);
        let copied = match validated {
            Ok(Some(records)) if is_before(key.as_slice()) => {
                self.append_block::<R>(from, records, first_key, key.as_slice()).map(|()| true)
            }
            validated => validated.map(|_| false),
        };
        self.key = key;
        copied
    }

    fn append_block<R: Record>(
        &mut self,
        from: &WholeBlock<'_>,
        records: u64,
        first: &[u8],
        last: &[u8],
    ) -> Result<()> {
        let bytes = if mutant::is_on(Mutant::LoseCopiedBytes) { &[] } else { from.bytes() };
        invariant!(!bytes.is_empty(), "the block at {} is to be copied without its bytes", from.block.offset);
        self.flush_block()?;
        if self.piece.records == 0 {
            first.clone_into(&mut self.piece.first_key);
        }
        self.piece.copied += 1;
        self.copied.bytes += from.block.stride;
        self.copied.records += records;
        self.piece.records += records;
        self.piece.entries += records;
        self.piece.restarts += from.block.shape.restarts() as u64;
        self.piece.push(bytes, R::KIND, last.to_vec(), &self.options);
        self.last_key.clear();
        self.last_key.extend_from_slice(last);
        Ok(())
    }
}
