//! A reflog without entries exists as long as it has a marker: git's, or ours in the place of the
//! last entry that went.

use std::collections::BTreeMap;

use crate::support::git::{self, Repo};
use crate::support::{HASHES, Random, Store, assert_verifies, entry, id, ident, quick};
use reftable::compact::{Compact, Expiry};
use reftable::{AutoCompact, ErrorKind, LogEntry, LogItem, ObjectId, Options, Snapshot, Stack};

const LOGS: [&str; 4] = ["HEAD", "refs/heads/main", "refs/heads/b", "refs/heads/c"];

fn expire_all(stack: &Stack) {
    stack.compact(Compact::All { expiry: Expiry::default().before_time(u64::MAX) }).unwrap();
}

fn items(snapshot: &Snapshot, name: &str) -> (usize, usize) {
    let (mut entries, mut markers) = (0, 0);
    let mut log = snapshot.log(name).unwrap();
    while let Some(item) = log.next_item().unwrap() {
        match item {
            LogItem::Entry(_) => entries += 1,
            LogItem::Marker { .. } => markers += 1,
            _ => unreachable!(),
        }
    }
    (entries, markers)
}

/// A repository of real git with some reflogs.
fn everywhere(test: impl Fn(&Repo, &Stack)) {
    if !git::is_there() {
        return;
    }
    for hash in HASHES {
        let repo = Repo::new(hash);
        for message in ["one", "two"] {
            repo.git(["commit", "-q", "--allow-empty", "-m", message]);
        }
        for branch in ["b", "c"] {
            repo.git(["branch", "--create-reflog", branch]);
        }
        test(&repo, &repo.open(quick()));
    }
}

/// What exists is the same for git and for us, and we show no marker as an entry.
#[track_caller]
fn assert_agrees(repo: &Repo, stack: &Stack, expected: &[(&str, bool)]) {
    let snapshot = stack.snapshot().unwrap();
    for (name, exists) in expected {
        assert_eq!(repo.try_git(["reflog", "exists", name]).status.success(), *exists, "{name}: git");
        assert_eq!(snapshot.log_exists(name).unwrap(), *exists, "{name}");
    }
    assert!(snapshot.logs().unwrap().into_iter().all(|log| !log.unwrap().entry.new.is_null()));
    repo.assert_fsck();
    assert_verifies(stack);
}

#[test]
fn markers_of_git_are_no_entries_and_stay() {
    everywhere(|repo, stack| {
        repo.git(["reflog", "expire", "--expire=all", "refs/heads/b"]);
        repo.git(["reflog", "delete", "refs/heads/c@{0}"]);
        for _ in 0..2 {
            let snapshot = stack.snapshot().unwrap();
            assert_eq!(items(&snapshot, "refs/heads/b"), (0, 1));
            assert_eq!(snapshot.log("refs/heads/b").unwrap().into_iter().count(), 0);
            assert_agrees(repo, stack, &[("refs/heads/b", true), ("refs/heads/c", true), ("refs/heads/d", false)]);
            expire_all(stack);
        }
    });
}

#[test]
fn logs_that_lose_their_last_entry_exist_as_with_git() {
    everywhere(|repo, stack| {
        let before = LOGS.map(|name| (name, stack.snapshot().unwrap().log_exists(name).unwrap()));
        expire_all(stack);
        assert_agrees(repo, stack, &before);
        assert_eq!(stack.snapshot().unwrap().logs().unwrap().into_iter().count(), 0);
        // git goes on to log what it has logged before.
        repo.git(["commit", "-q", "--allow-empty", "-m", "three"]);
        assert!(repo.line(["reflog", "show", "HEAD"]).contains("HEAD@{0}"));
        assert_agrees(repo, stack, &before);
        expire_all(stack);
        assert_agrees(repo, stack, &before);
    });
}

#[test]
fn deleting_the_last_entry_leaves_the_log_and_deleting_the_log_does_not() {
    everywhere(|repo, stack| {
        let snapshot = stack.snapshot().unwrap();
        let indexes = |name| snapshot.log(name).unwrap().into_iter().map(|log| log.unwrap().update_index);
        let mut tx = stack.transaction();
        for index in indexes("refs/heads/b") {
            tx.delete_log_entry("refs/heads/b", index);
        }
        tx.delete_log_entry("refs/heads/none", 1).delete_log("refs/heads/c");
        tx.commit().unwrap();
        let expected = [("refs/heads/b", true), ("refs/heads/c", false), ("refs/heads/none", false)];
        assert_agrees(repo, stack, &expected);
        assert_eq!(items(&stack.snapshot().unwrap(), "refs/heads/b"), (0, 1));
        let mut tx = stack.transaction();
        tx.delete_log("refs/heads/b");
        tx.commit().unwrap();
        assert_agrees(repo, stack, &[("refs/heads/b", false)]);
        stack.compact(Compact::all()).unwrap();
        assert_agrees(repo, stack, &[("refs/heads/b", false), ("refs/heads/c", false)]);
    });
}

#[test]
fn a_log_can_be_created_empty() {
    everywhere(|repo, stack| {
        let create = |name| {
            let mut tx = stack.transaction();
            tx.create_log(name);
            tx.commit().unwrap().update_index
        };
        let before = stack.snapshot().unwrap().update_index();
        assert_eq!(create("refs/tags/t"), before + 1);
        assert_eq!((create("refs/tags/t"), create("HEAD")), (before + 1, before + 1), "they exist already");
        assert_agrees(repo, stack, &[("refs/tags/t", true), ("refs/tags/u", false)]);
        // git logs a tag only if its log exists.
        repo.git(["update-ref", "-m", "tagged", "refs/tags/t", "HEAD"]);
        assert_eq!(items(&stack.snapshot().unwrap(), "refs/tags/t"), (1, 1));
        let mut tx = stack.transaction();
        tx.create_log("refs/tags/t").delete_log("refs/tags/t");
        tx.commit().unwrap();
        assert_eq!(items(&stack.snapshot().unwrap(), "refs/tags/t"), (0, 1));
        assert_agrees(repo, stack, &[("refs/tags/t", true)]);
    });
}

#[test]
fn members_of_a_group_see_the_logs_of_those_before() {
    for hash in HASHES {
        let store = Store::new(hash);
        let [mut first, mut second, mut third] = [(); 3].map(|()| store.stack.transaction());
        first.append_log("a", entry(hash, 0, 1, "one")).create_log("b");
        second.delete_log_entry("a", 1).create_log("b").delete_log_entry("c", 1);
        third.delete_log("b");
        let done = store.stack.commit_all([first, second, third]);
        assert!(done.iter().all(Result::is_ok));
        let snapshot = store.stack.snapshot().unwrap();
        assert_eq!(["a", "b", "c"].map(|name| items(&snapshot, name)), [(0, 1), (0, 0), (0, 0)]);
    }
}

#[test]
fn an_entry_that_would_be_a_marker_is_refused() {
    for hash in HASHES {
        let store = Store::new(hash);
        let mut tx = store.stack.transaction();
        tx.append_log("refs/heads/a", entry(hash, 0, 0, "from nothing to nothing"));
        let error = tx.commit().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("create the log"), "{error}");
    }
}

/// Logs of all lengths, some over several ranges of a merge, some from times that do not ascend.
#[test]
fn expiry_of_large_logs_leaves_what_a_model_leaves() {
    // Every few seconds, so that some limits fall between two blocks.
    for (threads, copies, step) in [(1, true, 20), (4, true, 2), (4, false, 20)] {
        let dir = tempfile::tempdir().unwrap();
        let options = quick().auto_compact(AutoCompact::Off).threads(threads);
        let stack = Stack::open(dir.path(), Options::hash(options, HASHES[0])).unwrap();
        let mut model = BTreeMap::new();
        let mut random = Random(7);
        for table in 0..3 {
            fill(&stack, &mut model, &mut random, table);
        }
        for limit in (1..=101).step_by(step) {
            let expiry = Expiry::default().before_time(limit).rule("refs/heads/kept*", None).unwrap();
            let what = if copies { Compact::All { expiry } } else { Compact::Rewrite { expiry } };
            stack.compact(what).unwrap();
            let snapshot = stack.snapshot().unwrap();
            for (name, times) in &model {
                let left = times.iter().filter(|time| **time >= limit || name.starts_with("refs/heads/kept")).count();
                let (entries, markers) = items(&snapshot, name);
                assert_eq!(entries, left, "{name} before {limit}");
                assert_eq!(markers, usize::from(left == 0), "{name} before {limit}");
            }
            assert_verifies(&stack);
        }
    }
}

fn fill(stack: &Stack, model: &mut BTreeMap<String, Vec<u64>>, random: &mut Random, table: u64) {
    let mut tx = stack.transaction();
    for log in 0..12u64 {
        let name = format!("refs/heads/{}{log}", if log == 5 { "kept" } else { "log" });
        // Some logs are old as a whole, some are mixed, and some grow younger, as logs do.
        let newest = [100, 10, 98][(log % 3) as usize];
        let count = [1, 40, 3000][((log + table) % 3) as usize];
        for number in 0..count {
            let time = match log % 3 {
                0 => table * 33 + 33 * number / count + 1,
                _ => random.next() % newest + 1,
            };
            let (old, new) = (id(HASHES[0], random.next()), id(HASHES[0], random.next()));
            tx.append_log(&name, noisy(old, new, time, random));
            model.entry(name.clone()).or_default().push(time);
        }
    }
    tx.commit().unwrap();
}

/// An entry that does not deflate well.
fn noisy(old: ObjectId, new: ObjectId, time: u64, random: &mut Random) -> LogEntry {
    let mut committer = ident();
    committer.time = time;
    LogEntry { old, new, committer, message: format!("{:x}{:x}", random.next(), random.next()).into_bytes() }
}
