//! The tables that a compaction may merge.

use std::ops::Range;
use std::sync::Arc;

use crate::lock::Lock;
use crate::snapshot::Snapshot;
use crate::table::Table;

/// Tables that are locked for compaction, by a snapshot that has them and their place in it.
pub(super) struct ClaimedTables {
    pub(super) snapshot: Snapshot,
    pub(super) range: Range<usize>,
    /// Where the range would start if no table in it had been locked by others.
    pub(super) planned_start: usize,
    /// Newest first.
    pub(super) _locks: Vec<Box<dyn Lock>>,
}

impl ClaimedTables {
    pub(super) fn tables(&self) -> &[Arc<Table>] {
        self.snapshot.tables().get(self.range.clone()).unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.tables().iter().map(|table| table.file_size()).sum()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.tables().iter().map(|table| table.name())
    }

    /// Where they start in `base`, if they still are there in one piece.
    pub(super) fn position_in(&self, base: &Snapshot) -> Option<usize> {
        let first = self.names().next()?;
        let start = base.tables().iter().position(|table| table.name() == first)?;
        let there = base.tables().get(start..)?.iter().take(self.range.len()).map(|table| table.name());
        there.eq(self.names()).then_some(start)
    }
}
