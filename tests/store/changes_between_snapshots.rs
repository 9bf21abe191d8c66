//! `changes_since` tells what a comparison of both snapshots tells, whatever happened in between.

use std::collections::BTreeMap;

use crate::support::{Random, Store, id, quick};
use reftable::compact::Compact;
use reftable::{AutoCompact, Expect, HashKind, Snapshot, Target};

const HASH: HashKind = HashKind::Sha1;

type Difference = BTreeMap<String, (Option<Target>, Option<Target>)>;

fn refs(snapshot: &Snapshot) -> BTreeMap<String, Target> {
    let refs = snapshot.refs().unwrap().into_iter().map(Result::unwrap);
    refs.map(|found| (String::from_utf8(found.name).unwrap(), found.target)).collect()
}

/// By comparing everything.
fn compared(older: &Snapshot, newer: &Snapshot) -> Difference {
    let (before, after) = (refs(older), refs(newer));
    let names = before.keys().chain(after.keys());
    let pairs = names.map(|name| (name.clone(), (before.get(name).cloned(), after.get(name).cloned())));
    pairs.filter(|(_, (before, after))| before != after).collect()
}

fn told(older: &Snapshot, newer: &Snapshot) -> Difference {
    let changes = newer.changes_since(older).unwrap().map(Result::unwrap);
    let mut names = Vec::new();
    let told = changes.map(|change| {
        names.push(change.name.clone());
        (String::from_utf8(change.name).unwrap(), (change.before, change.after))
    });
    let told: Difference = told.collect();
    assert!(names.is_sorted(), "by name");
    assert_eq!(names.len(), told.len(), "each name once");
    told
}

#[test]
fn any_two_states_of_any_history_are_compared_rightly() {
    let mut random = Random(7);
    let mut differences = 0;
    for round in 0..12 {
        let policy = if round % 3 == 0 { AutoCompact::Geometric(2) } else { AutoCompact::Off };
        let store = Store::with(HASH, quick().auto_compact(policy));
        let mut snapshots = vec![store.stack.snapshot().unwrap()];
        for step in 0..25u64 {
            let mut tx = store.stack.transaction();
            for number in 0..12u64 {
                let name = format!("refs/heads/{number:02}");
                match random.next() % 6 {
                    0 => drop(tx.set(name, Expect::Any, id(HASH, 1 + random.next() % 3))),
                    1 => drop(tx.delete(name, Expect::Any)),
                    _ => {}
                }
            }
            tx.commit().unwrap();
            if round % 3 == 1 && step % 7 == 6 {
                store.stack.compact(Compact::all()).unwrap();
            }
            if round % 3 == 2 && step % 5 == 4 {
                store.stack.compact(Compact::Auto).unwrap();
            }
            snapshots.push(store.stack.snapshot().unwrap());
        }
        for (at, newer) in snapshots.iter().enumerate() {
            for older in &snapshots[..=at] {
                let told = told(older, newer);
                differences += told.len();
                assert_eq!(told, compared(older, newer), "round {round}");
            }
        }
    }
    assert!(differences > 10_000, "{differences}");
}

/// Only new tables are read: a damaged one below does not matter as long as no changed name leads
/// there.
#[test]
fn tables_that_both_have_are_not_walked() {
    let store = Store::with(HASH, quick().auto_compact(AutoCompact::Off));
    let mut tx = store.stack.transaction();
    for number in 0..5000 {
        tx.set(format!("refs/heads/{number:06}"), Expect::Absent, id(HASH, number + 1));
    }
    tx.commit().unwrap();
    let path = store.path().join(&store.list()[0]);
    let mut bytes = std::fs::read(&path).unwrap();
    // Not the first block nor the index, which the look-ups of the changed name need.
    for block in 2..20 {
        bytes[block * 4096] = b'?';
    }
    std::fs::write(&path, bytes).unwrap();
    let stack = reftable::Stack::open(store.path(), quick().auto_compact(AutoCompact::Off)).unwrap();
    let older = stack.snapshot().unwrap();
    let mut tx = stack.transaction();
    tx.set("refs/heads/000000", Expect::Any, id(HASH, 9));
    tx.commit().unwrap();
    let newer = stack.snapshot().unwrap();
    assert!(newer.refs().unwrap().into_iter().any(|found| found.is_err()), "a scan meets the damage");
    let changes: Vec<_> = newer.changes_since(&older).unwrap().map(Result::unwrap).collect();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].name, b"refs/heads/000000");
}
