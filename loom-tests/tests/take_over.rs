//! A process dies at each moment of what it does, while another commits. The other one is not held
//! up, what the dead process did happened as a whole or not at all, and its remains go with the
//! next compaction.

#![cfg(loom)]
#![cfg(test)]

use loom_tests::{Flaw, explore_deaths, locks, open, options, process, read, recover, set, stack, start, start_with};
use reftable::AutoCompact;
use reftable::compact::Compact;

const NAMES: [&str; 2] = ["refs/heads/a", "refs/heads/b"];

/// One commits and dies at its `call`-th call, the other commits. Returns whether it came to that.
fn committer_dies(call: u32, flaw: Flaw, robust: bool, compact: AutoCompact) -> bool {
    let dir = start(&NAMES, flaw);
    let mortal = dir.for_process(1);
    let dying = open(&mortal, locks(robust), options(compact));
    let living = open(&dir.for_process(2), locks(robust), options(compact));
    mortal.dies_at(call);
    let committer = process(move || {
        let outcome = set(&dying, NAMES[0], 1, 2);
        // What happens to the stack has no effect once the process is dead.
        drop(dying);
        outcome.map(|_| ())
    });
    set(&living, NAMES[1], 1, 3).expect("a dead owner blocks no other");
    let first = read(&living, &NAMES);
    assert!(
        first == [1, 3] || first == [2, 3],
        "the commit of one is there, that of the other whole or not: {first:?}"
    );
    let outcome = committer.join().expect("the committer ends");
    let last = read(&living, &NAMES);
    assert!(last == first || (first == [1, 3] && last == [2, 3]), "{last:?} came after {first:?}");
    if outcome.is_ok() {
        assert_eq!(last, [2, 3], "what was acknowledged is there");
    } else {
        assert!(mortal.is_dead(), "the living succeed: {outcome:?}");
    }
    drop(living);
    recover(&dir, &NAMES);
    mortal.is_dead()
}

/// One compacts and dies at its `call`-th call, the other commits.
fn compactor_dies(call: u32, flaw: Flaw) -> bool {
    let dir = start_with(&[&NAMES[..1], &NAMES[1..], &["refs/heads/c"]], flaw);
    let mortal = dir.for_process(1);
    let dying = open(&mortal, locks(true), options(AutoCompact::Off));
    let living = stack(&dir, 2, AutoCompact::Off);
    mortal.dies_at(call);
    let compactor = process(move || {
        let outcome = dying.compact(Compact::all());
        drop(dying);
        outcome.map(|_| ())
    });
    set(&living, NAMES[1], 1, 3).expect("a dead owner blocks no other");
    assert_eq!(read(&living, &NAMES), [1, 3], "one's own commit is visible at once");
    let outcome = compactor.join().expect("the compactor ends");
    assert_eq!(read(&living, &NAMES), [1, 3], "compaction changes nothing");
    assert!(outcome.is_ok() || mortal.is_dead(), "the living succeed: {outcome:?}");
    drop(living);
    recover(&dir, &NAMES);
    mortal.is_dead()
}

#[test]
fn a_dying_committer_holds_nobody_up() {
    explore_deaths("dying committer", 4, |call| committer_dies(call, Flaw::None, true, AutoCompact::Off));
}

#[test]
fn a_dying_committer_that_compacts_holds_nobody_up() {
    let compact = AutoCompact::Geometric(2);
    explore_deaths("dying committer that compacts", 2, move |call| committer_dies(call, Flaw::None, true, compact));
}

#[test]
fn a_dying_compactor_holds_nobody_up() {
    explore_deaths("dying compactor", 3, |call| compactor_dies(call, Flaw::None));
}

#[test]
#[should_panic(expected = "goes through without help")]
fn control_plain_lock_files_are_caught() {
    explore_deaths("control: plain lock files", 1, |call| committer_dies(call, Flaw::None, false, AutoCompact::Off));
}

#[test]
#[should_panic(expected = "nothing is left of dead processes")]
fn control_kernel_locks_that_outlive_their_owner_are_caught() {
    explore_deaths("control: kernel locks that outlive their owner", 1, |call| {
        committer_dies(call, Flaw::LocksOutliveTheirOwner, true, AutoCompact::Off)
    });
}

#[test]
#[should_panic(expected = "is not there")]
fn control_a_list_before_its_table_is_caught() {
    explore_deaths("control: list before table", 3, |call| {
        committer_dies(call, Flaw::ListBeforeTable, true, AutoCompact::Off)
    });
}

#[cfg(reftable_mutants)]
#[test]
fn mutants_are_caught() {
    use reftable::mutant::Mutant;
    for mutant in [Mutant::BreakLockUnasked, Mutant::SkipReread] {
        loom_tests::catches(mutant, || {
            explore_deaths("mutant", 3, |call| committer_dies(call, Flaw::None, true, AutoCompact::Off));
        });
    }
    loom_tests::catches(Mutant::BreakLockUnasked, || {
        explore_deaths("mutant", 2, |call| committer_dies(call, Flaw::None, true, AutoCompact::Geometric(2)));
    });
    loom_tests::catches(Mutant::DeleteInputsEarly, || {
        explore_deaths("mutant", 2, |call| compactor_dies(call, Flaw::None));
    });
}
