//! A table that no list names goes only if it is proven that nobody needs it. Everything else may
//! be what a process was told to be there: an older list came back, a copy is torn, a power failure
//! has emptied the list.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::support::brisk_dir::brisk;
use crate::support::effort::loudly;
use crate::support::over_dir::{self, Hook, OverDir};
use crate::support::victim::{self, Victim, say};
use crate::support::{self, Store, dump, quick};
use reftable::compact::Compact;
use reftable::dir::{Dir, OsDir};
use reftable::lock::RobustLocks;
use reftable::repair::Repair;
use reftable::verify::{FindingKind, verify_dir};
use reftable::{AutoCompact, ErrorKind, Expect, HashKind, Stack};

/// A store with a table for each of `count` commits.
fn store(count: u64) -> Store {
    let store = Store::with(HashKind::Sha1, quick().auto_compact(AutoCompact::Off));
    for number in 1..=count {
        store.set(&format!("refs/heads/{number}"), number);
    }
    store
}

fn list_of(dir: &Path) -> std::path::PathBuf {
    dir.join("tables.list")
}

fn tables(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    dump(dir).into_iter().filter(|(name, _)| name.ends_with(".ref")).collect()
}

/// Whether files can have notes here: without them nothing is ever proven.
fn notes_work() -> bool {
    let dir = tempfile::tempdir().unwrap();
    let refused = OsDir::new(dir.path(), None).create("probe").unwrap().set_attribute(b"note").err();
    if let Some(error) = &refused {
        loudly(&format!("SKIPPED: files in {} cannot have notes: {error}", dir.path().display()));
    }
    refused.is_none()
}

/// Commits, and compacts in every way, for longer than what is not listed had taken.
fn go_on(dir: &Path) {
    let locker = Box::new(RobustLocks::new(true));
    let stack = Stack::open_in(brisk(dir), locker, quick().auto_compact(AutoCompact::Lazy(3))).unwrap();
    for number in 0..12 {
        let mut tx = stack.transaction();
        tx.set(format!("refs/heads/new-{number}"), Expect::Any, support::id(HashKind::Sha1, 900 + number));
        tx.commit().unwrap();
    }
    stack.compact(Compact::all()).unwrap();
    stack.compact(Compact::Rewrite { expiry: reftable::compact::Expiry::default() }).unwrap();
    stack.clean().unwrap();
    assert!(stack.verify().unwrap().tables.len() == 1);
}

/// Goes on; the unlisted tables stay, to the byte.
fn they_stay(dir: &Path) {
    let listed = support::table_names(dir);
    let unlisted: BTreeMap<_, _> = tables(dir).into_iter().filter(|(name, _)| !listed.contains(name)).collect();
    assert!(!unlisted.is_empty());
    go_on(dir);
    let left = tables(dir);
    for (name, bytes) in unlisted {
        assert!(left.get(&name) == Some(&bytes), "{name} is gone");
        let report = verify_dir(&*brisk(dir)).unwrap();
        let of_it = report.findings.iter().find(|finding| finding.file == name).expect("it is told of");
        assert_eq!(of_it.kind, FindingKind::UnlistedTable, "{of_it}");
    }
}

#[test]
fn an_older_list_that_comes_back_costs_no_table() {
    for back in 1..=3 {
        let store = store(6);
        let names = store.list();
        let older: String = names[..6 - back].iter().map(|name| format!("{name}\n")).collect();
        fs::write(store.path().join("older"), &older).unwrap();
        fs::rename(store.path().join("older"), list_of(store.path())).unwrap();
        they_stay(store.path());
    }
}

#[test]
fn a_list_that_is_put_back_in_place_costs_no_table() {
    let store = store(3);
    let older = fs::read(list_of(store.path())).unwrap();
    for number in 4..=6 {
        store.set("refs/heads/lost", number);
    }
    fs::write(list_of(store.path()), older).unwrap();
    they_stay(store.path());
}

/// The very file, to which the next table was noted to be added.
#[test]
fn a_list_that_was_kept_by_a_link_costs_no_table() {
    let store = store(3);
    let (list, kept) = (list_of(store.path()), store.path().join("kept"));
    fs::hard_link(&list, &kept).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    store.set("refs/heads/lost", 4);
    std::thread::sleep(Duration::from_millis(20));
    fs::rename(&kept, &list).unwrap();
    they_stay(store.path());
}

/// Tables first, then a compaction, then the list.
#[test]
fn a_torn_copy_costs_no_table() {
    let store = store(4);
    let copy = tempfile::tempdir().unwrap();
    for name in store.list() {
        fs::copy(store.path().join(&name), copy.path().join(&name)).unwrap();
    }
    let newest = store.list().pop().unwrap();
    store.stack.compact(Compact::all()).unwrap();
    // A person makes the copy work with what is there.
    fs::write(list_of(copy.path()), format!("{newest}\n")).unwrap();
    they_stay(copy.path());
}

#[test]
fn an_empty_list_beside_tables_is_a_missing_list() {
    let store = store(3);
    for is_new in [true, false] {
        let whole = fs::read(list_of(store.path())).unwrap();
        if is_new {
            File::create(store.path().join("empty")).unwrap();
            fs::rename(store.path().join("empty"), list_of(store.path())).unwrap();
        } else {
            fs::write(list_of(store.path()), "").unwrap();
        }
        let before = dump(store.path());
        let refused = |error: reftable::Error| {
            assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
            assert!(error.to_string().contains("the table list is empty"), "{error}");
            assert!(error.to_string().contains("repair --dry-run`"), "{error}");
        };
        let patience = Duration::from_millis(60);
        let start = std::time::Instant::now();
        refused(Stack::open(store.path(), quick().reload_deadline(patience)).unwrap_err());
        assert!(start.elapsed() >= patience, "it may be about to be replaced");
        let mut tx = store.stack.transaction();
        tx.set("refs/heads/new", Expect::Any, store.id(9));
        refused(tx.prepare().unwrap_err());
        refused(store.stack.clean().unwrap_err());
        refused(store.stack.addition().unwrap_err());
        assert_eq!(dump(store.path()), before);
        assert!(!verify_dir(&*brisk(store.path())).unwrap().is_clean());
        fs::write(list_of(store.path()), &whole).unwrap();
        assert_eq!(store.get("refs/heads/3"), Some(store.id(3).into()));
    }
    // Without tables it is an empty store, as git leaves it.
    tables(store.path()).keys().for_each(|name| fs::remove_file(store.path().join(name)).unwrap());
    fs::write(list_of(store.path()), "").unwrap();
    assert_eq!(store.set("refs/heads/new", 1), 1);
}

/// Holds a transaction that is ready.
#[test]
fn victim_with_a_prepared_transaction() {
    let Some(dir) = victim::dir() else { return };
    let stack = Stack::open(&dir, quick()).unwrap();
    let mut tx = stack.transaction();
    tx.set("refs/heads/never", Expect::Any, support::id(HashKind::Sha1, 1));
    let _prepared = tx.prepare().unwrap();
    say("ready");
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn the_table_of_the_killed_goes_with_its_lock() {
    if !notes_work() {
        return;
    }
    for count in [0, 2] {
        let store = store(count);
        let mut victim = Victim::start(victim_with_a_prepared_transaction, store.path());
        assert_eq!(victim.line().unwrap(), "ready");
        victim.kill();
        store.set("refs/heads/after", 7);
        if count > 0 {
            assert_eq!(tables(store.path()).len() as u64, count + 1, "at once, not only with a compaction");
        }
        store.stack.compact(Compact::all()).unwrap();
        assert_eq!(tables(store.path()).keys().cloned().collect::<Vec<_>>(), store.list());
    }
}

/// A store, and what was merged into its tables, which is still there: as a compaction leaves it
/// that was killed before it had removed anything, and perhaps another one above that.
fn merged(is_twice: bool) -> (Store, BTreeMap<String, Vec<u8>>) {
    let store = store(3);
    let mut merged = tables(store.path());
    store.stack.compact(Compact::all()).unwrap();
    store.set("refs/heads/more", 4);
    let kept = tempfile::tempdir().unwrap();
    if is_twice {
        merged.extend(tables(store.path()));
        for name in tables(store.path()).keys() {
            fs::hard_link(store.path().join(name), kept.path().join(name)).unwrap();
        }
        store.stack.compact(Compact::all()).unwrap();
    }
    for (name, bytes) in &merged {
        // The output of the first one is the very file, with its note.
        if fs::rename(kept.path().join(name), store.path().join(name)).is_err() {
            fs::write(store.path().join(name), bytes).unwrap();
        }
    }
    (store, merged)
}

#[test]
fn what_was_merged_goes_as_long_as_a_list_says_so() {
    if !notes_work() {
        return;
    }
    let (store, merged) = merged(true);
    // What is like them, and of which nobody says anything.
    let other = "0x000000000002-0x000000000002-00000000.ref";
    fs::write(store.path().join(other), &merged[merged.keys().next().unwrap()]).unwrap();
    store.stack.clean().unwrap();
    let left = tables(store.path());
    assert_eq!(left.keys().filter(|name| *name != other).cloned().collect::<Vec<_>>(), store.list());
    assert!(left.contains_key(other));
}

/// Files of this name are not removed.
struct Keeps(String);

impl Hook for Keeps {
    fn around(&self, call: &'static str, name: &str, work: over_dir::Work<'_>) -> io::Result<()> {
        if call == "remove" && name == self.0 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        work()
    }
}

/// Whatever it is that removes: what is proof for a table that stays must stay, too.
#[test]
fn what_cannot_be_removed_keeps_its_proof() {
    if !notes_work() {
        return;
    }
    type Removes = fn(Arc<OverDir<Keeps>>);
    fn open(dir: Arc<OverDir<Keeps>>) -> Stack {
        Stack::open_in(dir, Box::new(RobustLocks::new(true)), quick().auto_compact(AutoCompact::Off)).unwrap()
    }
    let removes: [(&str, Removes); 3] = [
        ("clean", |dir| open(dir).clean().unwrap()),
        ("compact", |dir| drop(open(dir).compact(Compact::Rewrite { expiry: Default::default() }).unwrap())),
        ("repair", |dir| {
            let repair = Repair::new_in(dir, Box::new(RobustLocks::new(true))).patience(Duration::from_millis(1));
            let problem = repair.diagnose().unwrap().pop().unwrap();
            assert!(repair.fix(&problem).unwrap_err().to_string().contains("cannot remove the file"));
        }),
    ];
    for (what, remove) in removes {
        for (is_twice, number) in [(true, 0), (true, 1), (true, 2), (false, 0), (false, 1), (false, 2)] {
            let (store, merged) = merged(is_twice);
            let kept = merged.keys().nth(number).unwrap();
            remove(OverDir::over(store.path(), Arc::new(Keeps(kept.clone()))));
            assert!(tables(store.path()).contains_key(kept));
            store.stack.clean().unwrap();
            assert_eq!(tables(store.path()).keys().cloned().collect::<Vec<_>>(), store.list(), "{what} kept {kept}");
        }
    }
}

/// `repair` has nothing to do with it, so nobody is sent there.
#[test]
fn what_is_no_file_is_told_of_as_that() {
    let store = store(1);
    let name = |number: u8| format!("0x000000000001-0x000000000001-0000000{number}.ref");
    fs::create_dir(store.path().join(name(1))).unwrap();
    std::os::unix::fs::symlink("nowhere", store.path().join(name(2))).unwrap();
    fs::create_dir(store.path().join("reftable-0123456789abcdef.tmp")).unwrap();
    let report = verify_dir(&*brisk(store.path())).unwrap();
    let told: Vec<(&str, bool)> = report
        .findings
        .iter()
        .map(|finding| (finding.file.as_str(), finding.to_string().ends_with("no file: nothing reads or removes it")))
        .collect();
    assert_eq!(told, [(name(1).as_str(), true), (name(2).as_str(), true)]);
    let repair = Repair::new(store.path()).patience(Duration::from_millis(1));
    assert_eq!(repair.diagnose().unwrap(), []);
    go_on(store.path());
    assert!(store.path().join(name(1)).is_dir());
}

/// Copies say nothing of where they came from.
#[test]
fn what_was_merged_stays_in_a_copy() {
    let store = store(3);
    let merged = tables(store.path());
    store.stack.compact(Compact::all()).unwrap();
    let copy = tempfile::tempdir().unwrap();
    let status = std::process::Command::new("cp").arg("-a").arg(store.path().join(".")).arg(copy.path()).status();
    assert!(status.unwrap().success());
    merged.iter().for_each(|(name, bytes)| fs::write(copy.path().join(name), bytes).unwrap());
    they_stay(copy.path());
}
