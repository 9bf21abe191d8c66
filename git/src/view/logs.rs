//! Reading logs, from either end.

use std::ops::ControlFlow;

use reftable::{LogEntry, LogEntryView, Logs, Snapshot};

use super::{Backend, View};
use crate::error::{Error, Result};
use crate::names::Place;

/// From which end a log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LogOrder {
    /// The newest entry first, as stores have them.
    #[default]
    NewestFirst,
    /// The oldest entry first, as files have them. All entries are read before the first is given.
    OldestFirst,
}

impl View {
    /// The log of one reference in a reftable store, newest entry first.
    ///
    /// # Errors
    /// If it cannot be read. [`View::each_log_entry`] also reads those of files.
    pub fn log(&self, name: &[u8]) -> Result<Logs> {
        let missing = || Error::not_found(format!("'{}' is in no reftable store", reftable::escape::escaped(name)));
        self.with_home(name, |snapshot, name| snapshot.log(name))?.ok_or_else(missing)
    }

    /// Hands the entries of the log of one reference to `each`, until it breaks. The mark of a log
    /// without entries is none, and a log that does not exist has none.
    ///
    /// # Errors
    /// Those of `each`, and if the log cannot be read.
    pub fn each_log_entry<E: From<reftable::Error> + From<Error>>(
        &self,
        name: &[u8],
        order: LogOrder,
        mut each: impl FnMut(&LogEntryView<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        if let (Backend::Tables { .. }, LogOrder::NewestFirst) = (&self.backend, order) {
            let Some(mut logs) = self.with_home(name, |snapshot, name| snapshot.log(name))? else { return Ok(()) };
            while let Some(log) = logs.next()? {
                if each(&log.entry)?.is_break() {
                    break;
                }
            }
            return Ok(());
        }
        let mut entries = self.log_entries(name)?;
        if order == LogOrder::OldestFirst {
            entries.reverse();
        }
        for entry in &entries {
            if each(&entry.as_view())?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// All entries of the log of one reference, newest first.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn log_entries(&self, name: &[u8]) -> Result<Vec<LogEntry>> {
        if let Backend::Files(files) = &self.backend {
            return files.log(name);
        }
        let mut entries = Vec::new();
        if let Some(mut logs) = self.with_home(name, |snapshot, name| snapshot.log(name))? {
            while let Some(log) = logs.next()? {
                entries.push(log.to_log().entry);
            }
        }
        Ok(entries)
    }

    /// Whether `name` has a log, be it without entries.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn log_exists(&self, name: &[u8]) -> Result<bool> {
        match &self.backend {
            Backend::Files(files) => files.log_exists(name),
            Backend::Tables { .. } => {
                Ok(self.with_home(name, |snapshot, name| snapshot.log_exists(name))?.unwrap_or(false))
            }
        }
    }

    /// The names that have a log, be it without entries, in order: those of this worktree and the
    /// shared ones. Cost: a look-up for each.
    ///
    /// # Errors
    /// If a log cannot be read.
    pub fn log_names(&self) -> Result<Vec<Vec<u8>>> {
        match &self.backend {
            Backend::Files(files) => files.log_names(),
            Backend::Tables { shared, worktree: None } => Ok(log_names(shared)?),
            Backend::Tables { shared, worktree: Some(worktree) } => {
                let of = |snapshot, place| {
                    let mut names = log_names(snapshot)?;
                    names.retain(|name| Place::of(name) == place);
                    Ok::<_, reftable::Error>(names)
                };
                let mut names = of(shared, Place::Shared)?;
                names.append(&mut of(worktree, Place::Worktree)?);
                names.sort_unstable();
                Ok(names)
            }
        }
    }
}

/// Steps from name to name, over the entries.
fn log_names(snapshot: &Snapshot) -> reftable::Result<Vec<Vec<u8>>> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    let mut logs = snapshot.logs()?;
    while let Some(item) = logs.next_item()? {
        // Entries have numbers from 1 on, but a foreign table may have any.
        if names.last().is_none_or(|last| last != item.refname()) {
            let name = item.refname().to_vec();
            logs.seek(&name, 0)?;
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use reftable::table::{LogRecordView, TableWriter, WriteOptions};
    use reftable::{HashKind, Options, Stack};

    use super::*;

    #[test]
    fn an_entry_with_the_number_0_ends_no_listing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0x000000000000-0x000000000002-00000001.ref");
        let file = fs::File::create(path).unwrap();
        let mut table = TableWriter::new(file, HashKind::Sha1, 0..=2, &WriteOptions::default()).unwrap();
        let entry = reftable::LogEntry::parse_line(
            &[b"0".repeat(40), b" ".to_vec(), b"1".repeat(40), b" a <b> 1 +0000".to_vec()].concat(),
        )
        .unwrap();
        for (refname, update_index) in [(b"a", 2), (b"a", 0), (b"b", 0)] {
            table.add_log(&LogRecordView { refname, update_index, entry: Some(entry.as_view()) }).unwrap();
        }
        table.finish().unwrap();
        fs::write(dir.path().join("tables.list"), "0x000000000000-0x000000000002-00000001.ref\n").unwrap();
        let snapshot = Stack::open(dir.path(), Options::default()).unwrap().snapshot().unwrap();
        assert_eq!(log_names(&snapshot).unwrap(), [b"a", b"b"]);
    }
}
