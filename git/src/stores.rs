//! The open stores of a repository.

use std::time::Duration;

use reftable::{HashKind, Snapshot, Stack};

use crate::error::Result;
use crate::view::View;

/// How long a batch that has one store's lock waits for that of the other.
pub(crate) const SECOND_LOCK: Duration = Duration::from_millis(20);

/// One of the stores of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The one of the repository.
    Shared,
    /// The one that a linked worktree has for itself.
    Worktree,
}

impl Place {
    /// Where git keeps `name`.
    #[must_use]
    pub fn of(name: &[u8]) -> Place {
        if reftable::name::is_per_worktree(name) { Place::Worktree } else { Place::Shared }
    }
}

/// The open stores of a repository.
#[derive(Debug)]
pub struct Stores {
    shared: Stack,
    /// That of a linked worktree, twice: the second one does not wait long for its lock.
    worktree: Option<(Stack, Stack)>,
    patience: Option<Duration>,
    hash: Option<HashKind>,
}

impl Stores {
    pub(crate) fn new(
        shared: Stack,
        worktree: Option<(Stack, Stack)>,
        patience: Option<Duration>,
        hash: Option<HashKind>,
    ) -> Stores {
        Stores { shared, worktree, patience, hash }
    }

    /// The hash of the repository's ids, by its configuration.
    #[must_use]
    pub fn hash(&self) -> Option<HashKind> {
        self.hash
    }

    /// How long to wait for locks, and for others to be slower; `None` is for ever.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        self.patience
    }

    /// The store for `place`; without a linked worktree there is only one.
    #[must_use]
    pub fn at(&self, place: Place) -> &Stack {
        match (place, &self.worktree) {
            (Place::Worktree, Some((worktree, _))) => worktree,
            _ => &self.shared,
        }
    }

    /// The linked worktree's store, if there is one, for a batch that will have the lock of the
    /// shared one when it takes this one's. Waiting long would keep everybody from the first one,
    /// and others may have the two crosswise: who has time lets go of both, and tries again.
    pub(crate) fn second(&self) -> Option<&Stack> {
        self.worktree.as_ref().map(|(_, second)| second)
    }

    /// All stores, the shared one first.
    pub fn all(&self) -> impl Iterator<Item = &Stack> {
        std::iter::once(&self.shared).chain(self.worktree.iter().map(|(worktree, _)| worktree))
    }

    /// What is in them now.
    pub fn view(&self) -> Result<View> {
        let worktree: Option<Snapshot> = self.worktree.as_ref().map(|(worktree, _)| worktree.snapshot()).transpose()?;
        Ok(View::new(self.shared.snapshot()?, worktree))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worktree_has_its_own_root_references_and_bisections() {
        for own in ["HEAD", "ORIG_HEAD", "refs/bisect/bad", "refs/worktree/x", "refs/rewritten/x"] {
            assert_eq!(Place::of(own.as_bytes()), Place::Worktree, "{own}");
        }
        for shared in ["refs/heads/main", "refs/stash", "refs/bisect", "refs/heads/HEAD"] {
            assert_eq!(Place::of(shared.as_bytes()), Place::Shared, "{shared}");
        }
    }
}
