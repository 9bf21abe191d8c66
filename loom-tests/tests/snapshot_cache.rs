//! Two threads share one handle: one commits, both read. Neither ever sees time go back, and what
//! was committed is seen.

#![cfg(loom)]
#![cfg(test)]

use loom::sync::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use loom_tests::{Flaw, ModelDir, explore, locks, open, options, process, set, stack, start, values};
use reftable::{AutoCompact, ErrorKind, Snapshot, Stack};

const NAMES: [&str; 1] = ["refs/heads/a"];

/// A reader's memory: update index and value never decrease, and stay above what was acknowledged
/// before it looked.
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

/// How many executions had both commits in one table, and in two.
#[derive(Default)]
struct Tables {
    one: AtomicU32,
    two: AtomicU32,
}

impl Tables {
    fn count(&self, handle: &Stack) {
        let tables = handle.snapshot().expect("the store is sound at every moment").tables().len();
        let counter = if tables == 2 { &self.one } else { &self.two };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A handle whose threads never give up: in a model, a thread that waits for a time gives up as
/// soon as others have run.
fn patient(dir: &ModelDir) -> Stack {
    open(&dir.for_process(1), locks(true), options(AutoCompact::Off).lock_timeout(None))
}

/// Two threads commit through one handle: one after the other, or one of them for both.
fn both_commit(tables: &Tables) {
    let names = ["refs/heads/a", "refs/heads/b"];
    let dir = start(&names, Flaw::None);
    let handle = patient(&dir);
    let other = handle.clone();
    let thread = process(move || set(&other, "refs/heads/a", 1, 2).expect("the other one ends").update_index);
    let mine = set(&handle, "refs/heads/b", 1, 3).expect("the other one ends").update_index;
    let theirs = thread.join().expect("the committer ends");
    assert_eq!((mine.min(theirs), mine.max(theirs)), (2, 3), "each commit has an update index of its own");
    assert_eq!(loom_tests::read(&handle, &names), [2, 3], "what was acknowledged is there");
    tables.count(&handle);
    drop(handle);
    assert_eq!(dir.unlisted(), [""; 0], "nothing is left behind");
}

/// Two threads move one reference through one handle, and a third one another reference: one of the
/// two is told of the other.
fn two_of_three_commit(tables: &Tables) {
    let names = ["refs/heads/a", "refs/heads/b"];
    let dir = start(&names, Flaw::None);
    let handle = patient(&dir);
    let (one, other) = (handle.clone(), handle.clone());
    let one = process(move || set(&one, "refs/heads/a", 1, 2).map(|_| 2));
    let other = process(move || set(&other, "refs/heads/a", 1, 3).map(|_| 3));
    set(&handle, "refs/heads/b", 1, 4).expect("nobody else moves it");
    let outcomes = [one.join().expect("it ends"), other.join().expect("it ends")];
    let winner = match outcomes {
        [Ok(value), Err(error)] | [Err(error), Ok(value)] if error.kind() == ErrorKind::Conflict => value,
        outcomes => panic!("one commits, the other is told of it: {outcomes:?}"),
    };
    assert_eq!(loom_tests::read(&handle, &names), [winner, 4], "what was acknowledged is there");
    tables.count(&handle);
    drop(handle);
    assert_eq!(dir.unlisted(), [""; 0], "nothing is left behind");
}

/// Explores, and makes sure that threads shared a table in some executions, and in others did not.
fn explore_groups(name: &str, preemptions: usize, model: fn(&Tables)) {
    let tables = Arc::new(Tables::default());
    let counted = Arc::clone(&tables);
    explore(name, preemptions, move || model(&counted));
    let (one, two) = (tables.one.load(Ordering::Relaxed), tables.two.load(Ordering::Relaxed));
    println!("{name}: one table {one} times, two tables {two} times");
    assert!(one > 0 && two > 0, "both in one table {one} times, in two {two} times");
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
    explore_groups("one handle, two committers", 5, both_commit);
}

#[test]
fn three_threads_commit_through_one_handle() {
    explore_groups("one handle, three committers", 3, two_of_three_commit);
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
    for mutant in [Mutant::AcknowledgeBeforeRename, Mutant::KeepLeadership] {
        loom_tests::catches(mutant, || explore("mutant", 3, || both_commit(&Tables::default())));
    }
    for mutant in [Mutant::IgnoreEarlierMembers, Mutant::MixUpResults] {
        loom_tests::catches(mutant, || explore("mutant", 3, || two_of_three_commit(&Tables::default())));
    }
}
