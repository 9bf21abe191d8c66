//! A directory that lets others work at chosen moments.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reftable::{Dir, DirFile, ExclusiveFile, Options, OsDir, Stack, Stamp};

type Work = Box<dyn Fn() + Send + Sync>;

/// [`OsDir`], where some work is done once, directly after a file was created whose name fits.
pub(crate) struct HookDir {
    inner: OsDir,
    fits: fn(&str) -> bool,
    work: Work,
    done: AtomicBool,
}

impl HookDir {
    pub(crate) fn new(path: &Path, fits: fn(&str) -> bool, work: impl Fn() + Send + Sync + 'static) -> Arc<HookDir> {
        Arc::new(HookDir { inner: OsDir::new(path, None), fits, work: Box::new(work), done: AtomicBool::new(false) })
    }

    /// Whether the moment has come.
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }

    pub(crate) fn stack(self: &Arc<Self>, options: Options) -> Stack {
        let dir: Arc<HookDir> = Arc::clone(self);
        Stack::open_in(dir, Box::new(ExclusiveFile), options).unwrap()
    }
}

/// What a compaction writes into, after it has let go of the list lock.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with("reftable-") && name.ends_with(".tmp")
}

impl fmt::Debug for HookDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Dir for HookDir {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.inner.open(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        let file = self.inner.create(name)?;
        if (self.fits)(name) && !self.done.swap(true, Ordering::SeqCst) {
            (self.work)();
        }
        Ok(file)
    }

    fn stamp(&self, name: &str) -> io::Result<Stamp> {
        self.inner.stamp(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.inner.names()
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }

    fn sleep(&self, time: Duration) {
        self.inner.sleep(time);
    }

    fn now(&self) -> Duration {
        self.inner.now()
    }

    fn random(&self) -> u64 {
        self.inner.random()
    }
}
