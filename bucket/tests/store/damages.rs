//! Damaged, missing and foreign objects are errors, and opening changes nothing.

use std::sync::Arc;

use futures_lite::future::block_on;
use reftable::Expect;
use reftable_bucket::{ErrorKind, Memory, Options, Store};

use crate::{PLACE, commit, fill, memory_store, set};

/// What a handle says that has not read before, and whether it leaves everything as it is.
fn opened(memory: &Arc<Memory>) -> (ErrorKind, String) {
    let store = Store::new(Arc::clone(memory), PLACE, Options::default()).unwrap();
    let contents = |memory: &Memory| memory.keys().iter().map(|key| memory.get(key)).collect::<Vec<_>>();
    let before = contents(memory);
    let error = block_on(store.snapshot()).expect_err("it is damaged");
    let refused = commit(&store, set("refs/heads/new", Expect::Any, 1)).unwrap_err();
    assert_eq!(refused.kind(), error.kind(), "writers refuse it, too");
    assert_eq!(contents(memory), before, "nothing is overwritten");
    (error.kind(), error.to_string())
}

#[test]
fn a_root_that_is_cut_off_or_foreign() {
    for root in ["", "hello", "reftable root 1\n", "reftable root 1\nstore 0000000000000001\ncrc 00000000\n"] {
        let (memory, _) = memory_store(Options::default());
        memory.set("repos/42/root", root);
        let (kind, text) = opened(&memory);
        assert_eq!(kind, ErrorKind::Corrupt, "{root:?}");
        assert!(text.starts_with("repos/42/root: ") && text.contains(" at offset "), "{text}");
    }
    let (memory, _) = memory_store(Options::default());
    memory.set("repos/42/root", "reftable root 2\nanything");
    assert_eq!(opened(&memory).0, ErrorKind::Unsupported);
}

#[test]
fn a_table_that_is_missing_shortened_or_another() {
    let filled = || {
        let (memory, store) = memory_store(Options::default().inline(0, 0));
        fill(&store, 1);
        let table = memory.keys().into_iter().find(|key| key.ends_with(".ref")).unwrap();
        (memory, table)
    };
    let (memory, table) = filled();
    let bytes = memory.get(&table).unwrap();
    block_on(async {
        use reftable_bucket::Bucket;
        memory.delete(&table).await.unwrap();
    });
    let (kind, text) = opened(&memory);
    assert!(kind == ErrorKind::Missing && text.starts_with(&table), "{text}");

    memory.set(&table, bytes.slice(..bytes.len() - 1));
    assert_eq!(opened(&memory).0, ErrorKind::Corrupt);
    let mut changed = bytes.to_vec();
    changed[30] ^= 1;
    memory.set(&table, changed);
    let (kind, text) = opened(&memory);
    assert!(kind == ErrorKind::Corrupt && text.contains("checksum"), "{text}");
}

#[test]
fn ids_of_another_hash_are_refused() {
    let (memory, store) = memory_store(Options::default());
    fill(&store, 1);
    let before = memory.get("repos/42/root");
    let mut changes = reftable_bucket::Changeset::new();
    changes.set("refs/heads/x", Expect::Any, reftable::ObjectId::from_hex(&[b'a'; 64]).unwrap());
    assert_eq!(commit(&store, changes).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(memory.get("repos/42/root"), before);
}
