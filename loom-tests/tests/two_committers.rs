//! Two processes commit. Both succeed, one after the other, unless they want to change the same
//! reference.

#![cfg(loom)]
#![cfg(test)]

use loom_tests::{Flaw, ModelDir, explore, id, locks, open, options, process, read, set, stack, start};
use reftable::{AutoCompact, ErrorKind, Expect};

const NAMES: [&str; 2] = ["refs/heads/a", "refs/heads/b"];

fn distinct(flaw: Flaw, robust: bool, compact: AutoCompact) {
    let dir = start(&NAMES, flaw);
    let one = open(&dir.for_process(1), locks(robust), options(compact));
    let other = open(&dir.for_process(2), locks(robust), options(compact));
    let committer = process(move || {
        let index = set(&one, NAMES[0], 1, 2).expect("the other one ends").update_index;
        assert_eq!(read(&one, &NAMES)[0], 2, "one's own commit is visible at once");
        index
    });
    let mine = set(&other, NAMES[1], 1, 3).expect("the other one ends").update_index;
    assert_eq!(read(&other, &NAMES)[1], 3, "one's own commit is visible at once");
    let theirs = committer.join().expect("the committer ends");
    assert_eq!((mine.min(theirs), mine.max(theirs)), (2, 3), "each commit has an update index of its own");
    assert_eq!(read(&other, &NAMES), [2, 3], "what was acknowledged is there");
    drop(other);
    assert_eq!(dir.unlisted(), [""; 0], "nothing is left behind");
}

fn same(flaw: Flaw) {
    let dir = start(&NAMES, flaw);
    let (one, other) = (stack(&dir, 1, AutoCompact::Off), stack(&dir, 2, AutoCompact::Off));
    let committer = process(move || set(&one, NAMES[0], 1, 2).map(|_| 2));
    let mine = set(&other, NAMES[0], 1, 3).map(|_| 3);
    let theirs = committer.join().expect("the committer ends");
    let winner = match (mine, theirs) {
        (Ok(value), Err(error)) | (Err(error), Ok(value)) if error.kind() == ErrorKind::Conflict => value,
        outcome => panic!("one commits, the other is told of it: {outcome:?}"),
    };
    assert_eq!(read(&other, &NAMES), [winner, 1], "what was acknowledged is there");
    drop(other);
    assert_eq!(dir.unlisted(), [""; 0], "nothing is left behind");
}

fn first() {
    let dir = ModelDir::new(&[], Flaw::None);
    let (one, other) = (stack(&dir, 1, AutoCompact::Off), stack(&dir, 2, AutoCompact::Off));
    let create = |stack: &reftable::Stack, name: &str| {
        let mut tx = stack.transaction();
        tx.set(name, Expect::Absent, id(2));
        tx.commit().expect("the other one ends");
    };
    let committer = process(move || create(&one, NAMES[0]));
    create(&other, NAMES[1]);
    committer.join().expect("the committer ends");
    assert_eq!(read(&other, &NAMES), [2, 2], "what was acknowledged is there");
    drop(other);
    assert_eq!(dir.unlisted(), [""; 0], "nothing is left behind");
}

#[test]
fn both_succeed() {
    explore("two committers", 4, || distinct(Flaw::None, true, AutoCompact::Off));
}

#[test]
fn both_succeed_with_plain_lock_files() {
    explore("two committers, plain lock files", 4, || distinct(Flaw::None, false, AutoCompact::Off));
}

#[test]
fn both_succeed_where_kernel_locks_belong_to_names() {
    explore("two committers, kernel locks of names", 3, || distinct(Flaw::LocksOfNames, true, AutoCompact::Off));
}

#[test]
fn both_succeed_and_compact() {
    explore("two compacting committers", 2, || distinct(Flaw::None, true, AutoCompact::Geometric(2)));
}

#[test]
fn one_succeeds_and_the_other_is_told() {
    explore("two committers, one reference", 4, || same(Flaw::None));
}

#[test]
fn both_succeed_in_a_new_store() {
    explore("two first commits", 3, first);
}

#[test]
#[should_panic(expected = "process")]
fn control_links_that_replace_are_caught() {
    explore("control: links that replace", 3, || distinct(Flaw::LinkReplaces, true, AutoCompact::Off));
}

#[cfg(reftable_mutants)]
#[test]
fn mutants_are_caught() {
    use reftable::mutant::Mutant;
    for mutant in [Mutant::SkipReread, Mutant::AcknowledgeBeforeRename, Mutant::BreakLockUnasked] {
        loom_tests::catches(mutant, || explore("mutant", 3, || distinct(Flaw::None, true, AutoCompact::Off)));
    }
    let trust = || distinct(Flaw::LocksOfNames, true, AutoCompact::Off);
    loom_tests::catches(Mutant::TrustLocksOfNames, move || explore("mutant", 3, trust));
    let skip = |model: fn()| loom_tests::catches(Mutant::SkipReread, move || explore("mutant", 2, model));
    skip(|| same(Flaw::None));
    skip(|| distinct(Flaw::None, false, AutoCompact::Off));
    skip(|| distinct(Flaw::None, true, AutoCompact::Geometric(2)));
    skip(first);
}
