//! Lock files that do not outlive their owners (robust locks, as POSIX has among threads): a name
//! that only one process can create, and a kernel lock that ends with it.

mod abandoned;
mod evidence;
mod exclusive;
mod marker;
mod patience;
mod ready;
mod robust;
mod self_test;
mod wait_queue;

pub(crate) use abandoned::{BreakingLocks, break_lock};
pub use evidence::Evidence;
pub use exclusive::ExclusiveFile;
pub(crate) use marker::{rider_of, with_rider};
pub(crate) use patience::Patience;
use patience::Waiting;
pub use ready::{ReadyFiles, ReadyLocks};
pub use robust::RobustLocks;
pub(crate) use robust::{is_foreign, is_marked};
pub use wait_queue::Queued;
use wait_queue::WaitQueue;

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::dir::{Dir, DirFile};
use crate::error::{Error, ErrorKind, Result, repair_command};

/// How a lock is taken. A host that brings its own lock files supplies another one.
pub trait Locker: Debug + Send + Sync {
    /// Takes the lock called `name` if it is free.
    ///
    /// # Errors
    /// `Io`.
    fn try_lock(&self, dir: &Arc<dyn Dir>, name: &str) -> Result<Attempt>;

    /// Whether the lock of an owner that died is taken over by the next process that asks, and
    /// [`Lock::was_taken_over`] says so. By default not.
    fn is_robust(&self) -> bool {
        false
    }

    /// Whether to go on waiting for this holder beyond the time-out
    /// ([`crate::Options::wait_while_moving`]). By default while the kernel says that the lock is
    /// held, whatever is known of the process, and when it was free again: that changes hands.
    fn is_worth_waiting_for(&self, holder: Holder) -> bool {
        matches!(holder, Holder::Alive(_) | Holder::Orphaned(_) | Holder::Gone)
    }

    /// A place at the end of the wait queue of this lock, for as long as the result is kept; called
    /// when the lock was found taken. By default there is none, and the last to come may be the
    /// first.
    fn enqueue(&self, _dir: &Arc<dyn Dir>, _name: &str) -> Option<Box<dyn Queued>> {
        None
    }
}

/// What came of trying to take a lock.
#[derive(Debug)]
pub enum Attempt {
    /// It is ours.
    Taken(Box<dyn Lock>),
    /// Another process or thread has it.
    Busy(Holder),
}

/// The holder of a lock, as far as can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// A process on this machine that uses this library and lives; its number where it ran.
    Alive(u32),
    /// A process that has ended, or runs in another container; its number. Another one keeps what
    /// it has opened: a child that it forked at any time, or a successor that is at work.
    Orphaned(u32),
    /// This thread itself, through the same handle. Waiting would never end.
    ThisThread,
    /// A process on another machine, or of another time, that uses this library. Whether it lives
    /// cannot be told.
    Elsewhere,
    /// git, or another program, which leaves no sign of life.
    Foreign,
    /// It was free again when we looked.
    Gone,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Alive(process) => write!(f, "process {process}, which is alive, holds the lock"),
            Holder::Orphaned(process) => write!(
                f,
                "process {process} took the lock; it has ended or runs in another container, and a process that it forked, \
                 or its successor, keeps the lock"
            ),
            Holder::ThisThread => f.write_str("this thread holds the lock already, for another transaction"),
            Holder::Elsewhere => f.write_str("a process of another machine or container holds the lock"),
            Holder::Foreign => f.write_str("git or another program holds the lock, or has left it behind"),
            Holder::Gone => f.write_str("others take the lock faster than we do"),
        }
    }
}

impl Holder {
    fn way_out(self, dir: &Path) -> Cow<'static, str> {
        let command = || repair_command(dir, "--break-lock");
        match self {
            Holder::Alive(_) | Holder::Gone => "try again, or wait longer".into(),
            Holder::Orphaned(_) => "try again; if it stays, end the processes that have the store's files open".into(),
            Holder::ThisThread => "commit or drop the prepared transaction first".into(),
            Holder::Elsewhere => format!("try again; if that process is dead, {} removes the lock", command()).into(),
            Holder::Foreign => {
                format!("try again; if no such program is running, {} removes the lock", command()).into()
            }
        }
    }
}

/// A lock that is held. Dropping it releases it.
#[must_use]
pub trait Lock: Debug + Send {
    /// Whether the lock is still there and still ours: a person may have removed it.
    ///
    /// # Errors
    /// `Io`.
    fn is_ours(&self) -> Result<bool>;

    /// Whether it was taken over from an owner that died with it. By default not.
    fn was_taken_over(&self) -> bool {
        false
    }

    /// The lock file, if it is to become the list: empty, to be written by the lock holder and
    /// renamed with [`Dir::rename`], which publishes it and releases the lock in one instant. If it
    /// has a note, that tells whose lock it is, and must not go. By default none: the list is a
    /// file of its own, and the lock is released after it.
    fn file(&self) -> Option<Box<dyn DirFile>> {
        None
    }
}

impl<'l> AsRef<dyn Lock + 'l> for dyn Lock + 'l {
    fn as_ref(&self) -> &(dyn Lock + 'l) {
        self
    }
}

/// Takes the lock called `name`, waiting up to `timeout` since `start`; `None` waits for ever.
/// Tries once at least.
///
/// Waiting is polling every 0.25 to 0.75 milliseconds, and after 20 of them every one to three,
/// with jitter (exponential back-off) so that waiters do not march in step. Those that have a place
/// in a queue ([`Locker::enqueue`]) poll quickly for as long as they are the first, and slowly
/// before. To wait in the kernel for the lock itself has no time-out, and git does not join in.
pub(crate) fn acquire(
    locker: &dyn Locker,
    dir: &Arc<dyn Dir>,
    name: &str,
    start: Duration,
    timeout: Option<Duration>,
) -> Result<Box<dyn Lock>> {
    match poll(locker, dir, name, start, Patience::of(timeout), || false, |_| Ok(None::<Infallible>))? {
        Polled::Taken(lock, _) => Ok(lock),
        Polled::Instead(never) => match never {},
    }
}

/// What waiting for a lock has come to.
pub(crate) enum Polled<T> {
    /// The lock is ours, after so many polls that found it taken.
    Taken(Box<dyn Lock>, u32),
    /// Something else has made it needless.
    Instead(T),
}

/// As [`acquire`]. Does not try as long as the caller `backs_off`: then the lock counts as taken.
/// Each time it was found taken tells `otherwise` by whom, and asks it whether the lock is needed
/// at all.
pub(crate) fn poll<T>(
    locker: &dyn Locker,
    dir: &Arc<dyn Dir>,
    name: &str,
    start: Duration,
    patience: Patience,
    mut backs_off: impl FnMut() -> bool,
    mut otherwise: impl FnMut(Holder) -> Result<Option<T>>,
) -> Result<Polled<T>> {
    let mut jitter = None;
    let mut polls = 0u32;
    let mut waiting = Waiting::since(start, patience);
    let mut queue = None::<WaitQueue>;
    loop {
        let is_left = backs_off() || queue.as_mut().is_some_and(|queue| queue.leaves_to_others(dir, name));
        let attempt = if is_left { Attempt::Busy(Holder::Gone) } else { locker.try_lock(dir, name)? };
        let holder = match attempt {
            Attempt::Taken(lock) => return Ok(Polled::Taken(lock, polls)),
            Attempt::Busy(holder) => holder,
        };
        if let Some(instead) = otherwise(holder)? {
            return Ok(Polled::Instead(instead));
        }
        let now = dir.now();
        let waited = now.saturating_sub(start);
        if holder == Holder::ThisThread || waiting.is_over(dir, name, now, || locker.is_worth_waiting_for(holder)) {
            return Err(locked(dir, name, holder, waited));
        }
        // One draw of randomness for each wait; a multiplicative step is enough to part those that
        // wait.
        let drawn = jitter.unwrap_or_else(|| dir.random()).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        jitter = Some(drawn);
        let queue = queue.get_or_insert_with(|| WaitQueue::enter(locker, dir, name, start));
        let least = queue.least_pause(now);
        let step = Duration::from_micros(least + (drawn >> 33) % (2 * least));
        polls = polls.saturating_add(1);
        dir.sleep(step.min(waiting.left(now)));
    }
}

#[cold]
pub(crate) fn locked(dir: &Arc<dyn Dir>, name: &str, holder: Holder, waited: Duration) -> Error {
    let message = match waited.as_millis() {
        0 => holder.to_string(),
        waited => format!("{holder}; gave up after {waited} ms"),
    };
    Error::new(ErrorKind::Locked, message).in_file(&dir.path().join(name)).way_out(holder.way_out(dir.path()))
}
