//! Leaving room for programs that poll for the list lock and cannot be seen waiting: git gives up
//! after 100 ms. A crowd of this library's processes that pass the lock on in microseconds would
//! starve them. So when a table that is not ours has appeared within the last second, or a lock
//! that is not ours was met, no process of this library takes the lock before it was seen free for
//! about as long as a commit holds it. None needs to know who else waits, and clocks of processes
//! are never compared:
//!
//! 1. The newest table is not ours: its writer has had the lock, go on.
//! 2. The lock is taken: if its owner is dead, take it over, for git cannot. If not, wait, as
//!    usual.
//! 3. The lock is free: note the list, sleep for the back-off, and look again. If the lock was
//!    taken or the list replaced meanwhile, start over. If not, it was free for the whole back-off
//!    to every program that polls.
//!
//! A crowd may replace the list all the time, so this has an end: [`MOST_DELAY`].
//!
//! All that helps a program only once it was seen. So while processes of this library keep meeting
//! each other they back off together now and then, see [`super::windows`]. A process that finds the
//! lock taken in such a window still looks whether its owner lives.

use std::mem;
use std::time::Duration;

use super::WriteLock;
use super::windows::{Contention, rest_of_window};
use crate::error::Result;
use crate::list::{LIST, LIST_LOCK, TableName};
use crate::lock::{Attempt, Holder, Patience, Polled, poll};
use crate::mutant::{self, Mutant};
use crate::snapshot::Snapshot;
use crate::stack::state::RECENT;
use crate::sync::Mutex;

/// For how long a foreign table, or lock, makes us back off.
const MEMORY: Duration = RECENT;

/// For how long a crowd keeps leaving windows to programs that wrote a foreign table, or had a
/// foreign lock, and may come again.
const ACQUAINTANCE: Duration = Duration::from_secs(3600);

/// A back-off is not shorter than this: git's polls are milliseconds apart.
const SHORTEST_BACK_OFF: Duration = Duration::from_micros(500);

/// A back-off is not longer than this, however long a caller was between prepare and commit. git's
/// polls are up to 25 ms apart towards the end of its time-out: a shorter limit starves it where
/// syncs are slow.
const LONGEST_BACK_OFF: Duration = Duration::from_millis(30);

/// One taking of the lock is not delayed by more than this, and the back-off that has begun. git
/// gives up after 100 ms: to leave it the lock for three times as long is enough.
const MOST_DELAY: Duration = Duration::from_millis(300);

/// What there is to know about neighbours.
#[derive(Debug, Default)]
pub(super) struct Fairness {
    state: Mutex<Meetings>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Meetings {
    /// When a foreign lock was met last, by [`crate::dir::Dir::now`].
    foreign: Option<Duration>,
    /// How long we usually hold the lock.
    held: Duration,
    /// When another process of this library was met last, which held the lock or asked us to
    /// commit.
    ours: Option<Duration>,
    /// Whether that was since we took the lock last.
    met: bool,
    contention: Contention,
}

impl Fairness {
    /// Others were met holding the lock.
    fn saw_foreign(&self, now: Duration) {
        self.state.lock().foreign = Some(now);
    }

    /// The lock was held for so long.
    pub(super) fn held(&self, time: Duration) {
        let mut state = self.state.lock();
        // One part in eight is new.
        state.held = (state.held * 7 + time.min(LONGEST_BACK_OFF)) / 8;
    }

    /// Another process of this library holds the lock, or asks us to commit for it.
    pub(super) fn saw_ours(&self, now: Duration) {
        let mut state = self.state.lock();
        state.ours = Some(now);
        state.met = true;
    }

    /// A wait for the lock has ended.
    fn waited(&self) {
        let mut state = self.state.lock();
        state.contention = state.contention.after(mem::take(&mut state.met));
    }

    /// How long a crowd leaves the lock free, at `now` by [`crate::dir::Dir::now`] and by
    /// `wall_clock`; `None` without a crowd, and outside of windows. A table of neighbours was seen
    /// last at `table_seen`.
    fn window(
        &self,
        now: Duration,
        table_seen: Option<Duration>,
        wall_clock: impl FnOnce() -> Option<u128>,
    ) -> Option<Duration> {
        let state = *self.state.lock();
        let is_recent = |seen: Option<Duration>, time| seen.is_some_and(|seen| now.saturating_sub(seen) <= time);
        if !is_recent(state.ours, MEMORY) || mutant::is_on(Mutant::CrowdsLeaveNoWindows) {
            return None;
        }
        let contention = if state.met { state.contention.after(true) } else { state.contention };
        let knows_polling_writers = is_recent(state.foreign.max(table_seen), ACQUAINTANCE);
        contention.is_crowd().then(|| rest_of_window(wall_clock()?, state.held, knows_polling_writers))?
    }

    /// How long the lock should be left free; `None` without neighbours. A table of theirs was seen
    /// last at `table_seen`.
    fn back_off_time(&self, now: Duration, table_seen: Option<Duration>) -> Option<Duration> {
        let state = *self.state.lock();
        let seen = state.foreign.max(table_seen)?;
        (now.saturating_sub(seen) <= MEMORY).then(|| state.held.clamp(SHORTEST_BACK_OFF, LONGEST_BACK_OFF))
    }
}

impl WriteLock {
    /// Waits for the list lock, or for what makes it needless, and lets neighbours go first.
    pub(super) fn wait_for_list<T>(
        &self,
        start: Duration,
        timeout: Option<Duration>,
        mut otherwise: impl FnMut() -> Result<Option<T>>,
    ) -> Result<Polled<T>> {
        let polled = match self.back_off(start, timeout, &mut otherwise)? {
            Some(polled) => Ok(polled),
            None => self.poll_list(start, timeout, otherwise),
        };
        self.fairness.waited();
        polled
    }

    /// Polls for the list lock, or for what makes it needless. In a crowd only outside of windows.
    pub(super) fn poll_list<T>(
        &self,
        start: Duration,
        timeout: Option<Duration>,
        mut otherwise: impl FnMut() -> Result<Option<T>>,
    ) -> Result<Polled<T>> {
        let patience = Patience::of(timeout).while_moving(self.env.options.wait_while_moving);
        let mut begin = None;
        let backs_off = || self.is_to_back_off(&mut begin, start, timeout);
        poll(&*self.locker, &self.env.dir, LIST_LOCK, start, patience, backs_off, |holder| {
            self.notice_holder(holder);
            otherwise()
        })
    }

    /// Whether the lock is free, and is to stay so for now. A caller that wants it since `start`
    /// did so first at `begin`, and has an end of patience as in [`Self::back_off`]: a wall clock
    /// may stand still.
    fn is_to_back_off(&self, begin: &mut Option<Duration>, start: Duration, timeout: Option<Duration>) -> bool {
        if !self.env.options.fairness {
            return false;
        }
        let now = self.env.dir.now();
        let Some(window) = self.window(now, || self.env.dir.wall_clock()) else { return false };
        let end = end_of_patience(start, begin.unwrap_or(now), timeout);
        let is_free = || self.env.dir.stat(LIST_LOCK).is_err() || mutant::is_on(Mutant::LeaveWindowToDeadOwners);
        let backs_off = now.saturating_add(window) <= end && is_free();
        if backs_off && begin.replace(begin.unwrap_or(now)).is_none() {
            self.env.counters.back_offs.add(1);
        }
        backs_off
    }

    /// Waits until the lock was free for a while, if there are neighbours; but not longer than
    /// [`MOST_DELAY`] and four fifths of the time-out, which counts from `start`. Asks `otherwise`
    /// before each back-off whether the lock is needed at all. `None`: it is needed, and is to be
    /// polled for now.
    fn back_off<T>(
        &self,
        start: Duration,
        timeout: Option<Duration>,
        mut otherwise: impl FnMut() -> Result<Option<T>>,
    ) -> Result<Option<Polled<T>>> {
        let begin = self.env.dir.now();
        if !self.env.options.fairness || self.back_off_time(begin).is_none() {
            return Ok(None);
        }
        self.env.counters.back_offs.add(1);
        let end = end_of_patience(start, begin, timeout);
        let mut polls = 0u32;
        while self.env.dir.now() < end
            && let Some(time) = self.back_off_time(self.env.dir.now())
        {
            let snapshot = self.state.snapshot()?;
            if newest_is_foreign(&snapshot) {
                break;
            }
            if let Some(instead) = otherwise()? {
                return Ok(Some(Polled::Instead(instead)));
            }
            let is_free = || self.env.dir.stat(LIST_LOCK).is_err();
            let list = self.env.dir.stat(LIST).ok();
            if is_free() {
                self.env.dir.sleep(time);
                if is_free() && self.env.dir.stat(LIST).ok() == list {
                    break;
                }
                continue;
            }
            match self.take_over_list()? {
                Attempt::Taken(lock) => return Ok(Some(Polled::Taken(lock, polls))),
                Attempt::Busy(Holder::ThisThread) => break,
                Attempt::Busy(holder) => self.notice_holder(holder),
            }
            polls = polls.saturating_add(1);
            self.env.dir.sleep(Duration::from_micros(1000 + self.env.dir.random() % 1000));
        }
        Ok(None)
    }

    fn back_off_time(&self, now: Duration) -> Option<Duration> {
        self.fairness.back_off_time(now, self.state.foreign_seen())
    }

    fn window(&self, now: Duration, wall_clock: impl FnOnce() -> Option<u128>) -> Option<Duration> {
        self.fairness.window(now, self.state.foreign_seen(), wall_clock)
    }

    /// Takes the list lock, which was taken a moment ago, from its owner if that is dead. If it was
    /// released in that moment it is ours as well, without a back-off: too rare to starve a
    /// neighbour.
    fn take_over_list(&self) -> Result<Attempt> {
        if mutant::is_on(Mutant::BackOffFromDeadOwners) {
            return Ok(Attempt::Busy(Holder::Gone));
        }
        self.locker.try_lock(&self.env.dir, LIST_LOCK)
    }

    /// Notes that the list lock is taken. Where locks are plain files, ours cannot be told from
    /// those of others.
    pub(super) fn notice_holder(&self, holder: Holder) {
        if matches!(holder, Holder::Alive(_)) {
            self.fairness.saw_ours(self.env.dir.now());
        }
        if holder == Holder::Foreign && self.locker.is_robust() && !mutant::is_on(Mutant::ForgetLocksThatWereMet) {
            self.fairness.saw_foreign(self.env.dir.now());
        }
    }
}

/// Until when a process backs off that wants the lock since `start`, and begins to do so at
/// `begin`.
fn end_of_patience(start: Duration, begin: Duration, timeout: Option<Duration>) -> Duration {
    let most = if mutant::is_on(Mutant::BackOffWithoutEnd) { Duration::MAX } else { MOST_DELAY };
    let own = timeout.map_or(Duration::MAX, |timeout| start.saturating_add(timeout / 5 * 4));
    own.min(begin.saturating_add(most))
}

fn newest_is_foreign(snapshot: &Snapshot) -> bool {
    snapshot.tables().last().is_some_and(|table| !TableName::is_name_of_ours(table.name()))
}
