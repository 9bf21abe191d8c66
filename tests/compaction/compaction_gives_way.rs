//! A compaction goes on while others commit, keeps away from tables that another process has
//! locked, and does no harm when its tables were taken from under it in spite of its locks.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::garbage::{self, dump};
use crate::support::hook_dir::{HookDir, is_temporary};
use crate::support::tables::{self, RefRow};
use crate::support::{self, Store, assert_verifies, contents, entry, id, quick, table_names};
use reftable::compact::Compact;
use reftable::table::WriteOptions;
use reftable::{AutoCompact, ErrorKind, Expect, HashKind, Options, Stack};

const HASH: HashKind = HashKind::Sha1;

/// However small tables are, they are locked one by one.
fn locking() -> Options {
    quick().compact_at_once(0)
}

fn by_hand() -> Options {
    locking().auto_compact(AutoCompact::Off)
}

fn name(number: u64) -> String {
    format!("refs/heads/{number:02}")
}

/// A store of so many tables, each of which sets a name of its own.
fn store(tables: u64) -> Store {
    let store = Store::with(HASH, by_hand());
    for number in 1..=tables {
        store.set(&name(number), number);
    }
    assert_eq!(store.list().len() as u64, tables);
    store
}

fn commit(dir: &Path, name: &str, number: u64) {
    let stack = Stack::open(dir, by_hand()).unwrap();
    let mut tx = stack.transaction();
    tx.set(name, Expect::Any, id(HASH, number)).append_log(name, entry(HASH, 0, number, "meanwhile"));
    tx.commit().unwrap();
}

/// Locks a table the way another process does; dropping it unlocks.
struct Foreign(PathBuf);

impl Foreign {
    fn lock(dir: &Path, table: &str) -> Foreign {
        let path = dir.join(format!("{table}.lock"));
        fs::File::create_new(&path).unwrap();
        Foreign(path)
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

#[test]
fn commits_that_arrive_meanwhile_stay() {
    let store = store(6);
    let before = store.list();
    let path = store.path().to_owned();
    let dir = HookDir::new(store.path(), is_temporary, move || {
        // Two new ones, one that moves a name of the merged tables, one that deletes another.
        commit(&path, "refs/heads/new", 100);
        commit(&path, &name(2), 102);
        let stack = Stack::open(&path, by_hand()).unwrap();
        let mut tx = stack.transaction();
        tx.delete(name(3), Expect::Exists);
        tx.commit().unwrap();
    });
    let compaction = dir.stack(by_hand()).compact(Compact::all()).unwrap().unwrap();
    assert!(dir.is_done());
    assert_eq!(compaction.merged, before);
    let after = store.list();
    assert_eq!(after.len(), 4, "the merged table and the three new ones: {after:?}");
    assert_eq!(Some(&after[0]), compaction.table.as_ref());
    for (number, expected) in [(1, Some(1)), (2, Some(102)), (3, None), (4, Some(4)), (5, Some(5)), (6, Some(6))] {
        assert_eq!(store.get(&name(number)), expected.map(|number| id(HASH, number).into()), "{number}");
    }
    assert_eq!(store.get("refs/heads/new"), Some(id(HASH, 100).into()));
    let logs = contents::of_stack(&store.stack).logs;
    assert_eq!(logs.len(), 2);
    garbage::assert_none(store.path());
    assert_verifies(&store.stack);
}

/// Automatic compaction below, another one above: each works on its own tables.
#[test]
fn another_compaction_of_newer_tables_stays() {
    let store = store(6);
    let path = store.path().to_owned();
    let dir = HookDir::new(store.path(), is_temporary, move || {
        for number in 7..=9 {
            commit(&path, &name(number), number);
        }
        // The six below are locked; these three are not.
        let stack = Stack::open(&path, by_hand()).unwrap();
        assert_eq!(stack.compact(Compact::Auto).unwrap().unwrap().merged.len(), 3);
    });
    let compaction = dir.stack(by_hand()).compact(Compact::all()).unwrap().unwrap();
    assert_eq!(compaction.merged.len(), 6);
    assert_eq!(store.list().len(), 2);
    for number in 1..=9 {
        assert_eq!(store.get(&name(number)), Some(id(HASH, number).into()));
    }
    garbage::assert_none(store.path());
    assert_verifies(&store.stack);
}

#[test]
fn a_second_compaction_of_the_same_tables_is_refused() {
    let store = store(4);
    let path = store.path().to_owned();
    let dir = HookDir::new(store.path(), is_temporary, move || {
        let stack = Stack::open(&path, locking()).unwrap();
        for what in [Compact::all(), Compact::Auto] {
            assert_eq!(stack.compact(what).unwrap_err().kind(), ErrorKind::Locked);
        }
        // A commit goes through; the compaction that would follow is left to those who are at it.
        let mut tx = stack.transaction();
        tx.set("refs/heads/new", Expect::Absent, id(HASH, 100));
        assert!(tx.commit().unwrap().compaction.is_none());
    });
    dir.stack(by_hand()).compact(Compact::all()).unwrap().unwrap();
    assert!(dir.is_done());
    assert_eq!(store.list().len(), 2);
    assert_eq!(store.get("refs/heads/new"), Some(id(HASH, 100).into()));
    garbage::assert_none(store.path());
}

/// Above a locked table a tombstone must stay: it hides what lies below.
#[test]
fn best_effort_ends_above_a_locked_table() {
    let store = store(3);
    store.delete(&name(1));
    store.set(&name(5), 5);
    let list = store.list();
    let lock = Foreign::lock(store.path(), &list[2]);
    let error = store.stack.compact(Compact::all()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert_eq!(error.path(), Some(lock.0.as_path()), "{error}");
    assert!(error.is_retryable());
    assert_eq!(store.list(), list, "nothing has changed");

    let automatic = Stack::open(store.path(), locking()).unwrap();
    let mut tx = automatic.transaction();
    tx.set(name(6), Expect::Absent, id(HASH, 6));
    let compaction = tx.commit().unwrap().compaction.unwrap().unwrap();
    assert_eq!(compaction.merged[..2], list[3..]);
    assert_eq!(compaction.merged.len(), 3);
    let after = store.list();
    assert_eq!(after[..3], list[..3]);
    assert_eq!(after.len(), 4);
    assert_eq!(Some(&after[3]), compaction.table.as_ref());
    assert_eq!(compaction.written.refs, 3, "the tombstone is one of them");
    assert_eq!(store.get(&name(1)), None, "what was deleted does not come back");
    assert!(lock.0.exists(), "the lock of another is left alone");

    drop(lock);
    store.stack.compact(Compact::all()).unwrap().unwrap();
    assert_eq!(store.list().len(), 1);
    assert_eq!(store.get(&name(1)), None);
    assert_eq!(contents::of_stack(&store.stack).refs.len(), 4);
    garbage::assert_none(store.path());
    assert_verifies(&store.stack);
}

/// Only one table above the lock: merging it alone would be of no use.
#[test]
fn nothing_is_merged_when_one_table_is_left() {
    let store = store(3);
    let list = store.list();
    let _lock = Foreign::lock(store.path(), &list[1]);
    let before = dump(store.path());
    assert_eq!(store.stack.compact(Compact::Auto).unwrap_err().kind(), ErrorKind::Locked);
    assert_eq!(dump(store.path()), before, "no lock of this process is left, either");
    let _lock = Foreign::lock(store.path(), &list[2]);
    let automatic = Stack::open(store.path(), locking()).unwrap();
    let mut tx = automatic.transaction();
    tx.set(name(4), Expect::Absent, id(HASH, 4));
    assert!(tx.commit().unwrap().compaction.is_none());
    assert_eq!(store.list()[..3], list);
    assert_eq!(store.list().len(), 4);
}

#[test]
fn a_lock_on_the_newest_table_stops_compaction_and_not_the_commit() {
    let store = store(4);
    let list = store.list();
    let path = store.path().to_owned();
    // Another compactor is at the table of the commit before we are: it locks it as soon as it has
    // its name.
    let dir = HookDir::new(
        store.path(),
        |name| name.ends_with(".ref"),
        move || {
            let new = support::listing(&path).into_iter().rfind(|name| name.ends_with(".ref")).unwrap();
            std::mem::forget(Foreign::lock(&path, &new));
        },
    );
    let mut tx = dir.stack(locking()).transaction();
    tx.set(name(5), Expect::Absent, id(HASH, 5));
    assert!(tx.commit().unwrap().compaction.is_none());
    assert!(dir.is_done());
    assert_eq!(store.list()[..4], list);
    let newest = store.list().pop().unwrap();
    assert_eq!(store.list().len(), 5);
    assert_eq!(store.get(&name(5)), Some(id(HASH, 5).into()));
    let lock = store.path().join(format!("{newest}.lock"));
    for what in [Compact::Auto, Compact::all()] {
        let before = dump(store.path());
        let error = store.stack.compact(what).unwrap_err();
        assert_eq!((error.kind(), error.path()), (ErrorKind::Locked, Some(lock.as_path())), "{error}");
        assert_eq!(dump(store.path()), before);
    }
    fs::remove_file(lock).unwrap();
    assert_eq!(store.stack.compact(Compact::Auto).unwrap().unwrap().merged.len(), 5);
}

/// Puts a list in place that names `head`, one new table of `rows` with these update indexes, and
/// `tail`.
fn replace(dir: &Path, head: &[String], range: (u64, u64), rows: &[RefRow], tail: &[String]) {
    let (table, _) = tables::write(HASH, range.0..=range.1, &WriteOptions::default(), rows, &[]).unwrap();
    let new = format!("0x{:012x}-0x{:012x}-ffffffff.ref", range.0, range.1);
    fs::write(dir.join(&new), table).unwrap();
    let list: String = head.iter().chain([&new]).chain(tail).map(|name| format!("{name}\n")).collect();
    let gone: Vec<String> =
        table_names(dir).into_iter().filter(|name| !head.contains(name) && !tail.contains(name)).collect();
    fs::write(dir.join("list.new"), list).unwrap();
    fs::rename(dir.join("list.new"), dir.join("tables.list")).unwrap();
    for name in gone {
        fs::remove_file(dir.join(name)).unwrap();
    }
}

/// A program that does not know of table locks has merged our inputs, all or some of them, before
/// we were done.
#[test]
fn tables_taken_in_spite_of_their_locks() {
    for taken in [0..5, 0..2, 2..4, 3..5, 2..3, 4..5] {
        let store = store(5);
        let shown = contents::of_stack(&store.stack);
        let list = store.list();
        let (path, again) = (store.path().to_owned(), taken.clone());
        let dir = HookDir::new(store.path(), is_temporary, move || {
            let numbers = again.start as u64 + 1..=again.end as u64;
            let rows: Vec<RefRow> =
                numbers.clone().map(|number| (name(number), number, Some(id(HASH, number).into()))).collect();
            let range = (*numbers.start(), *numbers.end());
            replace(&path, &list[..again.start], range, &rows, &list[again.end..]);
        });
        let error = dir.stack(by_hand()).compact(Compact::all()).unwrap_err();
        assert!(dir.is_done());
        assert_eq!(error.kind(), ErrorKind::Locked, "{taken:?}: {error}");
        assert!(error.message().contains("replaced"), "{error}");
        assert_eq!(contents::of_stack(&store.stack), shown, "{taken:?}");
        assert_eq!(store.list().len(), 6 - taken.len(), "{taken:?}");
        assert!(store.list().iter().any(|name| name.ends_with("ffffffff.ref")), "theirs stays");
        garbage::assert_none(store.path());
        assert_verifies(&store.stack);
        store.stack.compact(Compact::all()).unwrap();
        assert_eq!(contents::of_stack(&store.stack), shown);
    }
}

/// The same, when only a commit's own compaction meets it: the commit stands, and nobody is
/// bothered.
#[test]
fn a_commit_stands_when_its_compaction_comes_to_nothing() {
    let store = store(5);
    let path = store.path().to_owned();
    let dir = HookDir::new(
        store.path(),
        // The last of the locks that a compaction of everything takes.
        |name| name.starts_with("0x000000000001-") && name.ends_with(".ref.lock"),
        move || {
            let list = table_names(&path);
            let row = |number| (name(number), number, Some(id(HASH, number).into()));
            replace(&path, &[], (1, 2), &[row(1), row(2)], &list[2..]);
        },
    );
    let options = locking().lock_timeout(Some(Duration::from_millis(100)));
    let mut tx = dir.stack(options).transaction();
    tx.set(name(6), Expect::Absent, id(HASH, 6));
    assert!(tx.commit().unwrap().compaction.is_none());
    assert!(dir.is_done());
    for number in 1..=6 {
        assert_eq!(store.get(&name(number)), Some(id(HASH, number).into()), "{number}");
    }
    garbage::assert_none(store.path());
}

/// Its work would be lost, so it waits longer than for the lock of its tables: as long as
/// [`Options::outcome_timeout`] says.
#[test]
fn the_list_is_waited_for_as_long_as_an_outcome() {
    let ms = Duration::from_millis;
    for (outcome, least) in [(Some(ms(300)), ms(300)), (None, ms(1000))] {
        let store = store(3);
        let lock = store.path().join("tables.list.lock");
        let dir = HookDir::before_listing(store.path(), move || fs::write(&lock, "").unwrap());
        let options = by_hand().lock_timeout(Some(ms(20))).outcome_timeout(outcome);
        let start = Instant::now();
        let error = dir.stack(options).compact(Compact::all()).unwrap_err();
        let after = start.elapsed();
        assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
        assert!(dir.is_done() && after >= least && after < least + ms(2000), "told after {after:?}, not {least:?}");
        assert_eq!(store.list().len(), 3);
    }
}
