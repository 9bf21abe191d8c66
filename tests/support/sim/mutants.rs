//! The deliberate mistake that runs are made with, but not what builds their base and not what
//! checks them.

#[cfg(reftable_mutants)]
mod on {
    use std::cell::Cell;

    use reftable::mutant::Mutant;

    thread_local! {
        static PLANNED: Cell<Option<Mutant>> = const { Cell::new(None) };
        static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Makes the runs of this thread with this mistake from now on.
    pub(crate) fn plan(mutant: Option<Mutant>) {
        PLANNED.set(mutant);
    }

    /// What this thread makes now, for another one that belongs to its run.
    pub(crate) fn active() -> Option<Mutant> {
        ACTIVE.get()
    }

    pub(crate) fn adopt(mutant: Option<Mutant>) {
        ACTIVE.set(mutant);
        reftable::mutant::activate(mutant);
    }

    pub(crate) fn activate() {
        adopt(PLANNED.get());
    }

    pub(crate) fn deactivate() {
        adopt(None);
    }
}

#[cfg(not(reftable_mutants))]
mod on {
    pub(crate) fn active() {}

    pub(crate) fn adopt((): ()) {}

    pub(crate) fn activate() {}

    pub(crate) fn deactivate() {}
}

pub(crate) use on::*;
