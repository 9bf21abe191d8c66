//! Numbered roots, for stores that limit writes to one name: those kept, and clients that slept.

use std::sync::Arc;

use bytes::Bytes;
use futures_lite::future::block_on;
use reftable::Expect;
use reftable_bucket::{Bucket, ErrorKind, Memory, Numbered, Options, Store, probe};

use crate::{PLACE, commit, id, set};

type Shared = Arc<Memory>;

fn numbered(memory: &Shared) -> Store<Numbered<Shared>> {
    Store::new(Arc::new(Numbered::new(Arc::clone(memory))), PLACE, Options::default()).unwrap()
}

fn fill<B: Bucket>(store: &Store<B>, commits: usize) {
    for number in 1..=commits {
        commit(store, set(format!("refs/heads/{number}"), Expect::Absent, number)).unwrap();
    }
}

fn roots(memory: &Memory) -> Vec<String> {
    memory.keys().into_iter().filter_map(|key| Some(key.strip_prefix("repos/42/root/")?.to_owned())).collect()
}

#[test]
fn the_newest_root_and_a_few_before_it_are_there() {
    let memory = Shared::default();
    let store = numbered(&memory);
    fill(&store, 30);
    let roots = roots(&memory);
    assert_eq!(roots.len(), 9, "{roots:?}");
    assert_eq!(roots.last().unwrap(), "00000000000000000030");
    assert_eq!(memory.get("repos/42/root").unwrap(), "reftable root numbered\n");
    assert_eq!(block_on(numbered(&memory).snapshot()).unwrap().refs().unwrap().into_iter().count(), 30);
    block_on(store.clean(false)).unwrap();
    assert_eq!(block_on(numbered(&memory).snapshot()).unwrap().refs().unwrap().into_iter().count(), 30);
}

/// The name after the one that it knows is free again.
#[test]
fn a_machine_that_has_slept_neither_loses_a_commit_nor_hides_those_of_others() {
    let memory = Shared::default();
    let (awake, slept) = (numbered(&memory), numbered(&memory));
    fill(&awake, 1);
    block_on(slept.snapshot()).unwrap();
    for number in 2..40 {
        commit(&awake, set(format!("refs/heads/{number}"), Expect::Absent, number)).unwrap();
    }
    let error = commit(&slept, set("refs/heads/20", Expect::Absent, 7)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    block_on(slept.snapshot()).unwrap();
    for number in 40..60 {
        commit(&awake, set(format!("refs/heads/{number}"), Expect::Absent, number)).unwrap();
    }
    let done = commit(&slept, set("refs/heads/slept", Expect::Absent, 9)).unwrap();
    assert_eq!(done.update_index, 60);
    let snapshot = block_on(awake.snapshot()).unwrap();
    assert_eq!(snapshot.get("refs/heads/slept").unwrap().map(|found| found.target), Some(id(9).into()));
    assert_eq!(snapshot.refs().unwrap().into_iter().count(), 60);
    fill_more(&awake);
    assert_eq!(roots(&memory).len(), 9, "what came late goes, too: {:?}", roots(&memory));
}

fn fill_more<B: Bucket>(store: &Store<B>) {
    for number in 100..120 {
        commit(store, set(format!("refs/heads/{number}"), Expect::Absent, number)).unwrap();
    }
}

#[test]
fn one_kind_of_root_keeps_off_the_other() {
    let memory = Shared::default();
    fill(&numbered(&memory), 2);
    let before: Vec<Option<Bytes>> = memory.keys().iter().map(|key| memory.get(key)).collect();
    let named = Store::new(Arc::clone(&memory), PLACE, Options::default()).unwrap();
    for error in [
        block_on(named.snapshot()).expect_err("it is numbered"),
        commit(&named, set("refs/heads/x", Expect::Any, 1)).unwrap_err(),
        block_on(named.clean(false)).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("open it through `Numbered`"), "{error}");
    }
    let after: Vec<Option<Bytes>> = memory.keys().iter().map(|key| memory.get(key)).collect();
    assert_eq!(before, after);

    let memory = Shared::default();
    fill(&Store::new(Arc::clone(&memory), PLACE, Options::default()).unwrap(), 2);
    let store = numbered(&memory);
    for error in [
        block_on(store.snapshot()).expect_err("it has one name"),
        commit(&store, set("refs/heads/x", Expect::Any, 1)).unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.object()), (ErrorKind::Invalid, Some("repos/42/root")), "{error}");
    }
    assert_eq!(memory.keys(), ["repos/42/root"]);
}

#[test]
fn a_probe_tries_numbered_roots_and_leaves_nothing() {
    let bucket = Numbered::new(Memory::new());
    block_on(probe(&bucket, "probe")).unwrap();
    assert!(bucket.inner().keys().is_empty(), "{:?}", bucket.inner().keys());
}
