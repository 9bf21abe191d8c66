//! Whoever may only read, reads; a refused write says so and leaves nothing behind.

#![cfg(unix)]
#![cfg(test)]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use reftable::{ErrorKind, Expect, Stack};
use support::{HASHES, Store, contents, dump, quick};

/// Whether the system refuses us what the mode bits forbid; it does not when we are root.
fn permissions_count(store: &Store) -> bool {
    let probe = store.path().join("probe");
    let refused = fs::write(&probe, "").is_err();
    let _ = fs::remove_file(&probe);
    if !refused {
        let message = "mode bits are not enforced for this user, root presumably";
        std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED: {message}\n").as_bytes()).unwrap();
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
