//! A store in a bucket in memory: which objects it has, refusals, several handles.

use std::sync::Arc;

use futures_lite::future::block_on;
use reftable::Expect;
use reftable_bucket::{Changeset, Compact, Error, ErrorKind, Options, Store};

use crate::{PLACE, commit, fill, id, memory_store, set};

#[test]
fn a_small_store_is_one_object() {
    let (memory, store) = memory_store(Options::default());
    fill(&store, 40);
    assert_eq!(memory.keys(), ["repos/42/root"]);
    let snapshot = block_on(store.snapshot()).unwrap();
    assert_eq!(snapshot.refs().unwrap().into_iter().count(), 40);
    assert!(snapshot.tables().len() < 8, "{} tables", snapshot.tables().len());
}

#[test]
fn large_tables_are_apart_and_what_they_replace_is_deleted() {
    let (memory, store) = memory_store(Options::default());
    let mut changes = Changeset::new();
    for number in 1..3000 {
        changes.set(format!("refs/tags/{number}"), Expect::Absent, id(number));
    }
    commit(&store, changes).unwrap();
    fill(&store, 10);
    assert_eq!(memory.keys().len(), 2, "{:?}", memory.keys());
    assert!(block_on(store.compact(Compact::All)).unwrap());
    fill_more(&store);
    assert_eq!(memory.keys().len(), 2, "the replaced one goes with the next swap: {:?}", memory.keys());
    assert_eq!(block_on(store.snapshot()).unwrap().refs().unwrap().into_iter().count(), 3010);
}

fn fill_more(store: &Store<reftable_bucket::Memory>) {
    commit(store, set("refs/heads/more", Expect::Absent, 1)).unwrap();
}

#[test]
fn a_refusal_names_every_mismatch_and_changes_nothing() {
    let (memory, store) = memory_store(Options::default());
    fill(&store, 2);
    let before = memory.get("repos/42/root");
    let mut changes = set("refs/heads/1", Expect::Absent, 7);
    changes.set("refs/heads/2", Expect::Is(id(9).into()), id(7)).set("refs/heads/3", Expect::Any, id(7));
    let error = commit(&store, changes).unwrap_err();
    assert_eq!((error.kind(), error.conflicts().len()), (ErrorKind::Conflict, 2));
    assert_eq!(memory.get("repos/42/root"), before);
}

#[test]
fn two_handles_see_each_other() {
    let (memory, here) = memory_store(Options::default());
    let there = Store::new(Arc::clone(&memory), PLACE, Options::default()).unwrap();
    commit(&here, set("refs/heads/main", Expect::Absent, 1)).unwrap();
    commit(&there, set("refs/heads/main", Expect::Is(id(1).into()), 2)).unwrap();
    // This handle has not read since: it is not refused upon what it knows.
    let done = commit(&here, set("refs/heads/main", Expect::Is(id(2).into()), 3)).unwrap();
    assert_eq!(done.update_index, 3);
    assert_eq!(
        commit(&there, set("refs/heads/main", Expect::Is(id(2).into()), 4)).unwrap_err().kind(),
        ErrorKind::Conflict
    );
}

#[test]
fn transact_decides_again_when_others_were_first() {
    let (memory, store) = memory_store(Options::default());
    fill(&store, 1);
    let other = Store::new(memory, PLACE, Options::default()).unwrap();
    let mut decisions = 0;
    let done = block_on(store.transact(|snapshot, changes| {
        decisions += 1;
        let found = snapshot.get("refs/heads/1")?.expect("it is there");
        if decisions == 1 {
            commit(&other, set("refs/heads/1", Expect::Any, 5))?;
        }
        changes.set("refs/heads/1", Expect::Is(found.target), id(6));
        Ok::<(), Error>(())
    }));
    assert_eq!((done.unwrap().update_index, decisions), (3, 2));
}

#[test]
fn there_is_no_store_before_the_first_commit() {
    let (_, store) = memory_store(Options::default());
    let error = block_on(store.snapshot()).expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.to_string().starts_with("repos/42/root: there is no store here"), "{error}");
}

#[test]
fn places_are_plain() {
    for place in ["", "a//b", "/a", "a/", "a/../b", ".", "a\nb"] {
        let memory = Arc::new(reftable_bucket::Memory::new());
        assert_eq!(
            Store::new(memory, place, Options::default()).err().unwrap().kind(),
            ErrorKind::Invalid,
            "{place:?}"
        );
    }
}

#[test]
fn cleaning_deletes_what_nobody_can_name_and_nothing_else() {
    let (memory, store) = memory_store(Options::default().inline(0, 0));
    fill(&store, 5);
    let merged = "repos/42/0x000000000002-0x000000000003-01234567.ref";
    let pending = "repos/42/0x000000000006-0x000000000006-01234567.ref";
    let foreign = "repos/42/notes.txt";
    for key in [merged, pending, foreign] {
        memory.set(key, "x");
    }
    let named = memory.keys();
    let cleaned = block_on(store.clean(true)).unwrap();
    assert!(cleaned.deleted.contains(&merged.to_owned()) && cleaned.kept == [pending], "{cleaned:?}");
    assert_eq!(memory.keys(), named, "a dry run changes nothing");
    block_on(store.clean(false)).unwrap();
    assert!(memory.get(merged).is_none());
    assert!(memory.get(pending).is_some() && memory.get(foreign).is_some());
    assert_eq!(block_on(store.snapshot()).unwrap().refs().unwrap().into_iter().count(), 5);
}
