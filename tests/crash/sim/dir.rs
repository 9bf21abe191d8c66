//! [`Dir`] and [`DirFile`] over a simulated machine.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reftable::bytes::Bytes;
use reftable::dir::{Dir, DirFile, FileStat, Host};

use super::check::is_request;
use super::world::{BOOT, Denied, File, FileId, Inner, Locked, Name, Op, Pid, World, pid_of};
use crate::support::Random;

/// One process's view of the directory.
#[derive(Debug)]
pub(crate) struct SimDir {
    world: World,
    pid: Pid,
}

impl SimDir {
    pub(super) fn new(world: &World, pid: Pid) -> Arc<SimDir> {
        Arc::new(SimDir { world: world.clone(), pid })
    }

    /// Makes a symbolic link. [`Dir`] has no such call: ours never do this.
    pub(crate) fn symlink(&self, target: &str, name: &str) -> io::Result<()> {
        self.world.call(self.pid, true, |inner| {
            if inner.tree.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let (file, target) = (inner.next_file, Arc::new(target.as_bytes().to_vec()));
            inner.next_file += 1;
            let (number, modified, name) = (inner.free_number(), inner.time, Name::from(name));
            let link = File {
                bytes: Arc::clone(&target),
                modified,
                changed: modified,
                number,
                is_link: true,
                ..File::default()
            };
            inner.tree.files.insert(file, link);
            inner.tree.names.insert(Arc::clone(&name), file);
            Ok(((), Some(Op::Symlink { name, file, target })))
        })
    }

    fn rename_now(&self, from: &str, to: &str) -> io::Result<()> {
        self.world.call(self.pid, true, |inner| {
            let file = inner.find(from)?;
            // POSIX: two names of one file stay as they are.
            if inner.find(to).is_ok_and(|there| there == file) {
                return Ok(((), None));
            }
            inner.tree.names.remove(from);
            inner.tree.names.insert(to.into(), file);
            inner.touch(file);
            inner.collect();
            Ok(((), Some(Op::Rename { from: from.into(), to: to.into(), file })))
        })
    }

    fn file(&self, (file, description): (FileId, u64), name: &str) -> Box<dyn DirFile> {
        Box::new(SimFile { world: self.world.clone(), file, description, name: name.into() })
    }
}

impl Dir for SimDir {
    fn path(&self) -> &Path {
        Path::new("sim")
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.world.check_descriptors(self.pid)?;
        let opened = self.world.call(self.pid, false, |inner| {
            let file = inner.follow(name)?;
            Ok(((file, inner.describe(self.pid, file)), None))
        })?;
        Ok(self.file(opened, name))
    }

    fn open_to_append(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.world.check(self.pid, Denied::Append)?;
        self.open(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.world.check_descriptors(self.pid)?;
        let created = self.world.call(self.pid, true, |inner| {
            if inner.tree.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let file = inner.next_file;
            inner.next_file += 1;
            let (number, created, name) = (inner.free_number(), inner.time, Name::from(name));
            inner
                .tree
                .files
                .insert(file, File { modified: created, created, changed: created, number, ..File::default() });
            inner.tree.names.insert(Arc::clone(&name), file);
            Ok(((file, inner.describe(self.pid, file)), Some(Op::Create { name, file, number, created })))
        })?;
        Ok(self.file(created, name))
    }

    fn stat(&self, name: &str) -> io::Result<FileStat> {
        self.world.call(self.pid, false, |inner| Ok((inner.stat(inner.find(name)?), None)))
    }

    fn target(&self, name: &str) -> io::Result<FileStat> {
        self.world.call(self.pid, false, |inner| Ok((inner.stat(inner.follow(name)?), None)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let table = self.world.lock().table_to_hide(from, to);
        let Some(table) = table else { return self.rename_now(from, to) };
        self.rename_now(&table, "hidden")?;
        self.rename_now(from, to)?;
        self.rename_now("hidden", &table)
    }

    fn link(&self, existing: &str, new: &str) -> io::Result<()> {
        self.world.call_surely(self.pid, true, |inner| {
            let file = inner.find(existing)?;
            if inner.tree.names.contains_key(new) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            inner.tree.names.insert(new.into(), file);
            inner.touch(file);
            Ok(((), Some(Op::Link { existing: existing.into(), new: new.into(), file })))
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if is_request(name) {
            self.world.check(self.pid, Denied::Remove)?;
        }
        self.world.call(self.pid, true, |inner| {
            let file = inner.find(name)?;
            inner.tree.names.remove(name);
            inner.touch(file);
            inner.collect();
            Ok(((), Some(Op::Remove { name: name.into() })))
        })
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.world.check(self.pid, Denied::List)?;
        self.world.check_descriptors(self.pid)?;
        self.world.call(self.pid, false, |inner| Ok((inner.tree.names.keys().map(ToString::to_string).collect(), None)))
    }

    fn sync(&self) -> io::Result<()> {
        let op = |inner: &Inner| (!inner.skips_dir_sync(self.pid)).then_some(Op::SyncDir);
        self.world.call(self.pid, true, |inner| Ok(((), op(inner))))
    }

    fn sleep(&self, time: Duration) {
        self.world.let_others_work(self.pid);
        let mut inner = self.world.lock();
        inner.time += time.as_nanos();
        inner.processes.entry(self.pid).or_default().clock += time;
    }

    fn now(&self) -> Duration {
        self.world.waited(self.pid)
    }

    fn random(&self) -> u64 {
        let mut inner = self.world.lock();
        let seed = inner.boot << 32 | u64::from(self.pid);
        inner.processes.entry(self.pid).or_default().random.get_or_insert(Random(seed)).next()
    }

    fn is_local(&self) -> bool {
        !self.world.lock().knows_names
    }

    fn file_system(&self) -> u64 {
        1
    }

    fn host(&self) -> Host {
        let boot = self.world.boot();
        let booted = Some(BOOT.as_nanos() * u128::from(boot));
        Host::new(Some(format!("boot-{boot}")), booted)
    }

    fn process_id(&self) -> u32 {
        self.pid
    }

    fn wall_clock(&self) -> Option<u128> {
        Some(self.world.lock().time)
    }

    /// Nobody, or somebody whose number cannot be seen.
    fn openers(&self, name: &str) -> Option<Vec<u32>> {
        let inner = self.world.lock();
        let file = inner.find(name).ok()?;
        (!inner.open.contains_key(&file)).then(Vec::new)
    }
}

#[derive(Debug)]
struct SimFile {
    world: World,
    file: FileId,
    description: u64,
    name: Name,
}

impl SimFile {
    fn pid(&self) -> Pid {
        pid_of(self.description)
    }

    /// What a kernel lock through this description is on.
    fn locked(&self, inner: &Inner) -> Locked {
        (self.file, inner.knows_names.then(|| Arc::clone(&self.name)))
    }
}

impl DirFile for SimFile {
    fn contents(&self) -> io::Result<Bytes> {
        let bytes =
            self.world.call(self.pid(), false, |inner| Ok((Arc::clone(&inner.tree.files[&self.file].bytes), None)))?;
        Ok(bytes.to_vec().into())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let is_torn = self.world.is_torn_now(self.pid());
        let bytes = if is_torn { &bytes[..bytes.len() / 2] } else { bytes };
        self.world.call(self.pid(), true, |inner| {
            let time = inner.time;
            let file = inner.tree.files.get_mut(&self.file).unwrap();
            let from = file.bytes.len();
            let whole = Arc::new([file.bytes.as_slice(), bytes].concat());
            (file.bytes, file.modified, file.changed) = (Arc::clone(&whole), time, time);
            Ok(((), Some(Op::Write { name: Arc::clone(&self.name), file: self.file, bytes: whole, from })))
        })?;
        if is_torn { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        let (name, file) = (Arc::clone(&self.name), self.file);
        if self.world.is_sync_failing_now(self.pid()) {
            self.world.call(self.pid(), true, |_| Ok(((), Some(Op::SyncFailed { name, file }))))?;
            return Err(io::Error::from_raw_os_error(5));
        }
        let op = |inner: &Inner| (!inner.skips_sync_of(file)).then_some(Op::SyncFile { name, file });
        self.world.call(self.pid(), true, |inner| Ok(((), op(inner))))
    }

    fn stat(&self) -> io::Result<FileStat> {
        self.world.call(self.pid(), false, |inner| Ok((inner.stat(self.file), None)))
    }

    fn set_note(&self, note: &[u8]) -> io::Result<()> {
        let note = Arc::new(note.to_vec());
        self.world.call(self.pid(), true, |inner| {
            inner.tree.files.get_mut(&self.file).unwrap().note = Some(Arc::clone(&note));
            Ok(((), Some(Op::SetNote { name: Arc::clone(&self.name), file: self.file, note })))
        })
    }

    fn note(&self) -> io::Result<Option<Vec<u8>>> {
        self.world.call(self.pid(), false, |inner| {
            Ok((inner.tree.files[&self.file].note.as_ref().map(|note| note.to_vec()), None))
        })
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.world.call_surely(self.pid(), false, |inner| {
            let holder = *inner.locks.entry(self.locked(inner)).or_insert(self.description);
            Ok((holder == self.description, None))
        })
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut inner = self.world.lock();
        let locked = self.locked(&inner);
        if inner.locks.get(&locked) == Some(&self.description) {
            inner.locks.remove(&locked);
        }
        if let Some(opened) = inner.opened.get_mut(&self.pid()) {
            *opened -= 1;
        }
        let left = inner.open.get_mut(&self.file).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left == 0 {
            inner.open.remove(&self.file);
            inner.collect();
        }
    }
}
