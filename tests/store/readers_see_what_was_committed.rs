//! A handle that looks again and again sees each commit as soon as that has returned.

use std::path::Path;

use crate::support::{id, quick};
use reftable::{AutoCompact, Expect, HashKind, Stack};

fn open(dir: &Path) -> Stack {
    Stack::open(dir, quick().hash(HashKind::Sha1).auto_compact(AutoCompact::Off)).unwrap()
}

fn commit(stack: &Stack, number: u64) -> u64 {
    let mut tx = stack.transaction();
    tx.set(format!("refs/heads/{number}"), Expect::Any, id(HashKind::Sha1, number));
    tx.commit().unwrap().update_index
}

fn look_often(stack: &Stack) {
    for _ in 0..100 {
        stack.snapshot().unwrap();
    }
}

#[test]
fn of_another_handle() {
    let dir = tempfile::tempdir().unwrap();
    let (reader, writer) = (open(dir.path()), open(dir.path()));
    for number in 1..30 {
        let committed = commit(&writer, number);
        assert_eq!(reader.snapshot().unwrap().update_index(), committed);
        if number % 3 == 0 {
            look_often(&reader);
        }
    }
}

/// A backup that links the list keeps its inode, and changes when anything about it changed last.
#[test]
fn beside_a_copy_made_of_links() {
    let (dir, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (reader, writer) = (open(dir.path()), open(dir.path()));
    for number in 1..10 {
        commit(&writer, number);
        look_often(&reader);
        std::fs::hard_link(dir.path().join("tables.list"), backup.path().join(number.to_string())).unwrap();
        let committed = commit(&writer, 100 + number);
        assert_eq!(reader.snapshot().unwrap().update_index(), committed);
    }
}

#[test]
fn a_directory_that_is_replaced_is_noticed_at_once() {
    let parent = tempfile::tempdir().unwrap();
    let [here, there, other] = ["here", "there", "other"].map(|name| parent.path().join(name));
    for dir in [&here, &other] {
        std::fs::create_dir(dir).unwrap();
    }
    let reader = open(&here);
    commit(&open(&here), 1);
    let expected = [commit(&open(&other), 2), commit(&open(&other), 3)][1];
    look_often(&reader);
    std::fs::rename(&here, &there).unwrap();
    std::fs::rename(&other, &here).unwrap();
    assert_eq!(reader.snapshot().unwrap().update_index(), expected);
}
