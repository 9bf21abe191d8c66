//! A prepared transaction that is dropped leaves nothing behind.

use std::time::Duration;

use crate::support::{self, HASHES, Store, dump, entry, quick};
use reftable::{ErrorKind, Expect, Stack};

#[test]
fn dropping_it_restores_every_byte() {
    for hash in HASHES {
        let store = Store::new(hash);
        for number in 0..2 {
            let before = dump(store.path());
            let mut tx = store.stack.transaction();
            tx.set("refs/heads/a", Expect::Absent, store.id(1)).append_log("refs/heads/a", entry(hash, 0, 1, "m"));
            let prepared = tx.prepare().unwrap();
            assert_eq!(prepared.update_index(), number + 1);
            assert_eq!(prepared.snapshot().update_index(), number);
            drop(prepared);
            assert_eq!(dump(store.path()), before);
            store.set("refs/heads/other", 1);
        }
    }
}

#[test]
fn a_refused_or_unused_transaction_touches_nothing() {
    let store = Store::new(HASHES[0]);
    let mut tx = store.stack.transaction();
    assert!(tx.is_empty());
    tx.verify("refs/heads/a", Expect::Exists);
    assert!(!tx.is_empty());
    assert!(tx.prepare().is_err());
    drop(store.stack.transaction());
    assert!(dump(store.path()).is_empty());
}

#[test]
fn a_transaction_that_changes_nothing_writes_nothing() {
    let store = Store::new(HASHES[0]);
    store.set("refs/heads/a", 1);
    let before = dump(store.path());
    assert_eq!(store.stack.transaction().commit().unwrap().update_index, 1);
    let mut tx = store.stack.transaction();
    tx.verify("refs/heads/a", Expect::Exists).delete_log("refs/heads/a");
    let commit = tx.commit().unwrap();
    assert_eq!(commit.update_index, 1);
    assert!(commit.compaction.is_none());
    assert_eq!(dump(store.path()), before);
}

#[test]
fn committing_it_releases_the_lock() {
    let store = Store::new(HASHES[1]);
    let mut tx = store.stack.transaction();
    tx.set("refs/heads/a", Expect::Absent, store.id(1));
    let prepared = tx.prepare().unwrap();
    assert_eq!(prepared.commit().unwrap().update_index, 1);
    support::assert_no_garbage(store.path());
    let other = Stack::open(store.path(), quick()).unwrap();
    assert_eq!(other.snapshot().unwrap().get("refs/heads/a").unwrap().unwrap().target, store.id(1).into());
}

#[test]
fn what_is_decided_under_the_lock_is_not_overtaken() {
    let store = Store::new(HASHES[0]);
    store.set("refs/heads/a", 1);
    let before = dump(store.path());
    drop(store.stack.lock().unwrap());
    assert_eq!(dump(store.path()), before);
    let locked = store.stack.lock().unwrap();
    assert_eq!(locked.snapshot().update_index(), 1);
    let other = Stack::open(store.path(), quick().lock_timeout(Some(Duration::ZERO))).unwrap();
    let transaction = |stack: &Stack| {
        let mut tx = stack.transaction();
        tx.set("refs/heads/b", Expect::Absent, store.id(2));
        tx
    };
    assert_eq!(transaction(&other).commit().unwrap_err().kind(), ErrorKind::Locked);
    let prepared = locked.prepare(transaction(&store.stack)).unwrap();
    assert_eq!(transaction(&other).commit().unwrap_err().kind(), ErrorKind::Locked);
    assert_eq!(prepared.commit().unwrap().update_index, 2);
    assert_eq!(transaction(&other).commit().unwrap_err().kind(), ErrorKind::Conflict);

    // What is of another store is not prepared under this lock, and lets go of it.
    assert_eq!(store.stack.lock().unwrap().prepare(transaction(&other)).unwrap_err().kind(), ErrorKind::Invalid);
    support::assert_no_garbage(store.path());
}
