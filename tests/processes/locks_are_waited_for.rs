//! A process that finds the lock taken waits as long as it was told to, and then names the holder.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{self, HASHES, Store, dump, quick};
use reftable::compact::Compact;
use reftable::{Error, ErrorKind, Expect, Stack};

fn commit(stack: &Stack, store: &Store) -> Result<u64, Error> {
    let mut tx = stack.transaction();
    tx.set("refs/heads/new", Expect::Any, store.id(2));
    tx.commit().map(|commit| commit.update_index)
}

fn with_timeout(store: &Store, timeout: Option<Duration>) -> Stack {
    Stack::open(store.path(), quick().lock_timeout(timeout)).unwrap()
}

#[test]
fn a_foreign_lock_is_an_error_that_names_it_and_the_way_out() {
    for hash in HASHES {
        let store = Store::new(hash);
        store.set("refs/heads/a", 1);
        let lock = store.path().join("tables.list.lock");
        fs::write(&lock, "").unwrap();
        let before = dump(store.path());
        for millis in [0, 60] {
            let timeout = Duration::from_millis(millis);
            let stack = with_timeout(&store, Some(timeout));
            let start = Instant::now();
            let error = commit(&stack, &store).unwrap_err();
            assert!(start.elapsed() >= timeout);
            assert_eq!(error.kind(), ErrorKind::Locked);
            assert!(error.is_retryable());
            assert_eq!(error.path(), Some(lock.as_path()));
            let message = error.to_string();
            assert!(message.contains("tables.list.lock") && message.contains("repair --break-lock`"), "{message}");
            assert_eq!(stack.snapshot().unwrap().update_index(), 1, "reading goes on");
        }
        assert_eq!(dump(store.path()), before);
        fs::remove_file(&lock).unwrap();
        commit(&with_timeout(&store, Some(Duration::ZERO)), &store).unwrap();
    }
}

#[test]
fn a_lock_that_is_released_in_time_is_taken() {
    for timeout in [Some(Duration::from_secs(20)), None] {
        let store = Store::new(HASHES[0]);
        let lock = store.path().join("tables.list.lock");
        fs::write(&lock, "").unwrap();
        let stack = with_timeout(&store, timeout);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| commit(&stack, &store));
            std::thread::sleep(Duration::from_millis(50));
            assert!(!waiting.is_finished());
            fs::remove_file(&lock).unwrap();
            assert_eq!(waiting.join().unwrap().unwrap(), 1);
        });
    }
}

#[test]
fn a_prepared_transaction_keeps_others_out_and_readers_in() {
    let store = Store::new(HASHES[0]);
    store.set("refs/heads/a", 1);
    let mut tx = store.stack.transaction();
    tx.set("refs/heads/b", Expect::Any, store.id(1));
    let prepared = tx.prepare().unwrap();
    let impatient = with_timeout(&store, Some(Duration::ZERO));
    assert_eq!(commit(&impatient, &store).unwrap_err().kind(), ErrorKind::Locked);
    assert!(impatient.snapshot().unwrap().get("refs/heads/b").unwrap().is_none());
    prepared.commit().unwrap();
    commit(&impatient, &store).unwrap();
}

#[test]
fn a_locked_table_stops_compaction_but_no_commit() {
    for hash in HASHES {
        let store = Store::with(hash, quick().auto_compact(reftable::AutoCompact::Off));
        for number in 1..=3 {
            store.set(&format!("refs/heads/b{number}"), number);
        }
        let names = store.list();
        let lock = store.path().join(format!("{}.lock", names[0]));
        fs::write(&lock, "").unwrap();
        let error = store.stack.compact(Compact::all()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert_eq!(error.path(), Some(lock.as_path()));
        assert_eq!(store.list(), names);
        // What is above the locked table can be merged.
        store.stack.compact(Compact::Auto).unwrap().unwrap();
        let after = store.list();
        assert_eq!((after.len(), &after[0]), (2, &names[0]));
        store.set("refs/heads/more", 1);
        fs::remove_file(&lock).unwrap();
        store.stack.compact(Compact::all()).unwrap().unwrap();
        support::assert_no_garbage(store.path());
    }
}

#[test]
fn a_lock_that_somebody_removed_and_took_is_noticed() {
    let store = Store::new(HASHES[0]);
    store.set("refs/heads/a", 1);
    let lock = store.path().join("tables.list.lock");
    let mut before = dump(store.path());
    let mut tx = store.stack.transaction();
    tx.set("refs/heads/b", Expect::Any, store.id(1));
    let prepared = tx.prepare().unwrap();
    fs::remove_file(&lock).unwrap();
    fs::write(&lock, "theirs").unwrap();
    before.insert("tables.list.lock".to_owned(), b"theirs".to_vec());
    assert_eq!(prepared.commit().unwrap_err().kind(), ErrorKind::Locked);
    assert_eq!(dump(store.path()), before, "their lock stays, our table goes");
}
