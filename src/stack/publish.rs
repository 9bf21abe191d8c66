//! Replacing the table list: the one way in which a stack changes.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use super::{Durability, Shared, Stack};
use crate::dir::{Dir, DirFile};
use crate::error::{Error, ErrorKind, Result};
use crate::list::{self, LIST, TableName, temporary_name};
use crate::lock::Lock;
use crate::snapshot::Snapshot;

/// How often a cleaner may get in the way before we believe that something else is wrong.
const MAX_ATTEMPTS: usize = 16;

/// A change of the list: the tables in `replace` give way to `with`, which has its final name already. It is
/// removed again if the change is not published.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) replace: Range<usize>,
    pub(crate) with: Option<Scratch>,
}

/// A file that we are writing. Dropping it removes the file, unless it was kept.
#[derive(Debug)]
pub(crate) struct Scratch {
    dir: Arc<dyn Dir>,
    name: String,
    file: Box<dyn DirFile>,
    keep: bool,
}

impl Scratch {
    /// Creates the file `name`.
    pub(crate) fn create(dir: &Arc<dyn Dir>, name: String) -> Result<Scratch> {
        match dir.create(&name) {
            Ok(file) => Ok(Scratch { dir: Arc::clone(dir), name, file, keep: false }),
            Err(error) => Err(Error::io("cannot create the file", &dir.path().join(name), error)),
        }
    }

    /// Creates a temporary file for use under the list lock: cleaners hold that lock, so none is about.
    pub(crate) fn temporary(dir: &Arc<dyn Dir>) -> Result<Scratch> {
        Self::create(dir, temporary_name(dir.random()))
    }

    /// Creates a temporary file for use without the list lock. A kernel lock keeps cleaners away while we live.
    ///
    /// 1. We create the file.
    /// 2. A cleaner finds it not locked, locks it, removes it.
    /// 3. We lock a file that has no name any more. So look again, and start over.
    pub(crate) fn temporary_locked(dir: &Arc<dyn Dir>) -> Result<Scratch> {
        for _ in 0..MAX_ATTEMPTS {
            let mut scratch = Self::temporary(dir)?;
            let locked = scratch.file.try_lock().map_err(|error| scratch.failed("cannot lock the file", error))?;
            let ours = scratch.file.stamp().map_err(|error| scratch.failed("cannot examine the file", error))?;
            if locked && dir.stamp(&scratch.name).is_ok_and(|there| there == ours) {
                return Ok(scratch);
            }
            scratch.keep = true;
        }
        let message = "temporary files are removed as fast as they are created";
        Err(Error::new(ErrorKind::Locked, message).in_file(dir.path()))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync().map_err(|error| self.failed("cannot sync the file", error))
    }

    fn failed(&self, what: &'static str, error: io::Error) -> Error {
        Error::io(what, &self.dir.path().join(&self.name), error)
    }

    /// Gives the file another name.
    pub(crate) fn renamed(mut self, to: &str) -> Result<Scratch> {
        self.dir.rename(&self.name, to).map_err(|error| self.failed("cannot rename the file", error))?;
        to.clone_into(&mut self.name);
        Ok(self)
    }

    /// Leaves the file where it is.
    fn keep(mut self) {
        self.keep = true;
    }
}

impl Write for Scratch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep {
            // Whoever compacts next removes what is left behind here.
            let _ = self.dir.remove(&self.name);
        }
    }
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
        if durability == Durability::Full {
            self.dir.sync().map_err(|error| Error::io("cannot sync the directory", self.dir.path(), error))?;
        }
        if !lock.is_ours()? {
            let message = "the lock file was removed or replaced while we held it";
            let error = Error::new(ErrorKind::Locked, message).in_file(&self.dir.path().join(list::LIST_LOCK));
            return Err(error.way_out("nothing was changed; try again, and leave lock files of live processes alone"));
        }
        list.renamed(LIST)?.keep();
        drop(lock);
        if let Some(table) = edit.with {
            if durability != Durability::Off {
                self.synced.lock().insert(table.name.clone());
            }
            table.keep();
        }
        if durability == Durability::Full {
            self.dir.sync().map_err(|error| {
                Error::io("the change is visible, but the directory could not be synced", self.dir.path(), error)
                    .with_kind(ErrorKind::Indeterminate)
                    .way_out("it may be lost if power fails now; commit something else to be sure")
            })?;
        }
        Ok(())
    }

    /// Creates an empty list if there is none, so that there never is a table without a list: that is what readers
    /// take for damage.
    pub(crate) fn create_list(&self) -> Result<()> {
        match self.dir.stamp(LIST) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(self.io("cannot examine the table list", LIST, error)),
        }
        let list = Scratch::temporary(&self.dir)?;
        if self.options.durability != Durability::Off {
            list.sync()?;
        }
        list.renamed(LIST)?.keep();
        if self.options.durability == Durability::Full {
            self.dir.sync().map_err(|error| Error::io("cannot sync the directory", self.dir.path(), error))?;
        }
        Ok(())
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
    head.iter()
        .copied()
        .chain(edit.with.as_ref().map(|table| table.name.as_str()))
        .chain(tail.iter().copied())
        .collect()
}

impl Stack {
    /// Buffers this many bytes before they go to the operating system.
    pub(crate) const WRITE_CHUNK: usize = 256 * 1024;
}
