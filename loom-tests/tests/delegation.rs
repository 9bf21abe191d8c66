//! The owner of the lock dies while two others wait for it: one of them takes over, and then the
//! other has its turn.

#![cfg(loom)]
#![cfg(test)]

use std::time::Duration;

use loom_tests::{
    Flaw, ModelDir, explore, explore_deaths, id, locks, open, options, process, read, recover, set, stack, start,
};
use reftable::dir::Dir;
use reftable::{AutoCompact, Expect, Stack};

const NAMES: [&str; 3] = ["refs/heads/a", "refs/heads/b", "refs/heads/c"];

/// The owner is dead before the two begin.
fn two_successors(flaw: Flaw) {
    let dir = start(&NAMES, flaw);
    let mortal = dir.for_process(1);
    let dying = open(&mortal, locks(true), options(AutoCompact::Off));
    let mut tx = dying.transaction();
    tx.set(NAMES[0], Expect::Any, id(2));
    let prepared = tx.prepare().expect("nobody else has the lock");
    mortal.die();
    drop((prepared, dying));
    let (one, other) = (stack(&dir, 2, AutoCompact::Off), stack(&dir, 3, AutoCompact::Off));
    let successor = process(move || set(&one, NAMES[1], 1, 3).expect("the other one ends").update_index);
    let mine = set(&other, NAMES[2], 1, 4).expect("the other one ends").update_index;
    let theirs = successor.join().expect("the successor ends");
    assert_eq!((mine.min(theirs), mine.max(theirs)), (2, 3), "each commit has an update index of its own");
    assert_eq!(read(&other, &NAMES), [1, 3, 4], "both are there, that of the dead process is not");
    assert_eq!(dir.taken_over(), 1, "one took over");
    drop(other);
    recover(&dir, &NAMES);
}

/// The same beside neighbours, to whom the two leave the lock for a while when it is free. It is
/// not: no others can take it from the dead owner, so the first one does not wait for the end of
/// its fairness, 300 ms.
fn two_successors_with_neighbours() {
    let dir = start(&NAMES, Flaw::None);
    let mortal = dir.for_process(1);
    let dying = open(&mortal, locks(true), options(AutoCompact::Off));
    set(&dying, NAMES[0], 1, 2).expect("nobody else is there");
    let mut tx = dying.transaction();
    tx.set(NAMES[0], Expect::Any, id(5));
    let prepared = tx.prepare().expect("nobody else has the lock");
    mortal.die();
    drop((prepared, dying));
    let successor = |number, name: &'static str| {
        let own = dir.for_process(number);
        own.meets_neighbours();
        let stack = stack_of(&own);
        move || {
            let begin = own.now();
            set(&stack, name, 1, 3).expect("the other one ends");
            assert!(stack.metrics().back_offs > 0, "it has neighbours");
            (own.now() - begin, stack)
        }
    };
    let one = process(successor(2, NAMES[1]));
    let (mine, other) = successor(3, NAMES[2])();
    let (theirs, one) = one.join().expect("the successor ends");
    assert!(mine.min(theirs) < Duration::from_millis(250), "a dead owner is left the lock for {mine:?} and {theirs:?}");
    assert_eq!(read(&other, &NAMES), [2, 3, 3], "both are there, that of the dead process is not");
    assert_eq!(dir.taken_over(), 1, "one took over");
    drop((one, other));
    recover(&dir, &NAMES);
}

fn stack_of(own: &ModelDir) -> Stack {
    open(own, locks(true), options(AutoCompact::Off))
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
    assert!(dir.taken_over() <= 1, "one took over");
    drop(other);
    recover(&dir, &NAMES);
    mortal.is_dead()
}

#[test]
fn one_of_two_takes_over() {
    explore("two successors", 4, || two_successors(Flaw::None));
}

#[test]
fn one_of_two_takes_over_at_once_beside_neighbours() {
    explore("two successors with neighbours", 2, two_successors_with_neighbours);
}

#[test]
fn one_of_two_takes_over_from_a_dying_owner() {
    explore_deaths("dying owner and two waiters", 1, |call| owner_dies(call, Flaw::None));
}

#[test]
#[should_panic(expected = "without the lock")]
fn control_kernel_locks_for_all_are_caught() {
    explore("control: kernel locks for all", 3, || two_successors(Flaw::LocksForAll));
}

#[cfg(reftable_mutants)]
#[test]
fn mutants_are_caught() {
    use reftable::mutant::Mutant;
    loom_tests::catches(Mutant::BreakLockUnasked, || explore("mutant", 3, || two_successors(Flaw::None)));
    loom_tests::catches(Mutant::BackOffFromDeadOwners, || explore("mutant", 1, two_successors_with_neighbours));
    loom_tests::catches(Mutant::BreakLockUnasked, || {
        explore_deaths("mutant", 1, |call| owner_dies(call, Flaw::None));
    });
}
