//! Replacing the table list: the one way in which a stack changes.

use std::io::{self, Write};
use std::ops::Range;

use super::{Durability, Shared, Stack};
use crate::error::{Error, ErrorKind, Result};
use crate::list::{self, LIST, TableName};
use crate::lock::Lock;
use crate::mutant::{self, Mutant};
use crate::scratch::Scratch;
use crate::snapshot::Snapshot;

/// A change of the list: the tables in `replace` give way to `with`, which has its final name already. It is
/// removed again if the change is not published.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) replace: Range<usize>,
    pub(crate) with: Option<Scratch>,
}

impl Shared {
    /// A name for a table that nobody else will choose.
    pub(crate) fn table_name(&self, min: u64, max: u64) -> String {
        TableName { min, max, random: self.dir.random() as u32 }.to_string()
    }

    /// Replaces the list while `lock` is held and `base` is the state it protects. Releases the lock.
    ///
    /// The new table must be in place, and synced if the mode asks for it. `Err` means that nothing was
    /// published, except for `Indeterminate`.
    ///
    /// 1. Write the new list into a temporary file and sync it.
    /// 2. Sync the directory: the names of the table and of the temporary file are durable now.
    /// 3. Look once more whether the lock is ours.
    /// 4. Rename the list into place: here the change becomes visible, whole.
    /// 5. Release the lock. Others may build upon the change.
    /// 6. Sync the directory: the rename is durable, the commit can be acknowledged.
    pub(crate) fn publish(&self, lock: Box<dyn Lock>, base: &Snapshot, edit: Edit) -> Result<()> {
        let durability = self.options.durability;
        if durability == Durability::Full {
            self.sync_foreign_tables(base, &edit.replace)?;
        }
        let mut list = Scratch::temporary(&self.dir)?;
        let contents = list::print(edited(base, &edit));
        list.write_all(&contents).map_err(|error| list.failed("cannot write the table list", error))?;
        if durability != Durability::Off {
            list.sync()?;
        }
        if durability == Durability::Full && !mutant::is_on(Mutant::SkipDirectorySyncBefore) {
            self.sync_dir()?;
        }
        self.check_lock(&*lock)?;
        if mutant::is_on(Mutant::AcknowledgeBeforeRename) {
            return Ok(());
        }
        let hidden = edit.with.as_ref().filter(|_| mutant::is_on(Mutant::PublishBeforeTable)).map(Scratch::name);
        if let Some(name) = hidden {
            self.dir.rename(name, "hidden").map_err(|error| self.io("cannot hide the table", name, error))?;
        }
        self.replace_list(list)?;
        if let Some(name) = hidden {
            self.dir.rename("hidden", name).map_err(|error| self.io("cannot show the table", name, error))?;
        }
        // From here on the list names the table.
        if let Some(table) = edit.with {
            if durability != Durability::Off {
                self.synced.lock().insert(table.name().to_owned());
            }
            table.keep();
        }
        drop(lock);
        if durability == Durability::Full && !mutant::is_on(Mutant::SkipDirectorySyncAfter) {
            self.dir.sync().map_err(|error| {
                Error::io("the change is visible, but the directory could not be synced", self.dir.path(), error)
                    .with_kind(ErrorKind::Indeterminate)
                    .way_out("it may be lost if power fails now; commit something else to be sure")
            })?;
        }
        Ok(())
    }

    /// Makes the names in the directory durable.
    pub(crate) fn sync_dir(&self) -> Result<()> {
        self.dir.sync().map_err(|error| Error::io("cannot sync the directory", self.dir.path(), error))
    }

    /// A person may have removed the lock, and somebody else may have it now.
    fn check_lock(&self, lock: &dyn Lock) -> Result<()> {
        if lock.is_ours()? {
            return Ok(());
        }
        let message = "the lock file was removed or replaced while we held it";
        let error = Error::new(ErrorKind::Locked, message).in_file(&self.dir.path().join(list::LIST_LOCK));
        Err(error.way_out("nothing was changed; try again, and leave lock files of live processes alone"))
    }

    /// Renames the list into place. A rename may be reported as failed although it happened, by network file systems
    /// that lose an answer: what counts is what is there.
    fn replace_list(&self, list: Scratch) -> Result<()> {
        let ours = list.stamp()?;
        match list.renamed(LIST) {
            Ok(list) => {
                list.keep();
                Ok(())
            }
            Err(error) => match self.dir.stamp(LIST) {
                Ok(there) if there.is_same_file(&ours) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Creates an empty list if there is none, so that there never is a table without a list: that is what readers
    /// take for damage.
    ///
    /// A list that is there may have been made by somebody who died before the directory was synced. To see it is
    /// not enough: a loss of power could take it and leave the table. So the directory is synced in any case.
    pub(crate) fn create_list(&self, lock: &dyn Lock) -> Result<()> {
        match self.dir.stamp(LIST) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.put_empty_list(lock)?,
            Err(error) => return Err(self.io("cannot examine the table list", LIST, error)),
        }
        if self.options.durability == Durability::Full {
            self.sync_dir()?;
        }
        Ok(())
    }

    fn put_empty_list(&self, lock: &dyn Lock) -> Result<()> {
        let list = Scratch::temporary(&self.dir)?;
        if self.options.durability != Durability::Off {
            list.sync()?;
        }
        self.check_lock(lock)?;
        self.replace_list(list)
    }

    /// Syncs listed tables that nobody is known to have synced: git's are not, by default, and a commit that is
    /// to survive must not stand on one that does not.
    fn sync_foreign_tables(&self, base: &Snapshot, replaced: &Range<usize>) -> Result<()> {
        for (position, table) in base.tables().iter().enumerate() {
            let name = table.name();
            if replaced.contains(&position) || self.synced.lock().contains(name) {
                continue;
            }
            let file = self.dir.open(name).map_err(|error| self.io("cannot open the table", name, error))?;
            file.sync().map_err(|error| self.io("cannot sync the table", name, error))?;
            self.synced.lock().insert(name.to_owned());
        }
        // Forget the tables that are gone.
        let listed: std::collections::HashSet<&str> = base.tables().iter().map(|table| table.name()).collect();
        self.synced.lock().retain(|name| listed.contains(name.as_str()));
        Ok(())
    }
}

/// The names in the list after the edit.
fn edited<'a>(base: &'a Snapshot, edit: &'a Edit) -> Vec<&'a str> {
    let names: Vec<&str> = base.tables().iter().map(|table| table.name()).collect();
    let (head, rest) = names.split_at(edit.replace.start.min(names.len()));
    let tail = rest.get(edit.replace.len()..).unwrap_or_default();
    head.iter().copied().chain(edit.with.as_ref().map(|table| table.name())).chain(tail.iter().copied()).collect()
}

impl Stack {
    /// Buffers this many bytes before they go to the operating system.
    pub(crate) const WRITE_CHUNK: usize = 64 * 1024;
}
