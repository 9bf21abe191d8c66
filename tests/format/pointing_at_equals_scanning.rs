//! The references that point at an id are those that a scan finds, with object sections and
//! without.

use std::sync::Arc;

use crate::support::contents::{self, pointing_at, scan_for};
use crate::support::tables::{RefRow, anatomy, as_row};
use crate::support::{self, HASHES, Store, assert_verifies};
use reftable::compact::Compact;
use reftable::table::{PointingAt, Table, WriteOptions};
use reftable::{Expect, HashKind, ObjectId, Target};

const REFS: u64 = 2000;

/// Many references to ids of which some are frequent and some rare.
fn store(hash: HashKind, write: WriteOptions) -> Store {
    let store = Store::writing(hash, write);
    let mut tx = store.stack.transaction();
    for number in 0..REFS {
        let target = match number % 7 {
            0 => Target::symbolic("refs/heads/main"),
            1 => Target::Tag { id: store.id(number), peeled: store.id(number % 3) },
            _ => Target::Id(store.id(number % 200)),
        };
        tx.set(format!("refs/heads/{number:05}"), Expect::Absent, target);
    }
    tx.commit().unwrap();
    store
}

fn check(store: &Store) {
    let snapshot = store.stack.snapshot().unwrap();
    let all = contents::of(&snapshot);
    for number in (0..REFS + 10).step_by(3) {
        let id = store.id(number);
        assert_eq!(pointing_at(&snapshot, &id), scan_for(&all, &id), "{number}");
    }
}

#[test]
fn with_object_sections_and_without() {
    for hash in HASHES {
        for (size, objects) in [(256, true), (512, true), (4096, true), (256, false)] {
            for padding in [true, false] {
                let write = WriteOptions::default().block_size(size).object_index(objects).padding(padding);
                let store = store(hash, write);
                let table = store.stack.snapshot().unwrap().tables()[0].clone();
                assert_eq!(table.footer().obj > 0, objects);
                check(&store);
                check_table(&store, &table);
                assert_verifies(&store.stack);
            }
        }
    }
}

/// The only table of a store by itself, from the start and from the middle.
fn check_table(store: &Store, table: &Arc<Table>) {
    let all = contents::of(&store.stack.snapshot().unwrap());
    for number in (0..REFS + 10).step_by(7) {
        let id = store.id(number);
        let mut walk = PointingAt::new(Arc::clone(table), id).unwrap();
        let expected: Vec<RefRow> = scan_for(&all, &id).iter().map(as_row).collect();
        assert_eq!(rest(&mut walk), expected);
        let middle = expected.get(expected.len() / 2).map_or(String::new(), |row| row.0.clone());
        walk.seek(middle.as_bytes()).unwrap();
        assert_eq!(rest(&mut walk), expected[expected.len() / 2..]);
        walk.seek(b"").unwrap();
        walk.next().unwrap();
        walk.seek(b"").unwrap();
        assert_eq!(rest(&mut walk), expected);
    }
}

fn rest(walk: &mut PointingAt) -> Vec<RefRow> {
    let mut rows = Vec::new();
    while let Some(record) = walk.next().unwrap() {
        let name = String::from_utf8(record.name.to_vec()).unwrap();
        rows.push((name, record.update_index, record.target.map(|target| target.to_target())));
    }
    assert!(walk.next().unwrap().is_none());
    rows
}

#[test]
fn across_tables_that_moved_and_deleted_references() {
    for hash in HASHES {
        let store = store(hash, WriteOptions::default().block_size(256));
        for number in (0..REFS).step_by(97) {
            let mut tx = store.stack.transaction();
            tx.set(format!("refs/heads/{number:05}"), Expect::Exists, store.id(number % 5));
            tx.delete(format!("refs/heads/{:05}", number + 1), Expect::Exists);
            tx.commit().unwrap();
        }
        assert!(store.stack.snapshot().unwrap().tables().len() > 1);
        check(&store);
        store.stack.compact(Compact::all()).unwrap();
        check(&store);
    }
}

#[test]
fn an_id_in_more_blocks_than_a_record_can_list() {
    for hash in HASHES {
        let store = Store::writing(hash, WriteOptions::default().block_size(256));
        let mut tx = store.stack.transaction();
        for number in 0..3000u64 {
            tx.set(
                format!("refs/heads/{number:05}"),
                Expect::Absent,
                store.id(if number % 2 == 0 { 1 } else { number }),
            );
        }
        tx.commit().unwrap();
        let snapshot = store.stack.snapshot().unwrap();
        let objects = anatomy(&snapshot.tables()[0]).objects;
        assert!(objects.iter().any(|(_, blocks)| blocks.is_empty()), "one record says: look everywhere");
        assert_eq!(pointing_at(&snapshot, &store.id(1)).len(), 1501);
        assert_verifies(&store.stack);
    }
}

#[test]
fn ids_that_begin_alike() {
    for hash in HASHES {
        // The same first bytes, up to more than the index keeps.
        for shared in [0, 1, 5, 11, 12, 15, 19] {
            let id = |number: u64| {
                let mut bytes = vec![7; hash.len()];
                for byte in &mut bytes[shared..] {
                    *byte = (number % 251) as u8 + 1;
                }
                ObjectId::from_bytes(&bytes).unwrap()
            };
            let store = Store::writing(hash, WriteOptions::default().block_size(256));
            let mut tx = store.stack.transaction();
            for number in 0..300 {
                tx.set(format!("refs/heads/{number:05}"), Expect::Absent, id(number));
            }
            tx.commit().unwrap();
            let snapshot = store.stack.snapshot().unwrap();
            assert!(snapshot.tables()[0].footer().obj_id_len >= 2, "git writes no less than two bytes");
            let all = contents::of(&snapshot);
            for number in 0..255 {
                assert_eq!(pointing_at(&snapshot, &id(number)), scan_for(&all, &id(number)), "{shared} {number}");
            }
            assert_verifies(&store.stack);
        }
    }
}

#[test]
fn an_id_of_the_other_hash_is_nowhere() {
    let store = store(HASHES[0], WriteOptions::default());
    assert!(pointing_at(&store.stack.snapshot().unwrap(), &support::id(HASHES[1], 1)).is_empty());
}
