//! Replays all transfers, ours and git's, in the order of their update indexes.
//!
//! Every transfer leaves an entry in the logs of two accounts, and nobody deletes these. So the
//! logs name one order of all transfers; it must start from the opening, each step must take both
//! accounts from where the step before left them, the sum must be whole after each, every step must
//! be one that some process intended, and every acknowledged transfer must be in it, at the update
//! index that its process was told. Whatever was read of the accounts while they moved must be the
//! state after one of these steps.

use std::collections::BTreeMap;

use super::state::{Entry, State};
use super::{Checked, Evidence, Key, all_ops};
use crate::history::{Change, Op, Outcome, digest};
use crate::names::{ACCOUNT_PREFIX, ACCOUNTS, TOTAL};
use crate::object::amount_of;
use crate::repo::parse;
use crate::violations::Violations;

/// The update index of each transfer that is there.
pub(super) type Found = BTreeMap<Key, u64>;

/// A change of an account that some process intended.
struct Intended<'a> {
    key: Key,
    process: &'a str,
    op: &'a Op,
    name: &'a str,
    old: Option<&'a str>,
}

/// Replays, and returns where the transfers were found.
pub(super) fn check(
    evidence: &Evidence<'_>,
    state: &State,
    violations: &mut Violations,
    checked: &mut Checked,
) -> Found {
    let intended = intended(evidence);
    let mut replay = Replay { balances: BTreeMap::new(), found: Found::new(), states: BTreeMap::new(), violations };
    for (number, (index, entries)) in steps(state).into_iter().enumerate() {
        replay.step(index, &entries);
        if number > 0 {
            replay.explain(index, &entries, &intended);
        }
    }
    let Replay { balances, found, states, .. } = replay;
    seen(evidence, &states, violations, checked);
    for (name, new) in balances {
        let there = state.refs.get(name).map(|(target, _)| target.as_str());
        if there != Some(new) {
            violations.add(format!("{name} is {there:?}, its log ends with {new}"));
        }
    }
    for (key, history, op) in all_ops(evidence).filter(|(_, _, op)| is_transfer(op)) {
        let acked = matches!(op.outcome, Outcome::Acked { .. });
        if acked && !found.contains_key(&key) {
            let (process, number, told) = (&history.process, key.1, told(op));
            violations.add(format!("lost: {process} was told that transfer {number} is there{told}"));
        }
        checked.git_transfers += u64::from(history.role.is_git() && found.contains_key(&key));
    }
    checked.transfers += found.len() as u64;
    found
}

/// Whatever a process saw is a state of this order: the very one at the update index it was told.
/// (git tells none.) It is not older than anything that was acknowledged before the reading began.
fn seen(evidence: &Evidence<'_>, states: &BTreeMap<u64, u64>, violations: &mut Violations, checked: &mut Checked) {
    let acknowledged = Acknowledged::of(evidence);
    let begins: BTreeMap<u64, u64> = states.iter().map(|(index, digest)| (*digest, *index)).collect();
    for history in evidence.histories {
        let mut wrong = Vec::new();
        for saw in &history.saw {
            let digest = saw.digest();
            let begin = match saw.index {
                Some(index) => states.range(..=index).next_back().filter(|(_, state)| **state == digest),
                None => begins.get_key_value(&digest).map(|(digest, index)| (index, digest)),
            };
            let shown = saw.index.map_or("in git's list".to_owned(), |index| format!("at update index {index}"));
            let Some((begin, _)) = begin else {
                wrong.push(format!("a state of the accounts {shown} that never was"));
                continue;
            };
            let until = || states.range(begin + 1..).next().map_or(u64::MAX, |(next, _)| next - 1);
            let newest = acknowledged.before(saw.since);
            if evidence.clock_is_even && saw.index.unwrap_or_else(until) < newest {
                wrong.push(format!("an old state {shown}, after {newest} was acknowledged"));
            }
            checked.states += 1;
        }
        violations.add_all(&history.process, &wrong);
    }
}

/// The largest update index that any of our processes had been told, at each moment when it grew.
struct Acknowledged(BTreeMap<u64, u64>);

impl Acknowledged {
    fn of(evidence: &Evidence<'_>) -> Acknowledged {
        let mut moments: Vec<(u64, u64)> = Vec::new();
        for (_, _, op) in all_ops(evidence) {
            if let Outcome::Acked { first: Some(first), at, .. } = op.outcome {
                moments.push((at, first));
            }
        }
        moments.sort_unstable();
        let mut newest = 0;
        let grow = |(at, index): (u64, u64)| {
            newest = index.max(newest);
            (at, newest)
        };
        Acknowledged(moments.into_iter().map(grow).collect())
    }

    fn before(&self, moment: u64) -> u64 {
        self.0.range(..moment).next_back().map_or(0, |(_, newest)| *newest)
    }
}

/// The entries of all account logs, by update index.
fn steps(state: &State) -> BTreeMap<u64, Vec<(&str, &Entry)>> {
    let mut steps: BTreeMap<u64, Vec<(&str, &Entry)>> = BTreeMap::new();
    for (name, log) in state.logs.iter().filter(|(name, _)| name.starts_with(ACCOUNT_PREFIX)) {
        for entry in log {
            steps.entry(entry.index).or_default().push((name, entry));
        }
    }
    steps
}

/// Where a process was told that its transaction is, for messages.
fn told(op: &Op) -> String {
    op.index().map_or(String::new(), |index| format!(", at update index {index}"))
}

fn is_transfer(op: &Op) -> bool {
    op.draft
        .changes
        .iter()
        .any(|change| matches!(change, Change::Set { .. }) && change.name().starts_with(ACCOUNT_PREFIX))
}

/// By the new id, of which there are no two alike.
fn intended<'a>(evidence: &Evidence<'a>) -> BTreeMap<&'a str, Intended<'a>> {
    let mut intended = BTreeMap::new();
    for (key, history, op) in all_ops(evidence).filter(|(_, _, op)| is_transfer(op)) {
        for change in &op.draft.changes {
            if let Change::Set { name, old, new } = change {
                let process = history.process.as_str();
                intended.insert(new.as_str(), Intended { key, process, op, name, old: old.as_deref() });
            }
        }
    }
    intended
}

struct Replay<'a, 'v> {
    balances: BTreeMap<&'a str, &'a str>,
    found: Found,
    /// A digest of all accounts after each update index.
    states: BTreeMap<u64, u64>,
    violations: &'v mut Violations,
}

impl<'a> Replay<'a, '_> {
    /// Takes the accounts of one update index further.
    fn step(&mut self, index: u64, entries: &[(&'a str, &'a Entry)]) {
        for (name, entry) in entries {
            let before = self.balances.insert(name, &entry.new);
            if before != entry.old.as_deref() {
                let old = &entry.old;
                self.violations.add(format!("the log of {name} forks at {index}: from {old:?}, but it was {before:?}"));
            }
        }
        self.states.insert(index, digest(self.balances.iter().map(|(name, id)| (*name, *id))));
        let amount = |hex: &&str| parse(hex).map_or(0, |id| u64::from(amount_of(&id)));
        let sum: u64 = self.balances.values().map(amount).sum();
        if self.balances.len() != usize::from(ACCOUNTS) || sum != TOTAL {
            let count = self.balances.len();
            self.violations.add(format!("after {index}, {count} accounts hold {sum} instead of {TOTAL}"));
        }
    }

    /// Finds out whose transfer it was.
    fn explain(&mut self, index: u64, entries: &[(&str, &Entry)], intended: &BTreeMap<&str, Intended<'_>>) {
        for (name, entry) in entries {
            let Some(change) = intended.get(entry.new.as_str()) else {
                self.violations.add(format!("nobody intended the entry {index} of {name}"));
                continue;
            };
            let (who, number) = (change.process, change.key.1);
            if change.name != *name || change.old != entry.old.as_deref() {
                self.violations.add(format!("the entry {index} of {name} is not as {who} intended it ({number})"));
            }
            if change.op.outcome == Outcome::Failed {
                self.violations
                    .add(format!("{who} was told that transfer {number} failed, and it is there at {index}"));
            }
            if change.op.index().is_some_and(|told| told != index) {
                let told = told(change.op);
                self.violations.add(format!("{who} was told that transfer {number} is there{told}; it is at {index}"));
            }
            if entries.len() != change.op.draft.changes.len() {
                let (part, all) = (entries.len(), change.op.draft.changes.len());
                self.violations.add(format!("{part} of {all} changes of {who}'s transfer {number} are at {index}"));
            }
            if self.found.insert(change.key, index).is_some_and(|before| before != index) {
                self.violations.add(format!("{who}'s transfer {number} is there twice, the second time at {index}"));
            }
        }
    }
}
