//! How long an answer is waited for, before the request is sent again.

use std::time::Duration;

use parking_lot::Mutex;

/// No request is taken for lost sooner.
const LEAST: Duration = Duration::from_millis(100);

/// How long answers usually take, and so when one is lost: as TCP reckons it (RFC 6298), from the
/// mean of late and the mean deviation. For those who implement [`crate::Bucket`]: one for reads
/// and one for writes.
///
/// A request that is sent again too early does no harm but its price. After each silence twice the
/// time is waited, until an answer comes.
#[derive(Debug)]
pub struct Patience {
    most: Duration,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    mean: Duration,
    deviation: Duration,
    answers: u32,
    silences: u32,
}

impl Patience {
    /// Waits for `most`, and less once answers have come.
    #[must_use]
    pub fn new(most: Duration) -> Patience {
        Patience { most, seen: Mutex::new(Seen::default()) }
    }

    /// How long to wait for the answer to a small request.
    #[must_use]
    pub fn limit(&self) -> Duration {
        let seen = self.seen.lock();
        if seen.answers == 0 {
            return self.most;
        }
        let usual = seen.mean.saturating_mul(2).saturating_add(seen.deviation.saturating_mul(4)).max(LEAST);
        usual.saturating_mul(1 << seen.silences.min(16)).min(self.most)
    }

    /// An answer came after this time.
    pub fn answered(&self, time: Duration) {
        let mut seen = self.seen.lock();
        if seen.answers == 0 {
            (seen.mean, seen.deviation) = (time, time / 2);
        } else {
            seen.deviation = (seen.deviation.saturating_mul(3).saturating_add(seen.mean.abs_diff(time))) / 4;
            seen.mean = (seen.mean.saturating_mul(7).saturating_add(time)) / 8;
        }
        seen.answers = seen.answers.saturating_add(1);
        seen.silences = 0;
    }

    /// No answer came within the limit.
    pub fn silent(&self) {
        let mut seen = self.seen.lock();
        seen.silences = seen.silences.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(3);

    #[test]
    fn it_follows_what_answers_take_and_doubles_after_silence() {
        let patience = Patience::new(MOST);
        assert_eq!(patience.limit(), MOST, "nothing is known yet");
        (0..50).for_each(|_| patience.answered(Duration::from_millis(80)));
        let usual = patience.limit();
        assert!(usual >= Duration::from_millis(160) && usual < Duration::from_millis(200), "{usual:?}");
        patience.silent();
        assert_eq!(patience.limit(), usual * 2);
        (0..40).for_each(|_| patience.silent());
        assert_eq!(patience.limit(), MOST);
        patience.answered(Duration::from_millis(900));
        assert!(patience.limit() > Duration::from_millis(900), "{:?}", patience.limit());
        (0..100).for_each(|_| patience.answered(Duration::from_micros(10)));
        assert_eq!(patience.limit(), LEAST);
    }
}
