//! A compaction tells how far it has come, and ends without a trace when it is told to.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use crate::support::{assert_verifies, contents, entry, id, quick, table_names};
use reftable::compact::{Compact, Progress};
use reftable::{AutoCompact, ErrorKind, Expect, HashKind, Options, Stack};

const HASH: HashKind = HashKind::Sha1;

fn options() -> Options {
    quick().auto_compact(AutoCompact::Off).lock_timeout(Some(Duration::ZERO))
}

/// Two tables with so many references, each with an entry of a reflog.
fn store(refs: u64) -> (tempfile::TempDir, Stack) {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::open(dir.path(), options()).unwrap();
    for table in 0..2 {
        let mut tx = stack.transaction();
        for number in 0..refs {
            let name = format!("refs/heads/{number:06}-{table}");
            tx.set(name.as_str(), Expect::Absent, id(HASH, number + 1));
            if number % 4 == 0 {
                tx.append_log(name, entry(HASH, 0, number + 1, "made\n"));
            }
        }
        tx.commit().unwrap();
    }
    (dir, stack)
}

fn size(dir: &Path) -> u64 {
    table_names(dir).iter().map(|name| dir.join(name).metadata().unwrap().len()).sum()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn it_tells_how_far_it_has_come() {
    for threads in [1, 3] {
        let (dir, stack) = store(60_000);
        let total = size(dir.path());
        let mut calls: Vec<Progress> = Vec::new();
        let stack = stack.with_options(options().threads(threads)).unwrap();
        let done = stack.compact_with_progress(Compact::all(), |progress| {
            calls.push(progress);
            ControlFlow::Continue(())
        });
        assert_eq!(done.unwrap().unwrap().bytes_before, total);
        assert!(calls.iter().all(|call| call.total == total), "{calls:?}");
        assert!(calls.is_sorted_by_key(|call| call.done), "{calls:?}");
        assert_eq!((calls[0].done, calls.last().unwrap().done), (0, total));
        assert!(calls[..calls.len() - 1].iter().all(|call| call.done < total), "the last one alone says so: {calls:?}");
        let steps = calls.windows(2).filter(|pair| pair[0].done < pair[1].done).count();
        assert!(steps > 4, "{calls:?}");
    }
}

#[test]
fn it_is_stopped_without_a_trace() {
    let (dir, stack) = store(60_000);
    let (before, contents) = (names(dir.path()), contents::of_stack(&stack));
    for stop_at in (0..).step_by(5) {
        let mut calls = 0;
        let done = stack.compact_with_progress(Compact::all(), |progress| {
            calls += 1;
            match calls > stop_at && progress.done < progress.total {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        match done {
            Ok(done) => {
                assert!(stop_at > 4 && done.is_some(), "stopped {stop_at} times");
                break;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
                assert_eq!(names(dir.path()), before, "stopped at call {stop_at}");
            }
        }
    }
    assert_eq!(table_names(dir.path()).len(), 1);
    assert!(contents::of_stack(&stack) == contents);
    assert_verifies(&stack);
}

#[test]
fn small_compactions_tell_when_they_are_done_and_it_is_too_late_then() {
    let (dir, stack) = store(10);
    let total = size(dir.path());
    let mut calls = Vec::new();
    let done = stack.compact_with_progress(Compact::all(), |progress| {
        calls.push((progress.done, progress.total));
        ControlFlow::Break(())
    });
    assert!(done.unwrap().is_some());
    assert_eq!(calls, [(total, total)]);
    let nothing = stack.compact_with_progress(Compact::all(), |_| panic!("there is nothing to tell"));
    assert_eq!(nothing.unwrap(), None);
}

/// Nothing is merged or written while ids are sorted.
#[test]
fn it_is_asked_while_ids_are_sorted() {
    let (dir, stack) = store(100_000);
    let stack = stack.with_options(options().threads(1)).unwrap();
    let (mut before, mut in_a_row, mut longest) = ((0, 0), 0, 0);
    let done = stack.compact_with_progress(Compact::all(), |progress| {
        let bytes = names(dir.path()).iter().map(|name| dir.path().join(name).metadata().unwrap().len()).sum::<u64>();
        in_a_row = if before == (progress.done, bytes) { in_a_row + 1 } else { 0 };
        before = (progress.done, bytes);
        longest = longest.max(in_a_row);
        ControlFlow::Continue(())
    });
    assert!(done.unwrap().unwrap().written.object_id_len > 0);
    assert!(longest >= 4, "{longest} times in a row");
}

/// The function that watches may even commit.
#[test]
fn nobody_is_kept_waiting_by_who_watches() {
    for refs in [10, 20_000] {
        let (dir, stack) = store(refs);
        let other = Stack::open(dir.path(), options()).unwrap();
        let mut commits = 0;
        let watch = |_| {
            commits += 1;
            let mut tx = other.transaction();
            tx.set(format!("refs/heads/new-{commits}"), Expect::Absent, id(HASH, 1));
            tx.commit().expect("the list is not locked");
            ControlFlow::Continue(())
        };
        stack.compact_with_progress(Compact::all(), watch).unwrap().unwrap();
        assert!(commits > 0);
        assert_eq!(table_names(dir.path()).len(), commits + 1);
        assert_verifies(&stack);
    }
}
