//! Records with update indexes outside of what their table's header says, as a fault of dulwich
//! makes them: they are read, `verify` tells, commits write over no log entry, and merging keeps
//! all and mends what it can.

use std::fs;
use std::path::Path;

use crate::support::forge::{Forge, reference};
use crate::support::tables::{LogRow, write};
use crate::support::{entry, id, ident, quick};
use reftable::compact::{Compact, Expiry};
use reftable::table::WriteOptions;
use reftable::verify::Severity;
use reftable::{AutoCompact, Expect, HashKind, Options, Stack, Target};

const HASH: HashKind = HashKind::Sha1;
const MAIN: &str = "refs/heads/main";

/// A store of these tables, oldest first, whose names state the update indexes from `min` to `max`.
fn store(tables: &[(u64, u64, Vec<u8>)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut list = String::new();
    for (number, (min, max, bytes)) in tables.iter().enumerate() {
        let name = format!("0x{min:012x}-0x{max:012x}-{number:08x}.ref\n");
        fs::write(dir.path().join(name.trim_end()), bytes).unwrap();
        list += &name;
    }
    fs::write(dir.path().join("tables.list"), list).unwrap();
    dir
}

fn open(dir: &Path, options: Options) -> Stack {
    Stack::open(dir, options.auto_compact(AutoCompact::Off)).unwrap()
}

/// A table for update indexes up to `max` with `main` and a log of entries with these.
fn logged(max: u64, indexes: &[u64]) -> (u64, u64, Vec<u8>) {
    let main = (MAIN.to_owned(), 1, Some(Target::Id(id(HASH, 1))));
    let row = |index: &u64| (MAIN.to_owned(), *index, Some(entry(HASH, 0, 1, format!("{index}\n"))));
    let logs: Vec<LogRow> = indexes.iter().map(row).collect();
    (1, max, write(HASH, 1..=max, &WriteOptions::default(), &[main], &logs).unwrap().0)
}

fn messages(stack: &Stack) -> Vec<String> {
    let mut logs = stack.snapshot().unwrap().log(MAIN).unwrap();
    let mut messages = Vec::new();
    while let Some(log) = logs.next_item().unwrap() {
        let entry = log.entry().unwrap();
        messages.push(String::from_utf8_lossy(entry.message).trim_end().to_owned());
    }
    messages
}

fn commit(stack: &Stack, number: u64) {
    let mut tx = stack.transaction();
    tx.reflog(ident(), format!("commit {number}"));
    tx.set(MAIN, Expect::Any, id(HASH, number));
    tx.commit().unwrap();
}

#[test]
fn verify_tells_of_log_entries_above_the_range() {
    let dir = store(&[logged(1, &[5, 1])]);
    let report = open(dir.path(), quick()).verify().unwrap();
    let [found] = report.findings.iter().filter(|found| found.severity > Severity::Note).collect::<Vec<_>>()[..] else {
        panic!("{:#?}", report.findings)
    };
    assert_eq!(found.severity, Severity::Warning);
    assert!(found.message.contains("'refs/heads/main' has update index 5, which is above"), "{found}");
    let below = store(&[logged(9, &[5, 1])]);
    assert!(open(below.path(), quick()).verify().unwrap().is_clean());
}

#[test]
fn commits_write_over_no_log_entry() {
    for indexes in [vec![2, 1], vec![5, 1], vec![700, 5, 2]] {
        let dir = store(&[logged(1, &indexes)]);
        let stack = open(dir.path(), quick());
        (1..=5).for_each(|number| commit(&stack, number));
        // Another handle does not know which program has written what.
        (6..=9).for_each(|number| commit(&open(dir.path(), quick()), number));
        let mut expected: Vec<_> = (1..=9).rev().map(|number| format!("commit {number}")).collect();
        expected.extend(indexes.iter().map(u64::to_string));
        assert_eq!(messages(&stack), expected);
        stack.compact(Compact::all()).unwrap().unwrap();
        assert_eq!(messages(&stack), expected);
        assert!(stack.verify().unwrap().is_clean());
    }
}

/// A merge keeps such an entry, and the process that merged the tables treats it as before.
#[test]
fn merges_keep_entries_above_the_range() {
    for copies in [false, true] {
        let dir = store(&[logged(1, &[5, 1])]);
        let stack = open(dir.path(), quick().compact_at_once(if copies { 0 } else { u64::MAX }));
        let mut tx = stack.transaction();
        tx.set("refs/heads/other", Expect::Absent, id(HASH, 2));
        tx.commit().unwrap();
        stack.compact(Compact::all()).unwrap().unwrap();
        (1..=4).for_each(|number| commit(&stack, number));
        assert_eq!(messages(&stack), ["commit 4", "commit 3", "commit 2", "commit 1", "5", "1"]);
    }
}

/// One look-up for each name would cost more than reading all logs: the answer is the same.
#[test]
fn large_transactions_write_over_no_log_entry() {
    let dir = store(&[logged(1, &[2, 1])]);
    let stack = open(dir.path(), quick());
    let mut tx = stack.transaction();
    tx.reflog(ident(), "many");
    for number in 0..100 {
        tx.set(format!("refs/heads/{number}"), Expect::Absent, id(HASH, 2));
    }
    tx.set(MAIN, Expect::Any, id(HASH, 2));
    tx.commit().unwrap();
    assert_eq!(messages(&stack), ["many", "2", "1"]);
}

#[test]
fn a_log_with_the_largest_update_index_takes_no_more() {
    let dir = store(&[logged(1, &[u64::MAX])]);
    let stack = open(dir.path(), quick());
    let mut tx = stack.transaction();
    tx.reflog(ident(), "no room");
    tx.set(MAIN, Expect::Any, id(HASH, 2));
    assert!(tx.commit().unwrap_err().to_string().contains("used up its update indexes"));
    assert_eq!(messages(&stack), [u64::MAX.to_string()]);
}

/// All logs of a group go, also those above the range.
#[test]
fn entries_above_the_range_are_deleted_in_a_group() {
    let dir = store(&[logged(1, &[5, 1])]);
    let stack = open(dir.path(), quick());
    let (mut first, mut second) = (stack.transaction(), stack.transaction());
    first.append_log("refs/heads/other", entry(HASH, 0, 1, "other"));
    second.delete_log(MAIN);
    for done in stack.commit_all([first, second]) {
        done.unwrap();
    }
    assert_eq!(messages(&stack), [""; 0]);
}

/// What dulwich makes of more than 127 names: differences that are too large.
fn dulwich(min: u64, max: u64, names: u64, delta: u64) -> (u64, u64, Vec<u8>) {
    let mut table = Forge::new(0, min, max);
    let rows: Vec<_> = (0..names).map(|n| reference(&format!("refs/heads/q{n:04}"), n + delta, 7)).collect();
    table.block(b'r', &rows, false);
    (min, max, table.finish([0; 5]))
}

#[test]
fn references_beyond_the_range_are_merged_within() {
    for (compact_at_once, what) in [
        (0, Compact::all()),
        (u64::MAX, Compact::all()),
        (0, Compact::Rewrite { expiry: Expiry::default() }),
        (u64::MAX, Compact::Rewrite { expiry: Expiry::default() }),
    ] {
        for sick in [dulwich(2, 2, 1, 500), dulwich(2, 405, 400, 128), dulwich(1, 2, 300, 0)] {
            let dir = store(&[logged(1, &[1]), sick, logged(600, &[3])]);
            let stack = open(dir.path(), quick().compact_at_once(compact_at_once));
            let before = targets(&stack);
            assert!(stack.verify().unwrap().count(Severity::Error) > 0);
            stack.compact(what.clone()).unwrap().unwrap();
            assert_eq!(targets(&stack), before);
            assert!(stack.verify().unwrap().is_clean(), "{:#?}", stack.verify().unwrap().findings);
        }
        // Alone, with nothing above whose range has room.
        let dir = store(&[dulwich(1, 2, 300, 0), dulwich(3, 3, 1, 500)]);
        let stack = open(dir.path(), quick().compact_at_once(compact_at_once));
        let before = targets(&stack);
        stack.compact(what.clone()).unwrap().unwrap();
        assert_eq!(targets(&stack), before);
        assert!(stack.verify().unwrap().is_clean());
        assert_eq!(stack.snapshot().unwrap().update_index(), 3);
    }
}

fn targets(stack: &Stack) -> Vec<(Vec<u8>, Target)> {
    let refs = stack.snapshot().unwrap().refs().unwrap();
    refs.into_iter().map(|found| found.map(|found| (found.name, found.target)).unwrap()).collect()
}

#[test]
fn verify_tells_of_a_hundred_records_and_counts_the_rest() {
    let dir = store(&[dulwich(1, 1, 400, 1)]);
    let findings = open(dir.path(), quick()).verify().unwrap().findings;
    let found: Vec<_> =
        findings.iter().filter(|found| found.message.contains("outside of the header's range")).collect();
    assert_eq!(found.len(), 101, "{found:#?}");
    assert!(found[100].message.starts_with("300 more of which each lies outside"), "{}", found[100]);
}

#[test]
fn verify_tells_of_the_largest_update_index() {
    let dir = store(&[logged(u64::MAX, &[1])]);
    let report = open(dir.path(), quick()).verify().unwrap();
    assert!(report.findings.iter().any(|found| found.message.contains("nothing can be committed above it")));
    assert!(!report.is_clean());
}
