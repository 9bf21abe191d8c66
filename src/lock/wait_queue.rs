//! The order in which processes wait for a lock, where lockers can tell. Polling alone is a
//! lottery: of thirty waiters, some wait ten times as long as the others, and give up. So the lock
//! is left to the one that has waited for the longest time. But not at the price of progress: the
//! first may be stopped, or wait for a processor. So:
//!
//! 1. B looks: A waits for a longer time. B does not try, but remembers the list and the lock.
//! 2. B looks again: A still waits, and list and lock are others. Things move: as in 1.
//! 3. B looks again: A still waits, and list and lock are the same. Then B tries, as if it were
//!    first. So a free lock is left to A for one pause of B's, and what A does not do, such as to
//!    take over from a dead owner, B does. A new process tries once before it joins: without a
//!    crowd the queue costs nothing.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use super::Locker;
use super::patience::Fingerprint;
use crate::dir::Dir;

/// For how long a waiter polls quickly, in a queue since it is the first: most holders of the lock
/// are done sooner.
const SOON: Duration = Duration::from_millis(20);

/// The shortest pauses, in microseconds: at first, and after [`SOON`]; behind others while things
/// move, and while they do not.
const QUICK: u64 = 250;
const SLOW: u64 = 1000;
const BEHIND: u64 = 2000;
const BEHIND_STILL: u64 = 5000;

/// A place among the processes that wait for one lock. Dropping it leaves the queue.
pub trait Queued: Debug + Send {
    /// Whether another process has waited for a longer time.
    fn is_behind(&self) -> bool;
}

/// One wait, as far as others are concerned.
#[derive(Debug)]
pub(super) struct WaitQueue {
    ticket: Option<Box<dyn Queued>>,
    position: Position,
    /// Since when no process was before us, by [`Dir::now`].
    first: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    First,
    /// Others are before us. What was there at the last look, and whether it was there at the one
    /// before.
    Behind(Fingerprint, bool),
}

impl WaitQueue {
    /// Joins the queue for `lock`, if its locker has one.
    pub(super) fn enter(locker: &dyn Locker, dir: &Arc<dyn Dir>, lock: &str, now: Duration) -> WaitQueue {
        WaitQueue { ticket: locker.enqueue(dir, lock), position: Position::First, first: now }
    }

    /// Whether the lock is not to be tried now.
    pub(super) fn leaves_to_others(&mut self, dir: &Arc<dyn Dir>, lock: &str) -> bool {
        let before = self.position;
        if !self.ticket.as_ref().is_some_and(|ticket| ticket.is_behind()) {
            self.position = Position::First;
            if before != Position::First {
                self.first = dir.now();
            }
            return false;
        }
        let seen = Fingerprint::now(dir, lock);
        let is_still = matches!(before, Position::Behind(before, _) if before == seen);
        self.position = Position::Behind(seen, is_still);
        !is_still
    }

    /// The shortest pause before the next look, in microseconds.
    pub(super) fn least_pause(&self, now: Duration) -> u64 {
        match self.position {
            Position::Behind(_, false) => BEHIND,
            Position::Behind(_, true) => BEHIND_STILL,
            Position::First if now.saturating_sub(self.first) < SOON => QUICK,
            Position::First => SLOW,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::dir::OsDir;
    use crate::lock::Attempt;

    const LOCK: &str = "tables.list.lock";

    /// A queue in which another process is first, or not.
    #[derive(Debug, Clone, Default)]
    struct Others(Arc<Mutex<bool>>);

    impl Queued for Others {
        fn is_behind(&self) -> bool {
            *self.0.lock().unwrap()
        }
    }

    impl Locker for Others {
        fn try_lock(&self, _dir: &Arc<dyn Dir>, _name: &str) -> crate::Result<Attempt> {
            unreachable!("not asked for")
        }

        fn enqueue(&self, _dir: &Arc<dyn Dir>, _name: &str) -> Option<Box<dyn Queued>> {
            Some(Box::new(self.clone()))
        }
    }

    fn queue(others: bool) -> (tempfile::TempDir, Arc<dyn Dir>, Others, WaitQueue) {
        let at = tempfile::tempdir().unwrap();
        std::fs::write(at.path().join(LOCK), "").unwrap();
        let dir: Arc<dyn Dir> = Arc::new(OsDir::new(at.path(), None));
        let locker = Others(Arc::new(Mutex::new(others)));
        let queue = WaitQueue::enter(&locker, &dir, LOCK, dir.now());
        (at, dir, locker, queue)
    }

    #[test]
    fn the_lock_is_left_to_the_first_while_things_move() {
        let (at, dir, _others, mut queue) = queue(true);
        for contents in ["a", "ab", "abc"] {
            std::fs::write(at.path().join(LOCK), contents).unwrap();
            assert!(queue.leaves_to_others(&dir, LOCK), "{contents}");
            assert_eq!(queue.least_pause(dir.now()), BEHIND);
        }
        std::fs::remove_file(at.path().join(LOCK)).unwrap();
        assert!(queue.leaves_to_others(&dir, LOCK), "it is free, which the first has yet to see");
    }

    #[test]
    fn what_the_first_leaves_alone_others_try() {
        let (at, dir, _others, mut queue) = queue(true);
        assert!(queue.leaves_to_others(&dir, LOCK));
        assert!(!queue.leaves_to_others(&dir, LOCK), "its owner may be dead");
        assert_eq!(queue.least_pause(dir.now()), BEHIND_STILL);
        std::fs::remove_file(at.path().join(LOCK)).unwrap();
        assert!(queue.leaves_to_others(&dir, LOCK));
        assert!(!queue.leaves_to_others(&dir, LOCK));
    }

    #[test]
    fn the_first_tries_at_each_look_and_quickly_in_the_beginning() {
        let (_at, dir, others, mut queue) = queue(true);
        assert!(queue.leaves_to_others(&dir, LOCK));
        *others.0.lock().unwrap() = false;
        assert!(!queue.leaves_to_others(&dir, LOCK));
        assert_eq!(queue.least_pause(queue.first), QUICK);
        assert_eq!(queue.least_pause(queue.first + SOON), SLOW);
        assert!(!queue.leaves_to_others(&dir, LOCK));
    }
}
