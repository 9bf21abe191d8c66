//! The owner of the lock dies while two others wait for it: one of them takes over, and then the
//! other has its turn.

#![cfg(loom)]
#![cfg(test)]

use loom_tests::{Flaw, explore, explore_deaths, id, locks, open, options, process, read, set, settle, stack, start};
use reftable::{AutoCompact, Expect};

const NAMES: [&str; 3] = ["refs/heads/a", "refs/heads/b", "refs/heads/c"];

/// The owner is dead before the two begin.
fn two_heirs(flaw: Flaw) {
    let dir = start(&NAMES, flaw);
    let mortal = dir.for_process(1);
    let dying = open(&mortal, locks(true), options(AutoCompact::Off));
    let mut tx = dying.transaction();
    tx.set(NAMES[0], Expect::Any, id(2));
    let prepared = tx.prepare().expect("nobody else has the lock");
    mortal.die();
    drop((prepared, dying));
    let (one, other) = (stack(&dir, 2, AutoCompact::Off), stack(&dir, 3, AutoCompact::Off));
    let heir = process(move || set(&one, NAMES[1], 1, 3).expect("the other one ends").update_index);
    let mine = set(&other, NAMES[2], 1, 4).expect("the other one ends").update_index;
    let theirs = heir.join().expect("the heir ends");
    assert_eq!((mine.min(theirs), mine.max(theirs)), (2, 3), "each commit has an update index of its own");
    assert_eq!(read(&other, &NAMES), [1, 3, 4], "both are there, that of the dead is not");
    assert_eq!(dir.inherited(), 1, "one took over");
    drop(other);
    settle(&dir, &NAMES);
}

/// The owner dies at its `call`-th call, with the two beside it.
fn owner_dies(call: u32, flaw: Flaw) -> bool {
    let dir = start(&NAMES, flaw);
    let mortal = dir.for_process(1);
    let dying = open(&mortal, locks(true), options(AutoCompact::Off));
    let (one, other) = (stack(&dir, 2, AutoCompact::Off), stack(&dir, 3, AutoCompact::Off));
    mortal.dies_at(call);
    let owner = process(move || {
        let outcome = set(&dying, NAMES[0], 1, 2);
        drop(dying);
        outcome.is_ok()
    });
    let waiter = process(move || set(&one, NAMES[1], 1, 3).expect("the others end").update_index);
    let mine = set(&other, NAMES[2], 1, 4).expect("the others end").update_index;
    let acknowledged = owner.join().expect("the owner ends");
    let theirs = waiter.join().expect("the waiter ends");
    assert_ne!(mine, theirs, "each commit has an update index of its own");
    let last = read(&other, &NAMES);
    assert!(last == [2, 3, 4] || (last == [1, 3, 4] && !acknowledged), "{last:?}, acknowledged: {acknowledged}");
    assert!(dir.inherited() <= 1, "one took over");
    drop(other);
    settle(&dir, &NAMES);
    mortal.is_dead()
}

#[test]
fn one_of_two_takes_over() {
    explore("two heirs", 4, || two_heirs(Flaw::None));
}

#[test]
fn one_of_two_takes_over_from_a_dying_owner() {
    explore_deaths("dying owner and two waiters", 1, |call| owner_dies(call, Flaw::None));
}

#[test]
#[should_panic(expected = "without the lock")]
fn control_kernel_locks_for_all_are_caught() {
    explore("control: kernel locks for all", 3, || two_heirs(Flaw::LocksForAll));
}

#[cfg(reftable_mutants)]
#[test]
fn mutants_are_caught() {
    use reftable::mutant::Mutant;
    loom_tests::catches(Mutant::BreakLockUnasked, || explore("mutant", 3, || two_heirs(Flaw::None)));
    loom_tests::catches(Mutant::BreakLockUnasked, || {
        explore_deaths("mutant", 1, |call| owner_dies(call, Flaw::None));
    });
}
