//! Replacing the table list by an atomic rename: the one way in which a stack changes.

use std::io::{self, Write};
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use super::durability_mark;
use super::env::{Env, sync_dir, sync_published};
use super::options::Durability;
use super::state::{Cached, CachedState, list_of};
use super::synced::Synced;
use super::write_lock::ListLock;
use super::write_lock::request::ClaimedRequests;
use crate::bytes::Bytes;
use crate::dir::{Dir, DirFile, FileStat, stat_now};
use crate::error::{Error, ErrorKind, Result};
use crate::garbage::{GarbageTable, remove_tables};
use crate::invariant::invariant;
use crate::list::{LIST, LIST_LOCK, TableName};
use crate::lock::Lock;
use crate::mutant::{self, Mutant};
use crate::origin::{Origin, Run};
use crate::snapshot::Snapshot;
use crate::table::Table;
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
    list: Replacement,
    added: Vec<AddedFile>,
}

/// The new list has taken the place of the present one.
enum Replacement {
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

/// `tables` with those at `replace` replaced. A table that the edit does not mean must stay: nobody
/// would miss it before it is removed.
fn edit_tables(tables: &[Arc<Table>], replace: Range<usize>, with: Vec<Arc<Table>>) -> Result<Vec<Arc<Table>>> {
    let (Range { start, end }, count) = (replace, tables.len());
    invariant!(start <= end && end <= count, "an edit of the list replaces tables {start} to {end} of {count}");
    let mut edited = tables.to_vec();
    let (added, wrong) = (with.len(), usize::from(mutant::is_on(Mutant::EditWrongRange)));
    edited.splice(start..end.saturating_sub(wrong).max(start), with);
    let stays = |kept: &[Arc<Table>], before: &[Arc<Table>]| {
        kept.len() == before.len() && kept.iter().zip(before).all(|(kept, before)| Arc::ptr_eq(kept, before))
    };
    let is_whole = stays(edited.get(..start).unwrap_or_default(), tables.get(..start).unwrap_or_default())
        && stays(edited.get(start + added..).unwrap_or_default(), tables.get(end..).unwrap_or_default());
    invariant!(is_whole, "an edit of the list does not leave the other tables as they are");
    Ok(edited)
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

/// A change of the list: the tables in `replace` are replaced by those in `with`, oldest first.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) replace: Range<usize>,
    pub(crate) with: Vec<PlacedTable>,
    /// See [`NewList::obsolete`].
    pub(crate) obsolete: Vec<GarbageTable>,
}

/// A table that is in place under its final name, and is removed again if it is not published.
#[derive(Debug)]
pub(crate) struct PlacedTable {
    pub(crate) file: TempFile,
    pub(crate) contents: Bytes,
    /// Whether its contents are durable already.
    pub(crate) is_synced: bool,
}

/// A table that is written, to be added to the top, and removed again if it is not.
#[derive(Debug)]
pub(crate) struct PendingTable {
    /// Under its final name already, or under a temporary one.
    pub(crate) file: TempFile,
    pub(crate) contents: Bytes,
    /// The name it is to have.
    pub(crate) name: String,
}

/// Puts new lists in the place of the present one, and knows what of a list is durable.
pub(crate) struct Publisher {
    env: Arc<Env>,
    state: Arc<CachedState>,
    synced: Synced,
}

impl Publisher {
    pub(super) fn new(env: Arc<Env>, state: Arc<CachedState>) -> Publisher {
        Publisher { env, state, synced: Synced::default() }
    }

    /// Adds tables to the top of `base`, oldest first. Releases the lock. Returns the state after;
    /// errors as for [`Self::publish`].
    pub(crate) fn append(&self, lock: ListLock, base: &Snapshot, tables: Vec<PendingTable>) -> Result<Snapshot> {
        if base.tables().is_empty() {
            // There never is a table without a list, and never a list without need.
            self.create_list(&lock)?;
        }
        let with = tables.into_iter().map(|table| self.in_place(base, table)).collect::<Result<Vec<_>>>()?;
        let end = base.tables().len();
        let (after, _) = self.publish(lock, base, Edit { replace: end..end, with, obsolete: Vec::new() })?;
        Ok(after)
    }

    /// Gives a table its final name. It says before that upon which list it was made: if we die
    /// before it is listed, the successor of our lock knows that it is garbage.
    ///
    /// The first table of a store must be able to say so after a power failure, too: beside a list
    /// that names nothing it would look like all that is left of a store. So it is synced before it
    /// gets its name.
    fn in_place(&self, base: &Snapshot, PendingTable { file, contents, name }: PendingTable) -> Result<PlacedTable> {
        if file.name() == name {
            return Ok(PlacedTable { file, contents, is_synced: false });
        }
        let is_first = base.tables().is_empty();
        let list = if is_first { self.env.dir.stat(LIST).ok() } else { self.state.stat_of(base) };
        self.mark_origin(&file, list, self.durability_above(base));
        let is_synced = is_first && self.durability_above(base) == Durability::Full;
        if is_synced {
            file.sync()?;
        }
        Ok(PlacedTable { file: file.renamed(&name)?, contents, is_synced })
    }

    /// Leaves an attribute on a table that is to be added to `base`, see [`Self::in_place`]. Where
    /// that fails nothing is known of the table if we die before it is listed, and it stays.
    pub(crate) fn note_base(&self, table: &TempFile, base: &Snapshot) {
        self.mark_origin(table, self.state.stat_of(base), self.durability_above(base));
    }

    fn mark_origin(&self, table: &TempFile, list: Option<FileStat>, durability: Durability) {
        let run = match durability {
            // What is acknowledged then is durable: if a power failure brings the list back, the
            // table was not.
            Durability::Full => Some(Run::ANY),
            Durability::Ordered | Durability::Off => Run::this(&*self.env.dir),
        };
        if let Some(attribute) = list.zip(run).and_then(|(list, run)| Origin::upon(&list, run)) {
            table.set_attribute(&attribute);
        }
    }

    /// Leaves an attribute on the output of a compaction: which tables are merged into it.
    pub(crate) fn note_merged<'a>(&self, table: &TempFile, inputs: impl Iterator<Item = &'a str>) {
        let run = match self.env.options.durability {
            // It is durable before it is listed.
            Durability::Full | Durability::Ordered => Some(Run::ANY),
            Durability::Off => Run::this(&*self.env.dir),
        };
        let attribute = table.stat().ok().zip(run).and_then(|(stat, run)| Origin::merged(&stat, inputs, run));
        if let Some(attribute) = attribute {
            table.set_attribute(&attribute);
        }
    }

    /// What survives of a change of `base`. The first commit of a store is durable under `Ordered`,
    /// too: a power failure must not bring back the empty list beside a table that was
    /// acknowledged.
    fn durability_above(&self, base: &Snapshot) -> Durability {
        match self.env.options.durability {
            Durability::Ordered if base.tables().is_empty() => Durability::Full,
            durability => durability,
        }
    }

    /// A name for a table that no other process will choose.
    pub(crate) fn table_name(&self, min: u64, max: u64) -> String {
        TableName::new(min, max, self.env.dir.random()).to_string()
    }

    /// Replaces the list while `lock` is held and `base` is the state it protects. Releases the
    /// lock. Returns the state after, and what could not be removed, with the reason. Errors as for
    /// [`NewList::publish`].
    pub(crate) fn publish(&self, lock: ListLock, base: &Snapshot, edit: Edit) -> Result<(Snapshot, Vec<String>)> {
        let durability = self.durability_above(base);
        let Edit { replace, with, obsolete } = edit;
        if durability == Durability::Full {
            self.sync_foreign_tables(base, &replace)?;
        }
        let (after, added) = self.edited(base, replace, with)?;
        let contents = list_of(&after);
        let list = NewList {
            dir: &self.env.dir,
            durability,
            contents: &contents,
            added,
            obsolete: &obsolete,
            keeps_lock: false,
        };
        let (claimed, leftovers) = list.publish(lock, |lock, published| self.release(lock, published, &after))?;
        claimed.make_durable();
        Ok((after, leftovers))
    }

    /// What is to be done as soon as others see the state `after`. Releases the lock; returns whom
    /// we commit for.
    fn release(&self, mut lock: ListLock, published: Published, after: &Snapshot) -> ClaimedRequests {
        let Published { list, added } = published;
        let mut claimed = mem::take(&mut lock.claimed);
        if let Replacement::Perhaps(_) = list {
            claimed.leave_unknown();
            return claimed;
        }
        // What we know of it need not be read.
        if let Replacement::By(list, stat) = list {
            self.state.remember(Cached { snapshot: after.clone(), stat, list: list.into() });
        }
        if self.env.options.durability != Durability::Off {
            added.iter().for_each(|table| self.synced.add(table.file.name()));
        }
        if added.len() == after.tables().len() && self.env.options.durability != Durability::Off {
            // The first of the store: no power failure may bring back the empty list beside what
            // others build upon this one. If it fails, it fails once more below.
            let _ = self.env.dir.sync();
        }
        lock.note_release(self.env.dir.now());
        claimed.publish();
        claimed
    }

    /// The state after an edit of `base`, and the new files. What cannot be opened is never
    /// published.
    fn edited(
        &self,
        base: &Snapshot,
        replace: Range<usize>,
        with: Vec<PlacedTable>,
    ) -> Result<(Snapshot, Vec<AddedFile>)> {
        let (mut opened, mut added) = (Vec::with_capacity(with.len()), Vec::with_capacity(with.len()));
        for PlacedTable { file, contents, is_synced } in with {
            opened.push(Arc::new(Table::open_in_store(self.env.dir.path().join(file.name()), contents)?));
            added.push(AddedFile { file, is_synced });
        }
        Ok((Snapshot::new(edit_tables(base.tables(), replace, opened)?, self.env.options.hash), added))
    }

    /// Creates an empty list if there is none, so that there never is a table without a list: that
    /// is what readers take for damage. A list that is there may have been made by a process that
    /// died before the directory was synced. To see it is not enough: a power failure could take it
    /// and leave the table. So the directory is synced in any case.
    fn create_list(&self, lock: &ListLock) -> Result<()> {
        match self.env.dir.stat(LIST) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.put_empty_list(lock)?,
            Err(error) => return Err(self.env.io("cannot examine the table list", LIST, error)),
        }
        if self.env.options.durability != Durability::Off {
            self.env.sync_dir()?;
        }
        Ok(())
    }

    /// The lock stays ours, and the caller syncs the directory.
    fn put_empty_list(&self, lock: &ListLock) -> Result<()> {
        let durability = match self.env.options.durability {
            Durability::Off => Durability::Off,
            Durability::Full | Durability::Ordered => Durability::Ordered,
        };
        let dir = &self.env.dir;
        let list = NewList { dir, durability, contents: b"", added: Vec::new(), obsolete: &[], keeps_lock: true };
        let put = list.publish(lock, |_, _| ()).map(drop);
        put.map_err(|error| match error.kind() {
            // Whether it is there or not: the change that it is made for is not.
            ErrorKind::Indeterminate => error.with_kind(ErrorKind::Io),
            _ => error,
        })
    }

    /// Syncs a table of others, unless that has failed before: the kernel has lost then what it
    /// could not write, and says of a second sync that all is well.
    fn sync_table(&self, name: &str) -> Result<()> {
        let way_out = "compact everything: that writes it again, as it can be read now";
        if self.synced.has_failed(name) {
            let error = Error::new(ErrorKind::Io, "the table could not be synced, and may be lost if power fails");
            return Err(error.in_file(&self.env.dir.path().join(name)).way_out(way_out));
        }
        let file = self.env.dir.open(name).map_err(|error| self.env.io("cannot open the table", name, error))?;
        file.sync().map_err(|error| {
            self.synced.add_failed(name);
            self.env.io("cannot sync the table", name, error).way_out(way_out)
        })?;
        self.synced.add(name);
        Ok(())
    }

    /// Syncs listed tables that are not known to be synced: git's are not, by default, and a
    /// commit that is to survive must not stand on one that does not. A durability mark on the list
    /// says that all of them are.
    fn sync_foreign_tables(&self, base: &Snapshot, replaced: &Range<usize>) -> Result<()> {
        let missing = self.synced.missing(base);
        if !missing.is_empty() && self.state.is_marked_durable(base) {
            base.tables().iter().for_each(|table| self.synced.add(table.name()));
            return Ok(());
        }
        for position in missing {
            let Some(table) = base.tables().get(position).filter(|_| !replaced.contains(&position)) else { continue };
            self.sync_table(table.name())?;
        }
        Ok(())
    }
}
