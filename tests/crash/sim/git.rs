//! git's own protocol, as far as it matters for a crash: what its commits do to the directory.

use std::io;
use std::sync::Arc;

use reftable::compact::Expiry;
use reftable::dir::{Dir, DirFile};
use reftable::table::{LogRecordView, RefRecordView};
use reftable::table::{TableWriter, WriteOptions};
use reftable::{Error, HashKind};
use reftable_crash::Pid;

use super::dir::SimDir;
use super::run::{Deed, Run};
use super::world::TablesList as _;
use crate::support::model::{Change, Model};

/// git's setting `core.fsync`, as far as references go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fsync {
    /// The default: nothing is synced.
    Default,
    /// `committed`: the table before its footer, and the list.
    Committed,
}

/// Bytes of the footer of a table with SHA-1 ids.
const FOOTER: usize = 68;

/// A process that commits as git does.
pub(crate) struct Git {
    run: Run,
    pid: Pid,
    dir: Arc<SimDir>,
    fsync: Fsync,
}

impl Git {
    pub(crate) fn new(run: &Run, pid: Pid, fsync: Fsync) -> Git {
        Git { run: run.clone(), pid, dir: run.world.process(pid), fsync }
    }

    pub(crate) fn commit(&self, changes: Vec<Change>) {
        let model = self.run.model();
        let deed = Deed::Commit(changes);
        // The user of git believes that what it has finished is there, if it was told to sync.
        let is_trusted = self.fsync == Fsync::Committed;
        let listed = self.run.world.tree().list();
        let work = || write(&self.dir, listed, self.fsync, &model, &deed).map_err(no_error);
        self.run.perform(self.pid, &deed, (is_trusted, false), work);
    }
}

impl Git {
    /// Whether a process has the lock of the list, or of a table that it names.
    pub(crate) fn is_kept_out(&self) -> bool {
        let tree = self.run.world.tree();
        let is_locked = |name: &str| tree.names.contains_key(format!("{name}.lock").as_str());
        is_locked("tables.list") || tree.list().iter().any(|table| is_locked(table))
    }

    /// Merges all tables as `git pack-refs` does, unless another process keeps it out.
    pub(crate) fn merge_all(&self) {
        let (listed, model) = (self.run.world.tree().list(), self.run.model());
        if self.is_kept_out() || listed.len() < 2 {
            return;
        }
        let work = || merge_all(&self.dir, &listed, &model).map_err(no_error);
        self.run.perform(self.pid, &Deed::Compact(Expiry::default()), (false, false), work);
    }
}

/// A compaction as git makes it, of all tables.
fn merge_all(dir: &SimDir, listed: &[String], model: &Model) -> io::Result<()> {
    let locks: Vec<String> = listed.iter().map(|name| format!("{name}.lock")).collect();
    drop(dir.create("tables.list.lock")?);
    locks.iter().try_for_each(|lock| dir.create(lock).map(drop))?;
    dir.remove("tables.list.lock")?;
    let min = listed.first().and_then(|name| u64::from_str_radix(name.get(2..14)?, 16).ok()).unwrap();
    let (name, table) = table_of(model, min, 0, dir.random() as u32);
    let temporary = format!("{}.temp", name.trim_end_matches(".ref"));
    dir.create(&temporary)?.write(&table)?;
    let mut list = dir.create("tables.list.lock")?;
    dir.rename(&temporary, &name)?;
    list.write(format!("{name}\n").as_bytes())?;
    dir.rename("tables.list.lock", "tables.list")?;
    listed.iter().try_for_each(|name| dir.remove(name))?;
    locks.iter().try_for_each(|lock| dir.remove(lock))
}

/// A commit as git makes it: what it does to the directory, in its order.
pub(super) fn write(
    dir: &SimDir,
    mut listed: Vec<String>,
    fsync: Fsync,
    before: &Model,
    deed: &Deed,
) -> io::Result<()> {
    let sync = |file: &dyn DirFile| if fsync == Fsync::Committed { file.sync() } else { Ok(()) };
    let (name, table) = table(before, deed, dir.random() as u32);
    let mut lock = dir.create("tables.list.lock")?;
    let temporary = format!("{}.temp", name.trim_end_matches(".ref"));
    let mut file = dir.create(&temporary)?;
    file.write(&table[..table.len() - FOOTER])?;
    sync(&*file)?;
    file.write(&table[table.len() - FOOTER..])?;
    dir.rename(&temporary, &name)?;
    listed.push(name);
    lock.write((listed.join("\n") + "\n").as_bytes())?;
    sync(&*lock)?;
    dir.rename("tables.list.lock", "tables.list")
}

fn no_error(error: io::Error) -> Error {
    panic!("git failed in the simulation: {error}")
}

/// The table that a commit adds: what is in the state after it, under its update index.
pub(super) fn table(before: &Model, deed: &Deed, random: u32) -> (String, Vec<u8>) {
    let Deed::Commit(changes) = deed else { panic!("git only commits here") };
    let mut after = before.clone();
    let reflog = (crate::support::ident(), b"reflog".to_vec());
    let index = after.commit(changes, Some(&reflog)).unwrap();
    table_of(&after, index, index, random)
}

/// A table of what is in a state and was written from update index `since` on. Its header begins
/// with `min`.
fn table_of(model: &Model, min: u64, since: u64, random: u32) -> (String, Vec<u8>) {
    let options = WriteOptions::default();
    let mut writer = TableWriter::new(Vec::new(), HashKind::Sha1, min..=model.update_index, &options).unwrap();
    for (name, (written, target)) in model.refs.iter().filter(|(_, (written, _))| *written >= since) {
        writer.add_ref(&RefRecordView { name, update_index: *written, target: Some(target.as_view()) }).unwrap();
    }
    for log in model.all_logs().iter().filter(|log| log.update_index >= since) {
        let entry = Some(log.entry.as_view());
        writer.add_log(&LogRecordView { refname: &log.refname, update_index: log.update_index, entry }).unwrap();
    }
    let name = format!("0x{min:012x}-0x{:012x}-{random:08x}.ref", model.update_index);
    (name, writer.finish().unwrap().0)
}
