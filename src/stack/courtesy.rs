//! Leaving room for programs that poll for the list lock and cannot be seen waiting: git gives up after 100 ms.
//!
//! A crowd of ours that hands the lock over in microseconds would starve them. So when a table that is not ours has
//! appeared within the last second, nobody of ours takes the lock before it was seen free for about as long as a commit
//! holds it. Nobody needs to know who else waits, and clocks of processes are never compared:
//!
//! 1. The newest table is not ours: its writer has had its turn, go on.
//! 2. The lock is taken: wait, as usual.
//! 3. The lock is free: note the list, sleep for the gap, and look again. If somebody has taken the lock or replaced the
//!    list meanwhile, start over. If not, it was free for the whole gap to whoever polls.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use crate::error::Result;
use crate::list::{LIST, LIST_LOCK, TableName};
use crate::snapshot::Snapshot;
use crate::sync::Mutex;
use crate::table::Table;

/// For how long a foreign table makes us courteous.
const MEMORY: Duration = Duration::from_secs(1);

/// A gap is not shorter than this: git's polls are milliseconds apart.
const SHORTEST_GAP: Duration = Duration::from_micros(500);

/// A gap is not longer than this, however long somebody was between prepare and commit. git's polls are up to 25 ms apart
/// towards the end of its time-out: a shorter limit starves it where syncs are slow.
const LONGEST_GAP: Duration = Duration::from_millis(30);

/// What there is to know about neighbours.
#[derive(Debug, Default)]
pub(super) struct Courtesy {
    state: Mutex<State>,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    /// When a foreign table was seen last, by [`crate::Dir::now`].
    foreign: Option<Duration>,
    /// How long we usually hold the lock.
    held: Duration,
}

impl Courtesy {
    /// A table appeared that others have written.
    pub(super) fn saw_foreign(&self, now: Duration) {
        self.state.lock().foreign = Some(now);
    }

    /// The lock was held for so long.
    pub(super) fn held(&self, time: Duration) {
        let mut state = self.state.lock();
        // One part in eight is new.
        state.held = (state.held * 7 + time.min(LONGEST_GAP)) / 8;
    }

    /// How long the lock should be left free; `None` without neighbours.
    fn gap(&self, now: Duration) -> Option<Duration> {
        let state = *self.state.lock();
        let seen = state.foreign?;
        (now.saturating_sub(seen) <= MEMORY).then(|| state.held.clamp(SHORTEST_GAP, LONGEST_GAP))
    }
}

impl Shared {
    /// Waits until the lock was free for a while, if there are neighbours; but not longer than four fifths of the time-out,
    /// which counts from `start`. Asks `otherwise` before each gap whether the lock is needed at all.
    pub(super) fn give_way<T>(
        &self,
        start: Duration,
        timeout: Option<Duration>,
        mut otherwise: impl FnMut() -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        if !self.options.courtesy {
            return Ok(None);
        }
        let Some(gap) = self.courtesy.gap(self.dir.now()) else { return Ok(None) };
        let patience = timeout.unwrap_or(MEMORY) * 4 / 5;
        self.counters.gaps.add(1);
        while self.dir.now().saturating_sub(start) < patience {
            let snapshot = self.snapshot()?;
            if newest_is_foreign(&snapshot) {
                break;
            }
            if let Some(instead) = otherwise()? {
                return Ok(Some(instead));
            }
            let is_free = || self.dir.stamp(LIST_LOCK).is_err();
            let list = self.dir.stamp(LIST).ok();
            if !is_free() {
                self.dir.sleep(Duration::from_micros(1000 + self.dir.random() % 1000));
                continue;
            }
            self.dir.sleep(gap);
            if is_free() && self.dir.stamp(LIST).ok() == list {
                break;
            }
        }
        Ok(None)
    }

    /// Notes whether others have written any of `tables`, the newest of a list that was just read and which nobody here
    /// has seen before.
    pub(super) fn notice_neighbours(&self, tables: &[Arc<Table>], list_modified: u128) {
        // Without an earlier state nobody knows what is new, but the list says when it was written.
        let is_recent = || {
            let now = self.dir.wall_clock();
            now.is_some_and(|now| now.saturating_sub(list_modified) < MEMORY.as_nanos())
        };
        if tables.iter().any(|table| !is_ours(table.name())) && is_recent() {
            self.courtesy.saw_foreign(self.dir.now());
        }
    }
}

fn newest_is_foreign(snapshot: &Snapshot) -> bool {
    snapshot.tables().last().is_some_and(|table| !is_ours(table.name()))
}

fn is_ours(table: &str) -> bool {
    TableName::parse(table).is_some_and(|name| name.is_ours())
}
