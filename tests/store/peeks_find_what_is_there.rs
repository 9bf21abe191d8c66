//! A look at single names by read calls finds what an open store shows, or says that it cannot
//! tell.

use crate::support::{HASHES, Random, Store, dump, entry, quick};
use reftable::peek::Peek;
use reftable::table::WriteOptions;
use reftable::{AutoCompact, Expect, HashKind, Options, Snapshot, Stack, Target};

/// Several tables, of which the lower ones are large; deletions, symbolic references, tags, logs.
fn store(hash: HashKind, names: u64, options: Options) -> Store {
    let store = Store::with(hash, options.auto_compact(AutoCompact::Off));
    let mut random = Random(names);
    for commit in 0..4_u64 {
        let mut tx = store.stack.transaction();
        tx.set("HEAD", Expect::Any, Target::symbolic(format!("refs/heads/{commit:05}")));
        for number in (0..names >> (2 * commit)).map(|number| number << (2 * commit)) {
            let name = format!("refs/heads/{number:05}");
            match (random.below(6), commit) {
                (0, 1..) => drop(tx.delete(&name, Expect::Any)),
                (1, _) => drop(tx.set(&name, Expect::Any, Target::symbolic("refs/heads/00000"))),
                (2, _) => drop(tx.set(&name, Expect::Any, Target::Tag { id: store.id(1), peeled: store.id(2) })),
                _ => drop(tx.set(&name, Expect::Any, store.id(number + 1))),
            }
            if random.below(4) == 0 {
                tx.append_log(&name, entry(hash, 0, number + 1, "a message"));
            }
        }
        tx.commit().unwrap();
    }
    store
}

fn check(store: &Store, snapshot: &Snapshot, names: u64) {
    let mut peek = Peek::open(store.path()).unwrap();
    let mut all = vec!["HEAD".to_owned(), "A".to_owned(), "z".to_owned(), "refs/heads/".to_owned()];
    for number in 0..names {
        all.extend(["", "x"].map(|end| format!("refs/heads/{number:05}{end}")));
    }
    for name in all {
        assert_eq!(
            peek.get(name.as_bytes()).unwrap(),
            snapshot.get(&name).unwrap(),
            "{name} of {names}, {:?}",
            snapshot.tables()[0].header()
        );
    }
}

#[test]
fn all_names_of_stores_of_many_shapes() {
    for hash in HASHES {
        for (names, block_size, padding) in [
            (1, 4096, true),
            (60, 256, true),
            (400, 4096, true),
            (3000, 512, true),
            (3000, 4096, false),
            (3000, 65536, true),
        ] {
            let write = WriteOptions::default().block_size(block_size).padding(padding);
            let store = store(hash, names, quick().write(write));
            check(&store, &store.stack.snapshot().unwrap(), names);
        }
    }
}

#[test]
fn the_state_of_the_list_that_was_read() {
    let store = store(HashKind::Sha1, 50, quick());
    let before = store.stack.snapshot().unwrap();
    let mut peek = Peek::open(store.path()).unwrap();
    store.set("refs/heads/00001", 99);
    assert_eq!(peek.get(b"refs/heads/00001").unwrap(), before.get("refs/heads/00001").unwrap());
    // Its tables have gone: nothing is said, not even about what a lower one would have.
    let mut peek = Peek::open(store.path()).unwrap();
    store.stack.compact(reftable::compact::Compact::all()).unwrap();
    for _ in 0..2 {
        peek.get(b"refs/heads/00001").unwrap_err();
    }
}

#[test]
fn stores_that_are_to_be_opened() {
    let dir = tempfile::tempdir().unwrap();
    Peek::open(dir.path().join("missing")).unwrap_err();
    Peek::open(dir.path()).unwrap_err();
    std::fs::write(dir.path().join("tables.list"), "").unwrap();
    Peek::open(dir.path()).unwrap_err();
    for list in ["cut off", "a/b\n", "x\nx\n"] {
        std::fs::write(dir.path().join("tables.list"), list).unwrap();
        Peek::open(dir.path()).unwrap_err();
    }
    std::fs::remove_file(dir.path().join("tables.list")).unwrap();
    std::fs::create_dir(dir.path().join("tables.list")).unwrap();
    Peek::open(dir.path()).unwrap_err();
}

/// Whatever a byte has become: what is found is what was there, or what an open store finds.
#[test]
fn damaged_tables_are_not_read_otherwise() {
    let write = WriteOptions::default().block_size(256);
    let store = store(HashKind::Sha1, 40, quick().write(write));
    let names: Vec<String> =
        ["HEAD".to_owned()].into_iter().chain((0..40).map(|number| format!("refs/heads/{number:05}"))).collect();
    let truth = store.stack.snapshot().unwrap();
    let before = dump(store.path());
    let tables = before.iter().filter(|(name, _)| name.ends_with(".ref"));
    let (file, bytes) = tables.max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let path = store.path().join(file);
    let mut found = 0;
    for at in (0..bytes.len()).step_by(11) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        std::fs::write(&path, damaged).unwrap();
        let opened = Stack::open(store.path(), quick()).and_then(|stack| stack.snapshot());
        for name in &names {
            let Ok(seen) = Peek::open(store.path()).and_then(|mut peek| peek.get(name.as_bytes())) else { continue };
            found += 1;
            let is_true = seen == truth.get(name).unwrap();
            // Another part of the table may keep it from being opened.
            let is_seen = || opened.as_ref().is_ok_and(|opened| opened.get(name).is_ok_and(|opened| seen == opened));
            assert!(is_true || is_seen(), "{name}, byte {at}: {seen:?}");
        }
    }
    assert!(found > 100, "{found}");
}
