//! A compaction removes what the dead left behind, and nothing that anyone living may want.

#![allow(dead_code, reason = "the support is shared")]
#![cfg(test)]

#[path = "support/litter.rs"]
mod litter;
mod support;

use std::fs::{self, File};
use std::path::Path;

use fs4::FileExt;
use reftable::{AutoCompact, Compact, HashKind};
use support::{Store, assert_verifies, contents, quick};

/// The update index of [`store`].
const LAST: u64 = 4;

/// Four tables, not compacted yet.
fn store() -> Store {
    let store = Store::with(HashKind::Sha1, quick().auto_compact(AutoCompact::Off));
    for number in 1..=LAST {
        assert_eq!(store.set(&format!("refs/heads/{number}"), number), number);
    }
    store
}

/// Compacts, and returns which of `names`, created before, are still there. Nothing else may be left over.
fn left_of<'a>(store: &Store, names: &[&'a str]) -> Vec<&'a str> {
    let shown = contents::of_stack(&store.stack);
    for name in names {
        let path = store.path().join(name);
        if !path.exists() {
            fs::write(path, b"left behind").unwrap();
        }
    }
    let compaction = store.stack.compact(Compact::all()).unwrap().unwrap();
    assert!(compaction.leftovers.is_empty(), "{:?}", compaction.leftovers);
    assert_eq!(contents::of_stack(&store.stack), shown);
    assert_verifies(&store.stack);
    let mut expected = litter::listed(store.path());
    let left: Vec<_> = names.iter().copied().filter(|name| store.path().join(name).exists()).collect();
    expected.extend(left.iter().map(|&name| name.to_owned()));
    let there = litter::names(store.path());
    assert!(there.is_subset(&expected), "{there:?}, not only {expected:?}");
    left
}

fn table(min: u64, max: u64, random: u32) -> String {
    format!("0x{min:012x}-0x{max:012x}-{random:08x}.ref")
}

#[test]
fn temporary_files_of_the_dead_go() {
    let dead = ["reftable-0123456789abcdef.tmp", "reftable-0000000000000000.tmp", "reftable-ffffffffffffffff.tmp"];
    assert!(left_of(&store(), &dead).is_empty());
}

#[test]
fn temporary_files_of_the_living_stay() {
    let store = store();
    let (name, dead) = ("reftable-0123456789abcdef.tmp", "reftable-0123456789abcdee.tmp");
    let living = File::create(store.path().join(name)).unwrap();
    FileExt::lock(&living).unwrap();
    assert_eq!(left_of(&store, &[name, dead]), [name]);
    // Until their owner dies.
    drop(living);
    store.set("refs/heads/again", 9);
    assert!(left_of(&store, &[name]).is_empty());
}

#[test]
fn tables_that_are_not_listed_go() {
    let unlisted = [table(1, 1, 0xffff_ffff), table(1, LAST, 0), table(LAST, LAST, 7), table(2, 3, 0xabcd)];
    let unlisted = unlisted.each_ref().map(String::as_str);
    assert!(left_of(&store(), &unlisted).is_empty());
}

/// Somebody may be about to list it: git creates its tables under the lock, JGit does not.
#[test]
fn tables_beyond_the_newest_stay() {
    let beyond = [table(LAST + 1, LAST + 1, 0), table(LAST, LAST + 1, 1), table(1, u64::MAX, 2), table(99, 99, 3)];
    let beyond = beyond.each_ref().map(String::as_str);
    assert_eq!(left_of(&store(), &beyond), beyond);
}

/// A loss of power can leave git's list empty, which reads as an empty store: then these tables are all that is left of it.
#[test]
fn an_emptied_list_takes_no_table_with_it() {
    let store = store();
    let tables = store.list();
    fs::write(store.path().join("tables.list"), "").unwrap();
    for number in 1..LAST {
        store.set("refs/heads/new", number);
        store.stack.compact(Compact::all()).unwrap();
        let left = tables.iter().filter(|name| store.path().join(name).exists()).count() as u64;
        // What the new store has caught up with goes; what would follow is there still.
        assert_eq!(left, LAST - number);
    }
}

#[test]
fn files_of_other_names_stay() {
    let others = [
        "foo.ref",
        "0x000000000001-0x000000000001-00000000_123.ref",
        "0x000000000001-0x000000000001-00000000.log",
        "0x000000000001-0x000000000001-00000000.ref.tmp",
        "0x000000000001-0x000000000001-00000000.ref.lock",
        "0x000000000001-0x000000000001-0000000.ref",
        "0x000000000001-0x000000000001-000000000.ref",
        "0x000000000001-0x000000000001-0000000g.ref",
        "0x000000000001-0x000000000001.ref",
        "0x000000000001-0x000000000001-00000000-00000000.ref",
        "000000000001-000000000001-00000000.ref",
        "0x1-0x1-00000000.ref",
        ".0x000000000001-0x000000000001-00000000.ref",
        "reftable-0123456789abcdef.tmp~",
        "reftable-0123456789abcde.tmp",
        "reftable-0123456789abcdefg.tmp",
        "reftable-0123456789abcdeg.tmp",
        "reftable-0123456789abcdef",
        "tables.list.bak",
        "tables.list123",
        ".lock",
        "notes",
    ];
    let store = store();
    assert_eq!(left_of(&store, &others), others);
}

#[test]
fn directories_stay() {
    let store = store();
    for name in [table(1, 1, 5), "reftable-0123456789abcdef.tmp".to_owned(), "directory".to_owned()] {
        fs::create_dir(store.path().join(name)).unwrap();
    }
    let compaction = store.stack.compact(Compact::all()).unwrap().unwrap();
    assert_eq!(compaction.leftovers.len(), 1, "{:?}", compaction.leftovers);
    assert!(compaction.leftovers[0].starts_with(&table(1, 1, 5)), "{:?}", compaction.leftovers);
    assert_eq!(litter::names(store.path()).len(), 5);
}

fn litter(dir: &Path) -> [std::path::PathBuf; 2] {
    let paths = [table(1, 1, 0xdead), "reftable-0123456789abcdef.tmp".to_owned()].map(|name| dir.join(name));
    for path in &paths {
        fs::write(path, b"left behind").unwrap();
    }
    paths
}

/// The compaction that follows a commit cleans up as well; commits and readers by themselves do not.
#[test]
fn only_compactions_clean_up() {
    let store = store();
    let litter = litter(store.path());
    store.set("refs/heads/more", 5);
    contents::of_stack(&store.stack);
    store.stack.verify().unwrap();
    assert!(litter.iter().all(|path| path.exists()));
    let automatic = reftable::Stack::open(store.path(), quick()).unwrap();
    let mut tx = automatic.transaction();
    tx.set("refs/heads/most", reftable::Expect::Any, store.id(6));
    assert!(tx.commit().unwrap().compaction.unwrap().unwrap().leftovers.is_empty());
    assert!(litter.iter().all(|path| !path.exists()));
    litter::assert_none(store.path());
}

/// A compaction that cannot be published removes nothing but its own.
#[test]
fn a_compaction_that_fails_cleans_nothing() {
    let store = store();
    let litter = litter(store.path());
    let lock = store.path().join(format!("{}.lock", store.list()[0]));
    fs::write(&lock, b"").unwrap();
    let before = litter::names(store.path());
    store.stack.compact(Compact::all()).unwrap_err();
    assert_eq!(litter::names(store.path()), before);
    assert!(litter.iter().all(|path| path.exists()));
}
