//! A handle that commits under `Full` syncs the tables below it once in the life of a list, not
//! once in each process; and again whenever the list is not the one that was marked.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::support::effort::loudly;
use crate::support::git::{self, Repo};
use crate::support::sync_dir::SyncDir;
use crate::support::victim::{self, Victim};
use crate::support::{id, table_names};
use reftable::compact::Compact;
use reftable::dir::{Dir, OsDir};
use reftable::{AutoCompact, Durability, Expect, HashKind, Options, Stack};
use tempfile::TempDir;

const LIST: &str = "tables.list";

fn full() -> Options {
    Options::default().durability(Durability::Full).auto_compact(AutoCompact::Off).fairness(false)
}

fn put(stack: &Stack, name: &str) {
    let mut tx = stack.transaction();
    tx.set(name, Expect::Any, id(HashKind::Sha1, 1));
    tx.commit().unwrap();
}

/// Tables of one handle that is gone.
fn tables(count: usize, options: Options) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::open(dir.path(), options).unwrap();
    (0..count).for_each(|number| put(&stack, &format!("refs/heads/{number}")));
    dir
}

fn attribute(dir: &Path) -> Option<Vec<u8>> {
    OsDir::new(dir, None).open(LIST).unwrap().attribute().unwrap()
}

/// Whether files can have attributes here.
fn notes_work() -> bool {
    let dir = tempfile::tempdir().unwrap();
    let refused = OsDir::new(dir.path(), None).create("probe").unwrap().set_attribute(b"attribute").err();
    if let Some(error) = &refused {
        loudly(&format!("SKIPPED: files in {} cannot have attributes: {error}", dir.path().display()));
    }
    refused.is_none()
}

/// The tables that a new handle syncs for a commit, but for the one that it adds.
fn synced_by_a_new_handle(dir: &Arc<SyncDir>) -> Vec<String> {
    synced_by(&dir.stack(full()), dir)
}

fn synced_by(stack: &Stack, dir: &Arc<SyncDir>) -> Vec<String> {
    dir.tables_synced();
    put(stack, "refs/heads/new");
    let mut synced = dir.tables_synced();
    let own = table_names(dir.path()).pop().unwrap();
    assert_eq!(synced.iter().filter(|name| **name == own).count(), 1, "{synced:?}");
    synced.retain(|name| *name != own);
    synced
}

#[test]
fn a_second_handle_syncs_its_own_table_only() {
    if !notes_work() {
        return;
    }
    let dir = tables(6, full());
    let counted = SyncDir::new(dir.path());
    for _ in 0..3 {
        assert!(synced_by_a_new_handle(&counted).is_empty());
    }
    let stack = counted.stack(full());
    let other = stack.with_options(full().lock_timeout(None)).unwrap();
    assert!(synced_by(&stack, &counted).is_empty());
    assert!(synced_by(&other, &counted).is_empty(), "it shares what was read, and follows the list of the first");
    stack.compact(Compact::all()).unwrap();
    assert!(synced_by(&other, &counted).is_empty());
    assert!(synced_by_a_new_handle(&counted).is_empty());
}

#[test]
fn victim_that_commits_and_ends() {
    let Some(dir) = victim::dir() else { return };
    let stack = Stack::open(dir, full()).unwrap();
    (0..3).for_each(|_| put(&stack, &format!("refs/heads/{}", std::process::id())));
}

#[test]
fn a_second_process_syncs_its_own_table_only() {
    if !notes_work() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let counted = SyncDir::new(dir.path());
    let stack = counted.stack(full());
    for _ in 0..2 {
        Victim::start(victim_that_commits_and_ends, dir.path()).finish();
        assert!(synced_by(&stack, &counted).is_empty());
        assert!(synced_by_a_new_handle(&counted).is_empty());
    }
    assert_eq!(table_names(dir.path()).len(), 10);
}

#[test]
fn tables_of_git_are_synced_by_the_next_commit() {
    if !git::is_there() || !notes_work() {
        return;
    }
    let repo = Repo::with(HashKind::Sha1, &[], false);
    repo.git(["commit", "-q", "--allow-empty", "-m", "one"]);
    let path = repo.reftable_dir();
    let counted = SyncDir::new(&path);
    let first = counted.stack(full());
    let all = table_names(&path);
    assert_eq!(synced_by(&first, &counted), all, "git has synced none of them");
    assert!(synced_by_a_new_handle(&counted).is_empty());
    let before = table_names(&path);
    repo.git(["update-ref", "refs/heads/git", "HEAD"]);
    let all = table_names(&path);
    assert_eq!(all.len(), before.len() + 1);
    assert_eq!(attribute(&path), None, "git's list is a new file");
    let second = counted.stack(full());
    assert_eq!(synced_by(&first, &counted).len(), 2, "it does not know that of the other handle, nor git's");
    assert!(synced_by(&second, &counted).is_empty());
    repo.git(["update-ref", "refs/heads/git-too", "HEAD"]);
    let all = table_names(&path);
    assert_eq!(synced_by_a_new_handle(&counted), all, "a handle that knows nothing syncs everything");
}

#[test]
fn a_copy_is_not_trusted() {
    if !notes_work() {
        return;
    }
    let dir = tables(3, full());
    let copy = dir.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for name in table_names(dir.path()).iter().map(String::as_str).chain([LIST]) {
        assert!(
            Command::new("cp").arg("-a").args([dir.path().join(name), copy.join(name)]).status().unwrap().success()
        );
    }
    assert!(attribute(&copy).is_some());
    assert_eq!(attribute(&copy), attribute(dir.path()), "the attribute was copied, too");
    let counted = SyncDir::new(&copy);
    let all = table_names(&copy);
    assert_eq!(synced_by_a_new_handle(&counted), all);
    assert!(synced_by_a_new_handle(&counted).is_empty(), "the copy has its own mark now");
}

#[test]
fn a_list_that_was_edited_is_not_trusted() {
    if !notes_work() {
        return;
    }
    let dir = tables(4, full());
    let (path, mark) = (dir.path().join(LIST), attribute(dir.path()).unwrap());
    let list = fs::read_to_string(&path).unwrap();
    let (newest, _) = list.match_indices('\n').nth(2).unwrap();
    fs::write(&path, &list[..=newest]).unwrap();
    assert_eq!(attribute(dir.path()), Some(mark), "the file is the same");
    let counted = SyncDir::new(dir.path());
    let all = table_names(dir.path());
    assert_eq!(all.len(), 3);
    assert_eq!(synced_by_a_new_handle(&counted), all);
}

#[test]
fn a_note_of_others_is_no_mark() {
    if !notes_work() {
        return;
    }
    let dir = tables(2, full());
    for bytes in [&b""[..], b"attribute", &[1; 29], &[1; 200]] {
        OsDir::new(dir.path(), None).open(LIST).unwrap().set_attribute(bytes).unwrap();
        let all = table_names(dir.path());
        assert_eq!(synced_by_a_new_handle(&SyncDir::new(dir.path())), all);
    }
}

#[test]
fn who_does_not_sync_everything_leaves_no_mark() {
    for durability in [Durability::Ordered, Durability::Off] {
        let dir = tables(1, full());
        put(&Stack::open(dir.path(), full().durability(durability)).unwrap(), "refs/heads/other");
        assert_eq!(attribute(dir.path()), None);
        let all = table_names(dir.path());
        assert_eq!(synced_by_a_new_handle(&SyncDir::new(dir.path())), all);
    }
}

#[test]
fn where_files_have_no_notes_everything_is_synced() {
    let dir = tempfile::tempdir().unwrap();
    let counted = SyncDir::without_notes(dir.path());
    let stack = counted.stack(full());
    (0..4).for_each(|number| put(&stack, &format!("refs/heads/{number}")));
    assert_eq!(attribute(dir.path()), None);
    let all = table_names(dir.path());
    assert_eq!(synced_by_a_new_handle(&counted), all);
    assert!(stack.verify().unwrap().is_clean());
}
