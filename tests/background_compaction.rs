//! A thread that compacts: it does, it ends with the handle, and a child without it gets on by
//! itself.
//!
//! A binary of its own: it counts the threads of its process, and forks.

#![cfg(test)]

mod support;

use std::time::{Duration, Instant};

use crate::support::{assert_verifies, id, quick, table_names};
use reftable::{AutoCompact, Expect, HashKind, Options, Stack};

fn options() -> Options {
    quick().auto_compact(AutoCompact::Lazy(4)).background_compaction(true)
}

fn set(stack: &Stack, name: &str) -> reftable::Commit {
    let mut tx = stack.transaction();
    tx.set(name, Expect::Any, id(HashKind::Sha1, 1));
    tx.commit().unwrap()
}

/// The threads of this process that compact.
#[cfg(target_os = "linux")]
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.trim() == "reftable-compac").count()
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// One test, because it counts the threads of the process.
#[cfg(target_os = "linux")]
#[test]
fn the_thread_compacts_and_ends_with_the_handle() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(threads(), 0);
    let without = Stack::open(dir.path(), options().background_compaction(false)).unwrap();
    let off = Stack::open(dir.path(), options().auto_compact(AutoCompact::Off)).unwrap();
    assert_eq!(threads(), 0, "no thread that nobody asked for");
    drop((without, off));

    let stack = Stack::open(dir.path(), options()).unwrap();
    set(&stack, "refs/heads/first");
    assert_eq!(threads(), 0, "no thread as long as nothing is due");
    for number in 0..40 {
        let commit = set(&stack, &format!("refs/heads/{number}"));
        assert!(commit.compaction.is_none(), "not in the commit call");
    }
    eventually("the thread has its name", || threads() == 1);
    eventually("the tables are merged", || table_names(dir.path()).len() < 8);
    eventually("it is counted", || stack.metrics().compactions > 0);
    assert_verifies(&stack);
    let clone = stack.clone();
    drop(stack);
    set(&clone, "refs/heads/more");
    assert_eq!(threads(), 1);
    drop(clone);
    assert_eq!(threads(), 0, "no thread is left");

    a_child_compacts_by_itself();
    dropping_stops_a_running_compaction();
}

#[cfg(target_os = "linux")]
fn a_child_compacts_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::open(dir.path(), options()).unwrap();
    for number in 0..10 {
        assert!(set(&stack, &format!("refs/heads/before-{number}")).compaction.is_none());
    }
    // Forked in the midst of its work, the child would find what it had in hand locked for ever.
    eventually("the thread has nothing to do", || stack.metrics().compactions > 0);
    std::thread::sleep(Duration::from_millis(50));
    match fork::fork().unwrap() {
        fork::Fork::Child => {
            let compacted = (0..10).any(|number| set(&stack, &format!("refs/heads/{number}")).compaction.is_some());
            // Must not wait for a thread that is not there.
            drop(stack);
            // Nothing of the test's harness may run here.
            std::process::exit(if compacted { 7 } else { 1 });
        }
        fork::Fork::Parent(child) => {
            let mut status = None;
            eventually("the child ends", || {
                status = fork::waitpid_nohang(child).unwrap();
                status.is_some()
            });
            assert_eq!(fork::WEXITSTATUS(status.unwrap()), 7);
            set(&stack, "refs/heads/last");
            assert_verifies(&stack);
        }
    }
}

/// A large compaction is under way when the handle is dropped: nothing is left of it, and the drop
/// does not wait for it.
#[cfg(target_os = "linux")]
fn dropping_stops_a_running_compaction() {
    let dir = tempfile::tempdir().unwrap();
    let off = Stack::open(dir.path(), quick().auto_compact(AutoCompact::Off)).unwrap();
    for table in 0..4 {
        let mut tx = off.transaction();
        for number in 0..100_000 {
            tx.set(format!("refs/heads/{number:06}-{table}"), Expect::Absent, id(HashKind::Sha1, number + 1));
        }
        tx.commit().unwrap();
    }
    let before = table_names(dir.path());
    drop(off);
    let stack = Stack::open(dir.path(), options()).unwrap();
    set(&stack, "refs/heads/now-it-is-due");
    eventually("its output is there", || {
        std::fs::read_dir(dir.path()).unwrap().flatten().any(|file| file.path().extension() == Some("tmp".as_ref()))
    });
    drop(stack);
    assert_eq!(threads(), 0);
    let after = table_names(dir.path());
    assert_eq!(after[..4], before, "it was stopped, not finished");
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().map(|file| file.file_name()).collect();
    assert_eq!(left.len(), 6, "{left:?}");
}
