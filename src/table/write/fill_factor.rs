//! The fill factor of a table's blocks, from a sample: whether they are worth keeping as they are.

use std::sync::Arc;

use crate::error::Result;
use crate::format::block::kind_and_len;
use crate::format::header::BlockKind;
use crate::format::record::{LogRecord, Record, RefRecord};
use crate::table::{IndexWalk, Table, WriteOptions};

/// About how many blocks of a table are looked at.
const SAMPLES: u64 = 256;

impl Table {
    /// Whether the blocks of `kind` are about what a fresh table of these options would have: not
    /// more than 1.15 times as many, and with restarts as far apart. Looks at some 256 of them, and
    /// at their lengths only. `false` without an index.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset, if the index cannot be read.
    pub(crate) fn is_well_filled(self: &Arc<Self>, kind: BlockKind, options: &WriteOptions) -> Result<bool> {
        let Some(mut leaves) = IndexWalk::seek(&self.file, kind, b"")? else { return Ok(false) };
        let block_size = u64::from(options.block_size);
        let step = (self.section_len(kind) / block_size / SAMPLES).max(1);
        let (mut number, mut blocks, mut bytes) = (0, 0, 0);
        let mut some_block = None;
        while let Some((_, offset)) = leaves.block() {
            if number % step == 0 {
                let len = kind_and_len(self.file.from(offset), self.file.header_off(offset));
                blocks += 1;
                bytes += len.map_err(|error| self.file.in_file(error.shifted(offset)))?.1 as u64;
                some_block = some_block.filter(|_| blocks > SAMPLES / 2).or(Some(offset));
            }
            number += 1;
            leaves.advance()?;
        }
        let Some(offset) = some_block else { return Ok(false) };
        let (record, has_interval) = match kind {
            BlockKind::Log => self.layout::<LogRecord>(offset, options)?,
            _ => self.layout::<RefRecord>(offset, options)?,
        };
        // A fresh block has room for half a record, on average; and the last of them may be nearly
        // empty.
        let fresh = bytes / block_size.saturating_sub(record / 2).max(1) + 1;
        Ok(has_interval && blocks * 100 <= fresh * 115)
    }

    /// Bytes of an average record of the block at `offset`, and whether its restarts are where a
    /// writer of these options sets them.
    fn layout<R: Record>(&self, offset: u64, options: &WriteOptions) -> Result<(u64, bool)> {
        let mut inflated = Vec::new();
        let block = self.file.data_block(R::KIND, offset, &mut inflated)?;
        let data = self.file.data_of(&block, &inflated);
        let layout = block.shape.layout_stats::<R>(data, &self.file.context(), usize::from(options.restart_interval));
        let (records, has_interval) = layout.map_err(|error| self.file.locate(error, &block))?;
        Ok((block.shape.len() as u64 / records.max(1), has_interval))
    }
}
