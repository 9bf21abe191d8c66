//! A directory that notes what is synced, and may refuse notes on files.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reftable::{Bytes, Dir, DirFile, HealingLocks, Host, Options, OsDir, Stack, Stamp};

/// [`OsDir`], with the names of the files that were synced.
#[derive(Debug)]
pub(crate) struct SyncDir {
    inner: OsDir,
    has_notes: bool,
    synced: Arc<Mutex<Vec<String>>>,
}

impl SyncDir {
    pub(crate) fn new(path: &Path) -> SyncDir {
        SyncDir { inner: OsDir::new(path, None), has_notes: true, synced: Arc::default() }
    }

    /// A file system on which files have no notes.
    pub(crate) fn without_notes(path: &Path) -> SyncDir {
        SyncDir { has_notes: false, ..SyncDir::new(path) }
    }

    pub(crate) fn stack(self: &Arc<Self>, options: Options) -> Stack {
        Stack::open_in(Arc::<SyncDir>::clone(self), Box::new(HealingLocks::new(true)), options).unwrap()
    }

    /// The tables that were synced since the last call, by the names that they were opened or created with, in order.
    pub(crate) fn tables_synced(&self) -> Vec<String> {
        let mut synced = std::mem::take(&mut *self.synced.lock().unwrap());
        synced.retain(|name| name.ends_with(".ref"));
        synced.sort();
        synced
    }

    fn wrap(&self, name: &str, inner: Box<dyn DirFile>) -> Box<dyn DirFile> {
        let (name, has_notes, synced) = (name.to_owned(), self.has_notes, Arc::clone(&self.synced));
        Box::new(SyncFile { name, inner, has_notes, synced })
    }
}

impl Dir for SyncDir {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.inner.open(name).map(|file| self.wrap(name, file))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.inner.create(name).map(|file| self.wrap(name, file))
    }

    fn stamp(&self, name: &str) -> io::Result<Stamp> {
        self.inner.stamp(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn link(&self, existing: &str, new: &str) -> io::Result<()> {
        self.inner.link(existing, new)
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

    fn is_local(&self) -> bool {
        self.inner.is_local()
    }

    fn host(&self) -> Host {
        self.inner.host()
    }
}

#[derive(Debug)]
struct SyncFile {
    name: String,
    inner: Box<dyn DirFile>,
    has_notes: bool,
    synced: Arc<Mutex<Vec<String>>>,
}

impl DirFile for SyncFile {
    fn contents(&self) -> io::Result<Bytes> {
        self.inner.contents()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.write(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.synced.lock().unwrap().push(self.name.clone());
        self.inner.sync()
    }

    fn stamp(&self) -> io::Result<Stamp> {
        self.inner.stamp()
    }

    fn set_note(&self, note: &[u8]) -> io::Result<()> {
        if self.has_notes { self.inner.set_note(note) } else { Err(io::ErrorKind::Unsupported.into()) }
    }

    fn note(&self) -> io::Result<Option<Vec<u8>>> {
        if self.has_notes { self.inner.note() } else { Err(io::ErrorKind::Unsupported.into()) }
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.inner.try_lock()
    }
}
