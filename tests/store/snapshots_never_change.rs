//! A snapshot stays as it was, whatever is done to the directory, and holds no file open.

use std::fs;

use crate::support::{HASHES, Store, contents, entry, ident, quick};
use reftable::bytes::Reading;
use reftable::compact::Compact;
use reftable::{AutoCompact, ErrorKind, Expect, Logs, Options, Prepared, Refs, Snapshot, Stack, Transaction};

const fn shared<T: Send + Sync>() {}
const fn cloned<T: Clone>() {}
const fn sent<T: Send>() {}

const _: () = {
    shared::<Stack>();
    shared::<Snapshot>();
    shared::<Refs>();
    shared::<Logs>();
    shared::<Options>();
    shared::<reftable::Error>();
    shared::<reftable::table::Table>();
    shared::<reftable::merge::Merged>();
    sent::<Transaction>();
    sent::<Prepared>();
    cloned::<Stack>();
    cloned::<Snapshot>();
    cloned::<Options>();
    cloned::<reftable::merge::Merged>();
};

fn fill(store: &Store, from: u64) {
    for number in from..from + 10 {
        let mut tx = store.stack.transaction();
        tx.set(format!("refs/heads/b{number}"), Expect::Any, store.id(number));
        tx.set("refs/heads/main", Expect::Any, store.id(number)).reflog(ident(), "moved");
        tx.append_log("HEAD", entry(store.hash, 0, number + 1, "moved"));
        tx.commit().unwrap();
    }
}

#[test]
fn commits_compactions_and_deletions_do_not_disturb_it() {
    for hash in HASHES {
        let store = Store::with(hash, quick().auto_compact(reftable::AutoCompact::Off));
        fill(&store, 1);
        // Large enough to be mapped, not copied.
        let mut tx = store.stack.transaction();
        for number in 0..3000 {
            tx.set(format!("refs/heads/many/{number}"), Expect::Absent, store.id(number));
        }
        tx.commit().unwrap();
        let snapshot = store.stack.snapshot().unwrap();
        let before = contents::of(&snapshot);
        let mut walk = snapshot.refs().unwrap();
        let first = walk.next().unwrap().unwrap().to_ref();

        fill(&store, 11);
        store.delete("refs/heads/b3");
        assert_eq!(contents::of(&snapshot), before);
        store.stack.compact(Compact::all()).unwrap();
        assert_eq!(store.list().len(), 1);
        assert_eq!(contents::of(&snapshot), before);
        for entry in fs::read_dir(store.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        assert_eq!(contents::of(&snapshot), before);
        assert_eq!(contents::of(&snapshot.clone()), before);
        assert_eq!(contents::pointing_at(&snapshot, &store.id(10)), contents::scan_for(&before, &store.id(10)));

        // A scan that had begun goes on, and outlives its snapshot and its stack.
        drop(snapshot);
        drop(store);
        let rest: Vec<_> = walk.into_iter().map(Result::unwrap).collect();
        assert_eq!(first, before.refs[0]);
        assert_eq!(rest, before.refs[1..]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn it_holds_no_descriptor_for_a_table() {
    // Other tests of this process open files, too: count only those in our directory.
    let store = Store::with(HASHES[0], quick().auto_compact(reftable::AutoCompact::Off));
    for number in 0..50 {
        store.set(&format!("refs/heads/b{number}"), number);
    }
    let mut tx = store.stack.transaction();
    for number in 0..3000 {
        tx.set(format!("refs/heads/many/{number}"), Expect::Absent, store.id(number));
    }
    tx.commit().unwrap();
    let another = Stack::open(store.path(), quick()).unwrap();
    let snapshots = [another.snapshot().unwrap(), store.stack.snapshot().unwrap()];
    assert_eq!(snapshots[0].tables().len(), 51);
    let open: Vec<_> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .filter(|target| target.starts_with(store.path().canonicalize().unwrap()))
        .collect();
    let is_of_handle = |target: &std::path::PathBuf| {
        target.ends_with("tables.list") || target.extension().is_some_and(|extension| extension == "owner")
    };
    assert!(open.iter().all(is_of_handle), "{open:?}");
    assert!(open.len() <= 3, "one list for each stack, and one owner of locks for the one that wrote: {open:?}");
    drop(snapshots);
}

#[test]
fn an_unchanged_store_gives_the_same_tables() {
    let store = Store::new(HASHES[0]);
    store.set("refs/heads/a", 1);
    let (one, two) = (store.stack.snapshot().unwrap(), store.stack.snapshot().unwrap());
    assert!(std::sync::Arc::ptr_eq(&one.tables()[0], &two.tables()[0]));
}

#[test]
fn walks_move_to_any_name() {
    for hash in HASHES {
        let store = Store::new(hash);
        for number in 0..50 {
            store.set(&format!("refs/heads/b{number:02}"), number % 3);
        }
        let snapshot = store.stack.snapshot().unwrap();
        let mut walks = [
            snapshot.refs().unwrap(),
            snapshot.prefix("refs/heads/b").unwrap(),
            snapshot.pointing_at(&store.id(1)).unwrap(),
        ];
        for (kind, walk) in walks.iter_mut().enumerate() {
            for target in [7, 40, 1, 1, 49, 0] {
                let wanted = (target..50).find(|number| kind < 2 || number % 3 == 1);
                walk.seek(format!("refs/heads/b{target:02}")).unwrap();
                let found = walk.next().unwrap().map(|found| found.to_ref().name);
                assert_eq!(
                    found,
                    wanted.map(|number| format!("refs/heads/b{number:02}").into_bytes()),
                    "{kind} {target}"
                );
            }
            walk.seek("refs/heads/c").unwrap();
            assert_eq!(walk.next().unwrap(), None);
        }
        // A scan stays within its prefix.
        let mut walk = snapshot.prefix("refs/heads/b1").unwrap();
        walk.seek("A").unwrap();
        assert_eq!(walk.next().unwrap().unwrap().name, b"refs/heads/b10");
        walk.seek("refs/heads/b20").unwrap();
        assert_eq!(walk.next().unwrap(), None);
    }
}

#[test]
fn logs_move_to_any_entry() {
    let store = Store::new(HASHES[1]);
    fill(&store, 1);
    let mut logs = store.stack.snapshot().unwrap().logs().unwrap();
    logs.seek("refs/heads/main", 4).unwrap();
    let found = logs.next().unwrap().unwrap().to_log();
    assert_eq!((found.refname.as_slice(), found.update_index), (b"refs/heads/main".as_slice(), 4));
    logs.seek("HEAD", u64::MAX).unwrap();
    assert_eq!(logs.next().unwrap().unwrap().update_index, 10);
    let log = contents::log(&store.stack.snapshot().unwrap(), "refs/heads/mai");
    assert!(log.is_empty(), "a name that begins like another has no part of its log");
}

/// A store with a table that would be mapped.
fn large_store(options: Options) -> Store {
    let store = Store::with(HASHES[0], options.auto_compact(AutoCompact::Off));
    let mut tx = store.stack.transaction();
    for number in 0..5_000 {
        tx.set(format!("refs/heads/b{number:05}"), Expect::Any, store.id(number + 1));
    }
    tx.commit().unwrap();
    store.set("refs/heads/small", 1);
    let table = store.path().join(&store.list()[0]);
    assert!(fs::metadata(table).unwrap().len() > 64 * 1024);
    store
}

#[test]
fn a_copied_snapshot_survives_a_truncated_table() {
    let store = large_store(quick());
    let before = contents::of_stack(&store.stack);
    let stack = Stack::open(store.path(), quick().reading(Reading::Copied)).unwrap();
    for written in [false, true] {
        // What a handle has written itself is copied, too.
        let copied = if written { &large_store(quick().reading(Reading::Copied)) } else { &store };
        let reader = if written { &copied.stack } else { &stack };
        let snapshot = reader.snapshot().unwrap();
        let table = fs::File::options().write(true).open(copied.path().join(&copied.list()[0])).unwrap();
        table.set_len(100).unwrap();
        assert_eq!(contents::of(&snapshot), before);
    }
}

#[test]
fn a_truncated_table_is_not_compacted_whoever_maps_it() {
    let store = large_store(quick());
    let table = store.list()[0].clone();
    fs::File::options().write(true).open(store.path().join(&table)).unwrap().set_len(70_000).unwrap();
    let list = store.list();
    let error = store.stack.compact(Compact::all()).unwrap_err();
    assert!(error.path().unwrap().ends_with(&table), "{error}");
    assert_eq!((error.kind(), error.offset()), (ErrorKind::Corrupt, Some(70_000)), "{error}");
    assert_eq!(store.list(), list);
}
