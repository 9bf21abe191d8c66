//! Scans of reflogs: all of them, or one.

use std::fmt;

use crate::error::Result;
use crate::escape::{Text, debug_with_text};
use crate::format::record::{LogRecord, is_same_log, log_key};
use crate::merge::Merge;
use crate::table::Cursor;
use crate::value::{Log, LogEntry, LogEntryView, LogRecordView};

/// A reflog entry, borrowed until the next step of its cursor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LogView<'a> {
    /// The reference's full name.
    pub refname: &'a [u8],
    /// The number of the transaction that wrote the entry.
    pub update_index: u64,
    /// What happened.
    pub entry: LogEntryView<'a>,
}

debug_with_text!(LogView<'a> { refname; update_index, entry });

impl LogView<'_> {
    /// The same, owned.
    #[must_use]
    pub fn to_log(&self) -> Log {
        let entry: LogEntry = self.entry.to_entry();
        Log { refname: self.refname.to_vec(), update_index: self.update_index, entry }
    }
}

/// What a reflog holds, borrowed until the next step of its cursor.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogItem<'a> {
    /// Something that has happened to the reference.
    Entry(LogView<'a>),
    /// Nothing has happened: the log exists. git writes this for a log that begins without an
    /// entry, and in the place of the last one that is deleted or expires. It says nothing where
    /// there are entries, and goes with the log.
    Marker {
        /// The reference's full name.
        refname: &'a [u8],
        /// The number of the transaction that wrote it.
        update_index: u64,
    },
}

impl fmt::Debug for LogItem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogItem::Entry(log) => f.debug_tuple("Entry").field(log).finish(),
            LogItem::Marker { refname, update_index } => {
                f.debug_struct("Marker").field("refname", &Text(refname)).field("update_index", update_index).finish()
            }
        }
    }
}

impl<'a> LogItem<'a> {
    /// The reference's full name.
    #[must_use]
    pub fn refname(&self) -> &'a [u8] {
        match self {
            LogItem::Entry(LogView { refname, .. }) | LogItem::Marker { refname, .. } => refname,
        }
    }

    /// The number of the transaction that wrote it.
    #[must_use]
    pub fn update_index(&self) -> u64 {
        match self {
            LogItem::Entry(LogView { update_index, .. }) | LogItem::Marker { update_index, .. } => *update_index,
        }
    }

    /// The entry, if it is one.
    #[must_use]
    pub fn entry(&self) -> Option<LogEntryView<'a>> {
        match self {
            LogItem::Entry(log) => Some(log.entry),
            LogItem::Marker { .. } => None,
        }
    }
}

/// A scan of reflogs: by name, then newest first. Owns its snapshot's tables.
///
/// [`Logs::next`] lends entries, and as an [`IntoIterator`] it gives owned ones.
/// [`Logs::next_item`] lends the markers of logs that merely exist, too.
pub struct Logs {
    merge: Merge<LogRecord>,
    /// If it is a scan of one log: the first key that its entries could have.
    first: Option<Vec<u8>>,
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").finish_non_exhaustive()
    }
}

impl Logs {
    /// All logs that `merge` comes to.
    pub(super) fn all(mut merge: Merge<LogRecord>) -> Result<Logs> {
        merge.seek(b"")?;
        Ok(Logs { merge, first: None })
    }

    /// The log of `name`.
    pub(super) fn of(mut merge: Merge<LogRecord>, name: &[u8]) -> Result<Logs> {
        let mut first = Vec::new();
        log_key(&mut first, name, u64::MAX);
        merge.seek(&first)?;
        Ok(Logs { merge, first: Some(first) })
    }

    /// The next entry; `None` at the end, and ever after.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset; nothing follows it.
    #[expect(clippy::should_implement_trait, reason = "lends its item, which Iterator cannot")]
    pub fn next(&mut self) -> Result<Option<LogView<'_>>> {
        loop {
            if !self.step()? {
                return Ok(None);
            }
            let record = self.merge.front().map(Cursor::view);
            if !record.and_then(|record| record.entry).is_some_and(|entry| entry.is_marker()) {
                break;
            }
        }
        Ok(self.view())
    }

    /// The next entry or marker; `None` at the end, and ever after.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset; nothing follows it.
    pub fn next_item(&mut self) -> Result<Option<LogItem<'_>>> {
        if !self.step()? {
            return Ok(None);
        }
        Ok(self.view().map(|log| match log {
            LogView { refname, update_index, entry } if entry.is_marker() => LogItem::Marker { refname, update_index },
            log => LogItem::Entry(log),
        }))
    }

    /// The current record, be it a marker.
    fn view(&self) -> Option<LogView<'_>> {
        let LogRecordView { refname, update_index, entry } = self.merge.front()?.view();
        entry.map(|entry| LogView { refname, update_index, entry })
    }

    /// Steps to the next record; `false` at the end.
    fn step(&mut self) -> Result<bool> {
        let found = match &self.first {
            None => self.merge.next()?,
            Some(first) => self.merge.next_alive(|key| is_same_log(key, first))?,
        };
        Ok(found.is_some())
    }

    /// Moves before the first entry of `name` whose update index is at most `at_most`.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub fn seek(&mut self, name: impl AsRef<[u8]>, at_most: u64) -> Result<()> {
        let mut key = Vec::new();
        log_key(&mut key, name.as_ref(), at_most);
        if let Some(first) = &self.first {
            // A scan of one log does not leave it.
            key = key.max(first.clone());
        }
        self.merge.seek(&key)
    }
}

impl IntoIterator for Logs {
    type Item = Result<Log>;
    type IntoIter = OwnedLogs;

    fn into_iter(self) -> OwnedLogs {
        OwnedLogs(self)
    }
}

/// The owned items of [`Logs`].
#[derive(Debug)]
pub struct OwnedLogs(Logs);

impl Iterator for OwnedLogs {
    type Item = Result<Log>;

    fn next(&mut self) -> Option<Result<Log>> {
        self.0.next().map(|found| found.map(|found| found.to_log())).transpose()
    }
}
