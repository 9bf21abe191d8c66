//! A user who may only read, reads; a refused write says so and leaves nothing behind. All who
//! could read can still read after a write.

#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::effort::loudly;
use crate::support::{self, HASHES, Store, contents, dump, quick};
use reftable::{ErrorKind, Expect, Stack};

/// Whether the system refuses us what the mode bits forbid; it does not when we are root.
fn permissions_count(store: &Store) -> bool {
    let probe = store.path().join("probe");
    let refused = fs::write(&probe, "").is_err();
    let _ = fs::remove_file(&probe);
    if !refused {
        loudly("SKIPPED: mode bits are not enforced for this user, root presumably");
    }
    refused
}

#[test]
fn a_directory_that_may_only_be_read() {
    for hash in HASHES {
        let store = Store::new(hash);
        for number in 0..5 {
            store.set(&format!("refs/heads/b{number}"), number);
        }
        let before = (contents::of_stack(&store.stack), dump(store.path()));
        fs::set_permissions(store.path(), Permissions::from_mode(0o555)).unwrap();
        if permissions_count(&store) {
            let stack = Stack::open(store.path(), quick()).unwrap();
            assert_eq!(contents::of_stack(&stack), before.0);
            support::assert_verifies(&stack);
            let mut tx = stack.transaction();
            tx.set("refs/heads/new", Expect::Any, store.id(1));
            let error = tx.commit().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io);
            assert!(error.to_string().contains("ermission denied"), "{error}");
            assert!(std::error::Error::source(&error).is_some());
        }
        fs::set_permissions(store.path(), Permissions::from_mode(0o755)).unwrap();
        assert_eq!((contents::of_stack(&store.stack), dump(store.path())), before);
    }
}

#[test]
fn reading_opens_nothing_for_writing() {
    // Holds for root, too: files that nobody may write are read all the same, and stay as they are.
    let store = Store::new(HASHES[0]);
    store.set("refs/heads/a", 1);
    let before = dump(store.path());
    for name in before.keys() {
        fs::set_permissions(store.path().join(name), Permissions::from_mode(0o444)).unwrap();
    }
    let stack = Stack::open(store.path(), quick()).unwrap();
    contents::of_stack(&stack);
    assert_eq!(dump(store.path()), before);
}

#[test]
fn new_files_get_the_mode_that_was_asked_for() {
    let store = Store::with(HASHES[0], quick().permissions(Some(0o640)));
    for number in 0..4 {
        store.set("refs/heads/a", number);
        for name in dump(store.path()).keys() {
            let mode = fs::metadata(store.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o640, "{name}");
        }
    }
}

/// Every file in the directory has this mode.
#[track_caller]
fn assert_modes(dir: &Path, expected: u32) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, expected, "{:?}: {mode:o}, not {expected:o}", entry.file_name());
    }
}

#[test]
fn new_files_take_the_mode_of_the_list() {
    for mode in [0o600, 0o640, 0o660, 0o664, 0o666, 0o644] {
        let store = Store::new(HASHES[0]);
        store.set("refs/heads/a", 1);
        drop(store.stack);
        for name in dump(store.dir.path()).keys() {
            fs::set_permissions(store.dir.path().join(name), Permissions::from_mode(mode)).unwrap();
        }
        let stack = Stack::open(store.dir.path(), quick()).unwrap();
        for number in 0..4 {
            let mut tx = stack.transaction();
            tx.set("refs/heads/a", Expect::Any, support::id(HASHES[0], number));
            // The lock, the file of its owner, the table that nobody reads yet.
            let prepared = tx.prepare().unwrap();
            assert_modes(store.dir.path(), mode);
            prepared.commit().unwrap();
            assert_modes(store.dir.path(), mode);
        }
        stack.compact(reftable::compact::Compact::All { expiry: reftable::compact::Expiry::default() }).unwrap();
        assert_modes(store.dir.path(), mode);
    }
}

#[test]
fn the_first_list_takes_the_mode_of_a_directory_that_a_group_shares() {
    for (dir, files) in [(0o2770, 0o660), (0o2775, 0o664), (0o2750, 0o640), (0o2777, 0o666)] {
        let store = tempfile::tempdir().unwrap();
        fs::set_permissions(store.path(), Permissions::from_mode(dir)).unwrap();
        let stack = Stack::open(store.path(), quick()).unwrap();
        let mut tx = stack.transaction();
        tx.set("refs/heads/a", Expect::Any, support::id(HASHES[0], 1));
        tx.commit().unwrap();
        assert_modes(store.path(), files);
    }
}

#[test]
fn repair_leaves_the_mode_as_it_was() {
    let store = Store::new(HASHES[0]);
    for number in 1..3 {
        store.set(&format!("refs/heads/{number}"), number);
    }
    let list = store.path().join("tables.list");
    fs::set_permissions(&list, Permissions::from_mode(0o660)).unwrap();
    store.set("refs/heads/last", 3);
    let names = fs::read_to_string(&list).unwrap();
    fs::write(store.path().join(names.lines().last().unwrap()), "").unwrap();
    let repair = reftable::repair::Repair::new(store.path());
    for problem in repair.diagnose().unwrap() {
        repair.fix(&problem).unwrap();
    }
    assert_ne!(fs::read_to_string(&list).unwrap(), names);
    assert_eq!(fs::metadata(&list).unwrap().permissions().mode() & 0o777, 0o660);
}
