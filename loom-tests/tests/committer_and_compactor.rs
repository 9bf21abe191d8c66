//! A process deletes a reference while another compacts: the reference stays deleted, and nothing
//! else changes.

#![cfg(loom)]
#![cfg(test)]

use loom_tests::{Flaw, explore, id, process, read, stack, start_with};
use reftable::compact::Compact;
use reftable::{AutoCompact, Expect};

const NAMES: [&str; 3] = ["refs/heads/a", "refs/heads/x", "refs/heads/y"];

/// The tables and what the compactor does to them; the committer deletes a and makes y.
fn model(flaw: Flaw, tables: &[&[&str]], what: &Compact) {
    let dir = start_with(tables, flaw);
    let (committer, compactor) = (stack(&dir, 1, AutoCompact::Off), stack(&dir, 2, AutoCompact::Off));
    let committer = process(move || {
        let mut tx = committer.transaction();
        tx.delete(NAMES[0], Expect::Exists).set(NAMES[2], Expect::Absent, id(2));
        tx.commit().expect("nobody else commits");
        assert_eq!(read(&committer, &NAMES), [0, 1, 2], "one's own commit is visible at once");
        assert_eq!(read(&committer, &NAMES), [0, 1, 2], "and stays");
    });
    compactor.compact(what.clone()).expect("nobody else compacts");
    let seen = read(&compactor, &NAMES);
    assert!(seen == [1, 1, 0] || seen == [0, 1, 2], "half a transaction: {seen:?}");
    committer.join().expect("the committer ends");
    assert_eq!(read(&compactor, &NAMES), [0, 1, 2], "what was acknowledged is there");
    drop(compactor);
    assert_eq!(dir.unlisted(), [""; 0], "nothing is left behind");
}

/// The bottom table is so large that it is left alone.
fn above_a_large_table(flaw: Flaw) {
    let fillers: Vec<String> = (0..40).map(|number| format!("refs/heads/filler/{number:02}")).collect();
    let bottom: Vec<&str> = std::iter::once(NAMES[0]).chain(fillers.iter().map(String::as_str)).collect();
    model(flaw, &[&bottom, &[NAMES[1]]], &Compact::Auto);
}

#[test]
fn a_deletion_survives_the_compaction_of_what_it_hides() {
    explore("committer and compactor of all", 4, || model(Flaw::None, &[&NAMES[..1], &NAMES[1..2]], &Compact::all()));
}

#[test]
fn a_deletion_survives_its_own_compaction() {
    explore("committer and compactor of the newest", 5, || above_a_large_table(Flaw::None));
}

#[test]
#[should_panic(expected = "process")]
fn control_links_that_replace_are_caught() {
    let tables: &[&[&str]] = &[&["refs/heads/a"], &["refs/heads/x"]];
    explore("control: links that replace", 3, move || model(Flaw::LinkReplaces, tables, &Compact::all()));
}

#[cfg(reftable_mutants)]
#[test]
fn mutants_are_caught() {
    use reftable::mutant::Mutant;
    loom_tests::catches(Mutant::DropTombstones, || explore("mutant", 3, || above_a_large_table(Flaw::None)));
    loom_tests::catches(Mutant::SkipReread, || {
        explore("mutant", 3, || model(Flaw::None, &[&NAMES[..1], &NAMES[1..2]], &Compact::all()));
    });
}
