//! Snapshots: one state of a stack (snapshot isolation), and all ways to read it.

mod logs;
mod refs;

pub use logs::{LogItem, LogView, Logs, OwnedLogs};
pub use refs::{OwnedRefs, RefView, Refs};

use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::format::header::BlockKind;
use crate::format::record::{LogRecord, RefRecord};
use crate::merge::{Merge, Tombstones};
use crate::oid::{HashKind, ObjectId};
use crate::table::{NameHash, Table, WarmUp};
use crate::value::{Ref, RefRecordView};
use refs::Pointing;

/// A state of the store that never changes.
///
/// It owns its tables: commits, compactions and deletions by anyone leave it as it is. Cloning
/// costs a counter. It holds no file descriptors.
#[derive(Clone)]
pub struct Snapshot {
    inner: Arc<Tables>,
}

struct Tables {
    /// Oldest first.
    tables: Vec<Arc<Table>>,
    hash: Option<HashKind>,
}

impl Snapshot {
    /// The state that `tables`, oldest first, make up. `hash` counts when there are none.
    pub(crate) fn new(tables: Vec<Arc<Table>>, hash: Option<HashKind>) -> Self {
        let hash = tables.last().map(|table| table.hash()).or(hash);
        Snapshot { inner: Arc::new(Tables { tables, hash }) }
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
    /// through the index of each table asked; those that did not have the name before mostly need
    /// not be read.
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
        self.view_after(name, WarmUp::READ)
    }

    /// The same; what the next look-up needs is kept after `warm_up`.
    pub(crate) fn view_after<'a>(&'a self, name: &'a [u8], warm_up: WarmUp) -> Result<Option<RefView<'a>>> {
        let found = self.newest_record(name, 0, warm_up)?;
        let Some(RefRecordView { update_index, target, .. }) = found else { return Ok(None) };
        Ok(target.map(|target| RefView { name, update_index, target }))
    }

    /// The newest record of `name`, which may be a tombstone; tables below `oldest` are not asked.
    fn newest_record<'a>(
        &'a self,
        name: &'a [u8],
        oldest: usize,
        warm_up: WarmUp,
    ) -> Result<Option<RefRecordView<'a>>> {
        let tables = self.inner.tables.get(oldest..).unwrap_or_default();
        let hash = NameHash::of(name);
        for table in tables.iter().rev() {
            if let Some(record) = table.reference(name, hash, warm_up)? {
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

    /// The references whose names start with `prefix`, by name. Ends by itself after them.
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
        Ok(Refs::merged(merge, prefix))
    }

    /// A merge of all references. Seek it first.
    fn merge(&self, tombstones: Tombstones) -> Merge<RefRecord> {
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
        Pointing::new(self, id).map(Refs::pointing)
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
        Logs::of(self.merge_logs(Tombstones::Show), name.as_ref())
    }

    /// All reflogs: by name, then newest first.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub fn logs(&self) -> Result<Logs> {
        Logs::all(self.merge_logs(Tombstones::Hide))
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
