//! Locks inside a host's process: robust ones where the system can tell which owner is dead, the
//! host's own elsewhere. A robust lock is a file of this library that is ready before it gets the
//! name of the lock, and becomes the list ([`ReadyLocks`]). `docs/protocol.md` has the mechanism,
//! and what else was tried.

use std::ffi::{CStr, c_int};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reftable::dir::{Dir, FileStat};
use reftable::lock::{Attempt, Holder, Lock, Locker, Queued, ReadyLocks, RobustLocks};

use crate::abi::reftable_flock;
use crate::ancestors::waits_for_us;
use crate::dir::{HostDir, c_path};
use crate::error::LOCK;
use crate::host::Host;
use crate::own_file::OwnFile;
use crate::wait_queue::Place;

/// The lock that the list is replaced under.
pub(crate) const LIST_LOCK: &str = "tables.list.lock";

/// How the locks of a stack are taken in a host's process.
#[derive(Debug)]
pub(crate) struct HostLocks {
    host: Host,
    dir: Arc<HostDir>,
    /// For locks of tables, which are many; and to take over from dead owners.
    robust: Arc<RobustLocks>,
    /// For the list lock.
    ready: ReadyLocks<HostDir>,
    /// Files cannot be marked here.
    is_plain: AtomicBool,
}

impl HostLocks {
    pub(crate) fn new(host: Host, dir: Arc<HostDir>) -> HostLocks {
        let robust = RobustLocks::new(true);
        let ready = ReadyLocks::new(Arc::clone(&dir), Arc::clone(&robust));
        HostLocks { host, dir, robust, ready, is_plain: AtomicBool::new(false) }
    }

    /// The list lock, as a file of this library. `None` where that cannot be had.
    fn try_ready(&self, dir: &Arc<dyn Dir>) -> reftable::Result<Option<Attempt>> {
        let attempt = self.ready.try_list_lock(dir)?;
        if attempt.is_none() && self.dir.makes_own_files() {
            self.is_plain.store(true, Ordering::Relaxed);
        }
        Ok(attempt)
    }

    /// A lock as the host makes it.
    fn try_host(&self, dir: &Arc<dyn Dir>, name: &str) -> reftable::Result<Attempt> {
        let path = dir.path().join(name);
        let failed = |error| reftable::Error::io("cannot take the lock", &path, error);
        let target = c_path(&dir.path().join(name.strip_suffix(".lock").unwrap_or(name))).map_err(failed)?;
        let mut raw = reftable_flock { path: std::ptr::null(), fd: -1, private: std::ptr::null_mut() };
        // SAFETY: a zeroed lock and a string that ends.
        match unsafe { (self.host.flock_acquire)(&mut raw, target.as_ptr(), 0) } {
            0.. => {}
            LOCK => return self.robust.take_over(dir, name),
            _ => return Err(failed(io::Error::last_os_error())),
        }
        let mut held = HeldLock { raw, host: self.host, stat: None, mark: None };
        if name == LIST_LOCK {
            held.mark = self.mark(dir, held.raw.fd);
            self.finish_list_lock(&mut held).map_err(failed)?;
        } else {
            // A compaction locks any number of tables, but there are only so many descriptors.
            // SAFETY: a lock that the host has just taken.
            let _ = unsafe { (self.host.flock_close)(&mut held.raw) };
        }
        Ok(Attempt::Taken(Box::new(held)))
    }

    /// Marks a list lock that the host has made, and locks it with the kernel, where files cannot
    /// be without a name. Late, so a kill may leave one without a mark, which is as good as any of
    /// the host's.
    fn mark(&self, dir: &Arc<dyn Dir>, fd: c_int) -> Option<OwnFile> {
        if !self.dir.can_judge_locks() || self.is_plain.load(Ordering::Relaxed) {
            return None;
        }
        // The host closes its own before it removes the name, and for that time we would look dead.
        let copy = OwnFile::copy_of(fd, self.host).ok()?;
        let is_marked = copy.lock().unwrap_or(false) && RobustLocks::mark(dir, &copy, copy.made()).is_ok();
        if !is_marked {
            self.is_plain.store(true, Ordering::Relaxed);
        }
        is_marked.then_some(copy)
    }

    /// What is left to do with a lock of the list: its mode bits, its identity.
    fn finish_list_lock(&self, held: &mut HeldLock) -> io::Result<()> {
        let path = held.path();
        self.dir.apply_mode(&path)?;
        held.stat = fs::symlink_metadata(path).ok().map(|metadata| FileStat::of(&metadata));
        Ok(())
    }
}

impl Locker for HostLocks {
    fn try_lock(&self, dir: &Arc<dyn Dir>, name: &str) -> reftable::Result<Attempt> {
        if !self.is_robust() {
            return self.try_host(dir, name);
        }
        if name != LIST_LOCK {
            return self.robust.try_lock(dir, name);
        }
        match self.try_ready(dir)? {
            Some(attempt) => Ok(attempt),
            None => self.try_host(dir, name),
        }
    }

    fn is_robust(&self) -> bool {
        self.dir.makes_own_files() && !self.is_plain.load(Ordering::Relaxed)
    }

    /// Not for processes that wait for us: a hook that updates references runs under its parent's
    /// lock. Another thread of this process does not.
    fn is_worth_waiting_for(&self, holder: Holder) -> bool {
        match holder {
            Holder::Alive(process) => !waits_for_us(process, &self.dir.path().join(LIST_LOCK)),
            // The kernel has it held all the same: by one that dies and has not let go yet, or in
            // another container.
            Holder::Orphaned(_) => true,
            // It changes hands: others were quicker.
            Holder::Gone => true,
            _ => false,
        }
    }

    fn enqueue(&self, dir: &Arc<dyn Dir>, name: &str) -> Option<Box<dyn Queued>> {
        if name != LIST_LOCK || !self.is_robust() {
            return None;
        }
        Some(Box::new(Place::last(dir.path()).ok()?))
    }
}

/// A lock of the host, released when dropped.
struct HeldLock {
    raw: reftable_flock,
    host: Host,
    stat: Option<FileStat>,
    /// What keeps the kernel's lock until the name is gone.
    mark: Option<OwnFile>,
}

// SAFETY: the pointers are the host's, and only handed back to it, by whichever thread has the
// stack at that time.
unsafe impl Send for HeldLock {}

impl HeldLock {
    fn path(&self) -> PathBuf {
        if self.raw.path.is_null() {
            return PathBuf::new();
        }
        // SAFETY: the host keeps the string as long as the lock.
        PathBuf::from(std::ffi::OsStr::from_bytes(unsafe { CStr::from_ptr(self.raw.path) }.to_bytes()))
    }
}

impl Lock for HeldLock {
    fn is_ours(&self) -> reftable::Result<bool> {
        let Some(ours) = self.stat else { return Ok(true) };
        match fs::symlink_metadata(self.path()) {
            Ok(there) => Ok((there.dev(), there.ino()) == (ours.device, ours.inode)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(reftable::Error::io("cannot examine the lock file", &self.path(), error)),
        }
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        // SAFETY: a lock that the host has taken and not released. What it cannot remove stays for
        // people to see.
        let _ = unsafe { (self.host.flock_release)(&mut self.raw) };
        drop(self.mark.take());
    }
}

impl fmt::Debug for HeldLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldLock").field("path", &self.path()).finish_non_exhaustive()
    }
}
