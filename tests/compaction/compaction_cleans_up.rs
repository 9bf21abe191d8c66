//! A compaction removes what crashed processes left, and nothing that a living one may want.

use std::fs::{self, File};
use std::path::Path;

use crate::support::garbage;
use crate::support::{Store, contents, quick};
use fs4::FileExt;
use reftable::compact::Compact;
use reftable::verify::Severity;
use reftable::{AutoCompact, HashKind};

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

/// Compacts, and returns which of `names`, created before, are still there. Nothing else may be
/// left over.
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
    // It may tell of what nothing leads to.
    let findings = store.stack.verify().unwrap().findings;
    assert!(findings.iter().all(|finding| finding.severity < Severity::Error), "{findings:?}");
    let mut expected = garbage::listed(store.path());
    let left: Vec<_> = names.iter().copied().filter(|name| store.path().join(name).exists()).collect();
    expected.extend(left.iter().map(|&name| name.to_owned()));
    let there = garbage::names(store.path());
    assert!(there.is_subset(&expected), "{there:?}, not only {expected:?}");
    left
}

fn table(min: u64, max: u64, random: u32) -> String {
    format!("0x{min:012x}-0x{max:012x}-{random:08x}.ref")
}

#[test]
fn temporary_files_of_dead_processes_go() {
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

/// They may be all that is left of something: nothing proves that nobody needs them.
#[test]
fn tables_that_are_not_listed_stay() {
    let unlisted = [table(1, 1, 0xffff_ffff), table(1, LAST, 0), table(LAST, LAST, 7), table(2, 3, 0xabcd)];
    let beyond = [table(LAST + 1, LAST + 1, 0), table(LAST, LAST + 1, 1), table(1, u64::MAX, 2), table(99, 99, 3)];
    let unlisted: Vec<&str> = unlisted.iter().chain(&beyond).map(String::as_str).collect();
    assert_eq!(left_of(&store(), &unlisted), unlisted);
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
    assert_eq!(compaction.leftovers, [""; 0]);
    assert_eq!(garbage::names(store.path()).len(), 5);
}

fn garbage(dir: &Path) -> [std::path::PathBuf; 2] {
    let paths = [table(1, 1, 0xdead), "reftable-0123456789abcdef.tmp".to_owned()].map(|name| dir.join(name));
    // The process that made them has died before it had written anything.
    paths.iter().for_each(|path| drop(File::create(path).unwrap()));
    paths
}

/// The compaction that follows a commit cleans up as well; commits and readers by themselves do
/// not.
#[test]
fn only_compactions_clean_up() {
    let store = store();
    let garbage = garbage(store.path());
    store.set("refs/heads/more", 5);
    contents::of_stack(&store.stack);
    store.stack.verify().unwrap();
    assert!(garbage.iter().all(|path| path.exists()));
    let automatic = reftable::Stack::open(store.path(), quick()).unwrap();
    let mut tx = automatic.transaction();
    tx.set("refs/heads/most", reftable::Expect::Any, store.id(6));
    assert!(tx.commit().unwrap().compaction.unwrap().unwrap().leftovers.is_empty());
    assert!(garbage.iter().all(|path| !path.exists()));
    garbage::assert_none(store.path());
}

/// A compaction that cannot be published removes nothing but its own.
#[test]
fn a_compaction_that_fails_cleans_nothing() {
    let store = store();
    let garbage = garbage(store.path());
    let lock = store.path().join(format!("{}.lock", store.list()[0]));
    fs::write(&lock, b"").unwrap();
    let before = garbage::names(store.path());
    store.stack.compact(Compact::all()).unwrap_err();
    assert_eq!(garbage::names(store.path()), before);
    assert!(garbage.iter().all(|path| path.exists()));
}
