//! A directory whose calls fail when they are told to.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reftable::{Bytes, Dir, DirFile, Host, OsDir, Stamp};

/// Counts calls down and fails the one at which the count reaches zero.
#[derive(Debug)]
pub(crate) struct Fuse {
    left: AtomicI64,
    error: i32,
    failed: Mutex<Option<String>>,
}

impl Fuse {
    /// Fails call number `nth` (from 1) with this error number; never, for 0.
    pub(crate) fn new(nth: i64, error: i32) -> Arc<Fuse> {
        Arc::new(Fuse { left: AtomicI64::new(nth), error, failed: Mutex::new(None) })
    }

    /// The call that was made to fail.
    pub(crate) fn failed(&self) -> Option<String> {
        self.failed.lock().unwrap().clone()
    }

    fn burn(&self, call: &str) -> io::Result<()> {
        if self.left.fetch_sub(1, Ordering::SeqCst) != 1 {
            return Ok(());
        }
        *self.failed.lock().unwrap() = Some(call.to_owned());
        Err(io::Error::from_raw_os_error(self.error))
    }
}

/// [`OsDir`] behind a [`Fuse`].
#[derive(Debug)]
pub(crate) struct FaultDir {
    inner: OsDir,
    fuse: Arc<Fuse>,
}

impl FaultDir {
    pub(crate) fn new(path: &Path, fuse: &Arc<Fuse>) -> Arc<FaultDir> {
        Arc::new(FaultDir { inner: OsDir::new(path, None), fuse: Arc::clone(fuse) })
    }

    fn wrap(&self, file: Box<dyn DirFile>) -> Box<dyn DirFile> {
        Box::new(FaultFile { inner: file, fuse: Arc::clone(&self.fuse) })
    }
}

impl Dir for FaultDir {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.fuse.burn("open")?;
        self.inner.open(name).map(|file| self.wrap(file))
    }

    fn open_to_append(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.fuse.burn("open_to_append")?;
        self.inner.open_to_append(name).map(|file| self.wrap(file))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.fuse.burn("create")?;
        self.inner.create(name).map(|file| self.wrap(file))
    }

    fn stamp(&self, name: &str) -> io::Result<Stamp> {
        self.fuse.burn("stamp")?;
        self.inner.stamp(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.fuse.burn("rename")?;
        self.inner.rename(from, to)
    }

    fn link(&self, existing: &str, new: &str) -> io::Result<()> {
        self.fuse.burn("link")?;
        self.inner.link(existing, new)
    }

    fn is_local(&self) -> bool {
        self.inner.is_local()
    }

    fn host(&self) -> Host {
        self.inner.host()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.fuse.burn("remove")?;
        self.inner.remove(name)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.fuse.burn("names")?;
        self.inner.names()
    }

    fn sync(&self) -> io::Result<()> {
        self.fuse.burn("sync directory")?;
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

#[derive(Debug)]
struct FaultFile {
    inner: Box<dyn DirFile>,
    fuse: Arc<Fuse>,
}

impl DirFile for FaultFile {
    fn contents(&self) -> io::Result<Bytes> {
        self.fuse.burn("contents")?;
        self.inner.contents()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.fuse.burn("write") {
            // A full disk takes what it can.
            self.inner.write(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.inner.write(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.fuse.burn("sync file")?;
        self.inner.sync()
    }

    fn stamp(&self) -> io::Result<Stamp> {
        self.fuse.burn("stamp file")?;
        self.inner.stamp()
    }

    fn set_note(&self, note: &[u8]) -> io::Result<()> {
        self.fuse.burn("set note")?;
        self.inner.set_note(note)
    }

    fn note(&self) -> io::Result<Option<Vec<u8>>> {
        self.fuse.burn("note")?;
        self.inner.note()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.fuse.burn("try_lock")?;
        self.inner.try_lock()
    }
}
