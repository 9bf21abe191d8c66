//! Removing what the dead left behind.

use std::io;

use crate::error::{Error, Result};
use crate::list::{TableName, is_temporary_name};
use crate::lock::Attempt;
use crate::snapshot::Snapshot;
use crate::stack::{Durability, Stack};

impl Stack {
    /// Cleans without compacting.
    pub(super) fn clean(&self) -> Result<()> {
        let (lock, snapshot) = self.shared.lock_list()?;
        let stale = self.clean_under_lock(&snapshot)?;
        if self.shared.options.durability == Durability::Full && !stale.is_empty() {
            self.shared.sync_dir()?;
        }
        drop(lock);
        self.remove_all(stale.into_iter());
        Ok(())
    }

    /// Called with the list lock held. Removes temporary files of dead processes, and returns the names of tables
    /// that nobody can want any more: to be removed once the directory was synced.
    ///
    /// A table that is not listed while we hold the lock never will be: whoever lists a table gives it its name and
    /// lists it under one lock. Tables beyond our largest update index are left to their owner all the same, and
    /// so is everything whose name is not exactly a table's: JGit works on such files without the lock.
    pub(super) fn clean_under_lock(&self, base: &Snapshot) -> Result<Vec<String>> {
        let names = self.shared.dir.names();
        let names = names.map_err(|error| Error::io("cannot read the directory", self.path(), error))?;
        let is_listed = |name: &str| base.tables().iter().any(|table| table.name() == name);
        let mut stale = Vec::new();
        for name in names {
            if is_temporary_name(&name) {
                self.remove_if_dead(&name);
            } else if TableName::parse(&name).is_some_and(|table| table.max <= base.update_index()) && !is_listed(&name)
            {
                stale.push(name);
            } else if table_of_lock(&name).is_some_and(|table| !is_listed(table)) {
                self.release_if_dead(&name);
            }
        }
        Ok(stale)
    }

    /// Removes a temporary file unless its owner lives. What goes wrong here is for the next one to mend.
    fn remove_if_dead(&self, name: &str) {
        let Ok(file) = self.shared.dir.open(name) else { return };
        if file.try_lock().unwrap_or(false) {
            let _ = self.shared.dir.remove(name);
        }
    }

    /// Removes the lock of a table that is gone, if its owner is: takes it over and lets it go.
    fn release_if_dead(&self, name: &str) {
        if let Ok(Attempt::Taken(lock)) = self.shared.locker.try_lock(&self.shared.dir, name) {
            drop(lock);
        }
    }

    /// Removes files; those that are gone already are fine. Returns what is left, with the reason.
    pub(super) fn remove_all(&self, names: impl Iterator<Item = String>) -> Vec<String> {
        names
            .filter_map(|name| match self.shared.dir.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Some(format!("{name}: {error}")),
                _ => None,
            })
            .collect()
    }
}

/// The table whose lock has this name.
fn table_of_lock(name: &str) -> Option<&str> {
    name.strip_suffix(".lock").filter(|table| TableName::parse(table).is_some())
}
