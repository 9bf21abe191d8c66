//! A child that is forked while a lock is held has copies of everything, and must not release, remove or use any of it.

#![cfg(test)]
#![allow(dead_code, reason = "the support is shared")]
#![cfg(target_os = "linux")]

#[path = "support/victim.rs"]
mod victim;

use std::path::Path;

use fork::Fork;
use reftable::{ErrorKind, Expect, ObjectId, Options, Stack};
use victim::Victim;

fn put(stack: &Stack, name: &str) -> reftable::Result<()> {
    let mut tx = stack.transaction();
    tx.set(name, Expect::Any, ObjectId::from_bytes(&[7; 20]).unwrap());
    tx.commit().map(|_| ())
}

/// Forks with a prepared transaction; the child drops its copy, then tries to commit by itself.
#[test]
fn victim_that_forks() {
    let Some(dir) = victim::dir() else { return };
    let stack = Stack::open(&dir, Options::default()).unwrap();
    put(&stack, "refs/heads/before").unwrap();
    let mut tx = stack.transaction();
    tx.set("refs/heads/parent", Expect::Any, ObjectId::from_bytes(&[7; 20]).unwrap());
    let prepared = tx.prepare().unwrap();
    match fork::fork().unwrap() {
        Fork::Child => {
            drop(prepared);
            let refused = put(&stack, "refs/heads/child").is_err_and(|error| error.kind() == ErrorKind::Locked);
            drop(stack);
            std::process::exit(if refused { 0 } else { 1 });
        }
        Fork::Parent(child) => {
            let status = fork::waitpid(child).unwrap();
            assert_eq!(fork::WEXITSTATUS(status), 0, "the child took the lock of its parent");
        }
    }
    prepared.commit().unwrap();
    put(&stack, "refs/heads/after").unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let snapshot = Stack::open(dir, Options::default()).unwrap().snapshot().unwrap();
    snapshot.refs().unwrap().into_iter().map(|found| found.unwrap().name_lossy().into_owned()).collect()
}

#[test]
fn a_child_leaves_the_lock_and_the_table_of_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    Victim::start("victim_that_forks", dir.path()).finish();
    assert_eq!(names(dir.path()), ["refs/heads/after", "refs/heads/before", "refs/heads/parent"]);
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(files, names_of_list(dir.path()) + 1, "nothing is left but the list and its tables");
}

fn names_of_list(dir: &Path) -> usize {
    std::fs::read_to_string(dir.join("tables.list")).unwrap().lines().count()
}

/// Executes another program while it holds a lock, which inherits nothing.
#[test]
fn victim_that_executes() {
    let Some(dir) = victim::dir() else { return };
    let stack = Stack::open(&dir, Options::default()).unwrap();
    let mut tx = stack.transaction();
    tx.set("refs/heads/x", Expect::Any, ObjectId::from_bytes(&[7; 20]).unwrap());
    let _prepared = tx.prepare().unwrap();
    let listing = std::process::Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    assert!(!listing.contains(dir.to_str().unwrap()), "{listing}");
}

#[test]
fn descriptors_are_closed_when_another_program_is_executed() {
    let dir = tempfile::tempdir().unwrap();
    Victim::start("victim_that_executes", dir.path()).finish();
}
