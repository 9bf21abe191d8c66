//! What a store must do, told once more with maps and without files.

use std::collections::{BTreeMap, BTreeSet};

use reftable::{Expect, Ident, Log, LogEntry, ObjectId, Ref, Target};

/// A store in memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Model {
    pub(crate) refs: BTreeMap<Vec<u8>, (u64, Target)>,
    /// By name and inverted update index: newest first.
    pub(crate) logs: BTreeMap<(Vec<u8>, u64), LogEntry>,
    /// The names of logs that exist, also of those that have lost all entries.
    pub(crate) existing: BTreeSet<Vec<u8>>,
    pub(crate) update_index: u64,
}

/// One call on a transaction.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Set(Vec<u8>, Expect, Target),
    Delete(Vec<u8>, Expect),
    Verify(Vec<u8>, Expect),
    AppendLog(Vec<u8>, LogEntry),
    DeleteLogEntry(Vec<u8>, u64),
    DeleteLog(Vec<u8>),
}

/// Why a transaction is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A name is there twice.
    Twice,
    /// The names that are not as expected, and the names that clash with another.
    Conflict { mismatches: BTreeSet<Vec<u8>>, clashes: BTreeSet<Vec<u8>> },
}

impl Change {
    fn updated(&self) -> Option<(&Vec<u8>, &Expect)> {
        match self {
            Change::Set(name, expect, _) | Change::Delete(name, expect) | Change::Verify(name, expect) => {
                Some((name, expect))
            }
            _ => None,
        }
    }
}

impl Model {
    /// Applies a transaction and returns its update index, or that of the state when it changes
    /// nothing.
    pub(crate) fn commit(&mut self, changes: &[Change], reflog: Option<&(Ident, Vec<u8>)>) -> Result<u64, Refused> {
        self.check(changes)?;
        let this = self.update_index + 1;
        let before = self.refs.clone();
        let mut wrote = false;
        let mut log = Appender { next: BTreeMap::new(), this, last: this, entries: Vec::new() };
        for change in changes {
            match change {
                Change::Set(name, _, target) => {
                    self.refs.insert(name.clone(), (this, target.clone()));
                    wrote = true;
                }
                Change::Delete(name, _) => {
                    self.refs.remove(name);
                    wrote = true;
                }
                Change::Verify(..) => {}
                Change::AppendLog(name, entry) => {
                    log.append(name, entry.clone());
                    wrote = true;
                }
                Change::DeleteLogEntry(name, update_index) => {
                    self.logs.remove(&(name.clone(), !update_index));
                    wrote = true;
                }
                Change::DeleteLog(name) => {
                    self.logs.retain(|(logged, _), _| logged != name);
                    wrote |= self.existing.remove(name);
                }
            }
        }
        let mut sets: Vec<_> = changes.iter().filter(|change| matches!(change, Change::Set(..))).collect();
        sets.sort_by_key(|change| change.updated().map(|(name, _)| name.clone()));
        for change in sets {
            let (Change::Set(name, _, target), Some((committer, message))) = (change, reflog) else { continue };
            let Some(new) = target.id() else { continue };
            let old = before.get(name).and_then(|(_, target)| target.id()).unwrap_or(ObjectId::null(new.kind()));
            log.append(name, LogEntry { old, new, committer: committer.clone(), message: message.clone() });
        }
        if !wrote {
            return Ok(self.update_index);
        }
        self.update_index = log.last;
        self.existing.extend(log.entries.iter().map(|((name, _), _)| name.clone()));
        self.logs.extend(log.entries);
        Ok(this)
    }

    fn check(&self, changes: &[Change]) -> Result<(), Refused> {
        let mut names = BTreeSet::new();
        if !changes.iter().filter_map(Change::updated).all(|(name, _)| names.insert(name)) {
            return Err(Refused::Twice);
        }
        let mismatches: BTreeSet<_> = changes
            .iter()
            .filter_map(Change::updated)
            .filter(|(name, expect)| !holds(expect, self.refs.get(*name).map(|(_, target)| target)))
            .map(|(name, _)| name.clone())
            .collect();
        let clashes: BTreeSet<_> = changes.iter().filter_map(|change| self.clashes(change, changes)).collect();
        if mismatches.is_empty() && clashes.is_empty() {
            return Ok(());
        }
        Err(Refused::Conflict { mismatches, clashes })
    }

    /// The name of a created reference that would be a directory of another or the other way round.
    /// Of two that the transaction creates, the longer one is named.
    fn clashes(&self, change: &Change, changes: &[Change]) -> Option<Vec<u8>> {
        let Change::Set(name, ..) = change else { return None };
        if self.refs.contains_key(name) {
            return None;
        }
        let is_set = |other: &[u8]| changes.iter().any(|change| matches!(change, Change::Set(set, ..) if set == other));
        let is_deleted =
            |other: &[u8]| changes.iter().any(|change| matches!(change, Change::Delete(gone, _) if gone == other));
        let stays = |other: &[u8]| self.refs.contains_key(other) && !is_deleted(other);
        let above = (0..name.len()).filter(|at| name[*at] == b'/').map(|at| &name[..at]);
        let below = self.refs.keys().filter(|other| other.starts_with(name) && other.get(name.len()) == Some(&b'/'));
        let clash = above.into_iter().any(|other| is_set(other) || stays(other)) || below.into_iter().any(|o| stays(o));
        clash.then(|| name.clone())
    }

    pub(crate) fn expire(&mut self, before_time: Option<u64>, before_update_index: Option<u64>) {
        self.logs.retain(|(_, inverted), entry| {
            before_time.is_none_or(|time| entry.committer.time >= time)
                && before_update_index.is_none_or(|index| !*inverted >= index)
        });
    }

    pub(crate) fn all_refs(&self) -> Vec<Ref> {
        let as_ref = |(name, (update_index, target)): (&Vec<u8>, &(u64, Target))| Ref {
            name: name.clone(),
            update_index: *update_index,
            target: target.clone(),
        };
        self.refs.iter().map(as_ref).collect()
    }

    pub(crate) fn all_logs(&self) -> Vec<Log> {
        self.logs
            .iter()
            .map(|((refname, inverted), entry)| {
                let mut entry = entry.clone();
                entry.message.push(b'\n');
                Log { refname: refname.clone(), update_index: !inverted, entry }
            })
            .collect()
    }
}

struct Appender {
    next: BTreeMap<Vec<u8>, u64>,
    this: u64,
    last: u64,
    entries: Vec<((Vec<u8>, u64), LogEntry)>,
}

impl Appender {
    fn append(&mut self, name: &[u8], entry: LogEntry) {
        let next = self.next.entry(name.to_vec()).or_insert(self.this);
        self.last = self.last.max(*next);
        self.entries.push(((name.to_vec(), !*next), entry));
        *next += 1;
    }
}

pub(crate) fn holds(expect: &Expect, actual: Option<&Target>) -> bool {
    match (expect, actual) {
        (Expect::Any, _) | (Expect::Absent | Expect::AbsentOr(_), None) | (Expect::Exists, Some(_)) => true,
        (Expect::AbsentOr(expected), Some(_)) => holds(&Expect::Is(expected.clone()), actual),
        (Expect::Is(Target::Symbolic(expected)), Some(Target::Symbolic(actual))) => expected == actual,
        (Expect::Is(expected), Some(actual)) => expected.id().is_some() && expected.id() == actual.id(),
        _ => false,
    }
}
