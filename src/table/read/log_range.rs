//! Log entries above the update indexes that a table states. No program should write them, and
//! commits must not write over them: an entry is found by name and update index.

use std::sync::Arc;

use crate::error::Result;
use crate::format::header::BlockKind;
use crate::format::record::{LogRecord, is_same_log, log_key};
use crate::table::{Cursor, Table};

/// About how many bytes of a log section are read to look up one log.
const LOOK_UP: u64 = 4096;

impl Table {
    /// Notes that no log record is above the header's range: the caller knows what wrote the table.
    pub(crate) fn trust_logs(&self) {
        let _ = self.logs_in_range.set(true);
    }

    /// Whether no log record is above the header's range, as far as is known.
    pub(crate) fn are_logs_trusted(&self) -> bool {
        self.section(BlockKind::Log).is_none() || self.logs_in_range.get() == Some(&true)
    }

    /// The largest update index in the log of `name`, if that is above the header's range.
    ///
    /// Cost: a look-up. If as many as `expected` of them would cost more than reading all logs,
    /// then that, once.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub(crate) fn log_beyond(self: &Arc<Self>, name: &[u8], expected: usize) -> Result<Option<u64>> {
        let is_less = || self.section_len(BlockKind::Log) < (expected as u64).saturating_mul(LOOK_UP);
        if self.logs_in_range.get().is_none() && !self.are_logs_trusted() && expected > 1 && is_less() {
            let _ = self.logs_in_range.set(self.has_logs_in_range()?);
        }
        if self.are_logs_trusted() {
            return Ok(None);
        }
        let mut key = Vec::new();
        log_key(&mut key, name, u64::MAX);
        let mut cursor = Cursor::<LogRecord>::new(Arc::clone(self), None);
        if !cursor.seek(&key)? || !is_same_log(cursor.key(), &key) {
            return Ok(None);
        }
        let newest = cursor.view().update_index;
        Ok((newest > self.file.header.max_update_index).then_some(newest))
    }

    fn has_logs_in_range(self: &Arc<Self>) -> Result<bool> {
        let mut cursor = Cursor::<LogRecord>::new(Arc::clone(self), None);
        let mut is_there = cursor.seek(b"")?;
        while is_there {
            if cursor.view().update_index > self.file.header.max_update_index {
                return Ok(false);
            }
            is_there = cursor.next()?;
        }
        Ok(true)
    }
}
