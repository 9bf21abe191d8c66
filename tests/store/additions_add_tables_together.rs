//! Tables that a host writes by hand: all of an addition or none of it, while reading goes on.

use reftable::addition::AddedTable;
use reftable::bytes::Bytes;
use reftable::merge::{LogRecords, Merged, RefRecords, Tombstones};
use reftable::table::WriteOptions;
use reftable::table::{LogRecordView, RefRecordView};
use reftable::{AutoCompact, ErrorKind, Expect, HashKind, Ident, LogEntry, ObjectId, Options, Stack, TargetView};

fn stack(dir: &tempfile::TempDir) -> Stack {
    Stack::open(dir.path(), Options::default().hash(HashKind::Sha1).auto_compact(AutoCompact::Off)).unwrap()
}

fn id(byte: u8) -> ObjectId {
    ObjectId::from_bytes(&[byte; 20]).unwrap()
}

fn add_ref(table: &mut AddedTable, name: &str, update_index: u64, to: Option<u8>) {
    let to = to.map(id);
    let target = to.as_ref().map(|to| TargetView::Id(to.as_view()));
    table.add_ref(&RefRecordView { name: name.as_bytes(), update_index, target }).unwrap();
}

fn files(dir: &tempfile::TempDir) -> usize {
    let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.ends_with(".owner")).count()
}

#[test]
fn several_tables_appear_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let stack = stack(&dir);
    let mut addition = stack.addition().unwrap();
    assert_eq!(addition.update_index(), 1);
    let mut first = addition.table(1..=2).unwrap();
    add_ref(&mut first, "refs/heads/a", 1, Some(1));
    add_ref(&mut first, "refs/heads/b", 2, Some(2));
    addition.add(first).unwrap();
    assert_eq!(addition.update_index(), 3);
    let mut second = addition.table(5..=5).unwrap();
    add_ref(&mut second, "refs/heads/a", 5, None);
    addition.add(second).unwrap();
    assert!(stack.snapshot().unwrap().tables().is_empty(), "nobody sees it yet");
    assert!(addition.snapshot().tables().is_empty());

    assert_eq!(addition.commit().unwrap().update_index, 5);
    let after = stack.snapshot().unwrap();
    assert_eq!(after.tables().len(), 2);
    assert!(after.get("refs/heads/a").unwrap().is_none(), "the second table deletes it");
    assert_eq!(after.get("refs/heads/b").unwrap().unwrap().update_index, 2);
    assert_eq!(stack.addition().unwrap().update_index(), 6);
    assert_eq!(files(&dir), 3, "two tables and the list");
}

#[test]
fn a_dropped_addition_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let stack = stack(&dir);
    let mut addition = stack.addition().unwrap();
    let mut written = addition.table(1..=1).unwrap();
    add_ref(&mut written, "HEAD", 1, Some(1));
    addition.add(written).unwrap();
    let begun = addition.table(2..=2).unwrap();
    assert!(files(&dir) >= 3, "two files and the lock");
    drop(addition);
    drop(begun);
    assert_eq!(files(&dir), 0);
    assert_eq!(stack.addition().unwrap().commit().unwrap().update_index, 0);
    assert_eq!(files(&dir), 0, "an addition of nothing writes nothing");
}

#[test]
fn update_indexes_must_not_overlap() {
    let dir = tempfile::tempdir().unwrap();
    let stack = stack(&dir);
    let mut addition = stack.addition().unwrap();
    assert_eq!(addition.table(0..=0).unwrap_err().kind(), ErrorKind::Invalid);
    let (one, two) = (addition.table(1..=4).unwrap(), addition.table(3..=5).unwrap());
    addition.add(one).unwrap();
    assert_eq!(addition.add(two).unwrap_err().kind(), ErrorKind::Invalid);
    let last = addition.table(u64::MAX..=u64::MAX).unwrap();
    assert_eq!(addition.add(last).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn other_options_are_another_handle_on_the_same_store() {
    let dir = tempfile::tempdir().unwrap();
    let stack = stack(&dir);
    let small = Options::default().hash(HashKind::Sha256).write(WriteOptions::default().block_size(256));
    let small = stack.with_options(small).unwrap();
    let addition = stack.addition().unwrap();
    assert_eq!(small.addition().unwrap_err().kind(), ErrorKind::Locked);
    drop(addition);
    let mut tx = small.transaction();
    tx.set("HEAD", Expect::Absent, id(1));
    tx.commit().unwrap();
    let table = std::sync::Arc::clone(&stack.snapshot().unwrap().tables()[0]);
    assert_eq!((table.header().block_size, table.hash()), (256, HashKind::Sha1), "the hash of the store stays");
    // What one handle has read the other need not open.
    assert!(std::sync::Arc::ptr_eq(&table, &small.snapshot().unwrap().tables()[0]));
    assert!(stack.with_options(Options::default().auto_compact(AutoCompact::Geometric(0))).is_err());
}

#[test]
fn walks_over_records_are_sought_again_and_outlive_the_stack() {
    let dir = tempfile::tempdir().unwrap();
    let stack = stack(&dir);
    let mut addition = stack.addition().unwrap();
    let mut table = addition.table(1..=9).unwrap();
    add_ref(&mut table, "refs/a", 1, Some(1));
    add_ref(&mut table, "refs/b", 1, None);
    add_ref(&mut table, "refs/c", 1, Some(3));
    let entry = LogEntry { old: id(0), new: id(1), committer: Ident::new("n", "e", 1), message: b"m\n".to_vec() };
    for update_index in [9, 5, 1] {
        let entry = Some(entry.as_view());
        table.add_log(&LogRecordView { refname: b"refs/a", update_index, entry }).unwrap();
    }
    addition.add(table).unwrap();
    addition.commit().unwrap();
    let merged = Merged::new(stack.snapshot().unwrap().tables().to_vec());
    drop(stack);

    let mut refs = RefRecords::new(&merged, Tombstones::Show);
    let mut logs = LogRecords::new(&merged, Tombstones::Hide);
    assert!(refs.next().unwrap().is_none(), "it was not sought yet");
    drop(merged);
    for (from, expected) in [("refs/b", Some("refs/b")), ("", Some("refs/a")), ("refs/d", None), ("c", Some("refs/a"))]
    {
        refs.seek(from.as_bytes()).unwrap();
        assert_eq!(refs.next().unwrap().map(|record| record.name), expected.map(str::as_bytes), "{from}");
    }
    for (at_most, expected) in [(u64::MAX, Some(9)), (8, Some(5)), (1, Some(1)), (0, None), (5, Some(5))] {
        logs.seek(b"refs/a", at_most).unwrap();
        assert_eq!(logs.next().unwrap().map(|record| record.update_index), expected, "{at_most}");
    }
}

#[test]
fn cleaning_takes_the_tables_that_nothing_lists() {
    let dir = tempfile::tempdir().unwrap();
    let stack = stack(&dir);
    let mut tx = stack.transaction();
    tx.set("HEAD", Expect::Absent, id(1));
    tx.commit().unwrap();
    let dead = dir.path().join("0x000000000001-0x000000000001-00000000.ref");
    std::fs::write(&dead, "").unwrap();
    stack.clean().unwrap();
    assert!(!dead.exists());
    assert_eq!(files(&dir), 2);
}

#[test]
fn bytes_of_an_owner_are_its_bytes_until_the_last_use() {
    struct Owner([u8; 4], std::sync::Arc<std::sync::atomic::AtomicBool>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0[1..]
        }
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            self.0 = [0; 4];
            self.1.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let dropped = std::sync::Arc::default();
    let bytes = Bytes::from_owner(Owner([1, 2, 3, 4], std::sync::Arc::clone(&dropped)));
    let moved = Box::new(bytes);
    assert_eq!(&moved[..], [2, 3, 4]);
    assert!(!dropped.load(std::sync::atomic::Ordering::Relaxed));
    drop(moved);
    assert!(dropped.load(std::sync::atomic::Ordering::Relaxed));
}

#[test]
fn blocks_are_found_by_their_offset() {
    let dir = tempfile::tempdir().unwrap();
    let stack = stack(&dir).with_options(Options::default().write(WriteOptions::default().block_size(256))).unwrap();
    let mut tx = stack.transaction();
    for number in 1..51 {
        tx.set(format!("refs/heads/{number:03}"), Expect::Absent, id(number));
    }
    tx.commit().unwrap();
    let snapshot = stack.snapshot().unwrap();
    let table = &snapshot.tables()[0];
    let mut walk = table.blocks();
    let mut offset = 0;
    while let Some(block) = walk.next().unwrap() {
        let found = table.block_at(offset).unwrap().unwrap();
        assert_eq!((found.offset(), found.kind(), found.bytes()), (block.offset(), block.kind(), block.bytes()));
        offset = found.end();
    }
    assert!(offset > 2000);
    assert!(table.block_at(offset).unwrap().is_none());
    assert!(table.block_at(u64::MAX).unwrap().is_none());
}
