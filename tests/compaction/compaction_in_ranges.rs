//! A large compaction is cut into ranges, and nothing is lost at the cuts.

use crate::support::tables::{LogRow, RefRow, anatomy, write};
use crate::support::{assert_verifies, contents, entry, id, quick, table_names};
use reftable::compact::Compact;
use reftable::format::BlockKind;
use reftable::table::{Table, WriteOptions};
use reftable::{AutoCompact, HashKind, Stack};

const HASH: HashKind = HashKind::Sha1;
const COUNT: u64 = 150_000;

fn name(number: u64) -> String {
    format!("refs/heads/branch-{number:08}")
}

/// The directory of a stack of these tables, oldest first; each has one update index.
fn store(tables: &[(Vec<RefRow>, Vec<LogRow>)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut list = String::new();
    for (number, (refs, logs)) in tables.iter().enumerate() {
        let index = number as u64 + 1;
        let name = format!("0x{index:012x}-0x{index:012x}-{number:08x}.ref");
        let (bytes, _) = write(HASH, index..=index, &WriteOptions::default(), refs, logs).unwrap();
        std::fs::write(dir.path().join(&name), bytes).unwrap();
        list += &format!("{name}\n");
    }
    std::fs::write(dir.path().join("tables.list"), list).unwrap();
    dir
}

/// Compacts everything, compares, and returns the table that is left.
fn compact(dir: &std::path::Path) -> Table {
    let stack = Stack::open(dir, quick().auto_compact(AutoCompact::Off)).unwrap();
    let before = contents::of_stack(&stack);
    stack.compact(Compact::all()).unwrap().unwrap();
    assert!(contents::of_stack(&stack) == before, "something was lost or made up");
    assert_verifies(&stack);
    let [name] = table_names(dir).try_into().unwrap();
    Table::open(&name, std::fs::read(dir.join(&name)).unwrap()).unwrap()
}

/// Blocks but the last that a small record would have fitted into.
fn short_blocks(table: &Table, kind: BlockKind) -> usize {
    let mut room = Vec::new();
    let mut blocks = table.blocks();
    while let Some(block) = blocks.next().unwrap() {
        if block.kind() == kind {
            room.push(u64::from(table.header().block_size) - block.len());
        }
    }
    room.pop();
    room.into_iter().filter(|room| *room > 200).count()
}

#[test]
fn references_of_tables_that_share_them() {
    let rows = |table: u64| {
        let rows = (0..COUNT).filter(|number| (number % 3 + table).is_multiple_of(2) || number % 7 == table);
        let target = |number| (number % 11 != table).then(|| id(HASH, 10 * number + table).into());
        rows.map(|number| (name(number), table + 1, target(number))).collect()
    };
    let dir = store(&[(rows(0), vec![]), (rows(1), vec![]), (rows(2), vec![])]);
    let table = compact(dir.path());
    let short = short_blocks(&table, BlockKind::Ref);
    assert!((2..=14).contains(&short), "each of a few ranges ends a block early, not {short}");
}

/// The first ranges come to nothing, and one of those that follow gets the file header.
#[test]
fn references_that_are_all_deleted_in_the_first_ranges() {
    let rows = (0..COUNT).map(|number| (name(number), 1, Some(id(HASH, number).into()))).collect();
    for deleted in [COUNT - 100, COUNT] {
        let tombstones = (0..deleted).map(|number| (name(number), 2, None)).collect();
        let logs: Vec<LogRow> =
            (0..3).map(|number| (name(number), 2, Some(entry(HASH, number, number + 1, "m\n")))).collect();
        let dir = store(&[(Vec::clone(&rows), vec![]), (tombstones, logs)]);
        let table = compact(dir.path());
        assert_eq!(anatomy(&table).count(BlockKind::Ref), usize::from(deleted < COUNT));
        assert_eq!(anatomy(&table).count(BlockKind::Log), 1);
    }
}

#[test]
fn logs() {
    let rows = |table: u64| -> Vec<LogRow> {
        let rows = (0..20_000).filter(|number| number % 5 != table);
        rows.map(|number| (name(number), table + 1, Some(entry(HASH, number, number + 1, format!("{number}\n")))))
            .collect()
    };
    let dir = store(&[(vec![], rows(0)), (vec![], rows(1))]);
    let table = compact(dir.path());
    let short = short_blocks(&table, BlockKind::Log);
    assert!((2..=14).contains(&short), "each of a few ranges ends a block early, not {short}");
}
