//! A process that is killed while it holds locks costs the others milliseconds, and nothing else.

#![cfg(target_os = "linux")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::effort::loudly;
use crate::support::victim::{self, Victim, say};
use reftable::compact::Compact;
use reftable::dir::{Dir, DirFile, OsDir};
use reftable::lock::RobustLocks;
use reftable::{AutoCompact, Durability, ErrorKind, Expect, ObjectId, Options, Stack};

fn id(byte: u8) -> ObjectId {
    ObjectId::from_bytes(&[byte; 20]).unwrap()
}

fn open(dir: &Path) -> Stack {
    Stack::open(dir, Options::default()).unwrap()
}

fn put(stack: &Stack, name: &str) -> reftable::Result<()> {
    let mut tx = stack.transaction();
    tx.set(name, Expect::Any, id(7));
    tx.commit().map(|_| ())
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Says that it holds the lock, and waits for its end.
#[test]
fn victim_with_a_prepared_transaction() {
    let Some(dir) = victim::dir() else { return };
    let stack = open(&dir);
    let mut tx = stack.transaction();
    tx.set("refs/heads/never", Expect::Any, id(1));
    let _prepared = tx.prepare().unwrap();
    say("ready");
    std::thread::sleep(Duration::from_secs(60));
}

/// Commits as fast as it can, saying what was acknowledged.
#[test]
fn victim_that_commits() {
    let Some(dir) = victim::dir() else { return };
    let stack = Stack::open(&dir, Options::default().lock_timeout(Some(Duration::from_secs(10)))).unwrap();
    say("ready");
    for number in 0..100_000 {
        let name = format!("refs/heads/{}/{number:06}", std::process::id());
        put(&stack, &name).unwrap();
        say(&name);
    }
}

#[test]
fn a_lock_of_a_dead_owner_is_taken_over_at_once() {
    let dir = tempfile::tempdir().unwrap();
    // Without syncs: how long those take says nothing about the lock.
    let options = Options::default().durability(Durability::Off).lock_timeout(Some(Duration::from_millis(300)));
    let stack = Stack::open(dir.path(), options).unwrap();
    put(&stack, "refs/heads/before").unwrap();
    let mut holder = Victim::start(victim_with_a_prepared_transaction, dir.path());
    assert_eq!(holder.line().unwrap(), "ready");
    assert_eq!(put(&stack, "refs/heads/x").unwrap_err().kind(), ErrorKind::Locked);
    holder.kill();
    assert!(names(dir.path()).contains(&"tables.list.lock".to_owned()), "a dead owner leaves its lock");
    let start = Instant::now();
    put(&stack, "refs/heads/after").unwrap();
    assert!(start.elapsed() < Duration::from_millis(50), "{:?}", start.elapsed());
    let snapshot = stack.snapshot().unwrap();
    assert!(snapshot.get("refs/heads/never").unwrap().is_none());
    assert!(snapshot.get("refs/heads/before").unwrap().is_some());
    stack.compact(Compact::all()).unwrap();
    drop(stack);
    assert_eq!(names(dir.path()).len(), 2, "what the dead owner left is gone: {:?}", names(dir.path()));
}

/// A list lock as hosts of the C library make theirs: marked by a note, and with what may be a list
/// in it. Its owner lives as long as the file is open.
fn list_lock_with_a_note(path: &Path, contents: &[u8]) -> Box<dyn DirFile> {
    let dir: Arc<dyn Dir> = Arc::new(OsDir::new(path, None));
    let mut file = dir.create("reftable-0123456789abcdef.tmp").unwrap();
    assert!(file.try_lock().unwrap());
    RobustLocks::mark(&dir, &*file, &file.stat().unwrap()).unwrap();
    dir.link("reftable-0123456789abcdef.tmp", "tables.list.lock").unwrap();
    dir.remove("reftable-0123456789abcdef.tmp").unwrap();
    file.write(contents).unwrap();
    file
}

#[test]
fn a_note_tells_whose_lock_it_is_whatever_is_in_the_file() {
    let at = tempfile::tempdir().unwrap();
    let stack = Stack::open(at.path(), Options::default().lock_timeout(Some(Duration::from_millis(50)))).unwrap();
    put(&stack, "refs/heads/a").unwrap();
    for contents in [Vec::new(), b"0x1-0x1-00000000.ref\n".to_vec(), vec![b'x'; 100_000]] {
        let alive = list_lock_with_a_note(at.path(), &contents);
        let error = put(&stack, "refs/heads/b").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(error.to_string().contains("which is alive"), "{error}");
        drop(alive);
        put(&stack, "refs/heads/b").unwrap();
        assert!(!at.path().join("tables.list.lock").exists());
    }
    assert!(open(at.path()).snapshot().unwrap().get("refs/heads/b").unwrap().is_some());
}

#[test]
fn a_short_time_out_is_enough_while_the_owner_lives() {
    let at = tempfile::tempdir().unwrap();
    let options = Options::default().lock_timeout(Some(Duration::from_millis(20))).wait_while_moving(true);
    let stack = Stack::open(at.path(), options).unwrap();
    put(&stack, "refs/heads/a").unwrap();
    let alive = list_lock_with_a_note(at.path(), b"");
    let owner = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(alive);
    });
    put(&stack, "refs/heads/b").unwrap();
    owner.join().unwrap();
    std::fs::write(at.path().join("tables.list.lock"), "").unwrap();
    let start = Instant::now();
    assert_eq!(put(&stack, "refs/heads/c").unwrap_err().kind(), ErrorKind::Locked);
    assert!(start.elapsed() < Duration::from_millis(500), "a lock of git's that nobody moves");
}

/// As do owners in other containers, and those that are killed while they wait for the disk.
#[test]
fn an_owner_that_cannot_be_seen_and_has_the_kernels_lock_lives() {
    let at = tempfile::tempdir().unwrap();
    let options = Options::default().lock_timeout(Some(Duration::from_millis(20))).wait_while_moving(true);
    let stack = Stack::open(at.path(), options).unwrap();
    put(&stack, "refs/heads/a").unwrap();
    let mut holder = Victim::start(victim_with_a_prepared_transaction, at.path());
    assert_eq!(holder.line().unwrap(), "ready");
    holder.kill();
    let lock = OsDir::new(at.path(), None).open("tables.list.lock").unwrap();
    assert!(lock.try_lock().unwrap());
    let owner = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(lock);
    });
    put(&stack, "refs/heads/b").unwrap();
    owner.join().unwrap();
}

#[test]
fn a_stopped_process_is_not_dead() {
    let dir = tempfile::tempdir().unwrap();
    let mut holder = Victim::start(victim_with_a_prepared_transaction, dir.path());
    assert_eq!(holder.line().unwrap(), "ready");
    holder.signal("STOP");
    let options = Options::default().lock_timeout(Some(Duration::from_millis(300)));
    let stack = Stack::open(dir.path(), options).unwrap();
    let error = put(&stack, "refs/heads/x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains("which is alive"), "{error}");
    assert!(error.path().unwrap().ends_with("tables.list.lock"));
    holder.signal("CONT");
    holder.kill();
    put(&stack, "refs/heads/x").unwrap();
}

#[test]
fn kills_at_any_moment_lose_nothing_and_stop_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let stack = open(dir.path());
    let mut acknowledged = Vec::new();
    let mut slowest = Duration::ZERO;
    // On a busy machine many rounds end before the first commit; those count, too, but not alone.
    let mut round = 0u64;
    while round < 30 || (acknowledged.len() <= 30 && round < 1_000) {
        let mut committer = Victim::start(victim_that_commits, dir.path());
        assert_eq!(committer.line().unwrap(), "ready");
        std::thread::sleep(Duration::from_micros(1_000 + round % 30 * 1_777));
        acknowledged.extend(committer.kill());
        let start = Instant::now();
        put(&stack, &format!("refs/heads/survivor/{round}")).unwrap();
        slowest = slowest.max(start.elapsed());
        let snapshot = stack.snapshot().unwrap();
        for name in &acknowledged {
            assert!(snapshot.get(name).unwrap().is_some(), "{name} was acknowledged");
        }
        round += 1;
    }
    println!(
        "{} commits acknowledged by {round} killed processes; slowest commit after a kill: {slowest:?}",
        acknowledged.len()
    );
    assert!(acknowledged.len() > 30);
    stack.compact(Compact::all()).unwrap();
    assert!(stack.verify().unwrap().is_clean());
    drop(stack);
    assert_eq!(names(dir.path()).len(), 2, "{:?}", names(dir.path()));
}

/// Compacts with very few descriptors.
#[test]
fn victim_that_compacts() {
    let Some(dir) = victim::dir() else { return };
    let stack = Stack::open(&dir, Options::default().auto_compact(AutoCompact::Off)).unwrap();
    assert_eq!(stack.compact(Compact::all()).unwrap().unwrap().merged.len(), 200);
    put(&stack, "refs/heads/more").unwrap();
}

#[test]
fn two_hundred_tables_need_no_more_than_sixteen_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::default().auto_compact(AutoCompact::Off);
    let stack = Stack::open(dir.path(), options).unwrap();
    for number in 0..200 {
        put(&stack, &format!("refs/heads/{number}")).unwrap();
    }
    Victim::start_limited(victim_that_compacts, dir.path(), 16).finish();
    assert_eq!(stack.snapshot().unwrap().tables().len(), 2);
}

/// Looks at the clock of a time namespace.
#[test]
fn victim_whose_clock_is_shifted() {
    let Some(dir) = victim::dir() else { return };
    let host = OsDir::new(&dir, None).host();
    say(&format!("{:?} {:?}", host.boot, host.booted));
}

/// By such a clock each lock of another run of the kernel would be older than this run.
#[test]
fn the_boot_time_of_a_time_namespace_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let host = OsDir::new(dir.path(), None).host();
    assert!(host.booted.is_some());
    let unshare = ["unshare", "--fork", "--time", "--boottime", "1000000"];
    let can = std::process::Command::new("unshare").args(&unshare[1..]).arg("true").output();
    if !can.is_ok_and(|output| output.status.success()) {
        loudly("SKIPPED: time namespaces cannot be made here");
        return;
    }
    let said = Victim::start_by(&unshare, victim_whose_clock_is_shifted, dir.path()).said();
    assert_eq!(said, [format!("{:?} None", host.boot)]);
}
