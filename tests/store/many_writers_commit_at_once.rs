//! Threads and handles that commit to one directory at once all get through, each with an update
//! index of its own.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{self, HASHES, Store, assert_no_garbage, assert_verifies, quick};
use reftable::compact::Compact;
use reftable::{ErrorKind, Expect, Stack};

const HANDLES: u64 = 3;
const THREADS: u64 = 2;
const COMMITS: u64 = 20;

#[test]
fn every_commit_is_there_with_its_own_update_index() {
    for hash in HASHES {
        let store = Store::new(hash);
        let done = AtomicBool::new(false);
        let mut indexes: Vec<u64> = Vec::new();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| read_until(&store.stack, &done));
            let compactor = scope.spawn(|| compact_until(&store, &done));
            let writers: Vec<_> = (0..HANDLES)
                .flat_map(|handle| {
                    let stack = Stack::open(store.path(), quick().hash(hash).lock_timeout(None)).unwrap();
                    (0..THREADS).map(move |thread| (handle * THREADS + thread, stack.clone()))
                })
                .map(|(writer, stack)| scope.spawn(move || write(&stack, hash, writer)))
                .collect();
            let written: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            // First of all, or a writer that failed would leave the others running.
            done.store(true, Ordering::SeqCst);
            indexes = written.into_iter().flat_map(|indexes| indexes.unwrap()).collect();
            reader.join().unwrap();
            compactor.join().unwrap();
        });
        let count = HANDLES * THREADS * COMMITS;
        assert_eq!(indexes.len() as u64, count);
        assert_eq!(indexes.iter().collect::<BTreeSet<_>>().len() as u64, count, "no index twice");
        let snapshot = Stack::open(store.path(), quick()).unwrap().snapshot().unwrap();
        assert_eq!(snapshot.update_index(), count);
        for writer in 0..HANDLES * THREADS {
            for number in 0..COMMITS {
                let found = snapshot.get(format!("refs/heads/{writer}/{number}")).unwrap().unwrap();
                assert_eq!(found.target.id(), Some(support::id(hash, number)));
            }
        }
        store.stack.compact(Compact::all()).unwrap();
        assert_no_garbage(store.path());
        assert_verifies(&store.stack);
    }
}

fn write(stack: &Stack, hash: reftable::HashKind, writer: u64) -> Vec<u64> {
    (0..COMMITS)
        .map(|number| {
            let mut tx = stack.transaction();
            let id = support::id(hash, number);
            tx.set(format!("refs/heads/{writer}/{number}"), Expect::Absent, id);
            // Both halves of a pair, for the reader.
            tx.set(format!("refs/pair/{writer}/left"), Expect::Any, id);
            tx.set(format!("refs/pair/{writer}/right"), Expect::Any, id);
            let commit = tx.commit().unwrap();
            assert!(commit.compaction.is_none_or(|compaction| compaction.is_ok()));
            commit.update_index
        })
        .collect()
}

/// Sees whole transactions only, and never an older state after a newer one.
fn read_until(stack: &Stack, done: &AtomicBool) {
    let mut last = 0;
    while !done.load(Ordering::SeqCst) {
        let snapshot = stack.snapshot().unwrap();
        assert!(snapshot.update_index() >= last);
        last = snapshot.update_index();
        for writer in 0..HANDLES * THREADS {
            let half = |side| snapshot.get(format!("refs/pair/{writer}/{side}")).unwrap().map(|found| found.target);
            assert_eq!(half("left"), half("right"));
        }
    }
}

fn compact_until(store: &Store, done: &AtomicBool) {
    let stack = Stack::open(store.path(), quick()).unwrap();
    while !done.load(Ordering::SeqCst) {
        match stack.compact(Compact::all()) {
            Ok(_) => {}
            // Another thread compacts the same tables.
            Err(error) => assert_eq!(error.kind(), ErrorKind::Locked, "{error}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn of_those_who_expect_the_same_one_wins() {
    let store = Store::new(HASHES[0]);
    for round in 0..10 {
        let wins: usize = std::thread::scope(|scope| {
            let commit = |contender: u64| {
                let stack = Stack::open(store.path(), quick().lock_timeout(None)).unwrap();
                let mut tx = stack.transaction();
                tx.set(format!("refs/heads/r{round}"), Expect::Absent, store.id(contender));
                match tx.commit() {
                    Ok(_) => 1,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                        0
                    }
                }
            };
            let contenders: Vec<_> = (1..=4).map(|contender| scope.spawn(move || commit(contender))).collect();
            contenders.into_iter().map(|contender| contender.join().unwrap()).sum()
        });
        assert_eq!(wins, 1);
    }
}
