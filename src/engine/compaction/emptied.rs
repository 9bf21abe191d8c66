//! Expiry while logs are merged: what is left out, and the markers of logs that lose their last
//! entry.

use std::sync::Arc;

use super::Expiry;
use super::ranges::Range;
use crate::error::Result;
use crate::format::record::{LogRecord, is_same_log, log_key, split_key};
use crate::merge::{Merge, Tombstones};
use crate::oid::{HashKind, ObjectId};
use crate::table::{RunWriter, Table};
use crate::value::{LogEntryView, LogRecordView};

/// Passes on what does not expire, and notes whether anything is left of the current log.
///
/// A log may reach over several ranges, which are merged in any order. The marker belongs to the
/// one that the log ends in; that one looks what the others keep of it ([`Self::new`]).
#[derive(Debug)]
pub(super) struct Expirer<'a> {
    expiry: &'a Expiry,
    range: &'a Range,
    hash: HashKind,
    /// The current log.
    name: Vec<u8>,
    /// Whether something of it was kept.
    is_kept: bool,
    /// The update index of its oldest entry that was left out.
    lost: Option<u64>,
    /// Entries that were left out.
    pub(super) expired: u64,
    /// Markers that were written for them.
    pub(super) marked: u64,
}

impl<'a> Expirer<'a> {
    /// Before the first record of `range`.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub(super) fn new(expiry: &'a Expiry, tables: &[Arc<Table>], range: &'a Range) -> Result<Self> {
        let hash = tables.first().map(|table| table.hash()).unwrap_or_default();
        let name =
            range.from.strip_suffix(b"\0").and_then(split_key).map(|(name, _)| name.to_vec()).unwrap_or_default();
        let mut expirer = Expirer { expiry, range, hash, name, is_kept: false, lost: None, expired: 0, marked: 0 };
        if expiry.is_set() && !expirer.name.is_empty() && !expirer.goes_on() {
            expirer.look_back(tables)?;
        }
        Ok(expirer)
    }

    /// Looks what the ranges before keep of the current log. Ends at the first such record.
    fn look_back(&mut self, tables: &[Arc<Table>]) -> Result<()> {
        let mut merge = Merge::<LogRecord>::warming(tables, Tombstones::Hide, None);
        let mut first = Vec::new();
        log_key(&mut first, &self.name, u64::MAX);
        merge.seek(&first)?;
        while let Some(record) = merge.next_alive(|key| is_same_log(key, &first) && key < self.range.from.as_slice())? {
            let record = record.view();
            if !self.expiry.takes(&record) {
                self.is_kept = true;
                return Ok(());
            }
            self.lost = Some(record.update_index);
        }
        Ok(())
    }

    /// Writes a record, unless it expires.
    ///
    /// # Errors
    /// As for [`RunWriter::add_log`].
    #[inline]
    pub(super) fn add(&mut self, out: &mut RunWriter, record: &LogRecordView<'_>) -> Result<()> {
        self.enter(out, record.refname)?;
        if self.expiry.takes(record) {
            self.expired += 1;
            self.lost = Some(record.update_index);
            return Ok(());
        }
        if record.entry.is_none() {
            // Its key lies after that of the marker.
            self.leave(out)?;
        }
        self.is_kept |= record.entry.is_some();
        out.add_log(record)
    }

    /// Comes to a record of the log of `name`.
    ///
    /// # Errors
    /// As for [`RunWriter::add_log`].
    pub(super) fn enter(&mut self, out: &mut RunWriter, name: &[u8]) -> Result<()> {
        if self.name != name {
            self.leave(out)?;
            name.clone_into(&mut self.name);
            self.is_kept = false;
        }
        Ok(())
    }

    /// The current log, and all up to the one of `last_key`, were copied as they are.
    pub(super) fn copied(&mut self, last_key: &[u8]) {
        if let Some((name, _)) = split_key(last_key) {
            name.clone_into(&mut self.name);
        }
        (self.is_kept, self.lost) = (true, None);
    }

    /// The range has ended.
    ///
    /// # Errors
    /// As for [`RunWriter::add_log`].
    pub(super) fn end(&mut self, out: &mut RunWriter) -> Result<()> {
        if self.goes_on() { Ok(()) } else { self.leave(out) }
    }

    /// Whether the current log may have records in the next range.
    fn goes_on(&self) -> bool {
        let mut last = Vec::new();
        log_key(&mut last, &self.name, 0);
        self.range.to.as_ref().is_some_and(|to| *to <= last)
    }

    /// Writes a marker if the current log has lost all.
    fn leave(&mut self, out: &mut RunWriter) -> Result<()> {
        let Some(update_index) = self.lost.take() else { return Ok(()) };
        if self.is_kept || !self.expiry.leaves_markers() {
            return Ok(());
        }
        self.marked += 1;
        self.is_kept = true;
        let entry = Some(LogEntryView::marker(ObjectId::null(self.hash)));
        out.add_log(&LogRecordView { refname: &self.name, update_index, entry })
    }
}
