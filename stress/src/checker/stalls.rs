//! For how long nobody was told anything after a process was killed: what it held must not be in
//! the way of others, however long they are willing to wait.

use serde::Serialize;

use super::in_flight::in_flight;
use super::{Evidence, all_ops};
use crate::history::Outcome;
use crate::list_lock::ListLock;
use crate::violations::Violations;

/// A pause of all that begins so soon after a kill is taken for its consequence.
const SOON: u64 = 100_000_000;
/// A dead process is in the way for no longer than this, but for one kill in [`RARELY`].
const GOAL: u64 = 100_000_000;
/// See [`GOAL`].
const RARELY: usize = 100;
/// Where fewer kills count, one in so many may be slow: that leaves room for chance, and for what
/// the machine does besides. With a back-off that does not look whether the owner is dead one in
/// seven was.
const SELDOM: usize = 10;
/// Fewer say nothing.
const FEWEST: usize = 20;
/// Whatever the machine does: after so long a process was blocked.
const LIMIT: u64 = 1_000_000_000;

/// When processes were killed and stopped, in nanoseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct Disturbances {
    /// The kills.
    pub(crate) kills: Vec<Kill>,
    /// From when to when a process was stopped, which may have held the lock.
    pub(crate) stops: Vec<(u64, u64)>,
    /// When the run was over.
    pub(crate) end: u64,
    /// Whether a process of this library was seen to have a robust lock: else it cannot tell the
    /// dead from the living.
    pub(crate) is_robust: bool,
}

/// One that was killed.
#[derive(Debug)]
pub(crate) struct Kill {
    /// When.
    pub(crate) at: u64,
    /// Who.
    pub(crate) process: String,
    /// Who had the list lock.
    pub(crate) list_lock: ListLock,
}

/// Kills that count, by who had the list lock.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct ByLock {
    pub(crate) list_lock: ListLock,
    /// How many there were.
    pub(crate) counted: usize,
    /// Of these, how many were followed by more than 100 ms without a commit of this library.
    pub(crate) beyond_100_ms: usize,
}

/// The longest times without an acknowledged commit of this library after each kill.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Stalls {
    /// How many were killed.
    pub(crate) kills: usize,
    /// How many were stopped for a while.
    pub(crate) stops: usize,
    /// Kills of processes with a commit in flight, that held the lock or waited for it, while
    /// nobody was stopped.
    pub(crate) counted: usize,
    /// Of those that count, the median in milliseconds.
    pub(crate) p50_ms: f64,
    /// Only one of a hundred that count is longer.
    pub(crate) p99_ms: f64,
    /// How many that count were longer than 100 ms.
    pub(crate) beyond_100_ms: usize,
    /// Those that count and those of them beyond 100 ms, by who had the list lock: what the killed
    /// one did not have did not have to be taken over from it.
    pub(crate) by_lock: [ByLock; 4],
    /// The longest after any kill.
    pub(crate) max_ms: f64,
    /// Whether locks were robust. If not, nothing was judged.
    pub(crate) is_robust: bool,
    /// Whether enough kills count to hold [`Self::beyond_100_ms`] to one in a hundred.
    pub(crate) is_enough: bool,
}

/// Measures and judges them.
pub(super) fn check(evidence: &Evidence<'_>, done: &Disturbances, violations: &mut Violations) -> Stalls {
    let mut acks: Vec<u64> = all_ops(evidence)
        .filter(|(_, history, _)| !history.role.is_git())
        .filter_map(|(_, _, op)| match op.outcome {
            Outcome::Acked { at, .. } => Some(at),
            _ => None,
        })
        .collect();
    acks.sort_unstable();
    let has_commit_in_flight = |process: &str| {
        let mut killed = evidence.histories.iter().filter(|history| history.was_killed);
        killed.any(|history| is_of(&history.process, process) && in_flight(history).is_some())
    };
    let stall = |kill: &Kill| {
        let mut stall = Stall::after((kill.at, kill.list_lock), &acks, &done.stops, done.end)?;
        stall.counts &= has_commit_in_flight(&kill.process);
        Some(stall)
    };
    judge(&done.kills.iter().filter_map(stall).collect::<Vec<_>>(), done, violations)
}

/// Whether this is the history of the process, or of one of its threads.
fn is_of(history: &str, process: &str) -> bool {
    history.strip_prefix(process).is_some_and(|rest| rest.is_empty() || rest.starts_with("-t"))
}

/// A stop is short: it does not excuse the longest times, and neither does it matter for those what
/// the dead process did.
fn judge(stalls: &[Stall], done: &Disturbances, violations: &mut Violations) -> Stalls {
    let mut times: Vec<u64> = stalls.iter().filter(|stall| stall.counts).map(|stall| stall.time).collect();
    times.sort_unstable();
    let ms = |nanoseconds: Option<u64>| nanoseconds.unwrap_or_default() as f64 / 1e6;
    let beyond = times.iter().filter(|time| **time > GOAL).count();
    let found = Stalls {
        kills: done.kills.len(),
        stops: done.stops.len(),
        counted: times.len(),
        p50_ms: ms(times.get(times.len() / 2).copied()),
        p99_ms: ms(times.get(times.len().saturating_sub(1 + times.len() / RARELY)).copied()),
        beyond_100_ms: beyond,
        by_lock: ListLock::ALL.map(|list_lock| by_lock(stalls, list_lock)),
        max_ms: ms(stalls.iter().map(|stall| stall.time).max()),
        is_robust: done.is_robust,
        is_enough: times.len() >= RARELY,
    };
    if !found.is_robust {
        return found;
    }
    let begin = done.kills.first().map(|kill| kill.at).unwrap_or_default();
    for stall in stalls.iter().filter(|stall| stall.time > LIMIT) {
        let (at, time) = (stall.kill.saturating_sub(begin) / 1_000_000, stall.time / 1_000_000);
        violations.add(format!("nobody could commit for {time} ms after the kill {at} ms after the first one"));
    }
    let counted = times.len();
    let most = if found.is_enough { counted / RARELY } else { counted / SELDOM };
    if counted >= FEWEST && beyond > most {
        violations.add(format!("nobody could commit for more than 100 ms after {beyond} of {counted} kills"));
    }
    found
}

fn by_lock(stalls: &[Stall], list_lock: ListLock) -> ByLock {
    let counted = || stalls.iter().filter(|stall| stall.counts && stall.list_lock == list_lock);
    let beyond_100_ms = counted().filter(|stall| stall.time > GOAL).count();
    ByLock { list_lock, counted: counted().count(), beyond_100_ms }
}

/// What the others noticed of a kill.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stall {
    kill: u64,
    list_lock: ListLock,
    /// The longest time from the kill, or from an acknowledgement soon after it, to the next
    /// acknowledgement.
    time: u64,
    /// Whether it says something about locks: nobody was stopped at the time.
    counts: bool,
}

impl Stall {
    /// `None` when the run was over too soon to tell.
    fn after((kill, list_lock): (u64, ListLock), acks: &[u64], stops: &[(u64, u64)], end: u64) -> Option<Stall> {
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
        (last > kill).then_some(Stall { kill, list_lock, time, counts: !is_disturbed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_longest_pause_after_a_kill_counts() {
        let acks: Vec<u64> = [5, 9, 30, 40, 170, 400].iter().map(|at| at * MS).collect();
        let after = |kill: u64, stop: u64, end: u64| {
            let stall = Stall::after((kill * MS, ListLock::Free), &acks, &[(0, stop * MS)], end * MS);
            stall.map(|stall| (stall.time / MS, stall.counts))
        };
        assert_eq!(after(10, 10, 500), Some((130, true)));
        assert_eq!(after(10, 11, 500), Some((130, false)));
        assert_eq!(after(200, 0, 500), Some((200, true)));
        assert_eq!(after(410, 0, 500), None);
        assert_eq!(after(410, 0, 1500), Some((1090, true)));
    }

    /// How many violations there are when after `kills` kills, `long` of which are followed by
    /// `time` ms of nothing.
    fn judged(kills: usize, long: usize, time: u64, counts: bool, is_robust: bool) -> u64 {
        let (kill, list_lock) = (0, ListLock::OfTheKilled);
        let stall = |number| Stall { kill, list_lock, time: if number < long { time * MS } else { MS }, counts };
        let stalls: Vec<Stall> = (0..kills).map(stall).collect();
        let mut violations = Violations::default();
        judge(&stalls, &Disturbances { is_robust, ..Disturbances::default() }, &mut violations);
        violations.count()
    }

    #[test]
    fn one_in_a_hundred_may_be_slow_where_a_hundred_count_and_else_one_in_ten() {
        assert_eq!(judged(100, 1, 900, true, true), 0);
        assert_eq!(judged(100, 2, 101, true, true), 1);
        assert_eq!(judged(100, 2, 100, true, true), 0);
        assert_eq!(judged(99, 9, 900, true, true), 0, "one in ten, where fewer count");
        assert_eq!(judged(99, 10, 900, true, true), 1);
        assert_eq!(judged(20, 3, 101, true, true), 1);
        assert_eq!(judged(19, 19, 900, true, true), 0, "too few");
        assert_eq!(judged(200, 200, 900, false, true), 0, "who was stopped, or had nothing in flight");
    }

    #[test]
    fn more_than_a_second_is_too_long_after_any_kill() {
        assert_eq!(judged(5, 1, 1001, true, true), 1);
        assert_eq!(judged(5, 1, 1001, false, true), 1);
        assert_eq!(judged(5, 1, 1001, true, false), 0, "locks are not robust there");
    }

    #[test]
    fn kills_are_told_apart_by_who_had_the_lock() {
        let stall = |list_lock, time, counts| Stall { kill: 0, list_lock, time: time * MS, counts };
        let stalls = [
            stall(ListLock::OfTheKilled, 101, true),
            stall(ListLock::OfTheKilled, 100, true),
            stall(ListLock::OfTheKilled, 101, false),
            stall(ListLock::OfGit, 300, true),
        ];
        let counts = |list_lock| {
            let ByLock { counted, beyond_100_ms, .. } = by_lock(&stalls, list_lock);
            (counted, beyond_100_ms)
        };
        assert_eq!(ListLock::ALL.map(counts), [(2, 1), (0, 0), (1, 1), (0, 0)]);
    }

    #[test]
    fn threads_are_of_their_process_and_later_lives_are_not() {
        assert!(is_of("ours-0", "ours-0") && is_of("ours-0-t1", "ours-0") && is_of("ours-0-r1-t1", "ours-0-r1"));
        assert!(!is_of("ours-0-r1", "ours-0") && !is_of("ours-0-r1-t1", "ours-0") && !is_of("ours-10", "ours-1"));
    }
}
