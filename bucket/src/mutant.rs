//! Deliberate mistakes, for checking the checkers: each must be caught by the explorer.
//!
//! Compiled in by `--cfg reftable_mutants` only; otherwise no mistake can be made.

/// A mistake that must not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(reftable_mutants), expect(unreachable_pub, reason = "public for the checkers only"))]
pub enum Mutant {
    /// A refusal is taken for the word that the swap was not carried out, now or before.
    TrustRefusal,
    /// After a refusal only the list of tables is looked at, not which committer has written the
    /// edition.
    LookAtTablesOnly,
    /// Conflicts are reported without a look whether the state is the newest.
    RefuseUponOldStates,
    /// Cleaning goes by the rule of directories, which have a lock: whatever is not listed.
    CleanWhatIsNotListed,
    /// A compaction deletes its inputs before the swap.
    DeleteInputsEarly,
    /// A swap whose answer was lost is repeated with other bytes.
    RepeatWithOtherBytes,
    /// The past is forgotten at once.
    ForgetThePast,
    /// Others' pasts are forgotten as this machine would wish its own.
    ForgetByOwnWish,
    /// A compaction that others have followed is taken for one that was lost.
    TakeFollowedForLost,
    /// A caller who gives up while a request is under way is told that nothing was changed.
    DenyWhatIsUnderWay,
    /// A numbered root that was written is taken for the newest without a look.
    BelieveLateCreations,
    /// A numbered root that was read is taken for the one that was listed.
    BelieveOneListing,
}

#[cfg(reftable_mutants)]
mod switch {
    use super::Mutant;
    use std::cell::Cell;

    thread_local! {
        static MADE: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Makes this mistake in this thread from now on.
    pub fn make(mistake: Option<Mutant>) {
        MADE.set(mistake);
    }

    pub(crate) fn is_on(mutant: Mutant) -> bool {
        MADE.get() == Some(mutant)
    }
}

#[cfg(reftable_mutants)]
pub(crate) use switch::is_on;
#[cfg(reftable_mutants)]
pub use switch::make;

#[cfg(not(reftable_mutants))]
pub(crate) const fn is_on(_: Mutant) -> bool {
    false
}
