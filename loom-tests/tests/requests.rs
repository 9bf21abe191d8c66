//! A process that waits for the lock has its transaction done by the lock holder. It is done once,
//! whole, and the follower knows what became of it, whichever gives up or dies at which moment.

#![cfg(loom)]
#![cfg(test)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use loom_tests::{Flaw, ModelDir, explore, explore_deaths, locks, open, options, process, read, recover, set, start};
use reftable::{AutoCompact, ErrorKind, Stack};

const NAMES: [&str; 3] = ["refs/heads/a", "refs/heads/b", "refs/heads/c"];

fn handle(dir: &ModelDir, timeout: u64) -> Stack {
    let options = options(AutoCompact::Off).delegation(true).lock_timeout(Some(Duration::from_millis(timeout)));
    open(dir, locks(true), options)
}

/// Two commit at the same time. Returns how many of them were done by the other one.
fn both_commit() -> u64 {
    let dir = start(&NAMES, Flaw::None);
    let (one, other) = (handle(&dir.for_process(1), 2000), handle(&dir.for_process(2), 2000));
    let committer = process(move || {
        let index = set(&one, NAMES[0], 1, 2).expect("the other one ends").update_index;
        (index, one.metrics().delegated)
    });
    let mine = set(&other, NAMES[1], 1, 3).expect("the other one ends").update_index;
    assert_eq!(read(&other, &NAMES[1..2]), [3], "one's own commit is visible at once");
    let (theirs, delegated) = committer.join().expect("the committer ends");
    assert_eq!((mine.min(theirs), mine.max(theirs)), (2, 3), "each commit has an update index of its own");
    assert_eq!(read(&other, &NAMES), [2, 3, 1], "what was acknowledged is there");
    let known = other.snapshot().and_then(|snapshot| snapshot.get(NAMES[1])).expect("the store is sound");
    assert_eq!(known.map(|found| found.update_index), Some(mine), "each knows its own");
    let delegated = delegated + other.metrics().delegated;
    drop(other);
    assert_eq!(dir.unlisted(), [""; 0], "nothing is left behind");
    delegated
}

/// Two want the same. Only one can have it, and the other is told of the conflict.
fn both_want_the_same() {
    let dir = start(&NAMES, Flaw::None);
    let (one, other) = (handle(&dir.for_process(1), 2000), handle(&dir.for_process(2), 2000));
    let committer = process(move || set(&one, NAMES[0], 1, 2).map(|_| 2));
    let mine = set(&other, NAMES[0], 1, 3).map(|_| 3);
    let theirs = committer.join().expect("the committer ends");
    let winner = match (mine, theirs) {
        (Ok(value), Err(error)) | (Err(error), Ok(value)) if error.kind() == ErrorKind::Conflict => value,
        outcome => panic!("one commits, the other is told of it: {outcome:?}"),
    };
    assert_eq!(read(&other, &NAMES), [winner, 1, 1], "what was acknowledged is there");
    drop(other);
    assert_eq!(dir.unlisted(), [""; 0], "nothing is left behind");
}

/// One gives up at once if it cannot have the lock. It is told truly whether its transaction was
/// done.
fn one_gives_up() {
    let dir = start(&NAMES, Flaw::None);
    let (patient, hasty) = (handle(&dir.for_process(1), 2000), handle(&dir.for_process(2), 1));
    let committer = process(move || set(&patient, NAMES[0], 1, 2).map(|_| ()));
    let outcome = set(&hasty, NAMES[1], 1, 3);
    committer.join().expect("the committer ends").expect("the hasty one ends");
    let there = read(&hasty, &NAMES);
    match outcome {
        Ok(_) => assert_eq!(there, [2, 3, 1], "what was acknowledged is there"),
        Err(error) if error.kind() == ErrorKind::Locked => {
            assert_eq!(there, [2, 1, 1], "who gave up has changed nothing")
        }
        Err(error) => panic!("it is known what became of it: {error}"),
    }
    drop(hasty);
    recover(&dir, &NAMES);
}

/// One dies at its `call`-th call. The other one's transaction is done once, by either.
fn one_dies(call: u32, others: &[u64]) -> bool {
    let dir = start(&NAMES, Flaw::None);
    let mortal = dir.for_process(1);
    let dying = handle(&mortal, 2000);
    mortal.dies_at(call);
    let committer = process(move || {
        let outcome = set(&dying, NAMES[0], 1, 2).map(|_| ());
        drop(dying);
        outcome
    });
    let more: Vec<_> = others
        .iter()
        .map(|&number| {
            let stack = handle(&dir.for_process(number), 2000);
            process(move || set(&stack, NAMES[2], 1, 4).map(|commit| commit.update_index))
        })
        .collect();
    let living = handle(&dir.for_process(2), 2000);
    let mine = set(&living, NAMES[1], 1, 3).expect("a dead owner blocks no other").update_index;
    let known = living.snapshot().and_then(|snapshot| snapshot.get(NAMES[1])).expect("the store is sound");
    assert_eq!(known.map(|found| found.update_index), Some(mine), "what was acknowledged is there, as it was told");
    let outcome = committer.join().expect("the committer ends");
    for other in more {
        assert_ne!(
            other.join().expect("it ends").expect("a dead owner blocks no other"),
            mine,
            "each has an index of its own"
        );
    }
    let last = read(&living, &NAMES);
    assert!(outcome.is_err() || last.first() == Some(&2), "what was acknowledged is there");
    assert!(outcome.is_ok() || mortal.is_dead(), "the living succeed: {outcome:?}");
    drop(living);
    recover(&dir, &NAMES);
    mortal.is_dead()
}

/// One dies at its `call`-th call, and a successor of it may not list the directory: if it cannot
/// resolve what the dead one has claimed it publishes nothing, and the follower is told the
/// truth.
fn one_dies_before_the_blind(call: u32) -> bool {
    let dir = start(&NAMES, Flaw::None);
    let (mortal, blind) = (dir.for_process(1), dir.for_process(3));
    let (dying, successor) = (handle(&mortal, 2000), handle(&blind, 2000));
    blind.cannot_list();
    mortal.dies_at(call);
    let committer = process(move || {
        let outcome = set(&dying, NAMES[0], 1, 2).map(|_| ());
        drop(dying);
        outcome
    });
    let successor = process(move || match set(&successor, NAMES[2], 1, 4) {
        Err(error) if error.kind() == ErrorKind::Io => Some(false),
        // The dead leader may have claimed what it has asked for itself.
        Err(error) if error.kind() == ErrorKind::Indeterminate => None,
        outcome => outcome.map(|_| Some(true)).expect("it has the lock, or is told why not"),
    });
    let living = handle(&dir.for_process(2), 2000);
    let mine = set(&living, NAMES[1], 1, 3).expect("its outcome is known").update_index;
    let known = living.snapshot().and_then(|snapshot| snapshot.get(NAMES[1])).expect("the store is sound");
    assert_eq!(known.map(|found| found.update_index), Some(mine), "what was acknowledged is there, as it was told");
    let (outcome, has_published) =
        (committer.join().expect("the committer ends"), successor.join().expect("the successor ends"));
    let last = read(&living, &NAMES);
    assert!(outcome.is_err() || last.first() == Some(&2), "what was acknowledged is there");
    assert!(
        has_published.is_none_or(|has| has == (last.last() == Some(&4))),
        "a leader that has failed has published nothing"
    );
    mortal.is_dead()
}

#[test]
fn transactions_are_handed_over_and_done_once() {
    let delegated = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&delegated);
    explore("requests: both commit", 5, move || {
        count.fetch_add(both_commit(), Ordering::Relaxed);
    });
    assert!(delegated.load(Ordering::Relaxed) > 0, "the model must come to what it is about");
}

#[test]
fn conflicts_come_back_to_who_asked() {
    explore("requests: both want the same", 5, both_want_the_same);
}

#[test]
fn giving_up_is_final() {
    explore("requests: one gives up", 5, one_gives_up);
}

#[test]
fn a_dying_leader_leaves_no_doubt() {
    explore_deaths("requests: one dies", 3, |call| one_dies(call, &[]));
}

#[test]
fn the_heir_of_a_dying_leader_answers_for_it() {
    explore_deaths("requests: one of three dies", 1, |call| one_dies(call, &[3]));
}

#[test]
fn an_heir_that_cannot_resolve_publishes_nothing() {
    explore_deaths("requests: one dies before a successor that cannot resolve", 1, one_dies_before_the_blind);
}

#[cfg(reftable_mutants)]
#[test]
fn publishing_unresolved_is_caught() {
    use reftable::mutant::Mutant;
    loom_tests::catches(Mutant::PublishUnseen, || explore_deaths("mutant", 2, one_dies_before_the_blind));
}

#[cfg(reftable_mutants)]
#[test]
fn mutants_are_caught() {
    use reftable::mutant::Mutant;
    loom_tests::catches(Mutant::WithdrawSilently, || explore("mutant", 5, one_gives_up));
    loom_tests::catches(Mutant::ClaimUnread, || explore("mutant", 5, one_gives_up));
    loom_tests::catches(Mutant::LeaveUnresolved, || explore_deaths("mutant", 2, |call| one_dies(call, &[3])));
    loom_tests::catches(Mutant::TrustPlan, || explore_deaths("mutant", 3, |call| one_dies(call, &[])));
}
