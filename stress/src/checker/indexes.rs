//! Update indexes: none is used twice, and they grow in the order in which things really happened.

use super::accounts::Found;
use super::{Checked, Evidence, Key, all_ops};
use crate::history::Outcome;
use crate::violations::Violations;

/// Checks both.
pub(super) fn check(evidence: &Evidence<'_>, found: &Found, violations: &mut Violations, checked: &mut Checked) {
    unique(evidence, found, violations, checked);
    if evidence.clock_is_even {
        real_time(evidence, found, violations, checked);
    }
}

/// Acknowledged update indexes of this library, and those of git's transfers, which the logs tell.
fn unique(evidence: &Evidence<'_>, found: &Found, violations: &mut Violations, checked: &mut Checked) {
    let mut ranges: Vec<(u64, u64, Key, &str)> = Vec::new();
    for (key, history, op) in all_ops(evidence) {
        let git = || found.get(&key).copied().filter(|_| history.role.is_git());
        if let Some(first) = op.index().or_else(git) {
            ranges.push((first, first + op.draft.span() - 1, key, &history.process));
        }
    }
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        match pair {
            [(_, last, a, one), (first, _, b, other)] if first <= last => {
                let (a, b) = (a.1, b.1);
                violations.add(format!("update index {first} was used twice: by {one} ({a}) and by {other} ({b})"));
            }
            _ => {}
        }
    }
    checked.update_indexes += ranges.len() as u64;
}

/// Something that happened at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A transaction, by its position, was begun.
    Begun(usize),
    /// It was acknowledged.
    Acked(usize),
}

/// What was begun after something else was acknowledged has the larger update index.
fn real_time(evidence: &Evidence<'_>, found: &Found, violations: &mut Violations, checked: &mut Checked) {
    let mut events: Vec<(u64, Event)> = Vec::new();
    let mut transactions: Vec<(u64, u64, &str, usize)> = Vec::new();
    for (key, history, op) in all_ops(evidence) {
        let index = op.index().or_else(|| found.get(&key).copied());
        if let (Outcome::Acked { at, .. }, Some(index)) = (&op.outcome, index) {
            events.push((op.at, Event::Begun(transactions.len())));
            events.push((*at, Event::Acked(transactions.len())));
            transactions.push((index, 0, &history.process, key.1));
        }
    }
    events.sort_unstable();
    let mut newest = 0;
    for (_, event) in events {
        match event {
            Event::Begun(position) => {
                if let Some((_, floor, ..)) = transactions.get_mut(position) {
                    *floor = newest;
                }
            }
            Event::Acked(position) => {
                if let Some((index, floor, process, number)) = transactions.get(position) {
                    if index <= floor {
                        violations.add(format!(
                            "{process} ({number}) has update index {index}, and was begun after {floor} was acknowledged"
                        ));
                    }
                    checked.real_time += u64::from(*floor > 0);
                    newest = newest.max(*index);
                }
            }
        }
    }
}
