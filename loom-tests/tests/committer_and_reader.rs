//! A process commits two references at once while another reads: it sees both changes or neither.

#![cfg(loom)]
#![cfg(test)]

use std::time::Duration;

use loom_tests::{Flaw, ModelDir, explore, id, locks, open, options, process, read, stack, start};
use reftable::{AutoCompact, Expect, Stack};

const NAMES: [&str; 2] = ["refs/heads/a", "refs/heads/b"];

fn commit(stack: &Stack, names: &[&str]) {
    let mut tx = stack.transaction();
    for name in names {
        tx.set(name, Expect::Any, id(2));
    }
    tx.commit().expect("nobody else writes");
}

fn model(flaw: Flaw, compact: AutoCompact, in_two: bool) {
    let dir = start(&NAMES, flaw);
    let writer = stack(&dir, 1, compact);
    // Only a compaction makes a reader look for a table that is gone.
    let patience = if compact == AutoCompact::Off { Duration::ZERO } else { Duration::from_secs(1) };
    let reader = open(&dir.for_process(2), locks(true), options(compact).reload_deadline(patience));
    let committer = process(move || {
        if in_two {
            commit(&writer, &NAMES[..1]);
            commit(&writer, &NAMES[1..]);
        } else {
            commit(&writer, &NAMES);
        }
        assert_eq!(read(&writer, &NAMES), [2, 2], "one's own commit is visible at once");
    });
    look_twice(&reader, 1);
    committer.join().expect("the committer ends");
    assert_eq!(read(&reader, &NAMES), [2, 2], "what was acknowledged is there");
    drop(reader);
    assert_eq!(dir.unlisted(), [""; 0], "nothing is left behind");
}

/// A reader sees both references as they were before the commit, or both as they are after it, and
/// never goes back.
fn look_twice(reader: &Stack, mut before: u8) {
    let old = before;
    for _ in 0..2 {
        let seen = read(reader, &NAMES);
        assert!(seen == [old, old] || seen == [2, 2], "half a transaction: {seen:?}");
        assert!(seen[0] >= before, "what was seen went back");
        before = seen[0];
    }
}

/// The first commit into an empty directory.
fn first(flaw: Flaw) {
    let dir = ModelDir::new(&[], flaw);
    let (writer, reader) = (stack(&dir, 1, AutoCompact::Off), stack(&dir, 2, AutoCompact::Off));
    let committer = process(move || {
        commit(&writer, &NAMES);
        assert_eq!(read(&writer, &NAMES), [2, 2], "one's own commit is visible at once");
    });
    look_twice(&reader, 0);
    committer.join().expect("the committer ends");
    assert_eq!(read(&reader, &NAMES), [2, 2], "what was acknowledged is there");
    drop(reader);
    assert_eq!(dir.unlisted(), [""; 0], "nothing is left behind");
}

#[test]
fn a_reader_sees_all_or_nothing() {
    explore("committer and reader", 5, || model(Flaw::None, AutoCompact::Off, false));
}

#[test]
fn compaction_changes_nothing_for_a_reader() {
    explore("compacting committer and reader", 4, || model(Flaw::None, AutoCompact::Geometric(2), false));
}

#[test]
fn a_new_store_comes_into_being_at_once() {
    explore("first commit and reader", 5, || first(Flaw::None));
}

#[test]
#[should_panic(expected = "half a transaction")]
fn control_two_commits_instead_of_one_are_caught() {
    explore("control: two commits", 3, || model(Flaw::None, AutoCompact::Off, true));
}

#[test]
#[should_panic(expected = "the store is sound at every moment")]
fn control_a_torn_rename_is_caught() {
    explore("control: torn rename", 3, || model(Flaw::TornRename, AutoCompact::Off, false));
}

#[test]
#[should_panic(expected = "is not there")]
fn control_a_list_before_its_table_is_caught() {
    explore("control: list before table", 3, || model(Flaw::ListBeforeTable, AutoCompact::Off, false));
}

#[test]
#[should_panic(expected = "is not there")]
fn control_a_list_before_the_first_table_is_caught() {
    explore("control: list before first table", 3, || first(Flaw::ListBeforeTable));
}

#[cfg(reftable_mutants)]
#[test]
fn mutants_are_caught() {
    use reftable::mutant::Mutant;
    let catches = |model: fn()| {
        loom_tests::catches(Mutant::AcknowledgeBeforeRename, move || explore("mutant", 3, model));
    };
    catches(|| model(Flaw::None, AutoCompact::Off, false));
    catches(|| model(Flaw::None, AutoCompact::Geometric(2), false));
    catches(|| first(Flaw::None));
}
