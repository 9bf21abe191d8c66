//! References and logs that one process alone writes: they must be exactly as it left them.

use std::collections::BTreeMap;

use super::state::{Entry, State};
use super::{Checked, Evidence};
use crate::history::{Change, History, Op, Outcome};
use crate::names::{ACCOUNT_PREFIX, PREFIX, own};
use crate::violations::Violations;

/// A state that a reference may be in: where it points, and its update index where that was told.
type Possible = (Option<String>, Option<u64>);

/// A log entry that was written.
#[derive(Debug)]
struct Wanted {
    index: Option<u64>,
    entry: Entry,
    /// Whether it is known to be there, or may be missing.
    certain: bool,
}

/// What a process left.
#[derive(Debug, Default)]
struct Left {
    refs: BTreeMap<String, Vec<Possible>>,
    logs: BTreeMap<String, Vec<Wanted>>,
}

/// Checks the references and logs of every process, and that there are no others.
pub(super) fn check(evidence: &Evidence<'_>, state: &State, violations: &mut Violations, checked: &mut Checked) {
    let mut owners: Vec<String> = vec![ACCOUNT_PREFIX.to_owned()];
    for history in evidence.histories {
        let prefix = own(&history.process, "");
        let left = replay(history, &prefix);
        compare_refs(&left, state, &prefix, violations, checked);
        compare_logs(&left, state, &prefix, violations, checked);
        owners.push(prefix);
    }
    for name in state.refs.keys().chain(state.logs.keys()).filter(|name| name.starts_with(PREFIX)) {
        if !owners.iter().any(|prefix| name.starts_with(prefix)) {
            violations.add(format!("{name} belongs to nobody"));
        }
    }
}

fn replay(history: &History, prefix: &str) -> Left {
    let mut left = Left::default();
    for op in history.ops.iter().filter(|op| op.outcome != Outcome::Failed) {
        left.apply(op, prefix);
    }
    left
}

impl Left {
    fn apply(&mut self, op: &Op, prefix: &str) {
        let certain = matches!(op.outcome, Outcome::Acked { .. });
        for change in op.draft.changes.iter().filter(|change| change.name().starts_with(prefix)) {
            let target = match change {
                Change::Set { new, .. } => Some(new.clone()),
                Change::Symbolic { new, .. } => Some(format!("ref: {new}")),
                Change::Delete { .. } | Change::DeleteSymbolic { .. } => None,
                Change::Append { .. } => continue,
                Change::ClearLog { name } => {
                    self.clear(name, certain);
                    continue;
                }
            };
            let possible = self.refs.entry(change.name().to_owned()).or_insert_with(|| vec![(None, None)]);
            if certain {
                possible.clear();
            }
            possible.push((target, op.index()));
        }
        for new in op.draft.entries().iter().filter(|new| new.name.starts_with(prefix)) {
            let index = op.index().map(|first| first + new.offset);
            let entry = Entry {
                index: index.unwrap_or_default(),
                old: new.old.map(str::to_owned),
                new: new.new.to_owned(),
                message: op.draft.message.clone(),
            };
            self.logs.entry(new.name.to_owned()).or_default().push(Wanted { index, entry, certain });
        }
    }

    fn clear(&mut self, name: &str, certain: bool) {
        let Some(log) = self.logs.get_mut(name) else { return };
        if certain {
            log.clear();
        } else {
            log.iter_mut().for_each(|wanted| wanted.certain = false);
        }
    }
}

fn compare_refs(left: &Left, state: &State, prefix: &str, violations: &mut Violations, checked: &mut Checked) {
    for (name, possible) in &left.refs {
        let there = state.refs.get(name);
        let fits = |(target, index): &Possible| match (target, there) {
            (None, None) => true,
            (Some(target), Some((found, at))) => target == found && index.is_none_or(|index| index == *at),
            _ => false,
        };
        if !possible.iter().any(fits) {
            violations.add(format!("lost: {name} is {there:?}, its only writer left it at {possible:?}"));
        }
        checked.owned_refs += 1;
    }
    for name in state.refs.keys().filter(|name| name.starts_with(prefix)) {
        if !left.refs.contains_key(name) {
            violations.add(format!("{name} is there, and its only writer did not write it"));
        }
    }
}

fn compare_logs(left: &Left, state: &State, prefix: &str, violations: &mut Violations, checked: &mut Checked) {
    let none = Vec::new();
    for (name, wanted) in &left.logs {
        let mut there = state.logs.get(name).unwrap_or(&none).iter().peekable();
        for wanted in wanted {
            checked.log_entries += 1;
            if there.next_if(|found| same(wanted, found)).is_none() && wanted.certain {
                let next = there.peek();
                violations.add(format!("lost: the log of {name} lacks {:?}; there is {next:?}", wanted.entry));
                break;
            }
        }
        if let Some(more) = there.next() {
            violations.add(format!("the log of {name} has {more:?}, which its only writer did not write there"));
        }
    }
    for name in state.logs.keys().filter(|name| name.starts_with(prefix)) {
        if !left.logs.contains_key(name) {
            violations.add(format!("{name} has a log, and its only writer did not write one"));
        }
    }
}

/// Where no update index was told, any fits.
fn same(wanted: &Wanted, found: &Entry) -> bool {
    let entry = &wanted.entry;
    let fits = wanted.index.is_none_or(|index| index == found.index);
    fits && (&entry.old, &entry.new, &entry.message) == (&found.old, &found.new, &found.message)
}
