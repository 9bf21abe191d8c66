//! How long to wait for a lock.

use std::sync::Arc;
use std::time::Duration;

use crate::dir::{Dir, FileStat};
use crate::list::LIST;

/// A wait for a living owner ends so many time-outs after anything has moved, and not before
/// [`LEAST_END`].
const MOST_TIMEOUTS: u32 = 20;
const LEAST_END: Duration = Duration::from_secs(10);
/// And whatever moves, it ends after so many times as long in all: others may take the lock again
/// and again for ever.
const MOST_ENDS: u32 = 10;

/// What the user has said about waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// `None` waits for ever.
    timeout: Option<Duration>,
    /// Whether the time-out is one for a lock that does not move.
    while_moving: bool,
}

impl Patience {
    pub(crate) fn of(timeout: Option<Duration>) -> Patience {
        Patience { timeout, while_moving: false }
    }

    pub(crate) fn while_moving(self, while_moving: bool) -> Patience {
        Patience { while_moving, ..self }
    }
}

/// One wait. All times are [`Dir::now`].
#[derive(Debug)]
pub(super) struct Waiting {
    patience: Patience,
    /// When the time-out is over; `None` never.
    deadline: Option<Duration>,
    /// For how long the living are waited for while nothing moves.
    longest: Duration,
    /// When that is over.
    end: Duration,
    /// When the wait is over, whatever moves.
    last: Duration,
    /// What was seen when the time-out began.
    seen: Option<Fingerprint>,
}

/// The list and the lock, as they tell whether anything has moved. A number of a file may be used
/// again, the time of its change not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint([Option<(FileStat, u128)>; 2]);

impl Fingerprint {
    pub(super) fn now(dir: &Arc<dyn Dir>, lock: &str) -> Fingerprint {
        Fingerprint([LIST, lock].map(|name| dir.stat(name).ok().map(|stat| (stat, stat.changed))))
    }
}

impl Waiting {
    pub(super) fn since(start: Duration, patience: Patience) -> Waiting {
        let timeout = patience.timeout.unwrap_or_default();
        let longest = if timeout.is_zero() { timeout } else { timeout.saturating_mul(MOST_TIMEOUTS).max(LEAST_END) };
        let deadline = patience.timeout.map(|timeout| start.saturating_add(timeout));
        let end = start.saturating_add(longest);
        let last = start.saturating_add(longest.saturating_mul(MOST_ENDS));
        Waiting { patience, deadline, longest, end, last, seen: None }
    }

    /// Whether to give up on `lock`, which was found taken at `now`. Looks at the files when it was
    /// found taken first, and at the files and the owner at the end of each time-out: nothing that
    /// is polled costs more for it.
    pub(super) fn is_over(
        &mut self,
        dir: &Arc<dyn Dir>,
        lock: &str,
        now: Duration,
        owner_lives: impl FnOnce() -> bool,
    ) -> bool {
        let Some(deadline) = self.deadline else { return false };
        if !self.patience.while_moving {
            return now >= deadline;
        }
        if now < deadline {
            self.seen.get_or_insert_with(|| Fingerprint::now(dir, lock));
            return false;
        }
        let seen = Fingerprint::now(dir, lock);
        let before = self.seen.replace(seen);
        let moves = before.is_some_and(|before| before != seen);
        if moves {
            self.end = now.saturating_add(self.longest).min(self.last);
        }
        if now >= self.end {
            return true;
        }
        let next = now.saturating_add(self.patience.timeout.unwrap_or_default());
        self.deadline = Some(next.min(self.end));
        !moves && !owner_lives()
    }

    /// The longest sleep that ends in time.
    pub(super) fn left(&self, now: Duration) -> Duration {
        self.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dir::OsDir;

    const LOCK: &str = "tables.list.lock";

    fn millis(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    /// A directory with a lock in it, and a wait of 100 ms for that.
    fn wait() -> (tempfile::TempDir, Arc<dyn Dir>, Waiting) {
        let at = tempfile::tempdir().unwrap();
        std::fs::write(at.path().join(LOCK), "").unwrap();
        let dir: Arc<dyn Dir> = Arc::new(OsDir::new(at.path(), None));
        let patience = Patience::of(Some(millis(100))).while_moving(true);
        (at, dir, Waiting::since(Duration::ZERO, patience))
    }

    #[test]
    fn a_lock_that_nobody_moves_is_waited_for_until_the_time_out() {
        let (_at, dir, mut wait) = wait();
        assert!(!wait.is_over(&dir, LOCK, millis(0), || false));
        assert!(!wait.is_over(&dir, LOCK, millis(99), || false));
        assert!(wait.is_over(&dir, LOCK, millis(100), || false));
    }

    #[test]
    fn a_lock_that_changes_hands_is_waited_for_and_not_for_ever() {
        let (at, dir, mut wait) = wait();
        for now in (0..100_000).step_by(100) {
            assert!(!wait.is_over(&dir, LOCK, millis(now), || false), "{now}");
            std::fs::write(at.path().join(LOCK), now.to_string()).unwrap();
        }
        assert!(wait.is_over(&dir, LOCK, millis(100_000), || false));
    }

    #[test]
    fn a_list_that_changes_is_as_good_as_a_lock_that_does() {
        let (at, dir, mut wait) = wait();
        assert!(!wait.is_over(&dir, LOCK, millis(0), || false));
        std::fs::write(at.path().join(LIST), "").unwrap();
        assert!(!wait.is_over(&dir, LOCK, millis(100), || false));
        assert!(wait.is_over(&dir, LOCK, millis(200), || false));
    }

    #[test]
    fn the_living_are_waited_for_and_not_for_ever() {
        let (_at, dir, mut wait) = wait();
        for now in (0..10_000).step_by(100) {
            assert!(!wait.is_over(&dir, LOCK, millis(now), || true));
        }
        assert!(wait.is_over(&dir, LOCK, millis(10_000), || true));
    }

    #[test]
    fn the_end_counts_from_the_last_movement() {
        let (at, dir, mut wait) = wait();
        for now in (0..9_000).step_by(100) {
            assert!(!wait.is_over(&dir, LOCK, millis(now), || true));
        }
        std::fs::write(at.path().join(LIST), "").unwrap();
        for now in (9_000..19_000).step_by(100) {
            assert!(!wait.is_over(&dir, LOCK, millis(now), || true), "{now}");
        }
        assert!(wait.is_over(&dir, LOCK, millis(19_000), || true));
    }

    #[test]
    fn without_a_time_out_there_is_no_end_and_with_none_no_wait() {
        let (_at, dir, _) = wait();
        let mut ever = Waiting::since(Duration::ZERO, Patience::of(None).while_moving(true));
        assert!(!ever.is_over(&dir, LOCK, millis(1_000_000), || false));
        let mut at_once = Waiting::since(Duration::ZERO, Patience::of(Some(Duration::ZERO)).while_moving(true));
        assert!(at_once.is_over(&dir, LOCK, Duration::ZERO, || true));
    }
}
