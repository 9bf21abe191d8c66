//! A directory in memory. Whoever calls it may be interrupted by another process first.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use loom::sync::Mutex;
use reftable::{Bytes, Dir, DirFile, Stamp};

/// A deliberate fault of the file system, for controls: a model that passes with it proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// None.
    None,
    /// A rename is not atomic: for a moment the target has only the first two thirds of the new contents.
    TornRename,
}

/// What all processes see.
#[derive(Debug, Default)]
struct Files {
    names: BTreeMap<String, u64>,
    contents: BTreeMap<u64, Vec<u8>>,
    locked: BTreeMap<u64, u64>,
    next_inode: u64,
}

impl Files {
    fn inode(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn stamp(&self, inode: u64) -> Stamp {
        let size = self.contents.get(&inode).map_or(0, Vec::len);
        Stamp { device: 0, inode, size: size as u64, modified: 0 }
    }
}

/// One process's view of the directory.
#[derive(Debug)]
pub struct ModelDir {
    files: Arc<Mutex<Files>>,
    process: u64,
    calls: AtomicU64,
    flaw: Flaw,
}

impl ModelDir {
    /// A new directory with these files, seen by process 1.
    #[must_use]
    pub fn new(initial: &[(String, Vec<u8>)], flaw: Flaw) -> ModelDir {
        let mut files = Files::default();
        for (name, contents) in initial {
            files.next_inode += 1;
            files.names.insert(name.clone(), files.next_inode);
            files.contents.insert(files.next_inode, contents.clone());
        }
        ModelDir { files: Arc::new(Mutex::new(files)), process: 1, calls: AtomicU64::new(0), flaw }
    }

    /// The same directory, seen by another process.
    #[must_use]
    pub fn for_process(&self, process: u64) -> ModelDir {
        ModelDir { files: Arc::clone(&self.files), process, calls: AtomicU64::new(0), flaw: self.flaw }
    }

    /// Runs one primitive operation. Taking loom's mutex is what lets others run before it.
    fn step<T>(&self, operation: impl FnOnce(&mut Files) -> T) -> T {
        match self.files.lock() {
            Ok(mut files) => operation(&mut files),
            Err(poisoned) => operation(&mut poisoned.into_inner()),
        }
    }

    fn file(&self, inode: u64) -> Box<dyn DirFile> {
        Box::new(ModelFile { files: Arc::clone(&self.files), inode, process: self.process })
    }
}

impl Dir for ModelDir {
    fn path(&self) -> &Path {
        Path::new("model")
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.step(|files| files.inode(name)).map(|inode| self.file(inode))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        let inode = self.step(|files| {
            if files.names.contains_key(name) {
                return Err(io::Error::from(io::ErrorKind::AlreadyExists));
            }
            files.next_inode += 1;
            files.names.insert(name.to_owned(), files.next_inode);
            files.contents.insert(files.next_inode, Vec::new());
            Ok(files.next_inode)
        })?;
        Ok(self.file(inode))
    }

    fn stamp(&self, name: &str) -> io::Result<Stamp> {
        self.step(|files| files.inode(name).map(|inode| files.stamp(inode)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if self.flaw == Flaw::TornRename {
            self.step(|files| {
                let inode = files.inode(from)?;
                let whole = files.contents.get(&inode).cloned().unwrap_or_default();
                let most = whole.len() * 2 / 3;
                files.next_inode += 1;
                files.names.insert(to.to_owned(), files.next_inode);
                files.contents.insert(files.next_inode, whole.into_iter().take(most).collect());
                Ok::<(), io::Error>(())
            })?;
        }
        self.step(|files| {
            let inode = files.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            files.names.insert(to.to_owned(), inode);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.step(|files| files.names.remove(name).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into()))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.step(|files| files.names.keys().cloned().collect()))
    }

    fn sync(&self) -> io::Result<()> {
        // No power is lost here: nobody can tell whether it happened.
        Ok(())
    }

    fn sleep(&self, _time: Duration) {
        loom::thread::yield_now();
    }

    fn now(&self) -> Duration {
        // Time passes only by being asked for: 10 ms a look, so that every wait ends.
        Duration::from_millis(10 * self.calls.fetch_add(1, Ordering::Relaxed))
    }

    fn random(&self) -> u64 {
        self.process << 16 | self.calls.fetch_add(1, Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct ModelFile {
    files: Arc<Mutex<Files>>,
    inode: u64,
    process: u64,
}

impl ModelFile {
    fn step<T>(&self, operation: impl FnOnce(&mut Files) -> T) -> T {
        match self.files.lock() {
            Ok(mut files) => operation(&mut files),
            Err(poisoned) => operation(&mut poisoned.into_inner()),
        }
    }
}

impl DirFile for ModelFile {
    fn contents(&self) -> io::Result<Bytes> {
        Ok(self.step(|files| files.contents.get(&self.inode).cloned().unwrap_or_default()).into())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.step(|files| files.contents.entry(self.inode).or_default().extend_from_slice(bytes));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn stamp(&self) -> io::Result<Stamp> {
        Ok(self.step(|files| files.stamp(self.inode)))
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(self.step(|files| *files.locked.entry(self.inode).or_insert(self.process) == self.process))
    }
}

impl Drop for ModelFile {
    fn drop(&mut self) {
        // A model that failed is being torn down: its mutex may not be touched any more.
        if std::thread::panicking() {
            return;
        }
        self.step(|files| {
            if files.locked.get(&self.inode) == Some(&self.process) {
                files.locked.remove(&self.inode);
            }
        });
    }
}
