//! The log records of a transaction: which entries, under which update indexes.

use std::collections::HashMap;

use super::LogChange;
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::value::{Ident, LogEntry};

/// A log record to be written.
#[derive(Debug)]
pub(super) struct LogRow {
    pub(super) refname: Vec<u8>,
    pub(super) update_index: u64,
    pub(super) entry: Option<LogEntry>,
}

/// Collects log records and gives entries of one name different update indexes.
pub(super) struct Rows {
    rows: Vec<LogRow>,
    /// The update index of the next entry of each name; `None` when the last one is taken.
    next: HashMap<Vec<u8>, Option<u64>>,
    update_index: u64,
    last: u64,
}

impl Rows {
    /// No records yet; the first entry of each name will have this update index.
    pub(super) fn new(update_index: u64) -> Rows {
        Rows { rows: Vec::new(), next: HashMap::new(), update_index, last: update_index }
    }

    pub(super) fn add(&mut self, change: LogChange, snapshot: &Snapshot) -> Result<()> {
        match change {
            LogChange::Append { refname, entry } => self.append(refname, entry)?,
            LogChange::DeleteEntry { refname, update_index } => {
                check_log_name(&refname)?;
                self.rows.push(LogRow { refname, update_index, entry: None });
            }
            LogChange::DeleteAll { refname } => {
                check_log_name(&refname)?;
                let mut existing = snapshot.log(&refname)?;
                while let Some(log) = existing.next()? {
                    let row = LogRow { refname: refname.clone(), update_index: log.update_index, entry: None };
                    self.rows.push(row);
                }
            }
        }
        Ok(())
    }

    pub(super) fn append(&mut self, refname: Vec<u8>, mut entry: LogEntry) -> Result<()> {
        crate::name::check(&refname)?;
        entry.message = one_line(entry.message)?;
        check_committer(&entry.committer)?;
        let next = self.next.entry(refname.clone()).or_insert(Some(self.update_index));
        let update_index = next.ok_or_else(|| Error::invalid("the store has used up its update indexes"))?;
        *next = update_index.checked_add(1);
        self.last = self.last.max(update_index);
        self.rows.push(LogRow { refname, update_index, entry: Some(entry) });
        Ok(())
    }

    /// The records as a table wants them, and the last update index: by name, newest first, each key once. An entry that is appended stays,
    /// whatever was deleted under its update index before.
    pub(super) fn finish(mut self) -> (Vec<LogRow>, u64) {
        let order = |a: &LogRow, b: &LogRow| {
            let by_key = a.refname.cmp(&b.refname).then(b.update_index.cmp(&a.update_index));
            by_key.then(b.entry.is_some().cmp(&a.entry.is_some()))
        };
        self.rows.sort_by(order);
        self.rows.dedup_by(|a, b| a.refname == b.refname && a.update_index == b.update_index);
        (self.rows, self.last)
    }
}

/// A message as git stores it: one line, ended by one newline.
fn one_line(mut message: Vec<u8>) -> Result<Vec<u8>> {
    while message.last() == Some(&b'\n') {
        message.pop();
    }
    if message.contains(&b'\n') || message.contains(&0) {
        return Err(Error::invalid("a reflog message must be one line, without zero bytes"));
    }
    message.push(b'\n');
    Ok(message)
}

/// Names of logs that are to be deleted need not be valid, only possible: odd ones must go somehow.
fn check_log_name(name: &[u8]) -> Result<()> {
    if name.is_empty() || name.contains(&0) {
        return Err(Error::invalid("the name of a reflog must not be empty or have zero bytes"));
    }
    Ok(())
}

/// git prints and parses identities as `NAME <EMAIL>` on one line.
fn check_committer(committer: &Ident) -> Result<()> {
    let is_odd = |byte: &u8| matches!(byte, 0 | b'\n' | b'<' | b'>');
    if committer.name.iter().chain(&committer.email).any(is_odd) {
        return Err(Error::invalid("a committer's name and e-mail must not have '<', '>', newlines or zero bytes"));
    }
    Ok(())
}
