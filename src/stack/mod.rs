//! The stack: many processes' shared view of one directory of tables.

mod durability_mark;
mod env;
mod metrics;
mod options;
mod publish;
mod publisher;
mod settings;
mod state;
mod synced;
mod write_lock;

pub(crate) use env::{Env, sync_dir};
pub use metrics::Metrics;
pub use options::{Durability, Options};
pub(crate) use publish::NewList;
pub(crate) use publisher::{Edit, PendingTable, PlacedTable};
#[cfg(loom)]
pub use write_lock::queue;
#[cfg(not(loom))]
pub(crate) use write_lock::queue;
pub(crate) use write_lock::{Admitted, ListLock, request};

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::dir::{Dir, OsDir};
#[cfg(not(loom))]
use crate::engine::AutoCompact;
use crate::error::Result;
use crate::lock::{BreakingLocks, Locker, RobustLocks};
use crate::snapshot::Snapshot;
use crate::sync::Mutex;
#[cfg(not(loom))]
use crate::worker::Worker;
use publisher::Publisher;
use state::{Cached, CachedState};
use write_lock::WriteLock;

/// A handle on a reference store. Cheap to clone, for use by any number of threads.
#[derive(Clone)]
pub struct Stack {
    pub(crate) shared: Arc<Shared>,
    /// The thread that compacts, if one was asked for.
    #[cfg(not(loom))]
    pub(crate) worker: Option<Arc<Worker>>,
}

/// What the clones of a handle share.
pub(crate) struct Shared {
    pub(crate) env: Arc<Env>,
    pub(crate) state: Arc<CachedState>,
    pub(crate) write_lock: WriteLock,
    pub(crate) publisher: Publisher,
    /// The locks that were given to the first handle.
    given_locker: Arc<dyn Locker>,
}

impl Stack {
    /// Opens the store in `dir`, the directory that has (or will have) `tables.list`.
    ///
    /// An existing directory without any table is an empty store. Reading needs no write
    /// permission.
    ///
    /// # Errors
    /// `Invalid` for options out of range; `Missing` when the directory is (at once), or when its
    /// list names a table that is not there, or the list is not there and tables are (after
    /// [`Options::reload_deadline`]); `Corrupt`; `Io`.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Stack> {
        let dir = OsDir::new(dir.as_ref(), options.permissions);
        let locks = RobustLocks::new(options.durability != Durability::Off);
        Self::open_in(Arc::new(dir), Box::new(locks), options)
    }

    /// Opens a store over any [`Dir`] and [`Locker`]: for checkers, and for hosts that bring their
    /// own.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_in(dir: Arc<dyn Dir>, locker: Box<dyn Locker>, options: Options) -> Result<Stack> {
        options.check()?;
        let stack = Self::of(Shared::new(dir, locker.into(), options, Arc::default()));
        stack.snapshot()?;
        Ok(stack)
    }

    /// The same store with other settings: for hosts that are told only when they write how to
    /// write. Shares the directory, the locks and what was read, so nothing is opened again.
    /// Transactions of the one handle and of the other are not committed together.
    ///
    /// The hash stays, and so do the mode bits of new files: those belong to the [`Dir`].
    ///
    /// # Errors
    /// `Invalid` for options out of range.
    pub fn with_options(&self, options: Options) -> Result<Stack> {
        options.check()?;
        let Shared { env, state, given_locker, .. } = &*self.shared;
        let options = Options { hash: env.options.hash, ..options };
        Ok(Self::of(Shared::new(Arc::clone(&env.dir), Arc::clone(given_locker), options, state.cache())))
    }

    fn of(shared: Shared) -> Stack {
        let stack = Stack::without_worker(Arc::new(shared));
        #[cfg(not(loom))]
        if stack.shared.env.options.background && stack.shared.env.options.auto_compact != AutoCompact::Off {
            let dir = Arc::clone(&stack.shared.env.dir);
            let worker = Worker::new("reftable-compact", move || dir.process_id());
            return Stack { worker: Some(Arc::new(worker)), ..stack };
        }
        stack
    }

    /// A handle that compacts at the end of its commits.
    pub(crate) fn without_worker(shared: Arc<Shared>) -> Stack {
        Stack {
            shared,
            #[cfg(not(loom))]
            worker: None,
        }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.shared.env.dir.path()
    }

    /// Whether the file system has a journal, or something as good: [`crate::Durability::Full`]
    /// needs it. `None` where that cannot be told. Asks the system.
    #[must_use]
    pub fn has_journal(&self) -> Option<bool> {
        self.shared.env.dir.has_journal()
    }

    /// What this handle and its clones have done so far.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.shared.env.counters.metrics()
    }

    /// The newest state. Costs one `stat` unless there was a commit since the last call. Waits
    /// for up to [`Options::reload_deadline`] if the list names what is not there.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.shared.state.snapshot()
    }
}

impl Shared {
    fn new(dir: Arc<dyn Dir>, given: Arc<dyn Locker>, options: Options, cache: Arc<Mutex<Option<Cached>>>) -> Shared {
        let mut locker = Arc::clone(&given);
        if options.break_abandoned_locks {
            dir.announce();
            locker = Arc::new(BreakingLocks::over(locker));
        }
        let env = Arc::new(Env::new(dir, options));
        let state = Arc::new(CachedState::new(Arc::clone(&env), cache));
        let write_lock = WriteLock::new(Arc::clone(&env), Arc::clone(&state), locker);
        let publisher = Publisher::new(Arc::clone(&env), Arc::clone(&state));
        Shared { env, state, write_lock, publisher, given_locker: given }
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("path", &self.path()).finish_non_exhaustive()
    }
}
