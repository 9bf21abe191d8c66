//! The stack: many processes' shared view of one directory of tables.

mod courtesy;
mod fairness;
mod hand_over;
mod metrics;
mod options;
mod publish;
mod reload;
mod seal;
mod settings;
mod synced;

pub(crate) use hand_over::Admitted;
pub use metrics::Metrics;
pub use options::{Durability, Options};
pub(crate) use publish::{Edit, NewList, NewTable, Unlisted, sync_dir};

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::bytes::Reading;
use crate::changeset::{Applied, Changeset};
use crate::dir::{Dir, OsDir};
#[cfg(not(loom))]
use crate::engine::AutoCompact;
use crate::error::{Error, Result};
use crate::garbage::{Proof, UnlistedTables};
use crate::list::LIST_LOCK;
use crate::load;
use crate::lock::{BreakingLocks, HealingLocks, Holder, Lock, Locker, Polled, locked};
use crate::mutant::{self, Mutant};
use crate::pool::Crew;
use crate::queue::{Admission, Queue, Turn};
use crate::request::{Served, resolve};
use crate::snapshot::Snapshot;
use crate::sync::{Mutex, OnceLock};
#[cfg(not(loom))]
use crate::worker::Worker;
use courtesy::Courtesy;
use hand_over::Lookout;
use metrics::Counters;
use reload::Cached;
use synced::Synced;

/// The threads of one handle that want the list lock. Whoever is first may commit the changesets of
/// those behind; the result of one is its update index.
pub(crate) type Line = Queue<Changeset, Result<Applied>>;

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
    pub(crate) dir: Arc<dyn Dir>,
    pub(crate) locker: Arc<dyn Locker>,
    /// The locks that were given to the first handle.
    given_locker: Arc<dyn Locker>,
    pub(crate) options: Options,
    pub(crate) line: Arc<Line>,
    cache: Arc<Mutex<Option<Cached>>>,
    synced: Synced,
    courtesy: Courtesy,
    lookout: Lookout,
    /// [`Dir::is_local`], asked once.
    is_local: OnceLock<bool>,
    pub(crate) counters: Counters,
}

/// The list lock, and the turn of its thread among those of this handle. Dropped in this order.
#[derive(Debug)]
pub(crate) struct ListLock {
    /// What we do for other processes under it.
    pub(crate) served: Served,
    lock: Box<dyn Lock>,
    /// When it was taken, by [`Dir::now`].
    since: Duration,
    /// Whether somebody else had it first.
    has_waited: bool,
    pub(crate) turn: Turn<Changeset, Result<Applied>>,
}

impl AsRef<dyn Lock> for ListLock {
    fn as_ref(&self) -> &(dyn Lock + 'static) {
        &*self.lock
    }
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
        let locks = HealingLocks::new(options.durability != Durability::Off);
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

    /// The same store with other settings: for hosts that learn only when they write how to write.
    /// Shares the directory, the locks and what was read, so nothing is opened again. Transactions
    /// of the one handle and of the other are not committed together.
    ///
    /// The hash stays, and so do the mode bits of new files: those belong to the [`Dir`].
    ///
    /// # Errors
    /// `Invalid` for options out of range.
    pub fn with_options(&self, options: Options) -> Result<Stack> {
        options.check()?;
        let Shared { dir, given_locker, cache, .. } = &*self.shared;
        let options = Options { hash: self.shared.options.hash, ..options };
        Ok(Self::of(Shared::new(Arc::clone(dir), Arc::clone(given_locker), options, Arc::clone(cache))))
    }

    fn of(shared: Shared) -> Stack {
        let stack = Stack::without_worker(Arc::new(shared));
        #[cfg(not(loom))]
        if stack.shared.options.background && stack.shared.options.auto_compact != AutoCompact::Off {
            let dir = Arc::clone(&stack.shared.dir);
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
        self.shared.dir.path()
    }

    /// The newest state. Costs one `stat` unless somebody has committed since the last call. Waits
    /// for up to [`Options::reload_deadline`] if the list names what is not there.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.shared.snapshot()
    }
}

impl Shared {
    fn new(dir: Arc<dyn Dir>, given: Arc<dyn Locker>, options: Options, cache: Arc<Mutex<Option<Cached>>>) -> Shared {
        let mut locker = Arc::clone(&given);
        if options.break_abandoned_locks {
            dir.announce();
            locker = Arc::new(BreakingLocks::over(locker));
        }
        Shared {
            dir,
            locker,
            given_locker: given,
            options,
            line: Queue::new(),
            cache,
            synced: Synced::default(),
            courtesy: Courtesy::default(),
            lookout: Lookout::default(),
            is_local: OnceLock::new(),
            counters: Counters::default(),
        }
    }

    /// Takes the list lock and returns it with the state that it protects. Waits as
    /// [`Options::lock_timeout`] says.
    pub(crate) fn lock_list(&self) -> Result<(ListLock, Snapshot)> {
        self.lock_list_within(self.options.lock_timeout)
    }

    /// As [`Self::lock_list`], with another time-out.
    pub(crate) fn lock_list_within(&self, timeout: Option<Duration>) -> Result<(ListLock, Snapshot)> {
        let start = self.dir.now();
        match self.line.enter(timeout) {
            Admission::Turn(turn) => self.lock_list_in_turn(turn, start, timeout),
            Admission::ThisThread => Err(self.list_is_locked(Holder::ThisThread, start)),
            Admission::TimedOut => Err(self.list_is_locked(Holder::Alive(self.dir.process_id()), start)),
        }
    }

    /// Takes the list lock when it is this thread's turn. The time counts from `start`.
    pub(crate) fn lock_list_in_turn(
        &self,
        turn: Turn<Changeset, Result<Applied>>,
        start: Duration,
        timeout: Option<Duration>,
    ) -> Result<(ListLock, Snapshot)> {
        let before = if mutant::is_on(Mutant::SkipReread) { Some(self.snapshot()?) } else { None };
        match self.wait_for_list(start, timeout, || Ok(None::<Infallible>))? {
            Polled::Taken(lock, polls) => self.locked_list(lock, polls, start, turn, before),
            Polled::Instead(never) => match never {},
        }
    }

    /// The list lock that was just taken, with the state that it protects.
    fn locked_list(
        &self,
        lock: Box<dyn Lock>,
        polls: u32,
        start: Duration,
        turn: Turn<Changeset, Result<Applied>>,
        before: Option<Snapshot>,
    ) -> Result<(ListLock, Snapshot)> {
        let since = self.dir.now();
        if polls > 0 {
            self.counters.waited(since.saturating_sub(start));
        }
        let has_waited = polls > 0;
        let lock = ListLock { served: Served::default(), lock, since, has_waited, turn };
        let snapshot = before.map_or_else(|| self.snapshot_under_lock(), Ok)?;
        if lock.lock.is_inherited() {
            resolve(&self.dir, &snapshot.table_names().collect::<Vec<_>>())?;
            if self.options.durability == Durability::Full {
                // What the dead has published is durable before anything is built upon it.
                self.sync_dir()?;
            }
        }
        if lock.lock.is_inherited() || snapshot.tables().is_empty() {
            self.remove_what_was_not_listed(&snapshot);
        }
        Ok((lock, snapshot))
    }

    /// Removes what somebody made who died before it was listed, while the list is still the one
    /// upon which it was made: the next one proves nothing. It never was in a list, so no crash can
    /// bring back one that names it. What cannot be removed stays.
    fn remove_what_was_not_listed(&self, base: &Snapshot) {
        let listed = base.tables().iter().map(|table| table.name()).collect();
        let Ok(names) = load::names(&*self.dir) else { return };
        for (name, proof) in UnlistedTables::among(&*self.dir, names, &listed).garbage {
            if !matches!(proof, Proof::Merged(_)) {
                let _ = self.dir.remove(&name);
            }
        }
    }

    /// The error for a list lock that was not to be had.
    pub(crate) fn list_is_locked(&self, holder: Holder, start: Duration) -> Error {
        locked(&self.dir, LIST_LOCK, holder, self.dir.now().saturating_sub(start))
    }

    /// [`Dir::is_local`], asked once.
    pub(crate) fn is_local(&self) -> bool {
        *self.is_local.get_or_init(|| self.dir.is_local())
    }

    /// How tables are read: elsewhere than on one kernel's own disk a mapping may change under us.
    pub(crate) fn reading(&self) -> Reading {
        if self.is_local() { self.options.reading } else { Reading::Copied }
    }

    /// Who may work on something large.
    pub(crate) fn crew(&self) -> Crew {
        Crew::counted(self.options.thread_count(), Arc::clone(&self.counters.helpers))
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
