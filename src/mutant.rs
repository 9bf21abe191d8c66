//! Deliberate mistakes, for checking the checkers: each must be caught by at least one.
//!
//! Compiled in by `--cfg reftable_mutants` only; otherwise nothing here costs anything, and no mistake can be made.

/// A mistake that the protocol must not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(not(reftable_mutants), expect(unreachable_pub, reason = "public for the checkers only"))]
pub enum Mutant {
    /// The table of a commit is not synced.
    SkipTableSync,
    /// The directory is not synced before the list is replaced.
    SkipDirectorySyncBefore,
    /// The directory is not synced after the list was replaced.
    SkipDirectorySyncAfter,
    /// A compaction removes its inputs before it publishes its output.
    DeleteInputsEarly,
    /// A commit returns before the list is replaced.
    AcknowledgeBeforeRename,
    /// A lock is taken over without asking whether its owner lives.
    BreakLockUnasked,
    /// The state that was read before the lock was taken is not read again under it.
    SkipReread,
    /// The list names the table before the table has its name.
    PublishBeforeTable,
    /// A compaction drops tombstones though older tables lie below.
    DropTombstones,
    /// A compaction that had to leave out the oldest tables drops tombstones as planned for all of them.
    ShrinkKeepsRule,
    /// The leader of a group checks each transaction against the snapshot only, not against those before it.
    IgnoreEarlierMembers,
    /// The members of a group are told of their success before the last sync.
    AcknowledgeBeforeSync,
}

/// Every mistake there is.
#[cfg(reftable_mutants)]
pub const ALL: [Mutant; 12] = [
    Mutant::SkipTableSync,
    Mutant::SkipDirectorySyncBefore,
    Mutant::SkipDirectorySyncAfter,
    Mutant::DeleteInputsEarly,
    Mutant::AcknowledgeBeforeRename,
    Mutant::BreakLockUnasked,
    Mutant::SkipReread,
    Mutant::PublishBeforeTable,
    Mutant::DropTombstones,
    Mutant::ShrinkKeepsRule,
    Mutant::IgnoreEarlierMembers,
    Mutant::AcknowledgeBeforeSync,
];

#[cfg(reftable_mutants)]
thread_local! {
    static ACTIVE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Makes this mistake on this thread from now on, or none.
#[cfg(reftable_mutants)]
pub fn activate(mutant: Option<Mutant>) {
    ACTIVE.set(mutant);
}

/// Whether this mistake is to be made.
#[cfg(reftable_mutants)]
pub(crate) fn is_on(mutant: Mutant) -> bool {
    ACTIVE.get() == Some(mutant)
}

/// Whether this mistake is to be made: never.
#[cfg(not(reftable_mutants))]
#[inline(always)]
pub(crate) const fn is_on(_mutant: Mutant) -> bool {
    false
}
