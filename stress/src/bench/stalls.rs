//! How long nobody was told anything after a kill.

use serde::Serialize;

use super::locks::DeadLock;
use crate::judge::event::{Event, Kind, MicroOp, What};

/// A pause that begins so soon after a kill is taken for its consequence, in nanoseconds.
const SOON: u64 = 100_000_000;

/// Kills, and what others noticed of them.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Stalls {
    /// Drivers that were killed.
    pub(crate) kills: usize,
    /// Of these, those that were killed while a transaction was prepared.
    pub(crate) preparing: usize,
    /// Those that had been told to commit, and had not answered.
    pub(crate) committing: usize,
    /// Drivers that were stopped for a while.
    pub(crate) stops: usize,
    /// The longest time without an acknowledged transaction after each kill: the median, in
    /// milliseconds.
    pub(crate) median_ms: u64,
    /// The longest of all.
    pub(crate) max_ms: u64,
    /// Locks that dead processes have left.
    pub(crate) dead_locks: Vec<DeadLock>,
}

impl Stalls {
    /// What a history tells of them.
    pub(crate) fn of(events: &[Event], dead_locks: Vec<DeadLock>) -> Stalls {
        let mut stalls = Stalls { dead_locks, ..Stalls::default() };
        let acks: Vec<u64> = events.iter().filter(|event| is_ack(event)).map(|event| event.time).collect();
        // After the last transaction there is nobody who could go on.
        let end = events.iter().filter(|event| is_change(event)).map(|event| event.time).max().unwrap_or(0);
        let mut pauses = Vec::new();
        for event in events {
            let What::Other { f, value } = &event.what else { continue };
            match f.as_str() {
                "kill" => {
                    stalls.kills += 1;
                    let phase = value.get("in_flight").and_then(serde_json::Value::as_str);
                    stalls.preparing += usize::from(phase == Some("preparing"));
                    stalls.committing += usize::from(phase == Some("committing"));
                    pauses.push(pause(event.time, &acks, end));
                }
                "stop" => stalls.stops += 1,
                _ => {}
            }
        }
        pauses.sort_unstable();
        let ms = |pause: Option<&u64>| pause.map_or(0, |pause| pause / 1_000_000);
        stalls.median_ms = ms(pauses.get(pauses.len() / 2));
        stalls.max_ms = ms(pauses.last());
        stalls
    }
}

fn is_change(event: &Event) -> bool {
    event
        .transaction()
        .is_some_and(|micro_ops| micro_ops.iter().any(|micro_op| matches!(micro_op, MicroOp::Swap { .. })))
}

fn is_ack(event: &Event) -> bool {
    event.kind == Kind::Ok && is_change(event)
}

/// The longest time from a kill, or from an acknowledgement soon after it, to the next one.
fn pause(kill: u64, acks: &[u64], end: u64) -> u64 {
    let first = acks.partition_point(|at| *at <= kill);
    let (mut from, mut longest) = (kill, 0);
    for at in acks.get(first..).unwrap_or_default().iter().copied().chain([end.max(kill)]) {
        if from > kill + SOON {
            break;
        }
        longest = longest.max(at.saturating_sub(from));
        from = at;
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pause_after_a_kill_counts() {
        const MS: u64 = 1_000_000;
        let acks: Vec<u64> = [5, 9, 30, 40, 170, 400].iter().map(|at| at * MS).collect();
        let after = |kill: u64| pause(kill * MS, &acks, 500 * MS) / MS;
        assert_eq!((after(10), after(200), after(410)), (130, 200, 90));
    }
}
