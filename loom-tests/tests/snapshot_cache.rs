//! Two threads share one handle: one commits, both read. Neither ever sees time go back, and what was committed is seen.

#![cfg(loom)]
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use loom::sync::Mutex;
use std::sync::Arc;

use loom_tests::{Flaw, explore, process, set, stack, start, values};
use reftable::{AutoCompact, Snapshot, Stack};

const NAMES: [&str; 1] = ["refs/heads/a"];

/// A reader's memory: update index and value never decrease, and stay above what was acknowledged before it looked.
struct Witness {
    stack: Stack,
    acknowledged: Arc<Mutex<u8>>,
    index: u64,
    value: u8,
}

impl Witness {
    fn new(stack: &Stack, acknowledged: &Arc<Mutex<u8>>) -> Witness {
        Witness { stack: stack.clone(), acknowledged: Arc::clone(acknowledged), index: 1, value: 1 }
    }

    fn look(&mut self) -> Snapshot {
        let acknowledged = *self.acknowledged.lock().expect("a failure ends the model");
        let snapshot = self.stack.snapshot().expect("the store is sound at every moment");
        let (index, value) = (snapshot.update_index(), values(&snapshot, &NAMES).into_iter().max().unwrap_or(0));
        assert!(index >= self.index && value >= self.value, "what was seen went back");
        assert!(value >= acknowledged, "what was acknowledged is there");
        assert_eq!(index, u64::from(value), "the snapshot is of one moment");
        (self.index, self.value) = (index, value);
        snapshot
    }
}

/// Two commits through one handle, and `looks` of another thread through the same.
fn model(flaw: Flaw, compact: AutoCompact, looks: usize) {
    let dir = start(&NAMES, flaw);
    let handle = stack(&dir, 1, compact);
    let acknowledged = Arc::new(Mutex::new(1));
    let mut committer = Witness::new(&handle, &acknowledged);
    let mut reader = Witness::new(&handle, &acknowledged);
    let thread = process(move || {
        for value in [1, 2] {
            let commit = set(&committer.stack, NAMES[0], value, value + 1).expect("nobody else commits");
            assert!(commit.compaction.is_none_or(|compaction| compaction.is_ok()), "nobody else compacts");
            *committer.acknowledged.lock().expect("a failure ends the model") = value + 1;
            committer.look();
        }
    });
    let first = reader.look();
    let kept = values(&first, &NAMES);
    for _ in 1..looks {
        reader.look();
    }
    thread.join().expect("the committer ends");
    reader.look();
    assert_eq!(reader.value, 3, "what was acknowledged is there");
    assert_eq!(values(&first, &NAMES), kept, "a snapshot never changes");
    drop((reader, handle));
    assert_eq!(dir.unlisted(), [""; 0], "nothing is left behind");
}

/// Two threads commit through one handle: the handle's own locks keep them apart.
fn both_commit() {
    let names = ["refs/heads/a", "refs/heads/b"];
    let dir = start(&names, Flaw::None);
    let handle = stack(&dir, 1, AutoCompact::Off);
    let other = handle.clone();
    let thread = process(move || set(&other, "refs/heads/a", 1, 2).expect("the other one ends").update_index);
    let mine = set(&handle, "refs/heads/b", 1, 3).expect("the other one ends").update_index;
    let theirs = thread.join().expect("the committer ends");
    assert_eq!((mine.min(theirs), mine.max(theirs)), (2, 3), "each commit has an update index of its own");
    assert_eq!(loom_tests::read(&handle, &names), [2, 3], "what was acknowledged is there");
    drop(handle);
    assert_eq!(dir.unlisted(), [""; 0], "nothing is left behind");
}

#[test]
fn time_never_goes_back() {
    explore("one handle, a committer and a reader", 3, || model(Flaw::None, AutoCompact::Off, 2));
}

#[test]
fn time_never_goes_back_over_compactions() {
    explore("one handle, a compacting committer and a reader", 2, || {
        model(Flaw::None, AutoCompact::Geometric(2), 2);
    });
}

#[test]
fn two_threads_commit_through_one_handle() {
    explore("one handle, two committers", 3, both_commit);
}

#[test]
#[should_panic(expected = "what was acknowledged is there")]
fn control_inodes_used_again_while_open_are_caught() {
    explore("control: inodes used again while open", 3, || {
        model(Flaw::InodesReusedWhileOpen, AutoCompact::Geometric(2), 3);
    });
}

#[cfg(reftable_mutants)]
#[test]
fn mutants_are_caught() {
    use reftable::mutant::Mutant;
    loom_tests::catches(Mutant::AcknowledgeBeforeRename, || {
        explore("mutant", 2, || model(Flaw::None, AutoCompact::Off, 2));
    });
}
