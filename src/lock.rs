//! Lock files: a name that only one process can create, with a kernel lock behind it.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::dir::{Dir, DirFile, Stamp};
use crate::error::{Error, ErrorKind, Result};

/// How a lock is taken. A host that brings its own lock files supplies another one.
pub trait Locker: Debug + Send + Sync {
    /// Takes the lock called `name` if it is free; `None` if somebody has it.
    ///
    /// # Errors
    /// `Io`.
    fn try_lock(&self, dir: &Arc<dyn Dir>, name: &str) -> Result<Option<Box<dyn Lock>>>;
}

/// A lock that is held. Dropping it releases it.
#[must_use]
pub trait Lock: Debug + Send {
    /// Whether the lock is still there and still ours: a person may have removed it.
    ///
    /// # Errors
    /// `Io`.
    fn is_ours(&self) -> Result<bool>;
}

/// Takes the lock called `name`, waiting up to `timeout`; `None` waits for ever, zero not at all.
///
/// Waiting is polling about once a millisecond, with jitter so that waiters do not march in step. A kernel
/// queue would be fairer, but it has no time-out, and git does not join it.
pub(crate) fn acquire(
    locker: &dyn Locker,
    dir: &Arc<dyn Dir>,
    name: &str,
    timeout: Option<Duration>,
) -> Result<Box<dyn Lock>> {
    let start = dir.now();
    loop {
        if let Some(lock) = locker.try_lock(dir, name)? {
            return Ok(lock);
        }
        let waited = dir.now().saturating_sub(start);
        if timeout.is_some_and(|timeout| waited >= timeout) {
            return Err(locked(dir, name, waited));
        }
        let step = Duration::from_micros(500 + dir.random() % 1000);
        let left = timeout.map_or(step, |timeout| timeout.saturating_sub(waited));
        dir.sleep(step.min(left));
    }
}

#[cold]
fn locked(dir: &Arc<dyn Dir>, name: &str, waited: Duration) -> Error {
    let message = format!("another process holds the lock; gave up after {} ms", waited.as_millis());
    Error::new(ErrorKind::Locked, message)
        .in_file(&dir.path().join(name))
        .way_out("try again; if the file stays and no process is writing, its owner died: remove the file")
}

/// Lock files as git makes them, created with `O_EXCL`, so that git's and ours exclude each other. The file is
/// also locked with the kernel for as long as its owner lives, which tells a live owner from a dead one.
#[derive(Debug, Default)]
pub struct ExclusiveFile;

impl Locker for ExclusiveFile {
    fn try_lock(&self, dir: &Arc<dyn Dir>, name: &str) -> Result<Option<Box<dyn Lock>>> {
        let failed = |error| Error::io("cannot create the lock file", &dir.path().join(name), error);
        match dir.create(name) {
            Ok(file) => {
                let stamp = file.stamp();
                // From here on dropping `held` removes the file.
                let held = Held { dir: Arc::clone(dir), name: name.to_owned(), stamp: stamp.ok(), file };
                held.file.try_lock().map_err(failed)?;
                Ok(Some(Box::new(held)))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

#[derive(Debug)]
struct Held {
    dir: Arc<dyn Dir>,
    name: String,
    /// Identity of the file, which is never written to; `None` if the system did not tell.
    stamp: Option<Stamp>,
    /// Keeps the kernel's lock.
    file: Box<dyn DirFile>,
}

impl Lock for Held {
    fn is_ours(&self) -> Result<bool> {
        match self.dir.stamp(&self.name) {
            Ok(there) => Ok(self.stamp.is_none_or(|ours| ours == there)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("cannot examine the lock file", &self.dir.path().join(&self.name), error)),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // If somebody removed our file and another has taken the lock since, theirs must stay.
        if self.is_ours().unwrap_or(true) {
            // A failure leaves the lock behind; the next one who meets it is told its name.
            let _ = self.dir.remove(&self.name);
        }
    }
}
