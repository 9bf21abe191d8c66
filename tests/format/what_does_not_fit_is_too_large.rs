//! A name or message that does not fit into a block is refused whole; the largest that fits reads
//! back.

use crate::support::{HASHES, Store, assert_verifies, contents, dump, entry, listing, quick};
use reftable::compact::Compact;
use reftable::table::WriteOptions;
use reftable::{ErrorKind, Expect, LogEntry, Target, Transaction};

/// The largest length for which `fill` commits. Each refusal must leave the directory as it was.
fn largest(store: &Store, fill: impl Fn(&mut Transaction, usize)) -> usize {
    let fits = |len: usize| {
        let before = dump(store.path());
        let mut tx = store.stack.transaction();
        fill(&mut tx, len);
        match tx.commit() {
            Ok(commit) => {
                assert!(commit.compaction.is_none_or(|compaction| compaction.is_ok()));
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
                assert!(!error.is_retryable());
                assert_eq!(dump(store.path()), before, "nothing was written");
                false
            }
        }
    };
    let (mut good, mut bad) = (1, 8192);
    assert!(fits(good) && !fits(bad));
    while bad - good > 1 {
        let middle = usize::midpoint(good, bad);
        if fits(middle) { good = middle } else { bad = middle }
    }
    assert!(fits(good) && !fits(good + 1));
    good
}

fn name(len: usize) -> String {
    format!("refs/heads/{}", "n".repeat(len))
}

fn stores() -> impl Iterator<Item = Store> {
    HASHES.into_iter().flat_map(|hash| {
        [256, 4096].map(|size| {
            let write = WriteOptions::default().block_size(size);
            // Compaction may move a record to a block with a header in it.
            let store = Store::with(hash, quick().write(write).auto_compact(reftable::AutoCompact::Off));
            store.set("A", 1);
            store
        })
    })
}

#[test]
fn names() {
    for store in stores() {
        let len = largest(&store, |tx, len| {
            tx.set(name(len), Expect::Any, store.id(1));
        });
        assert_eq!(store.get(&name(len)), Some(store.id(1).into()));
        assert_eq!(store.get(&name(len + 1)), None);
        assert_verifies(&store.stack);
    }
}

#[test]
fn symbolic_targets() {
    for store in stores() {
        let len = largest(&store, |tx, len| {
            tx.set("HEAD", Expect::Any, Target::symbolic(name(len)));
        });
        assert_eq!(store.get("HEAD"), Some(Target::symbolic(name(len))));
        store.stack.compact(Compact::all()).unwrap();
        assert_eq!(store.get("HEAD"), Some(Target::symbolic(name(len))));
        assert_verifies(&store.stack);
    }
}

#[test]
fn messages() {
    for store in stores() {
        let message = |len| "m".repeat(len);
        let len = largest(&store, |tx, len| {
            tx.append_log("refs/heads/a", entry(store.hash, 0, 1, message(len)));
        });
        let check = || {
            let log = contents::log(&store.stack.snapshot().unwrap(), "refs/heads/a");
            assert_eq!(
                log[0].entry,
                LogEntry { message: (message(len) + "\n").into_bytes(), ..entry(store.hash, 0, 1, "") }
            );
        };
        check();
        store.stack.compact(Compact::all()).unwrap();
        check();
        assert_verifies(&store.stack);
    }
}

#[test]
fn names_of_logs_and_committers() {
    for store in stores() {
        largest(&store, |tx, len| {
            tx.append_log(name(len), entry(store.hash, 0, 1, "m"));
        });
        largest(&store, |tx, len| {
            let mut entry = entry(store.hash, 0, 1, "m");
            entry.committer.name = vec![b'n'; len];
            tx.append_log("refs/heads/a", entry);
        });
        assert_verifies(&store.stack);
    }
}

#[test]
fn one_that_does_not_fit_takes_the_others_with_it() {
    let store = Store::new(HASHES[0]);
    store.set("refs/heads/a", 1);
    let before = dump(store.path());
    let mut tx = store.stack.transaction();
    for number in 0..2000 {
        tx.set(format!("refs/heads/b{number}"), Expect::Any, store.id(1));
    }
    tx.set(name(5000), Expect::Any, store.id(1));
    assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(dump(store.path()), before);
}

#[test]
fn the_first_commit_of_a_store_leaves_nothing_either() {
    let store = Store::new(HASHES[0]);
    let mut tx = store.stack.transaction();
    tx.set(name(5000), Expect::Any, store.id(1));
    assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::TooLarge);
    // The empty list is what makes it safe to create the table that failed.
    assert!(listing(store.path()).iter().all(|name| name == "tables.list"));
    assert_eq!(store.stack.snapshot().unwrap().update_index(), 0);
    assert_eq!(store.set("refs/heads/a", 1), 1);
}

#[test]
fn a_table_beyond_its_limit_is_refused() {
    for hash in HASHES {
        let write = WriteOptions::default().max_table_size(10_000);
        let store = Store::writing(hash, write);
        store.set("refs/heads/a", 1);
        let before = dump(store.path());
        let mut tx = store.stack.transaction();
        for number in 0..2000 {
            tx.set(format!("refs/heads/b{number}"), Expect::Any, store.id(number));
        }
        assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::TooLarge);
        assert_eq!(dump(store.path()), before);
    }
}
