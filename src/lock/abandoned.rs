//! Removing the lock of a program that leaves no sign of life, once it is shown that nobody has it.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use super::evidence::may_be_abandoned;
use super::{Attempt, Evidence, Holder, Locker, Queued};
use crate::dir::{Dir, DirFile, FileStat};
use crate::error::{self, Error, Result};
use crate::list::LIST_LOCK;
use crate::sync::Mutex;

/// How often a waiter looks for evidence: all processes of the machine have to be looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Removes a lock on evidence that still holds, and nothing but the file that was judged.
///
/// 1. R judges the lock L, and so does another process, S.
/// 2. S removes L, and git takes a new lock of that name.
/// 3. R would remove git's. So a process that removes L has it locked with the kernel, and looks at
///    the name after that: S was done before, and the name stands for another file; or it has yet
///    to come, and finds the name gone.
///
/// # Errors
/// `Invalid` when the lock is another one now, or the evidence does not suffice; `Locked` when
/// another process is about to remove it; `Io`.
pub(crate) fn break_lock(dir: &Arc<dyn Dir>, evidence: &Evidence) -> Result<()> {
    let name = &evidence.lock;
    let path = dir.path().join(name);
    let changed = || Error::invalid("the lock is not there any more, or is another one").in_file(&path);
    let now = Evidence::of(dir, name).filter(|now| now == evidence).ok_or_else(changed)?;
    if !now.is_sufficient() {
        return Err(Error::invalid(now.to_string()).way_out("find its owner, or wait"));
    }
    let _guard = lock_for_removal(dir, &now)?;
    let is_judged = |there: FileStat| (there, there.changed) == (now.stat, now.stat.changed);
    if !dir.stat(name).is_ok_and(is_judged) {
        return Err(changed());
    }
    match dir.remove(name) {
        Err(error) if error.kind() == ErrorKind::IsADirectory => dir.remove_empty_dir(name),
        removed => removed,
    }
    .map_err(|error| Error::io("cannot remove the lock", &path, error))?;
    dir.sync().map_err(|error| Error::io("cannot sync the directory", dir.path(), error))
}

/// Takes the kernel lock on what is about to be removed, if it is a file.
fn lock_for_removal(dir: &Arc<dyn Dir>, lock: &Evidence) -> Result<Option<Box<dyn DirFile>>> {
    if !lock.stat.is_file {
        return Ok(None);
    }
    let path = dir.path().join(&lock.lock);
    let file = dir.open(&lock.lock).map_err(|error| Error::io("cannot open the lock", &path, error))?;
    match file.try_lock().map_err(|error| Error::io("cannot lock the lock", &path, error))? {
        true => Ok(Some(file)),
        false => Err(Error::new(error::ErrorKind::Locked, "a living process has the lock").in_file(&path)),
    }
}

/// Locks that break the list lock of others when it is abandoned.
///
/// Not the locks of tables: those block no commit, and are closed while they are held.
#[derive(Debug)]
pub(crate) struct BreakingLocks {
    locks: Arc<dyn Locker>,
    /// When evidence was looked for last, by [`Dir::now`].
    looked: Mutex<Option<Duration>>,
}

impl BreakingLocks {
    pub(crate) fn over(locks: Arc<dyn Locker>) -> BreakingLocks {
        BreakingLocks { locks, looked: Mutex::new(None) }
    }

    /// Whether it is time to look again.
    fn is_due(&self, now: Duration) -> bool {
        let mut looked = self.looked.lock();
        let is_due = looked.is_none_or(|last| now.saturating_sub(last) >= LOOK_EVERY);
        if is_due {
            *looked = Some(now);
        }
        is_due
    }

    /// Breaks the lock if the evidence suffices. What cannot be broken stays: waiters are told of
    /// it as ever.
    fn breaks(&self, dir: &Arc<dyn Dir>, name: &str) -> bool {
        // Where locks are plain files, it may be one of this library's.
        name == LIST_LOCK
            && self.locks.is_robust()
            && self.is_due(dir.now())
            && may_be_abandoned(dir, name)
            && Evidence::of(dir, name).is_some_and(|found| found.is_sufficient() && break_lock(dir, &found).is_ok())
    }
}

impl Locker for BreakingLocks {
    fn try_lock(&self, dir: &Arc<dyn Dir>, name: &str) -> Result<Attempt> {
        match self.locks.try_lock(dir, name)? {
            Attempt::Busy(Holder::Foreign) if self.breaks(dir, name) => self.locks.try_lock(dir, name),
            attempt => Ok(attempt),
        }
    }

    fn is_robust(&self) -> bool {
        self.locks.is_robust()
    }

    fn is_worth_waiting_for(&self, holder: Holder) -> bool {
        self.locks.is_worth_waiting_for(holder)
    }

    fn enqueue(&self, dir: &Arc<dyn Dir>, name: &str) -> Option<Box<dyn Queued>> {
        self.locks.enqueue(dir, name)
    }
}
