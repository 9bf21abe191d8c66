//! The level says how hard logs are deflated, and nothing about what is in them.

use crate::support::entry;
use crate::support::tables::{LogRow, logs, table};
use reftable::merge::{Merged, Tombstones};
use reftable::table::{TableWriter, WriteOptions};
use reftable::{ErrorKind, HashKind};

const HASH: HashKind = HashKind::Sha1;

#[test]
fn more_work_makes_smaller_tables_of_the_same() {
    let rows: Vec<LogRow> = (0..2_000)
        .map(|n| (format!("refs/heads/{n:05}"), 1, Some(entry(HASH, n, n + 1, format!("commit: number {n}\n")))))
        .collect();
    let of_level = |level| {
        let table = table(HASH, 1..=1, &WriteOptions::default().deflate_level(level), &[], &rows);
        assert_eq!(logs(&Merged::new(vec![table.clone()]), "", Tombstones::Show), rows);
        table.file_size()
    };
    let (fast, small) = (of_level(1), of_level(9));
    assert!(small < fast && fast < small * 11 / 10, "{fast} and {small} bytes");
    assert_eq!(table(HASH, 1..=1, &WriteOptions::default(), &[], &rows).file_size(), fast);
}

/// Whether the message of the last record is found in the file as it is.
fn is_stored(records: u64, options: &WriteOptions) -> bool {
    let row = |n| (format!("refs/heads/{n:05}"), 1, Some(entry(HASH, n, n + 1, format!("commit: number {n}\n"))));
    let rows: Vec<LogRow> = (0..records).map(row).collect();
    let table = table(HASH, 1..=1, options, &[], &rows);
    assert_eq!(logs(&Merged::new(vec![table.clone()]), "", Tombstones::Show), rows);
    let (file, message) = (table.bytes(), format!("commit: number {}", records - 1));
    file.windows(message.len()).any(|window| window == message.as_bytes())
}

#[test]
fn a_short_block_is_stored_whatever_the_level() {
    for options in [WriteOptions::default(), WriteOptions::default().deflate_level(9)] {
        assert!(is_stored(1, &options) && is_stored(8, &options));
        assert!(!is_stored(25, &options));
    }
}

/// git reads no more of a block than its size, if it has not inflated more.
#[test]
fn a_block_that_is_full_is_not_stored() {
    let row = |n| (format!("refs/heads/{n:05}"), 1, Some(entry(HASH, n, n + 1, format!("commit: number {n}\n"))));
    let rows: Vec<LogRow> = (0..20).map(row).collect();
    for size in 200..400 {
        let table = table(HASH, 1..=1, &WriteOptions::default().block_size(size), &[], &rows);
        assert_eq!(logs(&Merged::new(vec![table.clone()]), "", Tombstones::Show), rows);
        let mut blocks = table.blocks();
        while let Some(block) = blocks.next().unwrap() {
            let len = block.file_len();
            assert!(len <= block.len().max(size.into()), "{len} bytes of {} in blocks of {size}", block.len());
        }
    }
}

#[test]
fn other_levels_are_refused() {
    for level in [0, 10, 255] {
        let options = WriteOptions::default().deflate_level(level);
        let error = TableWriter::new(Vec::new(), HASH, 1..=1, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
