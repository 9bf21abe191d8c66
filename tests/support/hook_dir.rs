//! A directory that lets others work at chosen moments.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reftable::{Dir, DirFile, ExclusiveFile, Options, OsDir, Stack, Stamp};

type Work = Box<dyn Fn() + Send + Sync>;
type Fits = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// [`OsDir`], where some work is done once, directly after, or before, a file is created whose name fits.
pub(crate) struct HookDir {
    inner: OsDir,
    fits: Fits,
    work: Work,
    is_before: bool,
    done: AtomicBool,
}

impl HookDir {
    pub(crate) fn new(path: &Path, fits: fn(&str) -> bool, work: impl Fn() + Send + Sync + 'static) -> Arc<HookDir> {
        Arc::new(Self::with(path, Box::new(fits), Box::new(work)))
    }

    /// The work is done when the merged table is written and synced, but not listed: before the compaction takes the list
    /// lock again.
    pub(crate) fn before_listing(path: &Path, work: impl Fn() + Send + Sync + 'static) -> Arc<HookDir> {
        let is_written = AtomicBool::new(false);
        let fits = move |name: &str| {
            is_written.fetch_or(is_temporary(name), Ordering::SeqCst);
            name == "tables.list.lock" && is_written.load(Ordering::SeqCst)
        };
        Arc::new(HookDir { is_before: true, ..Self::with(path, Box::new(fits), Box::new(work)) })
    }

    fn with(path: &Path, fits: Fits, work: Work) -> HookDir {
        HookDir { inner: OsDir::new(path, None), fits, work, is_before: false, done: AtomicBool::new(false) }
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

    fn open_to_append(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.inner.open_to_append(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        if !(self.fits)(name) || self.done.swap(true, Ordering::SeqCst) {
            return self.inner.create(name);
        }
        if self.is_before {
            (self.work)();
        }
        let file = self.inner.create(name)?;
        if !self.is_before {
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
