//! The stack: many processes' shared view of one directory of tables.

mod options;
mod publish;
mod reload;

pub use options::{AutoCompact, Durability, Options};
pub(crate) use publish::Edit;

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::dir::{Dir, OsDir};
use crate::error::{Error, Result};
use crate::list::LIST_LOCK;
use crate::lock::{HealingLocks, Lock, Locker, acquire};
use crate::mutant::{self, Mutant};
use crate::snapshot::Snapshot;
use crate::sync::Mutex;
use crate::transaction::Transaction;
use reload::Cached;

/// A handle on a reference store. Cheap to clone, for use by any number of threads.
#[derive(Clone)]
pub struct Stack {
    pub(crate) shared: Arc<Shared>,
}

/// What the clones of a handle share.
pub(crate) struct Shared {
    pub(crate) dir: Arc<dyn Dir>,
    pub(crate) locker: Box<dyn Locker>,
    pub(crate) options: Options,
    cache: Mutex<Option<Cached>>,
    /// Tables known to survive a loss of power, because this handle wrote or synced them.
    synced: Mutex<HashSet<String>>,
}

impl Stack {
    /// Opens the store in `dir`, the directory that has (or will have) `tables.list`.
    ///
    /// An existing directory without any table is an empty store. Reading needs no write permission.
    ///
    /// # Errors
    /// `Invalid` for options out of range; `Missing` when the directory is, or when its list names a table that is
    /// not there (after [`Options::reload_deadline`]); `Corrupt`; `Io`.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Stack> {
        let dir = OsDir::new(dir.as_ref(), options.permissions);
        let locks = HealingLocks::new(options.durability != Durability::Off);
        Self::open_in(Arc::new(dir), Box::new(locks), options)
    }

    /// Opens a store over any [`Dir`] and [`Locker`]: for checkers, and for hosts that bring their own.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_in(dir: Arc<dyn Dir>, locker: Box<dyn Locker>, options: Options) -> Result<Stack> {
        options.check()?;
        let shared = Shared { dir, locker, options, cache: Mutex::new(None), synced: Mutex::new(HashSet::new()) };
        let stack = Stack { shared: Arc::new(shared) };
        stack.snapshot()?;
        Ok(stack)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.shared.dir.path()
    }

    /// The newest state. Costs one `stat` unless somebody has committed since the last call.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.shared.snapshot()
    }

    /// A new transaction. No I/O and no lock before [`Transaction::prepare`] or [`Transaction::commit`].
    pub fn transaction(&self) -> Transaction {
        Transaction::new(self.clone())
    }
}

impl Shared {
    /// Takes the list lock and returns it with the state that it protects.
    pub(crate) fn lock_list(&self) -> Result<(Box<dyn Lock>, Snapshot)> {
        let before = if mutant::is_on(Mutant::SkipReread) { Some(self.snapshot()?) } else { None };
        let lock = acquire(&*self.locker, &self.dir, LIST_LOCK, self.options.lock_timeout)?;
        let snapshot = before.map_or_else(|| self.snapshot_under_lock(), Ok)?;
        Ok((lock, snapshot))
    }

    pub(crate) fn io(&self, what: &'static str, name: &str, error: std::io::Error) -> Error {
        Error::io(what, &self.dir.path().join(name), error)
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("path", &self.path()).finish_non_exhaustive()
    }
}
