//! Tables seen as one give what a map gives into which they were put, oldest first: whatever their
//! names have in common, and however they are walked.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::support::tables::{RefRow, refs, write};
use crate::support::{id, quick};
use proptest::prelude::*;
use reftable::merge::{Merged, Tombstones};
use reftable::table::{Table, WriteOptions};
use reftable::{AutoCompact, HashKind, Refs, Stack};

const HASH: HashKind = HashKind::Sha1;
/// What names are made of: they differ early and late, some are beginnings of others, and some go
/// on with zeros.
const PARTS: [&str; 9] = ["", "\0", "\0\0\0\0\0\0", "a", "b", "aaaa", "aaaaaa", "0123456789", "\u{7f}"];

/// For each table, of each name: whether it is there, and not as a tombstone.
fn tables() -> impl Strategy<Value = Vec<BTreeMap<String, bool>>> {
    let name = prop::collection::vec(0..PARTS.len(), 0..4).prop_map(|parts| {
        let parts: String = parts.into_iter().map(|part| PARTS[part]).collect();
        format!("refs/{parts}")
    });
    prop::collection::vec(prop::collection::btree_map(name, prop::bool::weighted(0.8), 0..80), 1..7)
}

/// A directory with these tables, and what is in each.
fn store(tables: &[BTreeMap<String, bool>]) -> (tempfile::TempDir, Vec<Arc<Table>>, Vec<Vec<RefRow>>) {
    let dir = tempfile::tempdir().unwrap();
    let (mut list, mut opened, mut all) = (String::new(), Vec::new(), Vec::new());
    for (names, index) in tables.iter().zip(1..) {
        let target = |is_there: &bool| is_there.then(|| id(HASH, index).into());
        let rows: Vec<RefRow> = names.iter().map(|(name, there)| (name.clone(), index, target(there))).collect();
        let file = format!("0x{index:012x}-0x{index:012x}-{index:08x}.ref");
        let options = WriteOptions::default().block_size(512).restart_interval(3);
        let (bytes, _) = write(HASH, index..=index, &options, &rows, &[]).unwrap();
        std::fs::write(dir.path().join(&file), &bytes).unwrap();
        opened.push(Arc::new(Table::open(&file, bytes).unwrap()));
        list += &format!("{file}\n");
        all.push(rows);
    }
    std::fs::write(dir.path().join("tables.list"), list).unwrap();
    (dir, opened, all)
}

/// All that a scan yields: it breaks after each `stride`th reference, and takes a step of the
/// other kind then.
fn walk(mut walk: Refs, stride: usize) -> Vec<RefRow> {
    let mut rows: Vec<RefRow> = Vec::new();
    let row = |found: reftable::RefView<'_>| {
        let name = String::from_utf8(found.name.to_vec()).unwrap();
        (name, found.update_index, Some(found.target.to_target()))
    };
    loop {
        let ended = walk.try_for_each(|found| {
            rows.push(row(found));
            if rows.len().is_multiple_of(stride) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if ended.unwrap().is_continue() {
            assert!(walk.next().unwrap().is_none());
            return rows;
        }
        rows.extend(walk.next().unwrap().map(row));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_any_tables(tables in tables(), stride in 1..40usize, from in 0..PARTS.len()) {
        let (dir, opened, rows) = store(&tables);
        let model: BTreeMap<String, RefRow> = rows.into_iter().flatten().map(|row| (row.0.clone(), row)).collect();
        let visible: Vec<RefRow> = model.values().filter(|row| row.2.is_some()).cloned().collect();
        let from = format!("refs/{}", PARTS[from]);
        let from_on = |rows: &[RefRow]| -> Vec<RefRow> { rows.iter().filter(|row| row.0 >= from).cloned().collect() };

        let merged = Merged::new(opened);
        let all: Vec<RefRow> = model.into_values().collect();
        prop_assert_eq!(refs(&merged, "", Tombstones::Show), all.clone());
        prop_assert_eq!(refs(&merged, &from, Tombstones::Show), from_on(&all));
        prop_assert_eq!(refs(&merged, &from, Tombstones::Hide), from_on(&visible));

        let snapshot = Stack::open(dir.path(), quick().auto_compact(AutoCompact::Off)).unwrap().snapshot().unwrap();
        prop_assert_eq!(walk(snapshot.refs().unwrap(), stride), visible.clone());
        prop_assert_eq!(walk(snapshot.refs().unwrap(), usize::MAX), visible.clone());
        let mut sought = snapshot.refs().unwrap();
        sought.seek(&from).unwrap();
        prop_assert_eq!(walk(sought, stride), from_on(&visible));
        let begin = |row: &&RefRow| row.0.starts_with(&from);
        prop_assert_eq!(walk(snapshot.prefix(&from).unwrap(), stride), visible.iter().filter(begin).cloned().collect::<Vec<_>>());
    }
}
