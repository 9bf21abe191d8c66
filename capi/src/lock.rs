//! The host's lock files.

use std::ffi::CStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use reftable::{Attempt, Dir, Holder, Lock, Locker, Stamp};

use crate::abi::reftable_flock;
use crate::dir::{HostDir, c_path};
use crate::error::LOCK;
use crate::host::Host;

/// The lock that whoever replaces the list must hold.
const LIST_LOCK: &str = "tables.list.lock";

/// Takes locks as the host does: so that its signal handlers remove them.
#[derive(Debug)]
pub(crate) struct HostLocks {
    host: Host,
    /// For the mode bits.
    dir: Arc<HostDir>,
}

impl HostLocks {
    pub(crate) fn new(host: Host, dir: Arc<HostDir>) -> HostLocks {
        HostLocks { host, dir }
    }

    /// What is left to do with a lock of the list: its mode bits, its identity.
    fn finish_list_lock(&self, held: &mut HeldLock) -> io::Result<()> {
        let path = held.path();
        self.dir.apply_mode(&path)?;
        held.stamp = fs::symlink_metadata(path).ok().map(|metadata| Stamp::of(&metadata));
        Ok(())
    }
}

impl Locker for HostLocks {
    fn try_lock(&self, dir: &Arc<dyn Dir>, name: &str) -> reftable::Result<Attempt> {
        let path = dir.path().join(name);
        let failed = |error| reftable::Error::io("cannot take the lock", &path, error);
        let target = c_path(&dir.path().join(name.strip_suffix(".lock").unwrap_or(name))).map_err(failed)?;
        let mut raw = reftable_flock { path: std::ptr::null(), fd: -1, private: std::ptr::null_mut() };
        // SAFETY: a zeroed lock and a string that ends.
        match unsafe { (self.host.flock_acquire)(&mut raw, target.as_ptr(), 0) } {
            0.. => {}
            LOCK => return Ok(Attempt::Busy(Holder::Foreign)),
            _ => return Err(failed(io::Error::last_os_error())),
        }
        let mut held = HeldLock { raw, host: self.host, stamp: None };
        if name == LIST_LOCK {
            self.finish_list_lock(&mut held).map_err(failed)?;
        } else {
            // A compaction locks any number of tables, but there are only so many descriptors.
            // SAFETY: a lock that the host has just taken.
            let _ = unsafe { (self.host.flock_close)(&mut held.raw) };
        }
        Ok(Attempt::Taken(Box::new(held)))
    }
}

/// A lock of the host, released when dropped.
struct HeldLock {
    raw: reftable_flock,
    host: Host,
    stamp: Option<Stamp>,
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
        let Some(ours) = self.stamp else { return Ok(true) };
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
    }
}

impl fmt::Debug for HeldLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldLock").field("path", &self.path()).finish_non_exhaustive()
    }
}
