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

/// Replaces `from` in the root, and makes its checksum fit.
fn forge(memory: &Memory, from: &str, to: &str) {
    let whole = memory.get("repos/42/root").unwrap();
    let at = whole.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    let mut bytes = [&whole[..at], to.as_bytes(), &whole[at + from.len()..whole.len() - 13]].concat();
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(format!("crc {crc:08x}\n").as_bytes());
    memory.set("repos/42/root", bytes);
}

fn is_told(memory: &Arc<Memory>, object: &str, what: &str) -> String {
    let (kind, text) = opened(memory);
    assert!(kind == ErrorKind::Corrupt && text.starts_with(object), "{what}: {kind:?}, {text}");
    text
}

#[test]
fn a_root_that_is_cut_off_anywhere_or_has_a_bit_changed() {
    let (memory, store) = memory_store(Options::default());
    fill(&store, 2);
    let whole = memory.get("repos/42/root").unwrap();
    for at in 0..whole.len() {
        memory.set("repos/42/root", whole.slice(..at));
        assert!(is_told(&memory, "repos/42/root: ", "cut off").contains(" at offset "), "{at}");
        let mut changed = whole.to_vec();
        changed[at] ^= 1 << (at % 8);
        memory.set("repos/42/root", changed);
        let (kind, text) = opened(&memory);
        assert!(matches!(kind, ErrorKind::Corrupt | ErrorKind::Unsupported), "{at}: {kind:?}");
        assert!(text.starts_with("repos/42/root: "), "{at}: {text}");
    }
    memory.set("repos/42/root", [&whole[..], b"\n"].concat());
    is_told(&memory, "repos/42/root: ", "longer");
}

/// A store of two tables, and where they are.
fn two_tables() -> (Arc<Memory>, Vec<String>) {
    let (memory, store) = memory_store(Options::default().inline(0, 0).compact(reftable::AutoCompact::Off));
    fill(&store, 2);
    let tables = memory.keys().into_iter().filter(|key| key.ends_with(".ref")).collect();
    (memory, tables)
}

#[test]
fn a_root_that_does_not_speak_of_its_tables() {
    let (memory, tables) = two_tables();
    let len = memory.get(&tables[0]).unwrap().len();
    let name = |at: usize| tables[at].strip_prefix("repos/42/").unwrap();
    let line = |name: &str, len: &str| format!("table {name} {len} ");
    let usual = line(name(0), &len.to_string());
    for wrong in ["0", "1", &(len - 1).to_string(), &(len + 1).to_string(), "9000000", "18446744073709551615"] {
        let before = memory.get("repos/42/root").unwrap();
        forge(&memory, &usual, &line(name(0), wrong));
        assert!(is_told(&memory, &tables[0], wrong).contains(&format!("there are {len}")), "{wrong}");
        memory.set("repos/42/root", before);
    }
    for (from, to) in [
        (name(0), name(1)),
        (name(0), "../0x000000000001-0x000000000001-01234567.ref"),
        (name(0), "a/0x000000000001-0x000000000001-01234567.ref"),
        (name(0), "0x000000000001-0x000000000001-01234567.ref/"),
        (name(0), "0x000000000002-0x000000000002-01234567.ref"),
        (name(0), "0x000000000009-0x000000000009-01234567.ref"),
    ] {
        let before = memory.get("repos/42/root").unwrap();
        forge(&memory, from, to);
        assert!(is_told(&memory, "repos/42/root: ", to).contains(" at offset "), "{to}");
        memory.set("repos/42/root", before);
    }
    forge(&memory, "hash sha1", "hash sha256");
    assert!(is_told(&memory, &tables[0], "hash").contains("sha256"));
    let (memory, _) = two_tables();
    forge(&memory, "hash sha1", "hash none");
    is_told(&memory, "repos/42/", "no hash");
}

#[test]
fn tables_that_are_longer_empty_swapped_or_of_another_store() {
    let (memory, tables) = two_tables();
    let (one, two) = (memory.get(&tables[0]).unwrap(), memory.get(&tables[1]).unwrap());
    for bytes in [[&one[..], b"x"].concat(), Vec::new(), one[..one.len() / 2].to_vec(), two.to_vec()] {
        memory.set(&tables[0], bytes);
        is_told(&memory, &tables[0], "in the place of a table");
    }
    memory.set(&tables[1], one);
    is_told(&memory, &tables[0], "two are swapped");
    let (memory, tables) = two_tables();
    let (_, store) = memory_store(Options::default());
    commit(&store, set("refs/heads/foreign", Expect::Any, 7)).unwrap();
    let foreign = block_on(store.snapshot()).unwrap().tables()[0].bytes().to_vec();
    memory.set(&tables[0], foreign);
    is_told(&memory, &tables[0], "another store's");
}
