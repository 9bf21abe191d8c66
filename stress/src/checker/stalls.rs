//! For how long nobody was told anything after a process was killed: what it held must not be in
//! the way of others.

use serde::Serialize;

use super::{Evidence, all_ops};
use crate::history::Outcome;
use crate::violations::Violations;

/// A pause of all that begins so soon after a kill is taken for its consequence.
const SOON: u64 = 100_000_000;
/// A dead process is meant to be in the way for no longer than this.
const GOAL: u64 = 50_000_000;
/// Whatever the disk does: after so long somebody was blocked.
const LIMIT: u64 = 2_000_000_000;

/// When processes were killed and stopped, in nanoseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct Disturbances {
    /// The kills.
    pub(crate) kills: Vec<u64>,
    /// From when to when somebody was stopped, who may have held the lock.
    pub(crate) stops: Vec<(u64, u64)>,
    /// When the run was over.
    pub(crate) end: u64,
}

/// The longest times without an acknowledged commit of ours after each kill.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct Stalls {
    /// How many were killed.
    pub(crate) kills: usize,
    /// How many were stopped for a while.
    pub(crate) stops: usize,
    /// Kills that say nothing, because somebody was stopped at the time, or the run was over.
    pub(crate) not_counted: usize,
    /// The median, in milliseconds.
    pub(crate) p50_ms: f64,
    /// The longest.
    pub(crate) max_ms: f64,
    /// How many were longer than 50 ms.
    pub(crate) beyond_50_ms: usize,
}

/// Measures them. One beyond two seconds is a violation.
pub(super) fn check(evidence: &Evidence<'_>, done: &Disturbances, violations: &mut Violations) -> Stalls {
    let Disturbances { kills, stops, end } = done;
    let mut acks: Vec<u64> = all_ops(evidence)
        .filter(|(_, history, _)| !history.role.is_git())
        .filter_map(|(_, _, op)| match op.outcome {
            Outcome::Acked { at, .. } => Some(at),
            _ => None,
        })
        .collect();
    acks.sort_unstable();
    let stalls: Vec<Stall> = kills.iter().filter_map(|kill| Stall::after(*kill, &acks, stops, *end)).collect();
    // A stop is short: it does not excuse the longest ones.
    for stall in stalls.iter().filter(|stall| stall.time > LIMIT) {
        let at = stall.kill.saturating_sub(kills.first().copied().unwrap_or_default()) / 1_000_000;
        let time = stall.time / 1_000_000;
        violations.add(format!("nobody could commit for {time} ms after the kill {at} ms after the first one"));
    }
    let mut times: Vec<u64> = stalls.into_iter().filter(|stall| !stall.is_disturbed).map(|stall| stall.time).collect();
    times.sort_unstable();
    let ms = |nanoseconds: Option<&u64>| nanoseconds.copied().unwrap_or_default() as f64 / 1e6;
    Stalls {
        kills: kills.len(),
        stops: stops.len(),
        not_counted: kills.len() - times.len(),
        p50_ms: ms(times.get(times.len() / 2)),
        max_ms: ms(times.last()),
        beyond_50_ms: times.iter().filter(|time| **time > GOAL).count(),
    }
}

/// What the others noticed of a kill.
struct Stall {
    kill: u64,
    /// The longest time from the kill, or from an acknowledgement soon after it, to the next
    /// acknowledgement.
    time: u64,
    /// Whether somebody was stopped at the time.
    is_disturbed: bool,
}

impl Stall {
    /// `None` when the run was over too soon to tell.
    fn after(kill: u64, acks: &[u64], stops: &[(u64, u64)], end: u64) -> Option<Stall> {
        let first = acks.partition_point(|at| *at <= kill);
        let (mut from, mut time, mut last) = (kill, 0, kill);
        for at in acks.get(first..)?.iter().copied().filter(|at| *at < end).chain([end]) {
            if from > kill.saturating_add(SOON) {
                break;
            }
            // The end of the run is nobody's acknowledgement: it counts only if it took too long to
            // come.
            let pause = at.saturating_sub(from);
            if at < end || pause > LIMIT {
                time = pause.max(time);
                last = at;
            }
            from = at;
        }
        let is_disturbed = stops.iter().any(|(begin, until)| *begin < last && kill < *until);
        (last > kill).then_some(Stall { kill, time, is_disturbed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pause_after_a_kill_counts() {
        const MS: u64 = 1_000_000;
        let acks: Vec<u64> = [5, 9, 30, 40, 170, 400].iter().map(|at| at * MS).collect();
        let after = |kill: u64, stop: u64, end: u64| {
            let stall = Stall::after(kill * MS, &acks, &[(0, stop * MS)], end * MS);
            stall.map(|stall| (stall.time / MS, stall.is_disturbed))
        };
        assert_eq!(after(10, 10, 500), Some((130, false)));
        assert_eq!(after(10, 11, 500), Some((130, true)));
        assert_eq!(after(200, 0, 500), Some((200, false)));
        assert_eq!(after(410, 0, 500), None);
        assert_eq!(after(410, 0, 2500), Some((2090, false)));
    }
}
