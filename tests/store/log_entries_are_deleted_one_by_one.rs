//! Deleting log entries hides those that exist, never those that the same transaction appends.

use crate::support::{HASHES, Store, contents, entry};
use reftable::compact::{Compact, Expiry};

fn messages(store: &Store, name: &str) -> Vec<String> {
    let log = contents::log(&store.stack.snapshot().unwrap(), name);
    log.iter().map(|log| String::from_utf8_lossy(&log.entry.message).trim_end().to_owned()).collect()
}

fn append(store: &Store, name: &str, message: &str) -> u64 {
    let mut tx = store.stack.transaction();
    tx.append_log(name, entry(store.hash, 1, 2, message));
    tx.commit().unwrap().update_index
}

#[test]
fn one_entry_goes_and_the_others_stay() {
    for hash in HASHES {
        let store = Store::new(hash);
        let indexes: Vec<u64> = (0..5).map(|number| append(&store, "refs/heads/a", &number.to_string())).collect();
        append(&store, "refs/heads/b", "other");
        let mut tx = store.stack.transaction();
        tx.delete_log_entry("refs/heads/a", indexes[1]).delete_log_entry("refs/heads/a", indexes[4]);
        tx.delete_log_entry("refs/heads/a", 1 << 40);
        tx.commit().unwrap();
        assert_eq!(messages(&store, "refs/heads/a"), ["3", "2", "0"]);
        store.stack.compact(Compact::all()).unwrap();
        assert_eq!(messages(&store, "refs/heads/a"), ["3", "2", "0"]);
        assert_eq!(messages(&store, "refs/heads/b"), ["other"]);
    }
}

#[test]
fn a_log_is_replaced_in_one_transaction() {
    for hash in HASHES {
        let store = Store::new(hash);
        append(&store, "refs/heads/a", "old");
        append(&store, "refs/heads/a", "old");
        let mut tx = store.stack.transaction();
        tx.append_log("refs/heads/a", entry(hash, 1, 2, "new")).delete_log("refs/heads/a");
        tx.append_log("refs/heads/a", entry(hash, 2, 3, "newer"));
        tx.commit().unwrap();
        assert_eq!(messages(&store, "refs/heads/a"), ["newer", "new"]);
    }
}

/// The regression: with the deletion named first, it took the place of the entry that was appended.
#[test]
fn a_deletion_never_hits_what_its_own_transaction_appends() {
    let store = Store::new(HASHES[0]);
    append(&store, "refs/heads/a", "old");
    for deletion_first in [false, true] {
        let next = store.stack.snapshot().unwrap().update_index() + 1;
        let mut tx = store.stack.transaction();
        if deletion_first {
            tx.delete_log_entry("refs/heads/a", next);
        }
        tx.append_log("refs/heads/a", entry(store.hash, 1, 2, "new"));
        if !deletion_first {
            tx.delete_log_entry("refs/heads/a", next);
        }
        tx.commit().unwrap();
        let expected = [["new", "old"].as_slice(), &["new", "new", "old"]];
        assert_eq!(messages(&store, "refs/heads/a"), expected[usize::from(deletion_first)]);
    }
}

#[test]
fn compaction_expires_by_time_and_by_update_index() {
    for hash in HASHES {
        let store = Store::new(hash);
        for number in 0..6u64 {
            let mut tx = store.stack.transaction();
            let mut entry = entry(hash, 1, 2, number.to_string());
            entry.committer.time = 100 - number;
            tx.append_log("refs/heads/a", entry);
            tx.commit().unwrap();
        }
        let expire = |before_time, before_update_index| {
            let expiry = Expiry::default().before_time(before_time).before_update_index(before_update_index);
            store.stack.compact(Compact::All { expiry }).unwrap().unwrap();
            messages(&store, "refs/heads/a")
        };
        assert_eq!(expire(Some(96), None), ["4", "3", "2", "1", "0"]);
        assert_eq!(expire(None, Some(3)), ["4", "3", "2"]);
        assert_eq!(expire(Some(98), Some(1)), ["2"]);
        assert!(expire(Some(1000), None).is_empty());
        assert_eq!(store.stack.snapshot().unwrap().update_index(), 6);
    }
}
