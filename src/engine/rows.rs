//! The log records of transactions: which entries, under which update indexes.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::batch::FEW_ROWS;
use crate::changeset::LogChange;
use crate::error::{Error, Result};
use crate::oid::ObjectId;
use crate::snapshot::Snapshot;
use crate::value::{Ident, LogEntry, LogEntryView};

/// A log record to be written.
#[derive(Debug)]
pub(super) struct LogRow {
    pub(super) refname: Arc<[u8]>,
    pub(super) update_index: u64,
    /// `None` deletes the entry.
    pub(super) entry: Option<RowEntry>,
}

/// An entry to be written. What many of them have in common is there once.
#[derive(Debug)]
pub(super) struct RowEntry {
    old: ObjectId,
    new: ObjectId,
    said: Arc<(Ident, Vec<u8>)>,
}

impl RowEntry {
    /// An entry with this committer and message.
    pub(super) fn new(old: ObjectId, new: ObjectId, said: &Arc<(Ident, Vec<u8>)>) -> RowEntry {
        RowEntry { old, new, said: Arc::clone(said) }
    }

    pub(super) fn as_view(&self) -> LogEntryView<'_> {
        let (committer, message) = &*self.said;
        LogEntryView {
            old: self.old,
            new: self.new,
            name: &committer.name,
            email: &committer.email,
            time: committer.time,
            time_zone: committer.time_zone,
            message,
        }
    }
}

impl From<LogEntry> for RowEntry {
    fn from(entry: LogEntry) -> RowEntry {
        RowEntry { old: entry.old, new: entry.new, said: Arc::new((entry.committer, entry.message)) }
    }
}

/// Collects the log records of one transaction and gives entries of one name different update
/// indexes.
pub(super) struct MemberLogs<'a> {
    base: &'a Snapshot,
    /// No more entries than this are appended.
    expected: usize,
    rows: Vec<LogRow>,
    /// The update index of the next entry of each name; `None` when the last one is taken.
    next: HashMap<Arc<[u8]>, Option<u64>>,
    /// Logs that are to exist afterwards.
    lasting: BTreeMap<Vec<u8>, Lasting>,
    update_index: u64,
    last: u64,
}

/// Why a log is to exist afterwards, be it without entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lasting {
    /// It may lose its last entry, but exists if it did before.
    AsBefore,
    /// It is deleted as a whole.
    No,
    /// It is created.
    Always,
}

impl<'a> MemberLogs<'a> {
    /// No records yet; the first entry of each name will have this update index, unless `base` has
    /// one above it. No more entries than `expected` will be appended.
    pub(super) fn new(update_index: u64, base: &'a Snapshot, expected: usize) -> MemberLogs<'a> {
        let (rows, next, lasting) = (Vec::new(), HashMap::new(), BTreeMap::new());
        MemberLogs { base, expected, rows, next, lasting, update_index, last: update_index }
    }

    /// Adds a change. What exists is what the base has and what `earlier` transactions of the group
    /// have written.
    pub(super) fn add(&mut self, change: LogChange, earlier: &[LogRow]) -> Result<()> {
        match change {
            LogChange::Append { refname, entry } => self.append(refname.into(), entry.into())?,
            LogChange::Create { refname } => self.lasts(refname, Lasting::Always),
            LogChange::DeleteEntry { refname, update_index } => {
                self.rows.push(LogRow { refname: refname.as_slice().into(), update_index, entry: None });
                self.lasts(refname, Lasting::AsBefore);
            }
            LogChange::DeleteAll { refname } => {
                let mut existing = self.base.log(&refname)?;
                let name: Arc<[u8]> = refname.as_slice().into();
                while let Some(item) = existing.next_item()? {
                    let row = LogRow { refname: Arc::clone(&name), update_index: item.update_index(), entry: None };
                    self.rows.push(row);
                }
                self.rows.extend(rows_of(earlier, &refname).iter().map(|row| LogRow {
                    refname: Arc::clone(&name),
                    update_index: row.update_index,
                    entry: None,
                }));
                self.lasts(refname, Lasting::No);
            }
        }
        Ok(())
    }

    fn lasts(&mut self, refname: Vec<u8>, lasting: Lasting) {
        let known = self.lasting.entry(refname).or_insert(lasting);
        *known = lasting.max(*known);
    }

    fn append(&mut self, refname: Arc<[u8]>, entry: RowEntry) -> Result<()> {
        let next = match self.next.entry(Arc::clone(&refname)) {
            Entry::Occupied(next) => next.into_mut(),
            Entry::Vacant(next) => next.insert(self.base.next_log_index(&refname, self.update_index, self.expected)?),
        };
        let update_index = next.ok_or_else(used_up)?;
        *next = update_index.checked_add(1);
        self.push(refname, update_index, entry);
        Ok(())
    }

    /// Adds the last entry that `refname` gets: none must follow.
    pub(super) fn append_last(&mut self, refname: &Arc<[u8]>, entry: RowEntry) -> Result<()> {
        let next = match self.next.remove(refname) {
            Some(next) => next,
            None => self.base.next_log_index(refname, self.update_index, self.expected)?,
        };
        self.push(Arc::clone(refname), next.ok_or_else(used_up)?, entry);
        Ok(())
    }

    fn push(&mut self, refname: Arc<[u8]>, update_index: u64, entry: RowEntry) {
        self.last = self.last.max(update_index);
        self.rows.push(LogRow { refname, update_index, entry: Some(entry) });
    }

    /// The records as a table wants them, and the last update index: by name, newest first, each
    /// key once. An entry that is appended stays, whatever was deleted under its update index
    /// before. Logs that are to exist and have nothing get a marker, with this null id.
    pub(super) fn finish(mut self, earlier: &[LogRow], null: ObjectId) -> Result<(Vec<LogRow>, u64)> {
        self.put_in_order();
        let base = self.base;
        for (refname, lasting) in std::mem::take(&mut self.lasting) {
            let own = rows_of(&self.rows, &refname);
            let is_wanted = match lasting {
                Lasting::No => false,
                _ if own.iter().any(|row| row.entry.is_some()) => false,
                Lasting::Always => !exists(&refname, base, earlier, own)?,
                Lasting::AsBefore => !exists(&refname, base, earlier, own)? && exists(&refname, base, earlier, &[])?,
            };
            if is_wanted {
                let committer = Ident::new("", "", 0);
                let entry = LogEntry { old: null, new: null, committer, message: Vec::new() };
                let (refname, entry) = (refname.into(), Some(entry.into()));
                self.rows.push(LogRow { refname, update_index: self.update_index, entry });
            }
        }
        self.put_in_order();
        Ok((self.rows, self.last))
    }

    fn put_in_order(&mut self) {
        self.rows.sort_by(|a, b| by_key(a, b).then(b.entry.is_some().cmp(&a.entry.is_some())));
        self.rows.dedup_by(|later, kept| by_key(later, kept).is_eq());
    }
}

fn used_up() -> Error {
    Error::invalid("the store has used up its update indexes")
}

/// The rows of one log, among `rows` as tables want them.
fn rows_of<'a>(rows: &'a [LogRow], refname: &[u8]) -> &'a [LogRow] {
    let start = rows.partition_point(|row| *row.refname < *refname);
    let rest = rows.get(start..).unwrap_or_default();
    rest.get(..rest.partition_point(|row| *row.refname == *refname)).unwrap_or_default()
}

/// Whether a log has anything when transactions of the group have written `earlier` rows, and then
/// `own` ones of this log have deleted theirs.
fn exists(refname: &[u8], base: &Snapshot, earlier: &[LogRow], own: &[LogRow]) -> Result<bool> {
    let earlier = rows_of(earlier, refname);
    let is_in = |rows: &[LogRow], index: u64| rows.binary_search_by(|row| index.cmp(&row.update_index)).is_ok();
    if earlier.iter().any(|row| row.entry.is_some() && !is_in(own, row.update_index)) {
        return Ok(true);
    }
    let mut logs = base.log(refname)?;
    while let Some(item) = logs.next_item()? {
        if !is_in(earlier, item.update_index()) && !is_in(own, item.update_index()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Adds `newer` rows to `rows`, both as tables want them. Of two for one key the newer stays.
pub(super) fn merge_logs(rows: &mut Vec<LogRow>, newer: Vec<LogRow>) {
    if newer.len() <= FEW_ROWS {
        for row in newer {
            match rows.binary_search_by(|there| by_key(there, &row)) {
                Ok(at) => drop(rows.splice(at..=at, [row])),
                Err(at) => rows.insert(at, row),
            }
        }
        return;
    }
    if rows.is_empty() {
        *rows = newer;
        return;
    }
    let older = std::mem::replace(rows, newer);
    rows.extend(older);
    // Stable: of two with one key the newer comes first.
    rows.sort_by(by_key);
    rows.dedup_by(|later, kept| by_key(later, kept).is_eq());
}

fn by_key(a: &LogRow, b: &LogRow) -> std::cmp::Ordering {
    a.refname.cmp(&b.refname).then(b.update_index.cmp(&a.update_index))
}
