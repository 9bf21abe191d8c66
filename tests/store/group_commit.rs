//! Transactions that share a table: each is checked against those before it, and has a result of
//! its own.

use std::sync::Barrier;
use std::time::Duration;

use crate::support::{self, Store, assert_verifies, entry, id, ident, quick};
use reftable::{AutoCompact, ErrorKind, Expect, HashKind, Stack, Transaction};

const HASH: HashKind = HashKind::Sha1;

fn store() -> Store {
    Store::with(HASH, quick().auto_compact(AutoCompact::Off))
}

fn set(stack: &Stack, name: &str, expect: Expect, number: u64) -> Transaction {
    let mut tx = stack.transaction();
    tx.set(name, expect, id(HASH, number));
    tx
}

#[test]
fn later_members_see_earlier_ones() {
    let store = store();
    store.set("refs/heads/old", 1);
    let stack = &store.stack;
    let mut delete = stack.transaction();
    delete.delete("refs/heads/old", Expect::Is(id(HASH, 1).into()));
    let mut verify = stack.transaction();
    verify.verify("refs/heads/new", Expect::Is(id(HASH, 3).into())).verify("refs/heads/old", Expect::Absent);
    let results = stack.commit_all([
        set(stack, "refs/heads/new", Expect::Absent, 2),
        set(stack, "refs/heads/new", Expect::Is(id(HASH, 2).into()), 3),
        set(stack, "refs/heads/new", Expect::Absent, 4),
        delete,
        set(stack, "refs/heads/old/below", Expect::Absent, 5),
        verify,
    ]);
    let indexes: Vec<Option<u64>> =
        results.iter().map(|result| result.as_ref().ok().map(|commit| commit.update_index)).collect();
    assert_eq!(indexes, [Some(2), Some(3), None, Some(4), Some(5), Some(5)]);
    let error = results[2].as_ref().unwrap_err();
    assert_eq!(error.conflicts().len(), 1, "{error}");
    assert_eq!(store.list().len(), 2, "one table for all");
    assert_eq!(store.get("refs/heads/new"), Some(id(HASH, 3).into()));
    assert_eq!(store.get("refs/heads/old"), None);
    assert_eq!(store.get("refs/heads/old/below"), Some(id(HASH, 5).into()));
    assert_verifies(stack);
}

#[test]
fn names_conflict_within_a_group() {
    let store = store();
    let stack = &store.stack;
    let results = stack.commit_all([
        set(stack, "refs/heads/a", Expect::Absent, 1),
        set(stack, "refs/heads/a/b", Expect::Absent, 2),
        set(stack, "refs/heads/c/d", Expect::Absent, 3),
        set(stack, "refs/heads/c", Expect::Absent, 4),
    ]);
    let kinds: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(kinds, [true, false, true, false]);
    assert!(results[1].as_ref().unwrap_err().to_string().contains("cannot exist beside 'refs/heads/a'"));
    assert!(results[3].as_ref().unwrap_err().to_string().contains("cannot exist beside 'refs/heads/c/d'"));
}

#[test]
fn log_entries_stay_unless_a_later_member_deletes_them() {
    let store = store();
    let stack = &store.stack;
    let name = "refs/heads/a";
    let append = |old, new| {
        let mut tx = stack.transaction();
        tx.append_log(name, entry(HASH, old, new, format!("to {new}")));
        tx
    };
    append(0, 1).commit().unwrap();
    let messages = || -> Vec<String> {
        let logs = stack.snapshot().unwrap().log(name).unwrap();
        logs.into_iter().map(|log| String::from_utf8(log.unwrap().entry.message).unwrap()).collect()
    };
    for result in stack.commit_all([append(1, 2), append(2, 3)]) {
        result.unwrap();
    }
    assert_eq!(messages(), ["to 3\n", "to 2\n", "to 1\n"]);
    let mut delete = stack.transaction();
    delete.delete_log(name).append_log(name, entry(HASH, 0, 5, "again"));
    for result in stack.commit_all([append(3, 4), delete, append(5, 6)]) {
        result.unwrap();
    }
    assert_eq!(messages(), ["to 6\n", "again\n"]);
    assert_verifies(stack);
}

#[test]
fn automatic_log_entries_know_the_value_before() {
    let store = store();
    let stack = &store.stack;
    let moves = [1, 2, 3].map(|number| {
        let mut tx = set(stack, "refs/heads/a", Expect::Any, number);
        tx.reflog(ident(), "move");
        tx
    });
    stack.commit_all(moves).into_iter().for_each(|result| drop(result.unwrap()));
    let logs = stack.snapshot().unwrap().log("refs/heads/a").unwrap();
    let olds: Vec<_> = logs.into_iter().map(|log| log.unwrap().entry.old).collect();
    assert_eq!(olds, [id(HASH, 2), id(HASH, 1), reftable::ObjectId::null(HASH)]);
}

#[test]
fn what_is_too_large_fails_alone() {
    let store = store();
    let stack = &store.stack;
    let long = format!("refs/heads/{}", "x".repeat(5000));
    let results = stack.commit_all([
        set(stack, "refs/heads/a", Expect::Absent, 1),
        set(stack, &long, Expect::Absent, 2),
        set(stack, "refs/heads/b", Expect::Absent, 3),
    ]);
    assert_eq!(results[1].as_ref().unwrap_err().kind(), ErrorKind::TooLarge);
    let indexes: Vec<u64> = results.iter().flatten().map(|commit| commit.update_index).collect();
    assert_eq!(indexes, [1, 2]);
    assert_eq!(store.get("refs/heads/b"), Some(id(HASH, 3).into()));
    support::assert_verifies(stack);
}

#[test]
fn another_hash_fails_alone() {
    let store = store();
    let stack = &store.stack;
    let mut other = stack.transaction();
    other.set("refs/heads/b", Expect::Any, id(HashKind::Sha256, 2));
    let results = stack.commit_all([set(stack, "refs/heads/a", Expect::Absent, 1), other]);
    assert!(results[0].is_ok());
    assert_eq!(results[1].as_ref().unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn invalid_and_foreign_transactions_fail_alone() {
    let (store, another) = (store(), store());
    let stack = &store.stack;
    let results = stack.commit_all([
        set(stack, "refs/heads/a..b", Expect::Any, 1),
        set(&another.stack, "refs/heads/a", Expect::Any, 2),
        set(stack, "refs/heads/a", Expect::Any, 3),
    ]);
    let kinds: Vec<_> = results.iter().map(|result| result.as_ref().map_err(reftable::Error::kind).is_ok()).collect();
    assert_eq!(kinds, [false, false, true]);
    assert_eq!(store.get("refs/heads/a"), Some(id(HASH, 3).into()));
}

/// Waiting threads share tables: fewer tables than commits, every commit there, each update index
/// given once.
#[test]
fn threads_share_tables() {
    let store = store();
    let stack = &store.stack;
    store.set("refs/heads/first", 1);
    let barrier = Barrier::new(9);
    let mut indexes: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8u64)
            .map(|thread| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    let commits = (0..20).map(|number| {
                        set(stack, &format!("refs/heads/{thread}/{number}"), Expect::Absent, number + 1).commit()
                    });
                    commits.map(|commit| commit.unwrap().update_index).collect::<Vec<_>>()
                })
            })
            .collect();
        // All are in the queue before any can commit.
        let prepared = set(stack, "refs/heads/second", Expect::Any, 1).prepare().unwrap();
        barrier.wait();
        std::thread::sleep(Duration::from_millis(100));
        prepared.commit().unwrap();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    indexes.sort_unstable();
    assert_eq!(indexes, (3..163).collect::<Vec<u64>>());
    assert!(store.list().len() < 150, "{} tables", store.list().len());
    assert_eq!(stack.snapshot().unwrap().refs().unwrap().into_iter().count(), 162);
    assert_verifies(stack);
}

#[test]
fn a_thread_with_a_prepared_transaction_cannot_commit_another() {
    let store = store();
    let stack = &store.stack;
    let prepared = set(stack, "refs/heads/a", Expect::Any, 1).prepare().unwrap();
    for error in [
        set(stack, "refs/heads/b", Expect::Any, 2).commit().unwrap_err(),
        set(stack, "refs/heads/b", Expect::Any, 2).prepare().unwrap_err(),
        stack.commit_all([set(stack, "refs/heads/b", Expect::Any, 2)]).remove(0).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(error.to_string().contains("this thread"), "{error}");
    }
    prepared.commit().unwrap();
    set(stack, "refs/heads/b", Expect::Any, 2).commit().unwrap();
}

#[test]
fn who_waits_too_long_leaves_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let options = quick().auto_compact(AutoCompact::Off).lock_timeout(Some(Duration::from_millis(50)));
    let stack = Stack::open(dir.path(), options).unwrap();
    let prepared = set(&stack, "refs/heads/a", Expect::Any, 1).prepare().unwrap();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| set(&stack, "refs/heads/b", Expect::Any, 2).commit().unwrap_err()).join().unwrap()
    });
    assert_eq!(error.kind(), ErrorKind::Locked);
    prepared.commit().unwrap();
    assert!(stack.snapshot().unwrap().get("refs/heads/b").unwrap().is_none(), "it was not committed later");
}

#[test]
fn what_a_handle_does_is_counted() {
    let store = store();
    let stack = &store.stack;
    set(stack, "refs/heads/a", Expect::Any, 1).commit().unwrap();
    let several = ["b", "c", "d"].map(|name| set(stack, &format!("refs/heads/{name}"), Expect::Any, 1));
    stack.commit_all(several).into_iter().for_each(|result| drop(result.unwrap()));
    set(stack, "refs/heads/e", Expect::Any, 1).prepare().unwrap().commit().unwrap();
    stack.compact(reftable::compact::Compact::all()).unwrap();
    let metrics = stack.metrics();
    assert_eq!((metrics.commits, metrics.groups, metrics.largest_group), (5, 3, 3));
    assert_eq!((metrics.compactions, metrics.failed_compactions, metrics.retries), (1, 0, 0));
    assert_eq!(metrics.reloads, 0, "what we have written ourselves is not read back");
}
