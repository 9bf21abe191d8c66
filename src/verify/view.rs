//! The references that one worktree sees: those of its own store, and the shared ones.

use crate::error::Result;
use crate::name;
use crate::snapshot::Snapshot;
use crate::value::Ref;

/// What a store is to a repository.
#[derive(Debug)]
pub(super) enum StoreKind {
    /// All references are in it; or which others there are is not known.
    Only,
    /// It is the store of a linked worktree. The shared one is `None` if it cannot be read.
    Linked { shared: Option<Snapshot> },
}

/// A store, and the one beside it.
#[derive(Debug)]
pub(super) struct WorktreeView {
    /// The store that is checked.
    pub(super) own: Snapshot,
    place: StoreKind,
}

impl WorktreeView {
    pub(super) fn new(own: Snapshot, place: StoreKind) -> WorktreeView {
        WorktreeView { own, place }
    }

    /// Whether git looks for `name` in the shared store, and never in this one.
    pub(super) fn is_elsewhere(&self, name: &[u8]) -> bool {
        matches!(self.place, StoreKind::Linked { .. }) && !name::is_per_worktree(name)
    }

    /// What `name` means in this worktree. What is in a store that is not known, or
    /// cannot be read, is not there.
    ///
    /// # Errors
    /// `Corrupt`, if a table of the own store cannot be read.
    pub(super) fn get(&self, name: &[u8]) -> Result<Option<Ref>> {
        let StoreKind::Linked { shared } = &self.place else { return self.own.get(name) };
        let of_main = name.strip_prefix(b"main-worktree/").filter(|name| name::is_per_worktree(name));
        if of_main.is_none() && name::is_per_worktree(name) {
            return self.own.get(name);
        }
        // That this store is damaged is told by its own check.
        let found = shared.as_ref().map(|shared| shared.get(of_main.unwrap_or(name)));
        Ok(found.and_then(Result::ok).flatten())
    }
}
