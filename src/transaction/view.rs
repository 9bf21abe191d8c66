//! What a transaction is checked against: a snapshot, and the transactions before it in its group.

use super::batch::RefRow;
use crate::error::Result;
use crate::mutant::{self, Mutant};
use crate::name;
use crate::snapshot::Snapshot;
use crate::value::Target;

/// A snapshot as it will be after some transactions that nobody else can see yet.
pub(super) struct View<'a> {
    base: &'a Snapshot,
    /// What they did to references, by name.
    rows: &'a [RefRow],
}

impl<'a> View<'a> {
    pub(super) fn new(base: &'a Snapshot, rows: &'a [RefRow]) -> Self {
        let rows = if mutant::is_on(Mutant::IgnoreEarlierMembers) { &[] } else { rows };
        View { base, rows }
    }

    /// Where `name` points.
    pub(super) fn get(&self, name: &[u8]) -> Result<Option<Target>> {
        match self.row(name) {
            Some(row) => Ok(row.target.clone()),
            None => Ok(self.base.get(name)?.map(|found| found.target)),
        }
    }

    fn row(&self, name: &[u8]) -> Option<&RefRow> {
        let position = self.rows.binary_search_by(|row| row.name.as_slice().cmp(name)).ok()?;
        self.rows.get(position)
    }

    /// A search for names below others.
    pub(super) fn below(&self) -> Result<Below<'_>> {
        Ok(Below { view: self, refs: self.base.refs()? })
    }
}

/// Finds names below others. For many names in order cheaper than a search for each.
pub(super) struct Below<'a> {
    view: &'a View<'a>,
    refs: crate::snapshot::Refs,
}

impl Below<'_> {
    /// A name that has `directory` as a directory, other than those that `is_deleted`.
    pub(super) fn first(&mut self, directory: &[u8], is_deleted: impl Fn(&[u8]) -> bool) -> Result<Option<Vec<u8>>> {
        let mut start = directory.to_vec();
        start.push(b'/');
        let rows = self.view.rows;
        let new = rows.get(rows.partition_point(|row| row.name < start)..).unwrap_or_default();
        let mut new = new.iter().take_while(|row| name::is_below(&row.name, directory));
        if let Some(row) = new.find(|row| row.target.is_some() && !is_deleted(&row.name)) {
            return Ok(Some(row.name.clone()));
        }
        self.refs.seek(&start)?;
        while let Some(found) = self.refs.next()? {
            if !name::is_below(found.name, directory) {
                break;
            }
            // What the transactions before did to a name counts, and was looked at above.
            if self.view.row(found.name).is_none() && !is_deleted(found.name) {
                return Ok(Some(found.name.to_vec()));
            }
        }
        Ok(None)
    }
}
