//! List locks that become the list, for hosts: each is a file of its own that is ready before it
//! gets the name of the lock, locked with the kernel and marked. So there is no moment in which a
//! kill leaves a lock that cannot be judged, and one rename publishes and releases.
//!
//! 1. Make a file without a name, lock it, leave the marker on it. A process that dies here leaves
//!    nothing.
//! 2. Link it to the name of the lock, which fails if anything has that name. A waiter does only
//!    this again, with the same file.
//! 3. Write the list into it, look whether the name is still ours, rename it. The file stays open
//!    until that has returned: closed before, its living owner would look dead for a moment. One
//!    that dies between 2 and 3 leaves a lock that others take over, as they do an owner file's;
//!    they publish a list of their own. `docs/protocol.md` has the rest.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use super::exclusive::is_file;
use super::marker::Marker;
use super::self_test::is_about_room;
use super::{Attempt, Lock, RobustLocks};
use crate::bytes::{Bytes, Reading};
use crate::dir::{Dir, DirFile, FileStat};
use crate::error::{Error, Result};
use crate::list::LIST_LOCK;
use crate::mutant::{self, Mutant};
use crate::sync::Mutex;

/// How files without a name are made and become the list lock.
pub trait ReadyFiles: Debug + Send + Sync {
    /// An open file. Clones are the same one, which is closed with the last of them.
    type File: DirFile + Clone + 'static;

    /// A file without a name; `None` where there are none.
    ///
    /// # Errors
    /// What the system says; so for the calls below.
    fn create(&self) -> io::Result<Option<Self::File>>;

    /// Whether a file that was made earlier is such as one made now. By default it is.
    fn is_current(&self, _file: &Self::File) -> bool {
        true
    }

    /// Takes the kernel's lock on it.
    ///
    /// # Errors
    /// See above; being refused is `Ok(false)`.
    fn lock(&self, file: &Self::File) -> io::Result<bool>;

    /// Gives it the name of the list lock.
    ///
    /// # Errors
    /// See above: `AlreadyExists` if anything has the name.
    fn link(&self, file: &Self::File) -> io::Result<()>;

    /// Removes that name if `is_ours`, unless the file was renamed.
    fn unlink(&self, is_ours: impl FnOnce() -> bool)
    where
        Self: Sized;
}

/// The list locks of a host's process.
#[derive(Debug)]
pub struct ReadyLocks<F: ReadyFiles> {
    files: Arc<F>,
    /// To take over from dead owners.
    robust: Arc<RobustLocks>,
    /// A file that is ready, of a waiting thread.
    ready: Mutex<Option<ReadyFile<F::File>>>,
}

#[derive(Debug)]
struct ReadyFile<T> {
    file: T,
    stat: FileStat,
    /// A child shares the kernel's lock with its parent.
    process: u32,
}

impl<F: ReadyFiles + 'static> ReadyLocks<F> {
    /// Locks for one handle.
    #[must_use]
    pub fn new(files: Arc<F>, robust: Arc<RobustLocks>) -> ReadyLocks<F> {
        ReadyLocks { files, robust, ready: Mutex::new(None) }
    }

    /// Tries to take the list lock; `None` where files cannot be made ready.
    ///
    /// # Errors
    /// `Io`.
    pub fn try_list_lock(&self, dir: &Arc<dyn Dir>) -> Result<Option<Attempt>> {
        if let Some(holder) = self.robust.known_holder(dir, LIST_LOCK) {
            return Ok(Some(Attempt::Busy(holder)));
        }
        let Some(ready) = self.ready_file(dir) else { return Ok(None) };
        match self.files.link(&ready.file) {
            Ok(()) => {
                let ReadyFile { file, stat, process } = ready;
                let (files, dir) = (Arc::clone(&self.files), Arc::clone(dir));
                Ok(Some(Attempt::Taken(Box::new(ReadyLock { files, dir, file, stat, process }))))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                *self.ready.lock() = Some(ready);
                self.robust.take_over(dir, LIST_LOCK).map(Some)
            }
            Err(error) if is_about_room(&error) || is_about_descriptors(&error) => {
                Err(Error::io("cannot create the lock", &dir.path().join(LIST_LOCK), error))
            }
            Err(_) => Ok(None),
        }
    }

    fn ready_file(&self, dir: &Arc<dyn Dir>) -> Option<ReadyFile<F::File>> {
        let process = dir.process_id();
        let kept = self.ready.lock().take();
        if let Some(ready) = kept.filter(|ready| ready.process == process && self.files.is_current(&ready.file)) {
            return Some(ready);
        }
        let file = self.files.create().ok()??;
        let stat = file.stat().ok()?;
        let is_locked = mutant::is_on(Mutant::LinkUnlocked) || self.files.lock(&file).unwrap_or(false);
        let is_ready = is_locked && RobustLocks::mark(dir, &file, &stat).is_ok();
        is_ready.then_some(ReadyFile { file, stat, process })
    }
}

/// EMFILE and ENFILE: another attempt may succeed.
fn is_about_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

/// The list lock as a file of this library.
#[derive(Debug)]
struct ReadyLock<F: ReadyFiles> {
    files: Arc<F>,
    dir: Arc<dyn Dir>,
    /// Open, and so locked with the kernel, until the name is gone.
    file: F::File,
    stat: FileStat,
    process: u32,
}

impl<F: ReadyFiles> Lock for ReadyLock<F> {
    fn is_ours(&self) -> Result<bool> {
        is_file(&self.dir, LIST_LOCK, Some(&self.stat))
    }

    fn file(&self) -> Option<Box<dyn DirFile>> {
        Some(Box::new(Marked(self.file.clone())))
    }
}

impl<F: ReadyFiles> Drop for ReadyLock<F> {
    fn drop(&mut self) {
        // A child that was forked while we held the lock must not release it.
        if self.process == self.dir.process_id() {
            let ours = || self.is_ours().unwrap_or(true);
            self.files.unlink(ours);
        }
    }
}

/// A file whose attribute is the marker of a lock, which must stay: it takes no attribute without
/// that.
#[derive(Debug)]
struct Marked<T>(T);

impl<T: DirFile> DirFile for Marked<T> {
    fn contents(&self) -> io::Result<Bytes> {
        self.0.contents()
    }

    fn contents_by(&self, reading: Reading) -> io::Result<Bytes> {
        self.0.contents_by(reading)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write_out(&self, waits: bool) -> io::Result<()> {
        self.0.write_out(waits)
    }

    fn stat(&self) -> io::Result<FileStat> {
        self.0.stat()
    }

    fn owner(&self) -> io::Result<Option<u32>> {
        self.0.owner()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.0.try_lock()
    }

    fn set_attribute(&self, attribute: &[u8]) -> io::Result<()> {
        let (marker, marked) = (Marker::of_attribute(attribute), self.0.attribute()?);
        if marker.is_none() || marker != marked.as_deref().and_then(Marker::of_attribute) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.0.set_attribute(attribute)
    }

    fn attribute(&self) -> io::Result<Option<Vec<u8>>> {
        self.0.attribute()
    }
}
