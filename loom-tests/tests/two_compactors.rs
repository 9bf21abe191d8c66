//! Two processes compact: at least one does, nobody is hindered for good, and nothing changes for
//! readers.

#![cfg(loom)]
#![cfg(test)]

use loom_tests::{Flaw, explore, id, locks, open, options, process, read, set, stack, start_with};
use reftable::compact::{Compact, Compaction};
use reftable::{AutoCompact, ErrorKind, Expect, Result};

const NAMES: [&str; 4] = ["refs/heads/a", "refs/heads/b", "refs/heads/x", "refs/heads/y"];

/// Whether it compacted. That the other one does is no failure.
fn did(outcome: Result<Option<Compaction>>) -> bool {
    match outcome {
        Ok(done) => done.is_some(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
            assert!(!error.to_string().contains("in spite of their locks"), "{error}");
            false
        }
    }
}

/// The second one may do it under the list lock.
fn all(flaw: Flaw, at_once: bool) {
    let dir = start_with(&[&NAMES[..1], &NAMES[1..2], &NAMES[2..3]], flaw);
    let one = stack(&dir, 1, AutoCompact::Off);
    let small = if at_once { u64::MAX } else { 0 };
    let other = open(&dir.for_process(2), locks(true), options(AutoCompact::Off).compact_at_once(small));
    let compactor = process(move || {
        let done = did(one.compact(Compact::all()));
        assert_eq!(read(&one, &NAMES), [1, 1, 1, 0], "nothing changes");
        done
    });
    let mine = did(other.compact(Compact::all()));
    assert_eq!(read(&other, &NAMES), [1, 1, 1, 0], "nothing changes");
    let theirs = compactor.join().expect("the compactor ends");
    assert!(mine || theirs, "one of them compacts");
    let tables = other.snapshot().expect("sound").tables().len();
    assert_eq!(tables, 1, "it is compacted");
    drop(other);
    assert_eq!(dir.unlisted(), [""; 0], "nothing is left behind");
}

/// One compacts what is there; the other deletes something from it and compacts the newer tables
/// meanwhile.
fn above_each_other(flaw: Flaw) {
    let dir = start_with(&[&NAMES[..1], &NAMES[1..2]], flaw);
    let (one, other) = (stack(&dir, 1, AutoCompact::Off), stack(&dir, 2, AutoCompact::Off));
    let compactor = process(move || did(one.compact(Compact::all())));
    let mut tx = other.transaction();
    tx.delete(NAMES[0], Expect::Exists).set(NAMES[2], Expect::Absent, id(2));
    tx.commit().expect("the other one lets go of the list");
    set(&other, NAMES[2], 2, 3).expect("the other one lets go of the list");
    let mine = did(other.compact(Compact::Auto));
    assert_eq!(read(&other, &NAMES), [0, 1, 3, 0], "what was deleted stays deleted");
    let theirs = compactor.join().expect("the compactor ends");
    assert!(mine || theirs, "one of them compacts");
    assert_eq!(read(&other, &NAMES), [0, 1, 3, 0], "what was deleted stays deleted");
    drop(other);
    assert_eq!(dir.unlisted(), [""; 0], "nothing is left behind");
}

#[test]
fn one_compacts() {
    explore("two compactors", 3, || all(Flaw::None, false));
}

#[test]
fn one_compacts_at_once() {
    explore("two compactors, one at once", 3, || all(Flaw::None, true));
}

#[test]
fn they_compact_above_each_other() {
    explore("two compactors above each other", 2, || above_each_other(Flaw::None));
}

#[test]
#[should_panic(expected = "which another one holds")]
fn control_kernel_locks_for_all_are_caught() {
    explore("control: kernel locks for all", 3, || all(Flaw::LocksForAll, false));
}

#[cfg(reftable_mutants)]
#[test]
fn mutants_are_caught() {
    use reftable::mutant::Mutant;
    loom_tests::catches(Mutant::BreakLockUnasked, || explore("mutant", 3, || all(Flaw::None, false)));
    loom_tests::catches(Mutant::IgnoreTableLocks, || explore("mutant", 3, || all(Flaw::None, true)));
    loom_tests::catches(Mutant::ShrinkKeepsRule, || explore("mutant", 2, || above_each_other(Flaw::None)));
}
