//! Any number of threads merges large tables to the same bytes, and none is left afterwards; small
//! ones start none.
//!
//! A binary of its own: it counts the threads of its process.

#![cfg(test)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::support::tables::{LogRow, RefRow, anatomy, write};
use crate::support::{assert_verifies, entry, id, quick, table_names};
use reftable::compact::{Compact, Expiry};
use reftable::format::BlockKind;
use reftable::table::{Table, WriteOptions};
use reftable::{AutoCompact, ErrorKind, HashKind, Metrics, Options, Stack};

const HASH: HashKind = HashKind::Sha1;

fn options(threads: usize) -> Options {
    quick().auto_compact(AutoCompact::Off).threads(threads)
}

fn name(number: u64) -> String {
    format!("refs/heads/branch-{number:08}")
}

/// Three tables that share names, with deletions; the oldest has all of them. Enough ids for two
/// parts of an object section.
fn refs(table: u64) -> Vec<RefRow> {
    let numbers = (0..160_000).filter(|number| table == 0 || number % 7 == table);
    let target = |number: u64| (number % 14 != table).then(|| id(HASH, 10 * number + table).into());
    numbers.map(|number| (name(number), table + 1, target(number))).collect()
}

fn logs(table: u64) -> Vec<LogRow> {
    let numbers = (0..15_000).filter(|number| number % 5 != table);
    numbers.map(|number| (name(number), table + 1, Some(entry(HASH, number, number + 1, "why not\n")))).collect()
}

/// Tables as files, and their list.
fn tables(rows: impl Fn(u64) -> (Vec<RefRow>, Vec<LogRow>)) -> Files {
    let table = |number: u64| {
        let (refs, logs) = rows(number);
        let index = number + 1;
        let (bytes, _) = write(HASH, index..=index, &WriteOptions::default(), &refs, &logs).unwrap();
        (format!("0x{index:012x}-0x{index:012x}-{number:08x}.ref"), bytes)
    };
    let mut files: Vec<_> = (0..3).map(table).collect();
    let list = files.iter().map(|(name, _)| format!("{name}\n")).collect::<String>();
    files.push(("tables.list".to_owned(), list.into_bytes()));
    files
}

/// Names and contents.
type Files = Vec<(String, Vec<u8>)>;

struct Compacted {
    bytes: Vec<u8>,
    metrics: Metrics,
    table: Table,
}

/// Compacts these files in a directory of their own.
fn compact(files: &Files, threads: usize, what: &Compact) -> Compacted {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let stack = Stack::open(dir.path(), options(threads)).unwrap();
    stack.compact(what.clone()).unwrap().unwrap();
    assert_verifies(&stack);
    let bytes = std::fs::read(only_table(dir.path())).unwrap();
    Compacted { table: Table::open("merged.ref", bytes.clone()).unwrap(), bytes, metrics: stack.metrics() }
}

fn only_table(dir: &Path) -> PathBuf {
    let [name] = table_names(dir).try_into().unwrap();
    dir.join(name)
}

/// The tests of this file are done one by one, because they count the threads of the process.
static ONE_BY_ONE: Mutex<()> = Mutex::new(());

/// The threads of this process that help.
#[cfg(target_os = "linux")]
fn helpers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.trim() == "reftable-pool").count()
}

#[test]
fn the_number_of_threads_makes_no_difference() {
    let _alone = ONE_BY_ONE.lock();
    let keep_late = Expiry::default().before_update_index(2);
    let cases: [(&str, Files, Compact, &[BlockKind]); 3] = [
        ("references", tables(|table| (refs(table), vec![])), Compact::all(), &[BlockKind::Ref, BlockKind::Obj]),
        ("logs", tables(|table| (vec![], logs(table))), Compact::all(), &[BlockKind::Log]),
        (
            "both, and expiry",
            tables(|table| (refs(table), logs(table))),
            Compact::All { expiry: keep_late },
            &[BlockKind::Ref, BlockKind::Obj, BlockKind::Log],
        ),
    ];
    for (what, files, how, kinds) in cases {
        let alone = compact(&files, 1, &how);
        assert_eq!(alone.metrics.helpers, 0, "{what}: one thread starts no other");
        let anatomy = anatomy(&alone.table);
        assert!(kinds.iter().all(|kind| anatomy.count(*kind) > 0), "{what}");
        for threads in [2, 3, 8] {
            let together = compact(&files, threads, &how);
            assert!(together.bytes == alone.bytes, "{what}: {threads} threads write something else");
            let helpers = together.metrics.helpers;
            assert!(helpers > 0, "{what}: nobody helps");
            #[cfg(target_os = "linux")]
            assert_eq!(self::helpers(), 0, "{what}: a thread is left");
        }
    }
}

#[test]
fn small_compactions_start_no_thread() {
    let few = |table| {
        let (mut refs, mut logs) = (refs(table), logs(table));
        refs.truncate(3500);
        logs.truncate(500);
        (refs, logs)
    };
    let done = compact(&tables(few), 8, &Compact::all());
    assert!(done.bytes.len() > 100_000, "not as small as that: {}", done.bytes.len());
    assert_eq!(done.metrics.helpers, 0);
}

#[test]
fn no_thread_at_all_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Stack::open(dir.path(), options(0)).unwrap_err().kind(), ErrorKind::Invalid);
}

/// A helper finds the damage, and the caller of the compaction is told where it is.
#[test]
fn damage_is_reported_by_any_number_of_threads() {
    let _alone = ONE_BY_ONE.lock();
    let mut files = tables(|table| (refs(table), vec![]));
    let middle = files[0].1.len() / 3 / 4096 * 4096 + 100;
    files[0].1[middle..middle + 600].fill(0xff);
    for threads in [1, 2, 8] {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in &files {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        let stack = Stack::open(dir.path(), options(threads)).unwrap();
        let error = stack.compact(Compact::all()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.path().unwrap().ends_with(&files[0].0) && error.offset().is_some(), "{error}");
        let mut left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        left.retain(|name| !files.iter().any(|(known, _)| name == known.as_str()));
        assert!(left.len() <= 1, "nothing but our lock's owner is left: {left:?}");
        drop(stack);
    }
}
