//! How long to try again when a lock is not to be had.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::thread;
use std::time::{Duration, Instant};

/// The end of trying.
#[derive(Debug)]
pub(crate) struct Retry {
    /// `None`: never.
    end: Option<Instant>,
}

impl Retry {
    /// For as long as one waits for a lock.
    pub(crate) fn new(patience: Option<Duration>) -> Retry {
        Retry { end: patience.and_then(|patience| Instant::now().checked_add(patience)) }
    }

    /// Whether there is time left.
    pub(crate) fn is_in_time(&self) -> bool {
        self.end.is_none_or(|end| Instant::now() < end)
    }

    /// Waits at least half of `time` and at most all of it.
    pub(crate) fn pause(&self, time: Duration) {
        thread::sleep(time / 2 + jittered(time / 2));
    }
}

/// Up to `time`. The seeds of the standard library's hash maps are random.
fn jittered(time: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    Duration::from_nanos(random % u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1))
}
