//! What is to be known of a plan once its transactions are made.

use std::collections::{BTreeMap, BTreeSet};

use reftable::{Conflict, ConflictKind, ErrorKind, Target};

use super::{Batch, Change};

/// What became of the changes of a batch, and what their transactions expect beside what was asked
/// for.
#[derive(Debug)]
pub(super) struct Settled<'a> {
    pub(super) batch: &'a Batch,
    /// The changes, from 0, that are of another name in the end than the one that was given.
    pub(super) ends: BTreeMap<usize, Vec<u8>>,
    /// The names of which something is expected that the caller does not expect.
    pub(super) pinned: BTreeSet<Vec<u8>>,
}

impl Settled<'_> {
    /// Each change with the name that it is of in the end.
    pub(super) fn changes(&self) -> impl Iterator<Item = (&Change, &[u8])> {
        let changes = self.batch.changes.iter().enumerate();
        changes.map(|(at, change)| (change, self.ends.get(&at).unwrap_or(&change.name).as_slice()))
    }

    /// Whether `error` says that something has changed since the plan was made.
    pub(super) fn is_outdated(&self, error: &reftable::Error) -> bool {
        error.kind() == ErrorKind::Conflict && self.is_outdated_by(error.conflicts())
    }

    /// Whether one of `conflicts` is about what was found when the plan was made, and not about
    /// what the caller expects.
    pub(super) fn is_outdated_by(&self, conflicts: &[Conflict]) -> bool {
        // If what was no symbolic reference is one, a change that follows is meant for another.
        let is_followed = |name: &[u8]| self.changes().any(|(change, end)| end == name && change.follows());
        conflicts.iter().any(|conflict| {
            // Names in each other's way stay so, however often one tries.
            let ConflictKind::Mismatch { actual, .. } = &conflict.kind else { return false };
            let became_symbolic = matches!(actual, Some(Target::Symbolic(_)));
            self.pinned.contains(&conflict.name) || became_symbolic && is_followed(&conflict.name)
        })
    }
}
