//! A directory that lets others work at chosen moments.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::over_dir::{self, Hook, OverDir};
use reftable::lock::ExclusiveFile;
use reftable::{Options, Stack};

type Work = Box<dyn Fn() + Send + Sync>;
type Fits = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Some work that is done once, directly after, or before, a file is created whose name fits.
pub(crate) struct Once {
    fits: Fits,
    work: Work,
    is_before: bool,
    /// Whether the moment has come.
    has_come: AtomicBool,
}

impl Once {
    fn at(fits: impl Fn(&str) -> bool + Send + Sync + 'static, work: impl Fn() + Send + Sync + 'static) -> Once {
        let (fits, work) = (Box::new(fits), Box::new(work));
        Once { fits, work, is_before: false, has_come: AtomicBool::new(false) }
    }
}

impl Hook for Once {
    fn around(&self, call: &'static str, name: &str, work: over_dir::Work<'_>) -> io::Result<()> {
        if call != "create" || !(self.fits)(name) || self.has_come.swap(true, Ordering::SeqCst) {
            return work();
        }
        if self.is_before {
            (self.work)();
        }
        work()?;
        if !self.is_before {
            (self.work)();
        }
        Ok(())
    }
}

/// A directory where some work is done [`Once`].
pub(crate) type HookDir = OverDir<Once>;

impl HookDir {
    pub(crate) fn new(path: &Path, fits: fn(&str) -> bool, work: impl Fn() + Send + Sync + 'static) -> Arc<HookDir> {
        HookDir::over(path, Arc::new(Once::at(fits, work)))
    }

    /// The work is done when the merged table is written and synced, but not listed: before the
    /// compaction takes the list lock again.
    pub(crate) fn before_listing(path: &Path, work: impl Fn() + Send + Sync + 'static) -> Arc<HookDir> {
        let is_written = AtomicBool::new(false);
        let fits = move |name: &str| {
            is_written.fetch_or(is_temporary(name), Ordering::SeqCst);
            name == "tables.list.lock" && is_written.load(Ordering::SeqCst)
        };
        HookDir::over(path, Arc::new(Once { is_before: true, ..Once::at(fits, work) }))
    }

    /// Whether the moment has come.
    pub(crate) fn is_done(&self) -> bool {
        self.hook.has_come.load(Ordering::SeqCst)
    }

    pub(crate) fn stack(self: &Arc<Self>, options: Options) -> Stack {
        let dir: Arc<HookDir> = Arc::clone(self);
        Stack::open_in(dir, Box::new(ExclusiveFile), options).unwrap()
    }
}

/// What a compaction writes into, after it has let go of the list lock.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with("reftable-") && name.ends_with(".tmp")
}
