//! A child that is forked while a lock is held has copies of everything, and must not release,
//! remove or use any of it.
//!
//! A binary of its own: a forked child has the files and locks of all tests.

#![cfg(test)]
#![cfg(target_os = "linux")]

mod support;

use std::path::Path;

use crate::support::victim::{self, Victim};
use fork::Fork;
use reftable::{ErrorKind, Expect, ObjectId, Options, Stack};

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
    Victim::start(victim_that_forks, dir.path()).finish();
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
    Victim::start(victim_that_executes, dir.path()).finish();
}

/// Forks while it holds no lock, which makes no difference: the child has a copy of the owner
/// file's descriptor, which the first commit has opened.
#[test]
fn victim_whose_child_outlives_it() {
    let Some(dir) = victim::dir() else { return };
    let stack = Stack::open(&dir, Options::default()).unwrap();
    put(&stack, "refs/heads/before").unwrap();
    if let Fork::Child = fork::fork().unwrap() {
        std::thread::sleep(std::time::Duration::from_secs(60));
        std::process::exit(0);
    }
    let mut tx = stack.transaction();
    tx.set("refs/heads/x", Expect::Any, ObjectId::from_bytes(&[7; 20]).unwrap());
    let _prepared = tx.prepare().unwrap();
    victim::say("ready");
    std::thread::sleep(std::time::Duration::from_secs(60));
}

#[test]
fn a_child_that_keeps_the_lock_of_its_dead_parent_is_named_as_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let mut parent = Victim::start(victim_whose_child_outlives_it, dir.path());
    assert_eq!(parent.line().unwrap(), "ready");
    let number = parent.id();
    let children = children_of(number);
    assert!(!children.is_empty());
    let options = Options::default().lock_timeout(Some(std::time::Duration::from_millis(20)));
    let stack = Stack::open(dir.path(), options).unwrap();
    let error = put(&stack, "refs/heads/y").unwrap_err();
    assert!(error.to_string().contains(&format!("process {number}, which is alive")), "{error}");
    parent.kill_only();
    let error = put(&stack, "refs/heads/y").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains(&format!("process {number} took the lock; it has ended")), "{error}");
    for child in children {
        let killed = std::process::Command::new("kill").args(["-KILL", &child.to_string()]).status().unwrap();
        assert!(killed.success());
    }
    let patient = Options::default().lock_timeout(Some(std::time::Duration::from_secs(5)));
    put(&Stack::open(dir.path(), patient).unwrap(), "refs/heads/y").unwrap();
}

/// The processes whose parent is this one.
fn children_of(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |number: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map(|(_, fields)| fields).unwrap_or_default();
        fields.split_whitespace().nth(1) == Some(parent.to_string().as_str())
    };
    numbers.filter(is_child).collect()
}
