//! Ten thousand tables in a list: slow in no operation, and no descriptor held for each, neither by
//! a reader nor by a compaction that locks them all.
//!
//! The tests run themselves again in a shell that allows 64 descriptors.

#![cfg(unix)]

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::effort::bound;
use crate::support::garbage;
use crate::support::tables::{RefRow, write};
use crate::support::{id, name_of, quick, table_names};
use reftable::compact::Compact;
use reftable::table::WriteOptions;
use reftable::{AutoCompact, Expect, HashKind, Options, Stack};

const DESCRIPTORS: u32 = 64;
const INNER: &str = "REFTABLE_TEST_FEW_DESCRIPTORS";

/// Whether the caller is to go on: it runs with few descriptors. If not, it was run with few, and
/// passed.
fn with_few_descriptors(test: impl Fn()) -> bool {
    if std::env::var_os(INNER).is_some() {
        return true;
    }
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!("ulimit -n {DESCRIPTORS} && exec \"$0\" \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name_of(test), "--test-threads=1", "--nocapture"])
        .env(INNER, "1")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
    false
}

fn tables() -> u64 {
    bound("tables in a list", 10_000, 1_000)
}

fn name(number: u64) -> String {
    format!("refs/heads/{number:05}")
}

/// Table number n sets its own name and what all of them share.
fn fill(dir: &Path) {
    let mut list = String::new();
    for number in 1..=tables() {
        let target = Some(id(HashKind::Sha1, number).into());
        let refs: [RefRow; 2] = [(name(number), number, target.clone()), ("refs/shared".to_owned(), number, target)];
        let (table, _) = write(HashKind::Sha1, number..=number, &WriteOptions::default(), &refs, &[]).unwrap();
        let file = format!("0x{number:012x}-0x{number:012x}-00000000.ref");
        std::fs::write(dir.join(&file), table).unwrap();
        list += &file;
        list.push('\n');
    }
    std::fs::write(dir.join("tables.list"), list).unwrap();
}

fn open(dir: &Path, options: Options) -> Stack {
    let stack = Stack::open(dir, options).unwrap();
    check(&stack);
    stack
}

/// Every name is there, with the target of its own table; the shared one, of the newest.
fn check(stack: &Stack) {
    let snapshot = stack.snapshot().unwrap();
    let mut refs = snapshot.prefix("refs/heads/").unwrap();
    for number in 1..=tables() {
        let found = refs.next().unwrap().unwrap().to_ref();
        assert_eq!((found.name, found.update_index), (name(number).into_bytes(), number));
        assert_eq!(found.target, id(HashKind::Sha1, number).into());
    }
    assert_eq!(refs.next().unwrap(), None);
    assert_eq!(snapshot.get(name(1)).unwrap().unwrap().update_index, 1, "through all tables");
    assert_eq!(snapshot.get("refs/shared").unwrap().unwrap().update_index, tables());
    assert_eq!(snapshot.get("refs/none").unwrap(), None);
}

fn commit(stack: &Stack) -> Option<reftable::compact::Compaction> {
    let mut tx = stack.transaction();
    tx.set("refs/new", Expect::Absent, id(HashKind::Sha1, 0));
    let commit = tx.commit().unwrap();
    assert_eq!(commit.update_index, tables() + 1);
    commit.compaction.map(Result::unwrap)
}

#[test]
fn they_are_read_and_committed_to() {
    if !with_few_descriptors(they_are_read_and_committed_to) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let stack = open(dir.path(), quick().auto_compact(AutoCompact::Off));
    assert_eq!(stack.snapshot().unwrap().tables().len() as u64, tables());
    assert!(commit(&stack).is_none());
    assert_eq!(table_names(dir.path()).len() as u64, tables() + 1);
    check(&stack);
    assert!(stack.verify().unwrap().is_clean());
}

#[test]
fn a_commit_compacts_them() {
    if !with_few_descriptors(a_commit_compacts_them) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let stack = open(dir.path(), quick());
    let compaction = commit(&stack).unwrap();
    assert_eq!(compaction.merged.len() as u64, tables() + 1, "tables of one size are merged into one");
    assert!(compaction.leftovers.is_empty());
    assert_eq!(table_names(dir.path()).len(), 1);
    garbage::assert_none(dir.path());
    check(&stack);
}

#[test]
fn they_are_compacted_on_demand() {
    if !with_few_descriptors(they_are_compacted_on_demand) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let stack = open(dir.path(), quick().auto_compact(AutoCompact::Off));
    let compaction = stack.compact(Compact::all()).unwrap().unwrap();
    assert_eq!(compaction.merged.len() as u64, tables());
    assert_eq!(table_names(dir.path()).len(), 1);
    garbage::assert_none(dir.path());
    check(&stack);
    assert!(stack.verify().unwrap().is_clean());
}
