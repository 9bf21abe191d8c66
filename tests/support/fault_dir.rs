//! A directory whose calls fail when they are told to.

#[path = "over_dir.rs"]
pub(crate) mod over_dir;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use over_dir::{Hook, OverDir, Work};

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

/// A directory behind a [`Fuse`].
pub(crate) type FaultDir = OverDir<Fuse>;

impl FaultDir {
    pub(crate) fn new(path: &Path, fuse: &Arc<Fuse>) -> Arc<FaultDir> {
        FaultDir::over(path, Arc::clone(fuse))
    }
}

/// Loses the answer to the renaming of a list, and from then on to every look at the list.
pub(crate) struct LostAnswer {
    /// Whether the list is renamed all the same.
    happens: bool,
    is_lost: AtomicBool,
}

impl Hook for LostAnswer {
    fn around(&self, call: &'static str, name: &str, work: Work<'_>) -> io::Result<()> {
        let lost = Err(io::Error::from_raw_os_error(5));
        if call == "rename" && name.ends_with(".tmp") && !self.is_lost.swap(true, Ordering::SeqCst) {
            if self.happens {
                work()?;
            }
            return lost;
        }
        let is_a_look = name == "tables.list" && ["stamp", "target", "open"].contains(&call);
        if is_a_look && self.is_lost.load(Ordering::SeqCst) { lost } else { work() }
    }
}

impl OverDir<LostAnswer> {
    pub(crate) fn losing(path: &Path, happens: bool) -> Arc<OverDir<LostAnswer>> {
        Self::over(path, Arc::new(LostAnswer { happens, is_lost: AtomicBool::new(false) }))
    }
}
