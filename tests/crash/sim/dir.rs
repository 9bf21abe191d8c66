//! [`Dir`] and [`DirFile`] over a simulated machine.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reftable::bytes::Bytes;
use reftable::dir::{Dir, DirFile, FileStat, Host};
use reftable_crash::{BOOT, File, OpenFile, Process};

use super::check::is_request;
use super::slips;
use super::world::{Denied, World};

/// One process's view of the directory.
#[derive(Debug)]
pub(crate) struct SimDir {
    world: World,
    process: Process,
}

impl SimDir {
    pub(super) fn new(world: &World, process: Process) -> Arc<SimDir> {
        Arc::new(SimDir { world: world.clone(), process })
    }

    /// Makes a symbolic link. [`Dir`] has no such call: ours never do this.
    pub(crate) fn symlink(&self, target: &str, name: &str) -> io::Result<()> {
        self.process.symlink(target, name)
    }

    fn check(&self, what: Denied) -> io::Result<()> {
        self.world.check(self.process.id(), what)
    }
}

impl Dir for SimDir {
    fn path(&self) -> &Path {
        Path::new("sim")
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        Ok(Box::new(SimFile(self.process.open(name)?)))
    }

    fn open_to_append(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.check(Denied::Append)?;
        self.open(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        Ok(Box::new(SimFile(self.process.create(name)?)))
    }

    fn stat(&self, name: &str) -> io::Result<FileStat> {
        self.process.stat(name).map(|file| stat_of(&file))
    }

    fn target(&self, name: &str) -> io::Result<FileStat> {
        self.process.stat_target(name).map(|file| stat_of(&file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if slips::closes_before_rename(from) {
            self.process.unlock(from)?;
        }
        let table = self.world.with_tree(|tree| slips::table_to_hide(tree, from, to));
        let Some(table) = table else { return self.process.rename(from, to) };
        self.process.rename(&table, "hidden")?;
        self.process.rename(from, to)?;
        self.process.rename("hidden", &table)
    }

    fn link(&self, existing: &str, new: &str) -> io::Result<()> {
        self.process.link(existing, new)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if is_request(name) {
            self.check(Denied::Remove)?;
        }
        self.process.remove(name)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.check(Denied::List)?;
        Ok(self.process.list("")?.iter().map(ToString::to_string).collect())
    }

    fn sync(&self) -> io::Result<()> {
        self.process.sync_dir("")
    }

    fn sleep(&self, time: Duration) {
        self.process.sleep(time);
    }

    fn now(&self) -> Duration {
        self.world.waited(self.process.id())
    }

    fn random(&self) -> u64 {
        self.process.random()
    }

    fn is_local(&self) -> bool {
        !self.world.locks_names()
    }

    fn file_system(&self) -> u64 {
        1
    }

    fn host(&self) -> Host {
        let boot = self.world.boot();
        let booted = Some(BOOT.as_nanos() * u128::from(boot));
        // As Linux names them.
        Host::new(Some(format!("{boot:08x}-0000-4000-8000-000000000000")), booted)
    }

    fn process_id(&self) -> u32 {
        self.process.id()
    }

    fn wall_clock(&self) -> Option<u128> {
        Some(self.world.time())
    }

    /// No process, or one whose number cannot be seen.
    fn openers(&self, name: &str) -> Option<Vec<u32>> {
        let file = self.world.with_tree(|tree| tree.names.get(name).copied())?;
        (!self.world.is_open(file)).then(Vec::new)
    }
}

#[derive(Debug)]
struct SimFile(OpenFile);

impl DirFile for SimFile {
    fn contents(&self) -> io::Result<Bytes> {
        Ok(self.0.read()?.to_vec().into())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn stat(&self) -> io::Result<FileStat> {
        self.0.stat().map(|file| stat_of(&file))
    }

    fn set_attribute(&self, attribute: &[u8]) -> io::Result<()> {
        self.0.set_note(attribute)
    }

    fn attribute(&self) -> io::Result<Option<Vec<u8>>> {
        self.0.note()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.0.try_lock()
    }
}

fn stat_of(file: &File) -> FileStat {
    let mut stat = FileStat::new(1, file.number, file.bytes.len() as u64, file.modified);
    (stat.created, stat.changed, stat.is_file) = (file.created, file.changed, !file.is_link());
    stat
}
