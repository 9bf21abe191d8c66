//! The locks of a host's process: its list lock is a file without a name that is ready before it
//! gets that of the lock, and becomes the list.

use std::io;
use std::sync::Arc;

use reftable::Result;
use reftable::bytes::Bytes;
use reftable::dir::{Dir, DirFile, FileStat};
use reftable::lock::{Attempt, Locker, ReadyFiles, ReadyLocks, RobustLocks};

use crate::ModelDir;
use crate::dir::ModelFile;
use crate::files::LIST_LOCK;

/// Locks as the C library takes them for a host, without a host's own functions.
#[must_use]
pub fn host_locks(process: &ModelDir) -> Box<dyn Locker> {
    let robust = RobustLocks::new(true);
    let ready = ReadyLocks::new(Arc::new(Unnamed(process.clone())), Arc::clone(&robust));
    Box::new(HostLocks { ready, robust })
}

#[derive(Debug)]
struct HostLocks {
    ready: ReadyLocks<Unnamed>,
    robust: Arc<RobustLocks>,
}

impl Locker for HostLocks {
    fn try_lock(&self, dir: &Arc<dyn Dir>, name: &str) -> Result<Attempt> {
        if name != LIST_LOCK {
            return self.robust.try_lock(dir, name);
        }
        match self.ready.try_list_lock(dir)? {
            Some(attempt) => Ok(attempt),
            // The process has died.
            None => self.robust.try_lock(dir, name),
        }
    }

    fn is_robust(&self) -> bool {
        true
    }
}

/// Files without a name, of one process.
#[derive(Debug)]
struct Unnamed(ModelDir);

impl ReadyFiles for Unnamed {
    type File = HostFile;

    fn create(&self) -> io::Result<Option<HostFile>> {
        self.0.create_unnamed().map(|file| Some(HostFile(Arc::new(file))))
    }

    fn lock(&self, file: &HostFile) -> io::Result<bool> {
        file.try_lock()
    }

    fn link(&self, file: &HostFile) -> io::Result<()> {
        self.0.link_unnamed(&file.0, LIST_LOCK)
    }

    fn unlink(&self, is_ours: impl FnOnce() -> bool) {
        if is_ours() {
            let _ = self.0.remove(LIST_LOCK);
        }
    }
}

/// An open file; clones are the same one.
#[derive(Debug, Clone)]
struct HostFile(Arc<ModelFile>);

impl DirFile for HostFile {
    fn contents(&self) -> io::Result<Bytes> {
        self.0.contents()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn stat(&self) -> io::Result<FileStat> {
        self.0.stat()
    }

    fn set_attribute(&self, attribute: &[u8]) -> io::Result<()> {
        self.0.set_attribute(attribute)
    }

    fn attribute(&self) -> io::Result<Option<Vec<u8>>> {
        self.0.attribute()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.0.try_lock()
    }
}
