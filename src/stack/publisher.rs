//! The publisher of a handle: what tables it adds and replaces, what these say of themselves, and
//! what of a list is durable.

use std::io;
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use super::env::Env;
use super::options::Durability;
use super::publish::{AddedFile, NewList, Published, Replacement};
use super::state::{Cached, CachedState, list_of};
use super::synced::Synced;
use super::write_lock::ListLock;
use super::write_lock::request::ClaimedRequests;
use crate::bytes::Bytes;
use crate::dir::FileStat;
use crate::error::{Error, ErrorKind, Result};
use crate::garbage::GarbageTable;
use crate::invariant::invariant;
use crate::list::{LIST, TableName};
use crate::mutant::{self, Mutant};
use crate::origin::{Origin, Run};
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::temp_file::TempFile;

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
