//! What a process was doing when it was killed is there as a whole, or not at all.
//!
//! Transfers are looked at where all transfers are; this is about references and logs of the
//! process alone.

use super::state::State;
use super::{Checked, Evidence};
use crate::history::{Change, Draft, History, Op, Outcome};
use crate::names::own;
use crate::violations::Violations;

/// Looks at the last transaction of every process that was killed.
pub(super) fn check(evidence: &Evidence<'_>, state: &State, violations: &mut Violations, checked: &mut Checked) {
    for history in evidence.histories.iter().filter(|history| history.was_killed) {
        let Some(op) = in_flight(history) else { continue };
        let traces = traces(&op.draft, state, &own(&history.process, ""), is_certain_before(history));
        let (there, missing) = (traces.contains(&true), traces.contains(&false));
        if there && missing {
            let (process, number) = (&history.process, history.ops.len() - 1);
            violations.add(format!("in part: transaction {number} of {process}, who was killed: {traces:?} of {op:?}"));
        }
        checked.in_flight += 1;
        checked.in_flight_there += u64::from(there);
    }
}

/// What it had begun, and was told nothing about.
pub(super) fn in_flight(history: &History) -> Option<&Op> {
    history.ops.last().filter(|op| op.outcome == Outcome::Unknown)
}

/// Whether it is known of all that it did before what became of it.
fn is_certain_before(history: &History) -> bool {
    let before = history.ops.split_last().map_or(&[][..], |(_, before)| before);
    before.iter().all(|op| op.outcome != Outcome::Unknown)
}

/// Whether each of its changes of references below `prefix` is there, and each of its log entries.
/// Changes that leave no trace are left out. A reference that is not there is the trace of a
/// deletion only if it was there before: not where a power failure may have taken what made it.
fn traces(draft: &Draft, state: &State, prefix: &str, is_certain_before: bool) -> Vec<bool> {
    let target = |name: &str| state.refs.get(name).map(|(target, _)| target.as_str());
    let changes = draft.changes.iter().filter(|change| change.name().starts_with(prefix));
    let refs = changes.filter_map(|change| match change {
        Change::Set { name, new, .. } => Some(target(name) == Some(new)),
        Change::Symbolic { old: Some(old), new, .. } if old == new => None,
        Change::Symbolic { name, new, .. } => Some(target(name) == Some(&format!("ref: {new}"))),
        Change::Delete { name, .. } | Change::DeleteSymbolic { name, .. } => match target(name) {
            Some(_) => Some(false),
            None => is_certain_before.then_some(true),
        },
        Change::Append { .. } | Change::ClearLog { .. } => None,
    });
    let entries = draft.entries();
    let entries = entries.iter().filter(|entry| entry.name.starts_with(prefix));
    let is_logged =
        |name: &str, new: &str| state.logs.get(name).is_some_and(|log| log.iter().any(|entry| entry.new == new));
    refs.chain(entries.map(|entry| is_logged(entry.name, entry.new))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_a_trace_of_a_deletion_only_if_it_was_there() {
        let delete = Change::Delete { name: "refs/own/1".to_owned(), old: "1".to_owned() };
        let set = Change::Set { name: "refs/own/2".to_owned(), old: None, new: "2".to_owned() };
        let draft = Draft { changes: vec![delete, set], ..Draft::default() };
        let nothing = State::default();
        assert_eq!(traces(&draft, &nothing, "refs/own/", true), [true, false], "in part");
        assert_eq!(traces(&draft, &nothing, "refs/own/", false), [false], "not at all");
        let mut before = State::default();
        before.refs.insert("refs/own/1".to_owned(), ("1".to_owned(), 1));
        assert_eq!(traces(&draft, &before, "refs/own/", false), [false, false], "not at all");
    }
}
