//! An import keeps tables that are in order, and merges those that are not.

use std::sync::Arc;

use futures_lite::future::block_on;
use reftable::engine::{self, table_name, update_indexes_of_name};
use reftable::table::{RefRecordView, Table, TableWriter, WriteOptions};
use reftable::{Expect, HashKind, Snapshot, TargetView};
use reftable_bucket::{ErrorKind, Options};

use crate::{commit, id, memory_store, set};

/// A store whose tables have these update indexes, in this order; each has a reference of its own,
/// and all have `refs/heads/main`.
fn store_of(ranges: &[(u64, u64)]) -> Snapshot {
    let table = |(at, (min, max)): (usize, &(u64, u64))| {
        let mut table = TableWriter::new(Vec::new(), HashKind::Sha1, *min..=*max, &WriteOptions::default()).unwrap();
        let own = format!("refs/tags/{at}");
        for name in ["refs/heads/main", &own] {
            let target = id(at + 1);
            let target = Some(TargetView::Id((&target).into()));
            let record = RefRecordView { name: name.as_bytes(), update_index: *max, target };
            table.add_ref(&record).unwrap();
        }
        Arc::new(Table::open(table_name(*min, *max, at as u64), table.finish().unwrap().0).unwrap())
    };
    engine::snapshot(ranges.iter().enumerate().map(table).collect(), None).unwrap()
}

fn refs(snapshot: &Snapshot) -> Vec<reftable::Ref> {
    snapshot.refs().unwrap().into_iter().map(Result::unwrap).collect()
}

/// The update indexes of the tables in the bucket after an import of such a store, which has the
/// same references.
fn imported(ranges: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let (memory, store) = memory_store(Options::default().inline(0, 0));
    let source = store_of(ranges);
    let mut progress = Vec::new();
    block_on(store.import(&source, |done, total| progress.push((done, total)))).unwrap();
    assert!(progress.is_sorted() && progress.last().is_some_and(|(done, total)| done == total), "{progress:?}");
    let other = reftable_bucket::Store::new(Arc::clone(&memory), crate::PLACE, Options::default()).unwrap();
    let copy = block_on(other.snapshot()).unwrap();
    assert_eq!(refs(&copy), refs(&source), "{ranges:?}");
    assert!(copy.update_index() >= source.update_index());
    assert!(block_on(other.clean(false)).unwrap().deleted.is_empty(), "nothing of it is garbage");
    // What is written next lies above all.
    commit(&other, set("refs/heads/next", Expect::Absent, 7)).unwrap();
    copy.tables().iter().map(|table| update_indexes_of_name(table.name()).unwrap()).collect()
}

#[test]
fn tables_in_order_stay_as_they_are() {
    assert_eq!(imported(&[(1, 4), (5, 5), (7, 9)]), [(1, 4), (5, 5), (7, 9)]);
    assert_eq!(imported(&[]), []);
}

#[test]
fn tables_that_overlap_or_run_backwards_become_one() {
    assert_eq!(imported(&[(1, 5), (5, 8), (9, 9)]), [(1, 8), (9, 9)]);
    assert_eq!(imported(&[(1, 1), (2, 9), (4, 5), (10, 11)]), [(1, 1), (2, 9), (10, 11)]);
    assert_eq!(imported(&[(1, 1), (6, 9), (2, 3)]), [(1, 1), (2, 9)]);
    assert_eq!(imported(&[(4, 4), (3, 3), (2, 2), (1, 1)]), [(1, 4)]);
    assert_eq!(imported(&[(3, 4), (3, 4)]), [(3, 4)]);
    assert_eq!(imported(&[(5, 6), (7, 7), (1, 1), (8, 8)]), [(1, 7), (8, 8)]);
}

#[test]
fn a_store_that_is_there_is_not_overwritten() {
    let (memory, store) = memory_store(Options::default());
    commit(&store, set("refs/heads/main", Expect::Absent, 3)).unwrap();
    let before = memory.get("repos/42/root");
    let error = block_on(store.import(&store_of(&[(1, 2)]), |_, _| ())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(memory.get("repos/42/root"), before);
    assert_eq!(memory.keys(), ["repos/42/root"]);
}
