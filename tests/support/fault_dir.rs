//! A directory whose calls fail when they are told to.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use super::over_dir::{Hook, OverDir, Work};

/// Counts calls down and fails the one at which the count reaches zero.
#[derive(Debug)]
pub(crate) struct Fuse {
    left: AtomicI64,
    error: i32,
    failed: Mutex<Option<&'static str>>,
}

impl Fuse {
    /// Fails call number `nth` (from 1) with this error number; never, for 0.
    pub(crate) fn new(nth: i64, error: i32) -> Arc<Fuse> {
        Arc::new(Fuse { left: AtomicI64::new(nth), error, failed: Mutex::new(None) })
    }

    /// The call that was made to fail.
    pub(crate) fn failed(&self) -> Option<&'static str> {
        *self.failed.lock().unwrap()
    }
}

impl Hook for Fuse {
    fn around(&self, call: &'static str, _name: &str, work: Work<'_>) -> io::Result<()> {
        if self.left.fetch_sub(1, Ordering::SeqCst) != 1 {
            return work();
        }
        *self.failed.lock().unwrap() = Some(call);
        Err(io::Error::from_raw_os_error(self.error))
    }
}

/// A directory whose calls go through a [`Fuse`].
pub(crate) type FaultDir = OverDir<Fuse>;

impl FaultDir {
    pub(crate) fn new(path: &Path, fuse: &Arc<Fuse>) -> Arc<FaultDir> {
        FaultDir::over(path, Arc::clone(fuse))
    }
}
