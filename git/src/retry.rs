//! How long to try again when others were faster.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::thread;
use std::time::{Duration, Instant};

/// So many attempts are made even if there is no time to wait.
const ATTEMPTS: u32 = 20;

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Counts attempts.
#[derive(Debug)]
pub(crate) struct Retry {
    attempts: u32,
    /// `None`: for ever.
    end: Option<Instant>,
}

impl Retry {
    /// For as long as one waits for a lock.
    pub(crate) fn new(patience: Option<Duration>) -> Retry {
        Retry { attempts: 1, end: patience.and_then(|patience| Instant::now().checked_add(patience)) }
    }

    /// Whether there is time left.
    pub(crate) fn is_in_time(&self) -> bool {
        self.end.is_none_or(|end| Instant::now() < end)
    }

    /// Whether to try again; waits before it says so. The first repetition comes at once, then
    /// pauses grow and jitter.
    pub(crate) fn again(&mut self) -> bool {
        if self.attempts >= ATTEMPTS && !self.is_in_time() {
            return false;
        }
        if self.attempts > 1 {
            let longest = Duration::from_micros(500).saturating_mul(1 << self.attempts.min(16)).min(LONGEST_PAUSE);
            thread::sleep(jittered(longest));
        }
        self.attempts = self.attempts.saturating_add(1);
        true
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
