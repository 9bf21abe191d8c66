//! What all parts of a handle know: where the store is, and how it is to be used.

use std::sync::Arc;

use super::metrics::Counters;
use super::options::Options;
use crate::bytes::Reading;
use crate::dir::Dir;
use crate::error::{Error, ErrorKind, Result};
use crate::pool::ThreadBudget;
use crate::sync::OnceLock;

/// The directory of a handle, its options, and what it counts.
pub(crate) struct Env {
    pub(crate) dir: Arc<dyn Dir>,
    pub(crate) options: Options,
    pub(crate) counters: Counters,
    /// [`Dir::is_local`], asked once.
    is_local: OnceLock<bool>,
}

impl Env {
    pub(super) fn new(dir: Arc<dyn Dir>, options: Options) -> Env {
        Env { dir, options, counters: Counters::default(), is_local: OnceLock::new() }
    }

    /// [`Dir::is_local`], asked once.
    pub(crate) fn is_local(&self) -> bool {
        *self.is_local.get_or_init(|| self.dir.is_local())
    }

    /// How tables are read: elsewhere than on one kernel's own disk a mapping may change under us.
    pub(crate) fn reading(&self) -> Reading {
        if self.is_local() { self.options.reading } else { Reading::Copied }
    }

    /// Which threads may work on something large.
    pub(crate) fn budget(&self) -> ThreadBudget {
        ThreadBudget::counted(self.options.thread_count(), Arc::clone(&self.counters.helpers))
    }

    /// Makes the names in the directory durable.
    pub(crate) fn sync_dir(&self) -> Result<()> {
        sync_dir(&*self.dir)
    }

    pub(crate) fn io(&self, what: &'static str, name: &str, error: std::io::Error) -> Error {
        Error::io(what, &self.dir.path().join(name), error)
    }
}

/// Makes the names in the directory durable.
pub(crate) fn sync_dir(dir: &dyn Dir) -> Result<()> {
    dir.sync().map_err(|error| Error::io("cannot sync the directory", dir.path(), error))
}

/// Makes a list durable that is there for all to see.
pub(super) fn sync_published(dir: &dyn Dir) -> Result<()> {
    dir.sync().map_err(|error| {
        Error::io("the change is visible, but the directory could not be synced", dir.path(), error)
            .with_kind(ErrorKind::Indeterminate)
            .way_out("it may be lost if power fails now; commit something else to be sure")
    })
}
