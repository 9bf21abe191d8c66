//! Processes of a host, beside one another and beside those of this crate: their list lock is
//! locked with the kernel before it has its name, and becomes the list by a rename, until whose end
//! its owner keeps it open. It is taken over from a dead owner in place.

#![cfg(loom)]
#![cfg(test)]

use std::time::Duration;

use loom_tests::{
    Flaw, ModelDir, explore, explore_deaths, host_locks, locks, open, options, process, read, recover, set, start,
    start_with,
};
use reftable::compact::Compact;
use reftable::{AutoCompact, Stack};

const NAMES: [&str; 3] = ["refs/heads/a", "refs/heads/b", "refs/heads/c"];

/// Whose locks a process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Host,
    Ours,
}

fn handle(process: &ModelDir, kind: Kind) -> Stack {
    let locks = if kind == Kind::Host { host_locks(process) } else { locks(true) };
    open(process, locks, options(AutoCompact::Off))
}

/// A host commits while another process does.
fn both_commit(other: Kind, flaw: Flaw) {
    let dir = start(&NAMES[..2], flaw);
    let host = handle(&dir.for_process(1), Kind::Host);
    let other = handle(&dir.for_process(2), other);
    // That one of them fails is not what that control is about.
    let is_fine = |outcome: &reftable::Result<()>| outcome.is_ok() || flaw == Flaw::ClosesBeforeRename;
    let committer = process(move || set(&host, NAMES[0], 1, 2).map(|_| ()));
    let mine = set(&other, NAMES[1], 1, 3).map(|_| ());
    assert!(is_fine(&mine), "the host ends: {mine:?}");
    let first = read(&other, &NAMES[..2]);
    assert!(mine.is_err() || first.last() == Some(&3), "one's own commit is visible at once: {first:?}");
    let theirs = committer.join().expect("the committer ends");
    assert!(is_fine(&theirs), "the other one ends: {theirs:?}");
    let expected = [if theirs.is_ok() { 2 } else { 1 }, if mine.is_ok() { 3 } else { 1 }];
    assert_eq!(read(&other, &NAMES[..2]), expected, "what was acknowledged is there");
    drop(other);
    recover(&dir, &NAMES[..2]);
}

/// One commits and dies at its `call`-th call, the other commits. Returns whether it came to that.
fn one_dies(call: u32, dying: Kind, living: Kind, flaw: Flaw) -> bool {
    let dir = start(&NAMES[..2], flaw);
    let mortal = dir.for_process(1);
    let dying = handle(&mortal, dying);
    let living = handle(&dir.for_process(2), living);
    mortal.dies_at(call);
    let committer = process(move || {
        let outcome = set(&dying, NAMES[0], 1, 2);
        drop(dying);
        outcome.map(|_| ())
    });
    set(&living, NAMES[1], 1, 3).expect("a dead owner blocks no other");
    let outcome = committer.join().expect("the committer ends");
    let last = read(&living, &NAMES[..2]);
    assert!(last == [1, 3] || last == [2, 3], "the commit of the dead process is there whole, or not: {last:?}");
    assert!(outcome.is_err() || last == [2, 3], "what was acknowledged is there");
    assert!(outcome.is_ok() || mortal.is_dead(), "the living succeed: {outcome:?}");
    drop(living);
    recover(&dir, &NAMES[..2]);
    mortal.is_dead()
}

/// A host compacts, with the locks of tables as names of one owner file, and dies at its `call`-th
/// call; another one commits.
fn compactor_dies(call: u32) -> bool {
    let dir = start_with(&[&NAMES[..1], &NAMES[1..2], &NAMES[2..]], Flaw::None);
    let mortal = dir.for_process(1);
    let dying = handle(&mortal, Kind::Host);
    let living = handle(&dir.for_process(2), Kind::Host);
    mortal.dies_at(call);
    let compactor = process(move || {
        let outcome = dying.compact(Compact::all());
        drop(dying);
        outcome.map(|_| ())
    });
    set(&living, NAMES[1], 1, 3).expect("a dead owner blocks no other");
    let outcome = compactor.join().expect("the compactor ends");
    assert_eq!(read(&living, &NAMES), [1, 3, 1], "compaction changes nothing");
    assert!(outcome.is_ok() || mortal.is_dead(), "the living succeed: {outcome:?}");
    drop(living);
    recover(&dir, &NAMES);
    mortal.is_dead()
}

/// A process of this crate commits for another one and dies at its `call`-th call. A host may take
/// over from it.
fn leader_dies(call: u32) -> bool {
    let dir = start(&NAMES, Flaw::None);
    let mortal = dir.for_process(1);
    let asking = || options(AutoCompact::Off).delegation(true).lock_timeout(Some(Duration::from_secs(2)));
    let leader = open(&mortal, locks(true), asking());
    let follower = open(&dir.for_process(2), locks(true), asking());
    let host = handle(&dir.for_process(3), Kind::Host);
    mortal.dies_at(call);
    let leader = process(move || {
        let outcome = set(&leader, NAMES[0], 1, 2).map(|_| ());
        drop(leader);
        outcome
    });
    let host = process(move || set(&host, NAMES[2], 1, 4).map(|_| ()));
    let told = set(&follower, NAMES[1], 1, 3).expect("its outcome is known").update_index;
    host.join().expect("the host ends").expect("a dead owner blocks no other");
    let outcome = leader.join().expect("the leader ends");
    let known = follower.snapshot().and_then(|snapshot| snapshot.get(NAMES[1])).expect("the store is sound");
    assert_eq!(known.map(|found| found.update_index), Some(told), "what was acknowledged is there, as it was told");
    let last = read(&follower, &NAMES);
    assert_eq!(last.get(1..), Some(&[3, 4][..]), "what was acknowledged is there");
    assert!(outcome.is_err() || last.first() == Some(&2), "what was acknowledged is there");
    drop(follower);
    recover(&dir, &NAMES);
    mortal.is_dead()
}

#[test]
fn two_hosts_commit() {
    explore("two hosts", 4, || both_commit(Kind::Host, Flaw::None));
}

#[test]
fn a_host_commits_beside_this_crate() {
    explore("a host and a committer", 4, || both_commit(Kind::Ours, Flaw::None));
}

#[test]
fn a_dying_host_holds_no_host_up() {
    explore_deaths("dying host, another one", 3, |call| one_dies(call, Kind::Host, Kind::Host, Flaw::None));
}

#[test]
fn a_dying_host_holds_nobody_of_this_crate_up() {
    explore_deaths("dying host, a committer", 3, |call| one_dies(call, Kind::Host, Kind::Ours, Flaw::None));
}

#[test]
fn a_dying_committer_holds_no_host_up() {
    explore_deaths("dying committer, a host", 3, |call| one_dies(call, Kind::Ours, Kind::Host, Flaw::None));
}

#[test]
fn a_host_that_dies_while_it_compacts_holds_no_host_up() {
    explore_deaths("dying host that compacts", 2, compactor_dies);
}

#[test]
fn a_host_answers_for_a_leader_that_has_died() {
    explore_deaths("dying leader, a host takes over", 1, leader_dies);
}

#[test]
#[should_panic(expected = "replaced the list")]
fn control_a_lock_that_is_closed_before_it_is_renamed_loses_commits() {
    explore("control: closed before the rename", 3, || both_commit(Kind::Host, Flaw::ClosesBeforeRename));
}

#[test]
#[should_panic(expected = "process 2 replaced the list")]
fn control_links_that_replace_are_caught() {
    explore("control: links that replace", 2, || both_commit(Kind::Host, Flaw::LinkReplaces));
}

#[test]
#[should_panic(expected = "goes through without help")]
fn control_kernel_locks_that_outlive_their_owner_are_caught() {
    explore_deaths("control: kernel locks that outlive their owner", 1, |call| {
        one_dies(call, Kind::Host, Kind::Host, Flaw::LocksOutliveTheirOwner)
    });
}

#[cfg(reftable_mutants)]
#[test]
fn mutants_are_caught() {
    use reftable::mutant::Mutant;
    for mutant in [Mutant::LinkUnlocked, Mutant::BreakLockUnasked, Mutant::SkipReread] {
        loom_tests::catches(mutant, || explore("mutant", 3, || both_commit(Kind::Host, Flaw::None)));
    }
    loom_tests::catches(Mutant::LeaveUnresolved, || explore_deaths("mutant", 2, leader_dies));
}
