//! The deliberate mistake that runs are made with, but not what builds their base and not what
//! checks them.

use std::cell::Cell;

#[cfg(reftable_mutants)]
use reftable::mutant::Mutant;

use super::slips::Slip;

thread_local! {
    static PLANNED: Cell<Option<Mistake>> = const { Cell::new(None) };
    static ACTIVE: Cell<Option<Mistake>> = const { Cell::new(None) };
}

/// Who makes a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// The library.
    #[cfg(reftable_mutants)]
    Ours(Mutant),
    /// The directory, as if the library had called it so.
    Dir(Slip),
}

#[cfg(reftable_mutants)]
impl From<Mutant> for Mistake {
    fn from(mutant: Mutant) -> Mistake {
        Mistake::Ours(mutant)
    }
}

impl From<Slip> for Mistake {
    fn from(slip: Slip) -> Mistake {
        Mistake::Dir(slip)
    }
}

/// Makes the runs of this thread with this mistake from now on.
pub(crate) fn plan(mistake: Option<Mistake>) {
    PLANNED.set(mistake);
}

/// What this thread makes now, for another one that belongs to its run.
pub(crate) fn active() -> Option<Mistake> {
    ACTIVE.get()
}

/// Whether the directory makes this mistake now.
pub(super) fn is_on(slip: Slip) -> bool {
    active() == Some(Mistake::Dir(slip))
}

pub(crate) fn adopt(mistake: Option<Mistake>) {
    ACTIVE.set(mistake);
    #[cfg(reftable_mutants)]
    reftable::mutant::activate(match mistake {
        Some(Mistake::Ours(mutant)) => Some(mutant),
        _ => None,
    });
}

pub(crate) fn activate() {
    adopt(PLANNED.get());
}

pub(crate) fn deactivate() {
    adopt(None);
}
