//! Replacing the table list by an atomic rename: the one way in which a stack changes.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use super::durability_mark;
use super::env::{sync_dir, sync_published};
use super::options::Durability;
use crate::dir::{Dir, DirFile, FileStat, stat_now};
use crate::error::{Error, ErrorKind, Result};
use crate::garbage::{GarbageTable, remove_tables};
use crate::list::{LIST, LIST_LOCK};
use crate::lock::Lock;
use crate::mutant::{self, Mutant};
use crate::temp_file::TempFile;

/// A list that is to take the place of the present one. Every change of a store comes here:
/// commits, compactions, the first list of all, and repairs.
pub(crate) struct NewList<'a> {
    pub(crate) dir: &'a Arc<dyn Dir>,
    /// With [`Durability::Full`] all that the list names is durable already, but for what is added.
    pub(crate) durability: Durability,
    pub(crate) contents: &'a [u8],
    /// The tables that no list has named before. They are removed if this one is not published.
    pub(crate) added: Vec<AddedFile>,
    /// Tables that are garbage once this list is published. They are removed in this
    /// order, before the lock is released.
    pub(crate) obsolete: &'a [GarbageTable],
    /// Whether the lock is to be held on: then it does not become the list, see [`Lock::file`].
    /// Nor does it if there is something to remove.
    pub(crate) keeps_lock: bool,
}

/// The file of a table, under its final name, that a list is to add.
#[derive(Debug)]
pub(crate) struct AddedFile {
    pub(crate) file: TempFile,
    /// Whether its contents are durable already.
    pub(crate) is_synced: bool,
}

/// What others can see from now on.
pub(crate) struct Published {
    pub(super) list: Replacement,
    pub(super) added: Vec<AddedFile>,
}

/// The new list has taken the place of the present one.
pub(super) enum Replacement {
    /// Here it is, open, with its identity.
    By(Box<dyn DirFile>, FileStat),
    /// The system reported a failure, and did it all the same.
    InSpiteOf,
    /// Or it has not: the system reported a failure, and does not say what is there.
    Perhaps(Error),
}

impl NewList<'_> {
    /// Replaces the list while `lock` is held. `release` gets the lock once the change is visible:
    /// it tells those whose transactions were taken along, and lets the lock go. Returns what that
    /// returns, and which obsolete tables could not be removed, with the reason.
    ///
    /// `Err` means that nothing was published, except for `Indeterminate`. `release` is called
    /// then, too, because others may see the change.
    ///
    /// 1. Write the new list into a temporary file. Mark it as durable, if it names nothing but
    ///    what is durable once it is published.
    /// 2. Write the added tables and the list out, all of them before any is synced: now the file
    ///    system has found places for them. Then sync them, one directly after the other: file
    ///    systems with a journal write what all of them need for the first, and find it done for
    ///    the others.
    /// 3. Sync the directory: the names of the tables and of the temporary file are durable now.
    /// 4. Look once more whether the lock is ours.
    /// 5. Rename the list into place: here the change becomes visible, whole.
    /// 6. Release the lock. Others may build upon the change. (A lock file that has become the list
    ///    was released by 5.)
    /// 7. Sync the directory: the rename is durable, the change can be acknowledged.
    ///
    /// With obsolete tables 7 comes before 6, and they are removed between the two:
    ///
    /// 1. If we die before they are gone, our lock is there, and keeps out git.
    /// 2. The successor finds our table listed, and its attribute says what was merged into
    ///    it: that proves that they can go.
    /// 3. Had we released the lock before, git might have merged our table, and the attribute would
    ///    be gone with it. Then what is left could not be told from what was lost.
    pub(crate) fn publish<'l, L, T>(
        mut self,
        lock: L,
        release: impl FnOnce(L, Published) -> T,
    ) -> Result<(T, Vec<String>)>
    where
        L: AsRef<dyn Lock + 'l>,
    {
        let list = self.write(lock.as_ref())?;
        self.sync_files(&list)?;
        if self.durability == Durability::Full {
            sync_dir(&**self.dir)?;
        }
        check_lock(self.dir, lock.as_ref())?;
        let list = replace(self.dir, list)?;
        // Also if that is not known: what a list names must not go.
        self.added.iter_mut().for_each(|table| table.file.stay());
        let unknown = list.unknown();
        let published = Published { list, added: mem::take(&mut self.added) };
        let is_early = !self.obsolete.is_empty() && unknown.is_none() && !mutant::is_on(Mutant::RemoveInputsUnlocked);
        let finished = is_early.then(|| self.finish());
        let released = release(lock, published);
        if let Some(error) = unknown {
            return Err(error);
        }
        let leftovers = finished.unwrap_or_else(|| self.finish())?;
        Ok((released, leftovers))
    }

    /// Makes the change durable. After that no crash brings back a list that names what is obsolete
    /// now: removes it.
    fn finish(&self) -> Result<Vec<String>> {
        if self.durability == Durability::Full {
            sync_published(&**self.dir)?;
        }
        Ok(remove_tables(&**self.dir, self.obsolete))
    }

    fn write(&self, lock: &dyn Lock) -> Result<TempFile> {
        let is_held_on = self.keeps_lock || !self.obsolete.is_empty();
        let lock = if is_held_on { None } else { lock.file() };
        let is_lock = lock.is_some();
        let mut list = match lock {
            Some(file) => TempFile::of_lock(self.dir, LIST_LOCK, file),
            None => TempFile::temporary(self.dir)?,
        };
        if !self.contents.is_empty() {
            list.write_all(self.contents).map_err(|error| list.failed("cannot write the table list", error))?;
        }
        if self.durability == Durability::Full || mutant::is_on(Mutant::MarkUnsynced) {
            mark_durable(&list, self.contents, is_lock);
        }
        Ok(list)
    }

    fn sync_files(&self, list: &TempFile) -> Result<()> {
        if self.durability == Durability::Off {
            return Ok(());
        }
        let tables = || self.added.iter().filter(|table| !table.is_synced).map(|table| &table.file);
        for waits in [false, true] {
            tables().chain([list]).try_for_each(|file| file.write_out(waits))?;
        }
        tables().chain([list]).try_for_each(TempFile::sync)
    }
}

/// A person may have removed the lock, and another process may have it now.
fn check_lock(dir: &Arc<dyn Dir>, lock: &dyn Lock) -> Result<()> {
    if lock.is_ours()? {
        return Ok(());
    }
    let message = "the lock file was removed or replaced while we held it";
    let error = Error::new(ErrorKind::Locked, message).in_file(&dir.path().join(LIST_LOCK));
    Err(error.way_out("nothing was changed; try again, and leave lock files of live processes alone"))
}

/// Renames the list into place. `Err` means that another one is there, or none.
///
/// A rename may be reported as failed although it happened, by network file systems that lose an
/// answer: what counts is what is there. If that cannot be seen either, it is not known.
fn replace(dir: &Arc<dyn Dir>, list: TempFile) -> Result<Replacement> {
    let stat = list.stat()?;
    if mutant::is_on(Mutant::AcknowledgeBeforeRename) {
        return Ok(Replacement::InSpiteOf);
    }
    match list.renamed(LIST) {
        Ok(list) => Ok(Replacement::By(list.kept(), stat)),
        Err(error) => match stat_now(&**dir, LIST, dir.is_local()) {
            Ok(there) if there.is_same_file(&stat) => Ok(Replacement::InSpiteOf),
            Ok(_) => Err(error),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Err(error),
            Err(_) => Ok(Replacement::Perhaps(error)),
        },
    }
}

impl Replacement {
    /// What to say if it may not be so.
    fn unknown(&self) -> Option<Error> {
        let Replacement::Perhaps(error) = self else { return None };
        let error = error.duplicate().with_kind(ErrorKind::Indeterminate);
        Some(error.way_out("the list could not be examined after that either; look whether the change is there"))
    }
}

/// Leaves the durability mark on a list that is all written; beside the marker, if the list is a
/// lock so far. Where that fails, others sync what they could have relied upon.
fn mark_durable(list: &TempFile, contents: &[u8], is_lock: bool) {
    let Ok(stat) = list.stat() else { return };
    let mark = match list.attribute().filter(|_| is_lock) {
        Some(marker) => durability_mark::print_beside(&marker, contents, &stat),
        None => durability_mark::print(contents, &stat),
    };
    if let Some(mark) = mark {
        list.set_attribute(&mark);
    }
}
