//! Fairness of crowds to polling writers: the arithmetic of when no process of this library takes
//! the list lock. Nothing here waits or looks at anything.
//!
//! git polls for the lock at about 0, 1, 5, 14, 30, 55, 91 and 140 ms after its start, and then
//! fails. Processes that keep waiting for one another leave the lock free for less than a
//! millisecond at a time, so git finds it taken at all of these moments, and nothing shows that it
//! was there. So a crowd backs off now and then, all processes at once. Nothing has to be agreed
//! upon: the windows are read off the wall clock, which is one for all processes of a
//! machine. (The monotonic one may be another in a container.) A clock that is set moves the
//! windows, no more.

use std::time::Duration;

/// From the beginning of one window to that of the next. Shorter than git waits in all, so that
/// most attempts meet a whole one.
const PERIOD: Duration = Duration::from_millis(120);

/// For how long the lock is free in each window: long enough for one of git's polls in most
/// attempts. A process may have taken the lock just before the window, so the
/// time that the lock is usually held is added.
const FREE: Duration = Duration::from_millis(25);

/// As long as no polling writer is known, only one of so many windows is left: 3 to 7 % of the
/// time.
const UNKNOWN: u128 = 6;

/// Takings of the lock that are remembered.
const REMEMBERED: u16 = 8;

/// How often other processes of this library were met among the last takings of the lock.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Contention {
    takings: u16,
    /// From 0 to 1; recent takings weigh more.
    share: f32,
}

impl Contention {
    /// The lock was taken, and others were `met` since the last time, or not.
    #[must_use]
    pub(super) fn after(self, met: bool) -> Contention {
        let takings = self.takings.saturating_add(1).min(REMEMBERED);
        let new = if met { 1.0 } else { 0.0 };
        Contention { takings, share: self.share + (new - self.share) / f32::from(takings) }
    }

    /// Whether the lock is taken for more than half of the time, as far as can be told. Otherwise
    /// less than one in two hundred attempts of git would find it taken eight times.
    pub(super) fn is_crowd(self) -> bool {
        self.share > 0.5
    }
}

/// How long no process of a crowd is to take the lock, at `now` in nanoseconds on the wall; `None`
/// outside of all windows. `held` is how long the lock is usually held.
pub(super) fn rest_of_window(now: u128, held: Duration, knows_polling_writers: bool) -> Option<Duration> {
    let period = PERIOD.as_nanos();
    if !knows_polling_writers && !(now / period).is_multiple_of(UNKNOWN) {
        return None;
    }
    let phase = Duration::from_nanos(u64::try_from(now % period).ok()?);
    let left = FREE.saturating_add(held).checked_sub(phase)?;
    (!left.is_zero()).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: Duration = Duration::from_millis(10);

    fn at(millis: u64) -> u128 {
        Duration::from_millis(millis).as_nanos()
    }

    fn left(millis: u64, knows: bool) -> Option<u128> {
        rest_of_window(at(millis), HELD, knows).map(|left| left.as_millis())
    }

    #[test]
    fn windows_begin_with_each_period_and_grow_with_the_time_that_the_lock_is_held() {
        assert_eq!(left(0, true), Some(35));
        assert_eq!(left(34, true), Some(1));
        assert_eq!(left(35, true), None);
        assert_eq!(left(119, true), None);
        assert_eq!(left(120, true), Some(35));
        assert_eq!(rest_of_window(at(25), Duration::ZERO, true), None);
        assert_eq!(rest_of_window(at(24), Duration::ZERO, true), Some(Duration::from_millis(1)));
        assert_eq!(rest_of_window(u128::MAX, HELD, true), rest_of_window(u128::MAX % PERIOD.as_nanos(), HELD, true));
    }

    #[test]
    fn one_window_of_six_is_left_to_those_whom_nobody_knows() {
        let begin = (0..12).map(|period| left(120 * period, false).is_some());
        let sixth = (0..12).map(|period| period % 6 == 0);
        assert!(begin.eq(sixth));
    }

    fn contention(met: &[bool]) -> Contention {
        met.iter().fold(Contention::default(), |contention, met| contention.after(*met))
    }

    #[test]
    fn a_crowd_is_met_more_often_than_not() {
        assert!(!contention(&[]).is_crowd());
        assert!(contention(&[true]).is_crowd());
        assert!(!contention(&[false]).is_crowd());
        assert!(!contention(&[true, false]).is_crowd(), "a meeting by accident");
        assert!(contention(&[true, true, false]).is_crowd());
        assert!(!contention(&[false, false, false, true]).is_crowd());
        assert!(contention(&[true; 100]).is_crowd());
    }

    #[test]
    fn a_crowd_is_forgotten_when_nobody_is_met_any_more() {
        let alone = |takings| contention(&[vec![true; 100], vec![false; takings]].concat());
        assert!(alone(5).is_crowd());
        assert!(!alone(6).is_crowd());
    }

    /// git's moments of polling, as it draws them with `draw`, which gives 0 to 499.
    fn polls(mut draw: impl FnMut() -> u64) -> Vec<Duration> {
        let (mut at, mut polls, mut left) = (Duration::ZERO, vec![Duration::ZERO], 100i64);
        for number in 1.. {
            if left <= 0 {
                break;
            }
            let wait = (750 + draw()) * number * number / 1000;
            at += Duration::from_millis(wait);
            left -= wait.cast_signed();
            polls.push(at);
        }
        polls
    }

    /// The share of attempts of git that find every moment taken, if the lock is held for `held`
    /// at a time by a crowd that takes it again at once outside of the windows.
    fn missed(held: Duration, knows: bool) -> f64 {
        const TRIES: u32 = 4000;
        let mut random = 1u64;
        let mut draw = move |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % below
        };
        let mut fails = 0;
        for _ in 0..TRIES {
            // The last holder before a window may have taken the lock at any time before it.
            let over = Duration::from_micros(draw(1 + held.as_micros() as u64));
            let start = Duration::from_micros(draw(6 * PERIOD.as_micros() as u64));
            let is_free = |poll: Duration| {
                let now = (start + poll).as_nanos();
                let window = rest_of_window(now, held, knows).is_some();
                window && now % PERIOD.as_nanos() >= over.as_nanos()
            };
            fails += u32::from(!polls(|| draw(500)).into_iter().any(is_free));
        }
        f64::from(fails) / f64::from(TRIES)
    }

    #[test]
    fn git_finds_one_of_the_windows() {
        for millis in [0, 2, 5, 10, 20, 30] {
            let missed = missed(Duration::from_millis(millis), true);
            assert!(missed < 0.17, "{millis} ms: {missed}");
        }
        assert!(missed(HELD, false) > 0.6, "nearly as if there were none");
    }
}
