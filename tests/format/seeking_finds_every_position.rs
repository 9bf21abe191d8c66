//! Seeking and walking prefixes work at every position, through an index of three levels, padded or
//! not.

use std::sync::Arc;

use crate::support::tables::{LogRow, RefRow, anatomy, table};
use crate::support::{self, HASHES, entry, id};
use reftable::format::BlockKind;
use reftable::merge::{Merged, Tombstones};
use reftable::table::{Table, WriteOptions};
use reftable::{HashKind, Target};

fn name(number: usize) -> String {
    format!("refs/heads/{number:05}")
}

fn many(hash: HashKind, count: usize, padding: bool) -> (Arc<Table>, usize) {
    let options = WriteOptions::default().block_size(256).restart_interval(2).padding(padding);
    let rows: Vec<RefRow> =
        (0..count).map(|number| (name(number), 1, Some(Target::Id(id(hash, number as u64))))).collect();
    let table = table(hash, 1..=1, &options, &rows, &[]);
    let levels = anatomy(&table).levels(table.footer().ref_index);
    (table, levels)
}

/// The number in the first name that is at least `from`.
fn first(merged: &Merged, from: &str) -> Option<usize> {
    let mut walk = merged.refs(from.as_bytes(), Tombstones::Hide).unwrap();
    let found = walk.next().unwrap()?;
    Some(std::str::from_utf8(&found.name[11..]).unwrap().parse().unwrap())
}

#[test]
fn through_three_levels_of_index() {
    for hash in HASHES {
        for padding in [true, false] {
            let (table, levels) = many(hash, 20_000, padding);
            assert!(levels >= 3, "{levels} levels");
            let merged = Merged::new(vec![table]);
            let between = |number| format!("{}!", name(number));
            for number in (0..20_000).step_by(31).chain(19_990..20_000) {
                assert_eq!(first(&merged, &name(number)), Some(number));
                assert_eq!(first(&merged, &between(number)), (number < 19_999).then_some(number + 1));
            }
            assert_eq!(first(&merged, ""), Some(0));
            assert_eq!(first(&merged, "refs/zzz"), None);
        }
    }
}

#[test]
fn at_every_single_position() {
    for padding in [true, false] {
        for count in [1, 2, 3, 20, 300] {
            let (table, _) = many(HashKind::Sha1, count, padding);
            let merged = Merged::new(vec![table]);
            for number in 0..count {
                assert_eq!(first(&merged, &name(number)), Some(number));
                let after = format!("{}\u{1}", name(number));
                assert_eq!(first(&merged, &after), (number + 1 < count).then_some(number + 1));
            }
        }
    }
}

#[test]
fn logs_through_an_index() {
    for hash in HASHES {
        for padding in [true, false] {
            let options = WriteOptions::default().block_size(256).padding(padding);
            let rows: Vec<LogRow> = (0..600)
                .flat_map(|number| {
                    [9, 4, 1].map(|at| (name(number), at, Some(entry(hash, 1, 2, format!("{number} {at}")))))
                })
                .collect();
            let refs: Vec<RefRow> = (0..40).map(|number| (name(number), 1, None)).collect();
            let table = table(hash, 1..=9, &options, &refs, &rows);
            assert!(anatomy(&table).levels(table.footer().log_index) >= 2);
            let merged = Merged::new(vec![table]);
            for number in 0..600 {
                let mut walk = merged.logs(name(number).as_bytes(), Tombstones::Hide).unwrap();
                for at in [9, 4, 1] {
                    let found = walk.next().unwrap().unwrap();
                    assert_eq!((found.refname, found.update_index), (name(number).as_bytes(), at));
                }
            }
        }
    }
}

#[test]
fn prefixes_end_by_themselves() {
    for hash in HASHES {
        let write = WriteOptions::default().block_size(256);
        let store = support::Store::writing(hash, write);
        let mut tx = store.stack.transaction();
        for number in 0..2000 {
            tx.set(name(number), reftable::Expect::Absent, store.id(1));
        }
        tx.commit().unwrap();
        for number in (0..2000).step_by(100) {
            store.delete(&name(number));
        }
        let snapshot = store.stack.snapshot().unwrap();
        for (prefix, range) in
            [("0", 0..2000), ("00", 0..1000), ("001", 100..200), ("0019", 190..200), ("01234", 1234..1235)]
        {
            let found = support::contents::names(snapshot.prefix(format!("refs/heads/{prefix}")).unwrap());
            let expected: Vec<_> = range.filter(|number| number % 100 != 0).map(name).collect();
            assert_eq!(found, expected, "{prefix}");
        }
        for nothing in ["refs/heads/2", "refs/heads/01234/", "z", "refs/heads/02000", "refs/heads/\u{ff}"] {
            assert!(support::contents::names(snapshot.prefix(nothing).unwrap()).is_empty());
        }
        assert!(snapshot.get("refs/heads/").unwrap().is_none());
    }
}

#[test]
fn names_of_half_a_block_need_no_index() {
    for hash in HASHES {
        let long = |number: usize| format!("{number:03}{}", "n".repeat(150));
        let rows: Vec<RefRow> = (0..50).map(|number| (long(number), 1, None)).collect();
        let table = table(hash, 1..=1, &WriteOptions::default().block_size(256), &rows, &[]);
        assert!(anatomy(&table).count(BlockKind::Ref) >= 25);
        let merged = Merged::new(vec![table]);
        for number in 0..50 {
            let mut walk = merged.refs(long(number).as_bytes(), Tombstones::Show).unwrap();
            assert_eq!(walk.next().unwrap().unwrap().name, long(number).as_bytes());
        }
    }
}
