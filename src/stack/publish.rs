//! Replacing the table list: the one way in which a stack changes.

use std::io::{self, Write};
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use super::reload::{Cached, list_of};
use super::watch::Watch;
use super::{Durability, ListLock, Shared, seal};
use crate::bytes::Bytes;
use crate::error::{Error, ErrorKind, Result};
use crate::list::{self, LIST, TableName};
use crate::lock::Lock;
use crate::mutant::{self, Mutant};
use crate::scratch::Scratch;
use crate::snapshot::Snapshot;
use crate::table::Table;

/// A change of the list: the tables in `replace` give way to those in `with`, oldest first.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) replace: Range<usize>,
    pub(crate) with: Vec<NewTable>,
}

/// A table that is in place under its final name, and is removed again if it is not published.
#[derive(Debug)]
pub(crate) struct NewTable {
    pub(crate) file: Scratch,
    pub(crate) contents: Bytes,
    /// Whether its contents are durable already.
    pub(crate) is_synced: bool,
}

/// A table that is written, to be added to the top, and removed again if it is not.
#[derive(Debug)]
pub(crate) struct Unlisted {
    /// Under its final name already, or under a temporary one.
    pub(crate) file: Scratch,
    pub(crate) contents: Bytes,
    /// The name it is to have.
    pub(crate) name: String,
}

impl Shared {
    /// Adds tables to the top of `base`, oldest first. Releases the lock. Returns the state after; errors as for
    /// [`Self::publish`].
    pub(crate) fn append(&self, lock: ListLock, base: &Snapshot, tables: Vec<Unlisted>) -> Result<Snapshot> {
        if base.tables().is_empty() {
            // There never is a table without a list, and never a list without need.
            self.create_list(&lock)?;
        }
        let in_place = |Unlisted { file, contents, name }| {
            let file = if file.name() == name { file } else { file.renamed(&name)? };
            Ok(NewTable { file, contents, is_synced: false })
        };
        let with = tables.into_iter().map(in_place).collect::<Result<Vec<_>>>()?;
        let end = base.tables().len();
        self.publish(lock, base, Edit { replace: end..end, with })
    }

    /// A name for a table that nobody else will choose.
    pub(crate) fn table_name(&self, min: u64, max: u64) -> String {
        TableName::new(min, max, self.dir.random()).to_string()
    }

    /// Replaces the list while `lock` is held and `base` is the state it protects. Releases the lock. Returns the state
    /// after.
    ///
    /// `Err` means that nothing was published, except for `Indeterminate`.
    ///
    /// 1. Write the new list into a temporary file. Seal it, if it names nothing but what is durable once it is published.
    /// 2. Sync the table and the list, one directly after the other: file systems with a journal write what both need
    ///    for the first, and find it done for the second.
    /// 3. Sync the directory: the names of the table and of the temporary file are durable now.
    /// 4. Look once more whether the lock is ours.
    /// 5. Rename the list into place: here the change becomes visible, whole.
    /// 6. Tell those whose transactions we have taken along, and release the lock. Others may build upon the change.
    /// 7. Sync the directory: the rename is durable, the commit can be acknowledged.
    pub(crate) fn publish(&self, mut lock: ListLock, base: &Snapshot, edit: Edit) -> Result<Snapshot> {
        let durability = self.options.durability;
        let Edit { replace, with } = edit;
        if durability == Durability::Full {
            self.sync_foreign_tables(base, &replace)?;
        }
        let (after, tables) = self.edited(base, replace, with)?;
        let mut list = Scratch::temporary(&self.dir)?;
        let contents = list_of(&after);
        list.write_all(&contents).map_err(|error| list.failed("cannot write the table list", error))?;
        if durability == Durability::Full || mutant::is_on(Mutant::SealUnsynced) {
            leave_seal(&list, &contents);
        }
        if durability != Durability::Off {
            for (table, is_synced) in &tables {
                if !is_synced && !mutant::is_on(Mutant::SkipTableSync) {
                    table.sync()?;
                }
            }
            list.sync()?;
        }
        if durability == Durability::Full && !mutant::is_on(Mutant::SkipDirectorySyncBefore) {
            self.sync_dir()?;
        }
        self.check_lock(&*lock.lock)?;
        if mutant::is_on(Mutant::AcknowledgeBeforeRename) {
            return Ok(after);
        }
        let first = tables.first().map(|(table, _)| table.name());
        let hidden = first.filter(|_| mutant::is_on(Mutant::PublishBeforeTable));
        if let Some(name) = hidden {
            self.dir.rename(name, "hidden").map_err(|error| self.io("cannot hide the table", name, error))?;
        }
        self.replace_list(list, Some(&after))?;
        if let Some(name) = hidden {
            self.dir.rename("hidden", name).map_err(|error| self.io("cannot show the table", name, error))?;
        }
        // From here on the list names the tables.
        for (table, _) in tables {
            if durability != Durability::Off {
                self.synced.add(table.name());
            }
            table.keep();
        }
        self.courtesy.held(self.dir.now().saturating_sub(lock.since));
        let mut served = mem::take(&mut lock.served);
        served.publish();
        drop(lock);
        let skips = mutant::is_on(Mutant::SkipDirectorySyncAfter) || mutant::is_on(Mutant::AcknowledgeBeforeSync);
        if durability == Durability::Full && !skips {
            self.sync_published()?;
        }
        served.make_durable();
        Ok(after)
    }

    /// Makes a list durable that is there for all to see.
    pub(super) fn sync_published(&self) -> Result<()> {
        self.dir.sync().map_err(|error| {
            Error::io("the change is visible, but the directory could not be synced", self.dir.path(), error)
                .with_kind(ErrorKind::Indeterminate)
                .way_out("it may be lost if power fails now; commit something else to be sure")
        })
    }

    /// The state after an edit of `base`, and the new files with whether they are synced. What cannot be opened is never
    /// published.
    fn edited(
        &self,
        base: &Snapshot,
        replace: Range<usize>,
        with: Vec<NewTable>,
    ) -> Result<(Snapshot, Vec<(Scratch, bool)>)> {
        let mut tables = base.tables().to_vec();
        let end = replace.end.min(tables.len());
        let replace = replace.start.min(end)..end;
        let (mut opened, mut files) = (Vec::with_capacity(with.len()), Vec::with_capacity(with.len()));
        for NewTable { file, contents, is_synced } in with {
            opened.push(Arc::new(Table::open(self.dir.path().join(file.name()), contents)?));
            files.push((file, is_synced));
        }
        tables.splice(replace, opened);
        Ok((Snapshot::new(tables, self.options.hash), files))
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

    /// Renames the list into place, and remembers what it stands for: then nobody here need read it. A rename may be
    /// reported as failed although it happened, by network file systems that lose an answer: what counts is what
    /// is there.
    fn replace_list(&self, list: Scratch, after: Option<&Snapshot>) -> Result<()> {
        let stamp = list.stamp()?;
        match list.renamed(LIST) {
            Ok(list) => {
                let list = list.kept();
                if let Some(snapshot) = after {
                    self.remember(Cached {
                        snapshot: snapshot.clone(),
                        stamp,
                        list: list.into(),
                        watch: Watch::default(),
                    });
                }
                Ok(())
            }
            Err(error) => match self.dir.stamp(LIST) {
                Ok(there) if there.is_same_file(&stamp) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Creates an empty list if there is none, so that there never is a table without a list: that is what readers
    /// take for damage.
    ///
    /// A list that is there may have been made by somebody who died before the directory was synced. To see it is
    /// not enough: a loss of power could take it and leave the table. So the directory is synced in any case.
    fn create_list(&self, lock: &ListLock) -> Result<()> {
        match self.dir.stamp(LIST) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.put_empty_list(&*lock.lock)?,
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
        self.replace_list(list, None)
    }

    /// Syncs listed tables that nobody is known to have synced: git's are not, by default, and a commit that is
    /// to survive must not stand on one that does not. A seal on the list says that all of them are.
    fn sync_foreign_tables(&self, base: &Snapshot, replaced: &Range<usize>) -> Result<()> {
        let missing = self.synced.missing(base);
        if !missing.is_empty() && self.is_sealed(base) {
            base.tables().iter().for_each(|table| self.synced.add(table.name()));
            return Ok(());
        }
        for position in missing {
            let Some(table) = base.tables().get(position).filter(|_| !replaced.contains(&position)) else { continue };
            let name = table.name();
            let file = self.dir.open(name).map_err(|error| self.io("cannot open the table", name, error))?;
            file.sync().map_err(|error| self.io("cannot sync the table", name, error))?;
            self.synced.add(name);
        }
        Ok(())
    }
}

/// Leaves the seal on a list that is all written. Where that fails, others sync what they could have relied upon.
fn leave_seal(list: &Scratch, contents: &[u8]) {
    if let Some(seal) = list.stamp().ok().and_then(|stamp| seal::print(contents, &stamp)) {
        list.set_note(&seal);
    }
}
