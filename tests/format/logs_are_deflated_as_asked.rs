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

#[test]
fn other_levels_are_refused() {
    for level in [0, 10, 255] {
        let options = WriteOptions::default().deflate_level(level);
        let error = TableWriter::new(Vec::new(), HASH, 1..=1, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
