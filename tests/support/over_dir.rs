//! A directory of the operating system with something between: what that is, is a [`Hook`].

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reftable::bytes::{Bytes, Reading};
use reftable::dir::{Dir, DirFile, FileStat, Host, OsDir, Writers};

/// What comes between.
pub(crate) trait Hook: Send + Sync + 'static {
    /// Does the `work` of a call on `name`, once at most.
    fn around(&self, call: &'static str, name: &str, work: Work<'_>) -> io::Result<()>;

    /// The processes that use a file.
    fn openers(&self, dir: &OsDir, name: &str) -> Option<Vec<u32>> {
        dir.openers(name)
    }

    /// Whether there is a process of this number.
    fn process_lives(&self, dir: &OsDir, process: u32) -> Option<bool> {
        dir.process_lives(process)
    }

    /// The time of day.
    fn wall_clock(&self, dir: &OsDir) -> Option<u128> {
        dir.wall_clock()
    }

    /// The time that waits are measured by.
    fn now(&self, dir: &OsDir) -> Duration {
        dir.now()
    }

    /// Waits.
    fn sleep(&self, dir: &OsDir, time: Duration) {
        dir.sleep(time);
    }

    /// What a look at `name` shows, where that is `seen`.
    fn stat(&self, name: &str, seen: FileStat) -> FileStat {
        let _ = name;
        seen
    }

    /// Whether one kernel alone writes to the directory, where `really` is so.
    fn is_local(&self, really: bool) -> bool {
        really
    }
}

pub(crate) type Work<'a> = &'a mut dyn FnMut() -> io::Result<()>;

/// [`OsDir`] whose calls go through a hook.
pub(crate) struct OverDir<H> {
    dir: OsDir,
    pub(crate) hook: Arc<H>,
}

impl<H: Hook> OverDir<H> {
    pub(crate) fn over(path: &Path, hook: Arc<H>) -> Arc<OverDir<H>> {
        Arc::new(OverDir { dir: OsDir::new(path, None), hook })
    }

    fn file(&self, call: &'static str, name: &str, open: Open) -> io::Result<Box<dyn DirFile>> {
        let inner = through(&*self.hook, call, name, || open(&self.dir, name))?;
        Ok(Box::new(OverFile { name: name.to_owned(), inner, hook: Arc::clone(&self.hook) }))
    }
}

type Open = fn(&OsDir, &str) -> io::Result<Box<dyn DirFile>>;

fn through<T>(hook: &impl Hook, call: &'static str, name: &str, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let (mut work, mut done) = (Some(work), None);
    hook.around(call, name, &mut || {
        done = Some(work.take().unwrap()()?);
        Ok(())
    })?;
    Ok(done.unwrap())
}

impl<H> fmt::Debug for OverDir<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.dir.fmt(f)
    }
}

impl<H: Hook> Dir for OverDir<H> {
    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.file("open", name, OsDir::open)
    }

    fn open_to_append(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.file("open_to_append", name, OsDir::open_to_append)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.file("create", name, OsDir::create)
    }

    fn create_for_writers(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.file("create", name, OsDir::create_for_writers)
    }

    fn writers(&self) -> io::Result<Option<Writers>> {
        through(&*self.hook, "writers", ".", || self.dir.writers())
    }

    fn stat(&self, name: &str) -> io::Result<FileStat> {
        through(&*self.hook, "stat", name, || self.dir.stat(name)).map(|seen| self.hook.stat(name, seen))
    }

    fn target(&self, name: &str) -> io::Result<FileStat> {
        through(&*self.hook, "target", name, || self.dir.target(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        through(&*self.hook, "rename", from, || self.dir.rename(from, to))
    }

    fn link(&self, existing: &str, new: &str) -> io::Result<()> {
        through(&*self.hook, "link", new, || self.dir.link(existing, new))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        through(&*self.hook, "remove", name, || self.dir.remove(name))
    }

    fn remove_empty_dir(&self, name: &str) -> io::Result<()> {
        through(&*self.hook, "remove directory", name, || self.dir.remove_empty_dir(name))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        through(&*self.hook, "names", ".", || self.dir.names())
    }

    fn sync(&self) -> io::Result<()> {
        through(&*self.hook, "sync directory", ".", || self.dir.sync())
    }

    fn sleep(&self, time: Duration) {
        self.hook.sleep(&self.dir, time);
    }

    fn now(&self) -> Duration {
        self.hook.now(&self.dir)
    }

    fn random(&self) -> u64 {
        self.dir.random()
    }

    fn is_local(&self) -> bool {
        self.hook.is_local(self.dir.is_local())
    }

    fn file_system(&self) -> u64 {
        self.dir.file_system()
    }

    fn host(&self) -> Host {
        self.dir.host()
    }

    fn wall_clock(&self) -> Option<u128> {
        self.hook.wall_clock(&self.dir)
    }

    fn announce(&self) {
        self.dir.announce();
    }

    fn openers(&self, name: &str) -> Option<Vec<u32>> {
        self.hook.openers(&self.dir, name)
    }

    fn process_lives(&self, process: u32) -> Option<bool> {
        self.hook.process_lives(&self.dir, process)
    }

    fn process_started(&self, process: u32) -> Option<u64> {
        self.dir.process_started(process)
    }
}

struct OverFile<H> {
    name: String,
    inner: Box<dyn DirFile>,
    hook: Arc<H>,
}

impl<H: Hook> OverFile<H> {
    fn through<T>(&self, call: &'static str, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        through(&*self.hook, call, &self.name, work)
    }
}

impl<H> fmt::Debug for OverFile<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<H: Hook> DirFile for OverFile<H> {
    fn owner(&self) -> io::Result<Option<u32>> {
        self.through("owner", || self.inner.owner())
    }

    fn contents(&self) -> io::Result<Bytes> {
        self.through("contents", || self.inner.contents())
    }

    fn contents_by(&self, reading: Reading) -> io::Result<Bytes> {
        self.through("contents", || self.inner.contents_by(reading))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut is_tried = false;
        let written = self.hook.around("write", &self.name, &mut || {
            is_tried = true;
            self.inner.write(bytes)
        });
        if !is_tried {
            // A full disk takes what it can.
            self.inner.write(&bytes[..bytes.len() / 2])?;
        }
        written
    }

    fn sync(&self) -> io::Result<()> {
        self.through("sync file", || self.inner.sync())
    }

    fn write_out(&self, waits: bool) -> io::Result<()> {
        self.through("write out", || self.inner.write_out(waits))
    }

    fn stat(&self) -> io::Result<FileStat> {
        self.through("stat file", || self.inner.stat())
    }

    fn set_attribute(&self, attribute: &[u8]) -> io::Result<()> {
        self.through("set attribute", || self.inner.set_attribute(attribute))
    }

    fn attribute(&self) -> io::Result<Option<Vec<u8>>> {
        self.through("attribute", || self.inner.attribute())
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.through("try_lock", || self.inner.try_lock())
    }
}
