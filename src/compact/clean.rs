//! Collecting the garbage of crashed processes.

use std::collections::BTreeSet;
use std::mem;

use crate::dir::Dir;
use crate::error::Result;
use crate::garbage::{GarbageTable, UnlistedTables, remove_tables};
use crate::list::{TableName, is_temporary_name};
use crate::lock::Attempt;
use crate::snapshot::Snapshot;
use crate::stack::{Durability, Stack};

/// What crashed processes may have left, by the names that were in the directory while the list
/// lock was held. No process writes a list at such a moment, so a temporary file is either of a
/// crashed process, or locked with the kernel: to be told apart later, without the lock. Tables go
/// before it is released, because others may take away what proves that they are garbage.
/// Everything whose name is not exactly a table's is left alone: JGit works on such files without
/// the lock.
#[derive(Debug, Default)]
pub(super) struct Garbage {
    temporary: Vec<String>,
    /// Tables that are garbage, each before the one that is the proof for it.
    tables: Vec<GarbageTable>,
    /// Locks of tables that are gone.
    locks: Vec<String>,
}

impl Garbage {
    /// The tables, to be removed while the lock is held and once the directory was synced.
    pub(super) fn take_tables(&mut self) -> Vec<GarbageTable> {
        mem::take(&mut self.tables)
    }

    /// Sorts `names` (in order, so that models can repeat a run), which were read while the lock
    /// was held, by the state that it protects.
    pub(super) fn among(dir: &dyn Dir, names: &BTreeSet<String>, base: &Snapshot) -> Garbage {
        let listed: BTreeSet<&str> = base.tables().iter().map(|table| table.name()).collect();
        let tables = UnlistedTables::among(dir, names, &listed).garbage;
        let mut garbage = Garbage { tables, ..Garbage::default() };
        for name in names {
            if is_temporary_name(name) {
                garbage.temporary.push(name.clone());
            } else if table_of_lock(name).is_some_and(|table| !listed.contains(table)) {
                garbage.locks.push(name.clone());
            }
        }
        garbage
    }
}

impl Stack {
    /// Collects the garbage of crashed processes: temporary files, and tables of which it is proven
    /// that they are garbage. Takes the list lock, for which it waits as long as
    /// [`crate::Options::lock_timeout`] says. [`Stack::compact`] does the same in passing.
    ///
    /// # Errors
    /// `Locked`, `Io`, `Corrupt`. Files that cannot be removed are left for the next one.
    pub fn clean(&self) -> Result<()> {
        let (lock, snapshot) = self.shared.write_lock.lock_list()?;
        let mut garbage = Garbage::among(&*self.shared.env.dir, &self.names()?, &snapshot);
        let tables = garbage.take_tables();
        if self.shared.env.options.durability == Durability::Full && !tables.is_empty() {
            self.shared.env.sync_dir()?;
        }
        // The next one tries again.
        let _ = remove_tables(&*self.shared.env.dir, &tables);
        drop(lock);
        self.collect_garbage(&garbage);
        Ok(())
    }

    /// Removes temporary files and locks, unless their owner lives. Without the lock.
    pub(super) fn collect_garbage(&self, garbage: &Garbage) {
        garbage.temporary.iter().for_each(|name| self.remove_if_dead(name));
        garbage.locks.iter().for_each(|name| self.release_if_dead(name));
    }

    /// Removes a temporary file unless its owner lives. What goes wrong here is for the next one to
    /// mend.
    fn remove_if_dead(&self, name: &str) {
        let Ok(file) = self.shared.env.dir.open(name) else { return };
        if file.try_lock().unwrap_or(false) {
            let _ = self.shared.env.dir.remove(name);
        }
    }

    /// Removes the lock of a table that is gone, if its owner is: takes it over and lets it go.
    fn release_if_dead(&self, name: &str) {
        if let Ok(Attempt::Taken(lock)) = self.shared.write_lock.locker.try_lock(&self.shared.env.dir, name) {
            drop(lock);
        }
    }
}

/// The table whose lock has this name.
fn table_of_lock(name: &str) -> Option<&str> {
    name.strip_suffix(".lock").filter(|table| TableName::parse(table).is_some())
}
