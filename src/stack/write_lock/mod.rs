//! The list lock, and who commits for whom: the threads of a handle wait in a queue and commit in
//! groups, processes delegate their commits to the one that has the lock, and programs that poll
//! for it, such as git, are let go first.

mod delegate;
mod fairness;
#[cfg(loom)]
pub mod queue;
#[cfg(not(loom))]
#[expect(unreachable_pub, reason = "public for the models only")]
pub(crate) mod queue;
pub(crate) mod request;
mod windows;

pub(crate) use delegate::Admitted;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::env::Env;
use super::options::Durability;
use super::state::CachedState;
use crate::changeset::{Applied, Changeset};
use crate::error::{Error, Result};
use crate::garbage::{GarbageTable, Proof, UnlistedTables, remove_tables};
use crate::list::LIST_LOCK;
use crate::load;
use crate::lock::{Holder, Lock, Locker, Polled, locked};
use crate::mutant::{self, Mutant};
use crate::snapshot::Snapshot;
use delegate::Lookout;
use fairness::Fairness;
use queue::{Admission, Leadership, Queue};
use request::{ClaimedRequests, resolve};

/// The threads of one handle that want the list lock. The leader may commit the changesets of its
/// followers; the result of one is its update index.
pub(crate) type CommitQueue = Queue<Changeset, Result<Applied>>;

/// The list lock of a handle.
pub(crate) struct WriteLock {
    env: Arc<Env>,
    state: Arc<CachedState>,
    pub(crate) locker: Arc<dyn Locker>,
    pub(crate) queue: Arc<CommitQueue>,
    fairness: Arc<Fairness>,
    lookout: Lookout,
}

/// The list lock, and the leadership of its thread among those of this handle. Dropped in this
/// order.
#[derive(Debug)]
pub(crate) struct ListLock {
    /// What we commit for other processes under it.
    pub(crate) claimed: ClaimedRequests,
    lock: Box<dyn Lock>,
    /// When it was taken, by [`Dir::now`].
    since: Duration,
    /// Whether another process had it first.
    has_waited: bool,
    fairness: Arc<Fairness>,
    pub(crate) leadership: Leadership<Changeset, Result<Applied>>,
}

impl ListLock {
    /// It is about to be released.
    pub(crate) fn note_release(&self, now: Duration) {
        self.fairness.held(now.saturating_sub(self.since));
    }
}

impl AsRef<dyn Lock> for ListLock {
    fn as_ref(&self) -> &(dyn Lock + 'static) {
        &*self.lock
    }
}

impl WriteLock {
    pub(super) fn new(env: Arc<Env>, state: Arc<CachedState>, locker: Arc<dyn Locker>) -> WriteLock {
        WriteLock { env, state, locker, queue: Queue::new(), fairness: Arc::default(), lookout: Lookout::default() }
    }

    /// Takes the list lock and returns it with the state that it protects. Waits as
    /// [`Options::lock_timeout`] says.
    pub(crate) fn lock_list(&self) -> Result<(ListLock, Snapshot)> {
        self.lock_list_within(self.env.options.lock_timeout)
    }

    /// As [`Self::lock_list`], with another time-out.
    pub(crate) fn lock_list_within(&self, timeout: Option<Duration>) -> Result<(ListLock, Snapshot)> {
        let start = self.env.dir.now();
        match self.queue.enter(timeout) {
            Admission::Lead(leadership) => self.lock_list_as_leader(leadership, start, timeout),
            Admission::ThisThread => Err(self.list_is_locked(Holder::ThisThread, start)),
            Admission::TimedOut => Err(self.list_is_locked(Holder::Alive(self.env.dir.process_id()), start)),
        }
    }

    /// Takes the list lock for the thread that leads. The time counts from `start`.
    pub(crate) fn lock_list_as_leader(
        &self,
        leadership: Leadership<Changeset, Result<Applied>>,
        start: Duration,
        timeout: Option<Duration>,
    ) -> Result<(ListLock, Snapshot)> {
        let before = if mutant::is_on(Mutant::SkipReread) { Some(self.state.snapshot()?) } else { None };
        match self.wait_for_list(start, timeout, || Ok(None::<Infallible>))? {
            Polled::Taken(lock, polls) => self.locked_list(lock, polls, start, leadership, before),
            Polled::Instead(never) => match never {},
        }
    }

    /// The list lock that was just taken, with the state that it protects.
    fn locked_list(
        &self,
        lock: Box<dyn Lock>,
        polls: u32,
        start: Duration,
        leadership: Leadership<Changeset, Result<Applied>>,
        before: Option<Snapshot>,
    ) -> Result<(ListLock, Snapshot)> {
        let since = self.env.dir.now();
        if polls > 0 {
            self.env.counters.waited(since.saturating_sub(start));
        }
        let has_waited = polls > 0;
        let lock = ListLock {
            claimed: ClaimedRequests::default(),
            lock,
            since,
            has_waited,
            fairness: Arc::clone(&self.fairness),
            leadership,
        };
        let snapshot = before.map_or_else(|| self.state.snapshot_under_lock(), Ok)?;
        if lock.lock.was_taken_over() {
            resolve(&self.env.dir, &snapshot.table_names().collect::<Vec<_>>())?;
            if self.env.options.durability == Durability::Full {
                // What the dead owner has published is durable before anything is built upon it.
                self.env.sync_dir()?;
            }
        }
        if lock.lock.was_taken_over() || snapshot.tables().is_empty() {
            self.remove_proven(&snapshot);
        }
        Ok((lock, snapshot))
    }

    /// Removes tables that the dead owner has left, while that can be proven. What was made upon
    /// this list, and never listed: the next list proves nothing. And the inputs of a compaction
    /// whose output is listed: once git has merged that nothing tells of them. What cannot be
    /// removed stays.
    ///
    /// No crash may bring back a list that names them. One that names what was never listed there
    /// never was; for inputs the directory is synced, whatever we owe our own commits.
    fn remove_proven(&self, base: &Snapshot) {
        let listed = base.tables().iter().map(|table| table.name()).collect();
        let Ok(names) = load::names(&*self.env.dir) else { return };
        let is_input = |table: &GarbageTable| matches!(table.proof, Proof::Merged(_));
        let mut garbage = UnlistedTables::among(&*self.env.dir, names, &listed).garbage;
        if garbage.iter().any(is_input) {
            let is_synced = self.env.options.durability == Durability::Full || self.env.dir.sync().is_ok();
            if !is_synced || mutant::is_on(Mutant::LeaveMergedInputs) {
                garbage.retain(|table| !is_input(table));
            }
        }
        let _ = remove_tables(&*self.env.dir, &garbage);
    }

    /// The error for a list lock that was not to be had.
    pub(crate) fn list_is_locked(&self, holder: Holder, start: Duration) -> Error {
        locked(&self.env.dir, LIST_LOCK, holder, self.env.dir.now().saturating_sub(start))
    }
}
