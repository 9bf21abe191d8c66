//! A handle that was opened by a relative path stays with its store when the process changes its
//! working directory.
//!
//! A binary of its own: it changes the working directory.

#![cfg(test)]

use std::env;
use std::fs;

use reftable::compact::Compact;
use reftable::repair::Repair;
use reftable::{Expect, ObjectId, Options, Stack};

fn put(stack: &Stack, name: &str) {
    let mut tx = stack.transaction();
    tx.set(name, Expect::Any, ObjectId::from_bytes(&[7; 20]).unwrap());
    tx.commit().unwrap();
}

/// The only test of this file: the working directory is that of all threads.
#[test]
fn another_working_directory_is_not_another_store() {
    let temp = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| temp.path().join(name));
    for repository in [&one, &two] {
        fs::create_dir_all(repository.join("reftable")).unwrap();
        env::set_current_dir(repository).unwrap();
        put(&Stack::open("reftable", Options::default()).unwrap(), "refs/heads/first");
    }
    env::set_current_dir(&one).unwrap();
    let stack = Stack::open("reftable", Options::default()).unwrap();
    put(&stack, "refs/heads/before");
    let repair = Repair::new("reftable");
    env::set_current_dir(&two).unwrap();
    put(&stack, "refs/heads/after");
    stack.compact(Compact::all()).unwrap();
    assert!(stack.verify().unwrap().is_clean());
    assert!(repair.diagnose().unwrap().is_empty());
    let names = |store: &Stack| -> Vec<String> {
        let snapshot = store.snapshot().unwrap();
        snapshot.refs().unwrap().into_iter().map(|found| found.unwrap().name_lossy().into_owned()).collect()
    };
    assert_eq!(names(&stack), ["refs/heads/after", "refs/heads/before", "refs/heads/first"]);
    let other = Stack::open("reftable", Options::default()).unwrap();
    assert_eq!(names(&other), ["refs/heads/first"]);
    // Messages name the store as it was named.
    fs::write(one.join("reftable/tables.list"), "garbage").unwrap();
    let error = stack.snapshot().unwrap_err();
    assert!(error.to_string().starts_with("reftable/tables.list"), "{error}");
}
