//! What a transaction is checked against: a snapshot, and the transactions before it in its group.

use std::collections::HashSet;

use super::batch::RefRow;
use crate::error::Result;
use crate::format::record::RefRecord;
use crate::merge::{Merge, Tombstones};
use crate::mutant::{self, Mutant};
use crate::name;
use crate::snapshot::Snapshot;
use crate::table::WarmUp;
use crate::value::Target;

/// So many names of a group are few.
const FEW: usize = 4;

/// A snapshot as it will be after some transactions that nobody else can see yet.
pub(super) struct GroupView<'a> {
    base: &'a Snapshot,
    /// What they did to references, by name.
    rows: &'a [RefRow],
    warm_up: WarmUp,
}

impl<'a> GroupView<'a> {
    /// To be asked for so many `names`. Where they are few, filling the tables' caches would not
    /// pay.
    pub(super) fn new(base: &'a Snapshot, rows: &'a [RefRow], names: usize) -> Self {
        let warm_up = if rows.len().saturating_add(names) <= FEW { WarmUp::COMMIT } else { WarmUp::READ };
        let rows = if mutant::is_on(Mutant::IgnoreEarlierMembers) { &[] } else { rows };
        GroupView { base, rows, warm_up }
    }

    /// Where `name` points.
    pub(super) fn get(&self, name: &[u8]) -> Result<Option<Target>> {
        match self.row(name) {
            Some(row) => Ok(row.target.clone()),
            None => Ok(self.base.view_after(name, self.warm_up)?.map(|found| found.target.to_target())),
        }
    }

    fn row(&self, name: &[u8]) -> Option<&RefRow> {
        let position = self.rows.binary_search_by(|row| (*row.name).cmp(name)).ok()?;
        self.rows.get(position)
    }

    /// A search for names below others, as if those in `deleted` were gone.
    pub(super) fn below(&'a self, deleted: &'a HashSet<&[u8]>) -> Below<'a> {
        let base = Merge::warming(self.base.tables(), Tombstones::Show, Some(self.warm_up));
        Below { view: self, deleted, row: 0, base, start: None }
    }
}

/// Finds names below others. In the order of [`name::by_directory`] all searches together are one
/// pass: each costs at most a seek, and what is deleted is stepped over once, whatever is asked
/// about the directories that it is in.
pub(super) struct Below<'a> {
    view: &'a GroupView<'a>,
    deleted: &'a HashSet<&'a [u8]>,
    /// The first of the view's rows that was not passed.
    row: usize,
    /// Shows tombstones. To hide them would be to step over all that follow the directory, up to
    /// the next name that lives.
    base: Merge<RefRecord>,
    /// Where the last search began. From there to `row` and to the record of `base` nothing lives.
    start: Option<Vec<u8>>,
}

impl Below<'_> {
    /// A name that lives and has `directory` as a directory.
    pub(super) fn first(&mut self, directory: &[u8]) -> Result<Option<Vec<u8>>> {
        self.seek([directory, b"/"].concat())?;
        while let Some(row) = self.view.rows.get(self.row).filter(|row| name::is_below(&row.name, directory)) {
            if row.target.is_some() && !self.deleted.contains(&*row.name) {
                return Ok(Some(row.name.to_vec()));
            }
            self.row += 1;
        }
        while let Some(record) = self.base.front().filter(|record| name::is_below(record.key(), directory)) {
            let name = record.key();
            // What the transactions before did to a name counts, and was looked at above.
            if !record.is_tombstone() && self.view.row(name).is_none() && !self.deleted.contains(name) {
                return Ok(Some(name.to_vec()));
            }
            self.base.next()?;
        }
        Ok(None)
    }

    /// Goes to the names from `start` on, unless it is among those, and has found that all between
    /// are gone.
    fn seek(&mut self, start: Vec<u8>) -> Result<()> {
        let goes_on = self.start.as_ref().is_some_and(|before| *before <= start);
        self.row = if goes_on { self.row } else { 0 };
        let rows = self.view.rows.get(self.row..).unwrap_or_default();
        self.row += rows.partition_point(|row| *row.name < *start);
        let is_there = goes_on && self.base.front().is_none_or(|record| record.key() >= start.as_slice());
        if !is_there {
            self.base.seek(&start)?;
            self.base.next()?;
        }
        self.start = Some(start);
        Ok(())
    }
}
