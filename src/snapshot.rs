//! Snapshots: one state of a stack, and all ways to read it.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::Result;
use crate::escape::{Text, debug_with_text};
use crate::format::header::BlockKind;
use crate::format::record::{LogRecord, RefRecord, is_same_log, log_key};
use crate::merge::{Merge, Tombstones};
use crate::oid::{HashKind, ObjectId};
use crate::table::{Cursor, NameHash, Table, refs_pointing_at};
use crate::value::{Log, LogEntry, Ref};
use crate::value::{LogEntryView, LogRecordView, RefRecordView, TargetView};

/// A state of the store that never changes.
///
/// It owns its tables: commits, compactions and deletions by anyone leave it as it is. Cloning
/// costs a counter. It holds no file descriptors.
#[derive(Clone)]
pub struct Snapshot {
    inner: Arc<Inner>,
}

struct Inner {
    /// Oldest first.
    tables: Vec<Arc<Table>>,
    hash: Option<HashKind>,
}

impl Snapshot {
    /// The state that `tables`, oldest first, make up. `hash` counts when there are none.
    pub(crate) fn new(tables: Vec<Arc<Table>>, hash: Option<HashKind>) -> Self {
        let hash = tables.last().map(|table| table.hash()).or(hash);
        Snapshot { inner: Arc::new(Inner { tables, hash }) }
    }

    /// The tables, oldest first.
    #[must_use]
    pub fn tables(&self) -> &[Arc<Table>] {
        &self.inner.tables
    }

    /// The names of the tables, oldest first.
    pub(crate) fn table_names(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        self.tables().iter().map(|table| table.name())
    }

    /// The hash function; `None` while a new store has neither tables nor an option that says.
    #[must_use]
    pub fn hash(&self) -> Option<HashKind> {
        self.inner.hash
    }

    /// The largest update index so far; 0 when there is no table. It grows with every commit.
    #[must_use]
    pub fn update_index(&self) -> u64 {
        // The last table has it, unless libgit2's C library has rewritten a reflog: it counts from
        // the newest entry of that.
        self.inner.tables.iter().map(|table| table.header().max_update_index).max().unwrap_or(0)
    }

    /// Notes that a transaction has written the newest table: no log entry is above its range.
    pub(crate) fn trust_newest_logs(&self) {
        self.inner.tables.last().into_iter().for_each(|table| table.trust_logs());
    }

    /// The first update index from `least` on that is above all entries of the log of `name`, given
    /// that `least` is above the range of each table; `None` if there is none. So many such
    /// questions are `expected`.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub(crate) fn next_log_index(&self, name: &[u8], least: u64, expected: usize) -> Result<Option<u64>> {
        let mut newest = None;
        for table in &self.inner.tables {
            newest = newest.max(table.log_beyond(name, expected)?);
        }
        Ok(newest.map_or(Some(least), |newest| Some(newest.checked_add(1)?.max(least))))
    }

    /// Looks up one reference, without following symbolic ones.
    ///
    /// Asks the newest table first and stops at the first that knows the name. Cost: a descent
    /// through the index of each table asked; those that were asked in vain before mostly need not
    /// be read.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Result<Option<Ref>> {
        Ok(self.view(name.as_ref())?.map(|found| found.to_ref()))
    }

    /// As [`Self::get`], borrowed: allocates nothing.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub fn view<'a>(&'a self, name: &'a [u8]) -> Result<Option<RefView<'a>>> {
        let Some(RefRecordView { update_index, target, .. }) = self.newest_record(name, 0)? else { return Ok(None) };
        Ok(target.map(|target| RefView { name, update_index, target }))
    }

    /// The newest record of `name`, which may be a tombstone; tables below `oldest` are not asked.
    fn newest_record<'a>(&'a self, name: &'a [u8], oldest: usize) -> Result<Option<RefRecordView<'a>>> {
        let tables = self.inner.tables.get(oldest..).unwrap_or_default();
        let hash = NameHash::of(name);
        for table in tables.iter().rev() {
            if let Some(record) = table.reference(name, hash)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// All references, by name.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub fn refs(&self) -> Result<Refs> {
        self.prefix("")
    }

    /// The references whose names start with `prefix`, by name. Ends by itself behind them.
    ///
    /// Cost: a seek in each table, and a step for each record whose name starts so, tombstones
    /// included.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Refs> {
        let prefix = prefix.as_ref();
        let mut merge = if prefix.is_empty() { self.merge(Tombstones::Hide) } else { self.merge(Tombstones::Show) };
        merge.seek(prefix)?;
        Ok(Refs { source: Source::Merge(merge), prefix: prefix.to_vec() })
    }

    /// A merge of all references. Seek it first.
    pub(crate) fn merge(&self, tombstones: Tombstones) -> Merge<RefRecord> {
        Merge::new(&self.inner.tables, tombstones)
    }

    /// The references that point at `id`, directly or, for annotated tags, peeled; by name.
    ///
    /// Uses the object sections of tables that have one and scans the others. Cost: with object
    /// sections, one block for each table and block that mentions the id, and a lookup for each
    /// candidate.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub fn pointing_at(&self, id: &ObjectId) -> Result<Refs> {
        let mut candidates: Vec<Candidate> = Vec::new();
        for (table, file) in self.inner.tables.iter().enumerate() {
            refs_pointing_at(file, id, &mut |record| {
                candidates.extend(record.to_ref().map(|found| Candidate { table, found }));
            })?;
        }
        candidates.sort_by(|a, b| a.found.name.cmp(&b.found.name));
        let pointing = Pointing { snapshot: self.clone(), id: *id, candidates: candidates.into_iter(), current: None };
        Ok(Refs { source: Source::Pointing(pointing), prefix: Vec::new() })
    }

    /// Whether there is a reflog of `name`, be it without entries: what `git reflog exists` says.
    ///
    /// Cost: as for [`Self::log`], up to its first entry.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub fn log_exists(&self, name: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.log(name)?.next_item()?.is_some())
    }

    /// The reflog of one reference, newest entry first.
    ///
    /// Cost: a seek in each table, and a step for each record of this log, tombstones included.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub fn log(&self, name: impl AsRef<[u8]>) -> Result<Logs> {
        let mut key = Vec::new();
        log_key(&mut key, name.as_ref(), u64::MAX);
        let mut logs = Logs { merge: self.merge_logs(Tombstones::Show), first: Some(key) };
        logs.rewind()?;
        Ok(logs)
    }

    /// All reflogs: by name, then newest first.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub fn logs(&self) -> Result<Logs> {
        let mut logs = Logs { merge: self.merge_logs(Tombstones::Hide), first: None };
        logs.rewind()?;
        Ok(logs)
    }

    fn merge_logs(&self, tombstones: Tombstones) -> Merge<LogRecord> {
        let with_logs: Vec<_> =
            self.inner.tables.iter().filter(|table| table.section(BlockKind::Log).is_some()).cloned().collect();
        Merge::new(&with_logs, tombstones)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.inner.tables.iter().map(|table| table.name());
        f.debug_list().entries(names).finish()
    }
}

/// A reference, borrowed until the next step of its cursor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RefView<'a> {
    /// The full name.
    pub name: &'a [u8],
    /// The number of the transaction that wrote it.
    pub update_index: u64,
    /// Where it points.
    pub target: TargetView<'a>,
}

debug_with_text!(RefView<'a> { name; update_index, target });

impl RefView<'_> {
    /// The same, owned.
    #[must_use]
    pub fn to_ref(&self) -> Ref {
        Ref { name: self.name.to_vec(), update_index: self.update_index, target: self.target.to_target() }
    }
}

/// A walk over references, by name. Owns its snapshot's tables.
///
/// [`Refs::next`] lends each reference without allocating; as an [`IntoIterator`] it gives owned
/// ones.
pub struct Refs {
    source: Source,
    prefix: Vec<u8>,
}

impl fmt::Debug for Refs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refs").field("prefix", &Text(&self.prefix)).finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Source {
    Merge(Merge<RefRecord>),
    Pointing(Pointing),
}

/// References that pointed at an id when their table was written; by name. What counts is the
/// newest table that knows the name.
#[derive(Debug)]
struct Pointing {
    snapshot: Snapshot,
    id: ObjectId,
    candidates: std::vec::IntoIter<Candidate>,
    current: Option<Ref>,
}

#[derive(Debug)]
struct Candidate {
    /// The position of the table it was found in.
    table: usize,
    found: Ref,
}

impl Pointing {
    fn next(&mut self) -> Result<Option<RefView<'_>>> {
        self.current = None;
        for Candidate { table, found } in self.candidates.by_ref() {
            if self.snapshot.newest_record(&found.name, table + 1)?.is_none() {
                self.current = Some(found);
                break;
            }
        }
        Ok(self.current.as_ref().map(|found| RefView {
            name: &found.name,
            update_index: found.update_index,
            target: found.target.as_view(),
        }))
    }
}

impl Refs {
    /// The next reference; `None` at the end, and ever after.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset; nothing follows it.
    // A view is large: where this is not inlined, writing and reading it takes as long as decoding
    // the record.
    #[inline(always)]
    #[expect(clippy::should_implement_trait, reason = "lends its item, which Iterator cannot")]
    pub fn next(&mut self) -> Result<Option<RefView<'_>>> {
        let merge = match &mut self.source {
            Source::Merge(merge) => merge,
            Source::Pointing(pointing) => return pointing.next(),
        };
        let found = match self.prefix.as_slice() {
            b"" => merge.next()?,
            prefix => merge.next_alive(|name| name.starts_with(prefix))?,
        };
        let Some(record) = found.map(Cursor::view) else { return Ok(None) };
        Ok(record.target.map(|target| RefView { name: record.name, update_index: record.update_index, target }))
    }

    /// Hands the references that follow to `each`, until it breaks; then a further call goes on
    /// behind the one at which it did. The fastest way to read many: it takes about half the time
    /// of [`Self::next`].
    ///
    /// ```
    /// # use std::ops::ControlFlow;
    /// # use reftable::{Expect, ObjectId, Options, Stack};
    /// # fn main() -> reftable::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let stack = Stack::open(dir.path(), Options::default())?;
    /// # let mut tx = stack.transaction();
    /// # tx.set("refs/heads/main", Expect::Absent, ObjectId::from_bytes(&[1; 20]).unwrap());
    /// # tx.commit()?;
    /// let mut names = Vec::new();
    /// stack.snapshot()?.refs()?.try_for_each(|found| {
    ///     names.push(String::from_utf8_lossy(found.name).into_owned());
    ///     ControlFlow::<()>::Continue(())
    /// })?;
    /// assert_eq!(names, ["refs/heads/main"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Corrupt`, with file and offset; nothing follows it.
    #[inline]
    pub fn try_for_each<B>(&mut self, mut each: impl FnMut(RefView<'_>) -> ControlFlow<B>) -> Result<ControlFlow<B>> {
        let merge = match &mut self.source {
            Source::Merge(merge) => merge,
            Source::Pointing(pointing) => {
                while let Some(found) = pointing.next()? {
                    if let ControlFlow::Break(why) = each(found) {
                        return Ok(ControlFlow::Break(why));
                    }
                }
                return Ok(ControlFlow::Continue(()));
            }
        };
        let prefix = self.prefix.as_slice();
        let ended = merge.for_each(|record| {
            if !prefix.is_empty() && !record.name.starts_with(prefix) {
                return ControlFlow::Break(None);
            }
            let Some(target) = record.target else { return ControlFlow::Continue(()) };
            each(RefView { name: record.name, update_index: record.update_index, target }).map_break(Some)
        })?;
        Ok(match ended {
            ControlFlow::Break(Some(why)) => ControlFlow::Break(why),
            _ => ControlFlow::Continue(()),
        })
    }

    /// Moves before the first reference whose name is not below `name`; backwards, too, within the
    /// prefix. The next step goes over whatever was deleted in between: for a few names among many
    /// that are gone, ask [`Snapshot::prefix`].
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub fn seek(&mut self, name: impl AsRef<[u8]>) -> Result<()> {
        let name = name.as_ref().max(&self.prefix);
        match &mut self.source {
            Source::Merge(merge) => merge.seek(name),
            Source::Pointing(pointing) => {
                let again = pointing.snapshot.pointing_at(&pointing.id)?;
                if let Source::Pointing(mut all) = again.source {
                    let below = all.candidates.as_slice().partition_point(|other| other.found.name.as_slice() < name);
                    all.candidates.by_ref().take(below).for_each(drop);
                    *pointing = all;
                }
                Ok(())
            }
        }
    }
}

impl IntoIterator for Refs {
    type Item = Result<Ref>;
    type IntoIter = OwnedRefs;

    fn into_iter(self) -> OwnedRefs {
        OwnedRefs(self)
    }
}

/// The owned items of [`Refs`].
#[derive(Debug)]
pub struct OwnedRefs(Refs);

impl Iterator for OwnedRefs {
    type Item = Result<Ref>;

    fn next(&mut self) -> Option<Result<Ref>> {
        self.0.next().map(|found| found.map(|found| found.to_ref())).transpose()
    }
}

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

/// A walk over reflogs: by name, then newest first. Owns its snapshot's tables.
///
/// [`Logs::next`] lends entries, and as an [`IntoIterator`] it gives owned ones.
/// [`Logs::next_item`] lends the markers of logs that merely exist, too.
pub struct Logs {
    merge: Merge<LogRecord>,
    /// If it is a walk over one log: the first key that its entries could have.
    first: Option<Vec<u8>>,
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").finish_non_exhaustive()
    }
}

impl Logs {
    fn rewind(&mut self) -> Result<()> {
        self.merge.seek(self.first.as_deref().unwrap_or_default())
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

    /// The record at hand, be it a marker.
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
            // A walk over one log does not leave it.
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
