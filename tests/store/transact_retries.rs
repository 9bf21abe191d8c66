//! `transact` decides anew when it was overtaken, and only then.

use std::time::Duration;

use crate::support::{Store, quick};
use reftable::{AutoCompact, Error, ErrorKind, Expect, HashKind, ObjectId, Snapshot, Stack, Target, Transaction};

const HASH: HashKind = HashKind::Sha1;
const NAME: &str = "refs/heads/counter";

fn store() -> Store {
    Store::with(HASH, quick().auto_compact(AutoCompact::Off))
}

/// An id that counts.
fn number(value: u64) -> ObjectId {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&(value + 1).to_be_bytes());
    ObjectId::from_bytes(&bytes).unwrap()
}

fn value(snapshot: &Snapshot) -> Option<u64> {
    let id = snapshot.get(NAME).unwrap()?.target.id().unwrap();
    Some(u64::from_be_bytes(id.as_bytes()[..8].try_into().unwrap()) - 1)
}

fn increment(snapshot: &Snapshot, tx: &mut Transaction) -> Result<u64, Error> {
    let next = value(snapshot).map_or(0, |value| value + 1);
    let expect = match snapshot.get(NAME)? {
        Some(found) => Expect::Is(found.target),
        None => Expect::Absent,
    };
    tx.set(NAME, expect, number(next));
    Ok(next)
}

#[test]
fn increments_of_several_threads_and_handles_are_all_counted() {
    let store = store();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let stack = match thread % 2 {
                0 => store.stack.clone(),
                _ => Stack::open(store.path(), quick()).unwrap(),
            };
            scope.spawn(move || {
                for _ in 0..25 {
                    stack.transact(increment).unwrap();
                }
            });
        }
    });
    assert_eq!(value(&store.stack.snapshot().unwrap()), Some(99));
}

#[test]
fn who_was_overtaken_decides_anew() {
    let store = store();
    let mut calls = 0;
    let result = store.stack.transact(|snapshot, tx| {
        calls += 1;
        if calls == 1 {
            // Another commit is faster.
            store.stack.transact(increment).unwrap();
        }
        increment(snapshot, tx)
    });
    assert_eq!((result.unwrap(), calls), (1, 2));
    assert_eq!(store.stack.metrics().retries, 1);
}

#[test]
fn what_can_never_hold_is_returned_at_once() {
    let store = store();
    store.set(NAME, 1);
    let mut calls = 0;
    let error = store
        .stack
        .transact(|_, tx| -> Result<(), Error> {
            calls += 1;
            tx.set(NAME, Expect::Absent, number(5));
            Ok(())
        })
        .unwrap_err();
    assert_eq!((error.kind(), calls), (ErrorKind::Conflict, 1));
}

#[test]
fn who_is_always_overtaken_decides_under_the_lock() {
    let store = store();
    let other = Stack::open(store.path(), quick().lock_timeout(Some(Duration::from_millis(10)))).unwrap();
    let mut refused = 0;
    let mut calls = 0;
    let result = store.stack.transact(|snapshot, tx| {
        calls += 1;
        // Another handle is faster, as long as it can.
        match other.transact(increment) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Locked => refused += 1,
            Err(error) => return Err(error),
        }
        increment(snapshot, tx)
    });
    assert_eq!((result.unwrap(), calls, refused), (8, 9, 1));
    assert_eq!(store.stack.metrics().retries, 8);
}

#[test]
fn an_error_under_the_lock_releases_it() {
    let store = store();
    let mut calls = 0;
    let error = store.stack.transact(|snapshot, tx| {
        calls += 1;
        if calls == 9 {
            return "no name".parse::<ObjectId>().map(|_| 0).map_err(Error::from);
        }
        store.stack.transact(increment)?;
        increment(snapshot, tx)
    });
    assert_eq!((error.unwrap_err().kind(), calls), (ErrorKind::Invalid, 9));
    assert_eq!(store.stack.transact(increment).unwrap(), 8);
}

#[test]
fn errors_of_the_caller_and_empty_transactions_end_it() {
    #[derive(Debug)]
    enum Mine {
        Store(Error),
        NotToday,
    }
    impl From<Error> for Mine {
        fn from(error: Error) -> Mine {
            Mine::Store(error)
        }
    }
    let store = store();
    let refused = store.stack.transact(|_, tx| {
        tx.set(NAME, Expect::Any, Target::symbolic("refs/heads/x"));
        Err::<(), Mine>(Mine::NotToday)
    });
    assert!(matches!(refused, Err(Mine::NotToday)));
    let odd = store.stack.transact(|_, tx| {
        tx.set("refs/heads/a..b", Expect::Any, number(1));
        Ok::<(), Mine>(())
    });
    assert!(matches!(odd, Err(Mine::Store(error)) if error.kind() == ErrorKind::Invalid));
    assert!(store.stack.transact(|_, _| Ok::<bool, Mine>(true)).unwrap());
    assert_eq!(store.stack.metrics().commits, 0);
    assert!(store.stack.snapshot().unwrap().tables().is_empty());
}
