//! Locks whose owner cannot be judged are left alone: git's, those of other machines, and whatever
//! else has the name.

#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::support::effort::loudly;
use crate::support::hook_dir::{HookDir, is_temporary};
use crate::support::over_dir::{Hook, OverDir, Work};

use reftable::dir::{Dir, OsDir};
use reftable::lock::RobustLocks;
use reftable::repair::{Problem, Repair};
use reftable::{Error, ErrorKind, Expect, ObjectId, Options, Stack};

fn id() -> ObjectId {
    ObjectId::from_bytes(&[7; 20]).unwrap()
}

fn put(stack: &Stack) -> reftable::Result<()> {
    let mut tx = stack.transaction();
    tx.set("refs/heads/x", Expect::Any, id());
    tx.commit().map(|_| ())
}

/// A store, and the path of its lock.
fn store() -> (tempfile::TempDir, Stack, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::open(dir.path(), Options::default().lock_timeout(Some(Duration::from_millis(20)))).unwrap();
    let lock = dir.path().join("tables.list.lock");
    (dir, stack, lock)
}

/// The commit must fail, for this reason, and leave the lock as it is.
fn refused(stack: &Stack, lock: &Path, reason: &str) {
    let error = put(stack).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    assert!(error.is_retryable());
    assert_eq!(error.path(), Some(lock));
    assert!(error.to_string().contains(reason), "{error}");
    assert!(lock.symlink_metadata().is_ok(), "the lock is still there");
}

/// A marker as this library writes it, with so much that is unusual: the boot, and the kind of the
/// file system.
fn marker(boot: &str, dir: &Path, file_system: u64) -> String {
    use std::os::unix::fs::MetadataExt;
    let device = fs::metadata(dir).unwrap().dev();
    let rest = format!(
        "boot {boot}\ndevice {device}\nfile-system {file_system}\nprocess 1\nstarted -\nowner reftable-0123456789abcdef.owner\n"
    );
    let text = format!("reftable lock 2 {:03}\n{rest}", 20 + rest.len() + 15);
    format!("{text}check {:08x}\n", crc32fast::hash(text.as_bytes()))
}

/// A marker as the first version of this library wrote it: it does not say on what file system.
fn old_marker(boot: &str) -> String {
    let text = format!("reftable lock 1\nboot {boot}\nmachine m\nprocess 1\nowner reftable-0123456789abcdef.owner\n");
    format!("{text}check {:08x}\n", crc32fast::hash(text.as_bytes()))
}

fn line_of(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

#[test]
fn what_is_not_ours_is_foreign() {
    let foreign = "git or another program";
    let contents: [&[u8]; 5] =
        [b"", b"0x000000000001-0x000000000001-00000000.ref\n", b"garbage", &[0; 100_000], b"reftable lock 1\nboot x"];
    for contents in contents {
        let (_dir, stack, lock) = store();
        fs::write(&lock, contents).unwrap();
        refused(&stack, &lock, foreign);
        assert_eq!(fs::read(&lock).unwrap(), contents);
    }
}

#[test]
fn what_is_not_a_file_is_foreign() {
    let foreign = "git or another program";
    let (_dir, stack, lock) = store();
    fs::create_dir(&lock).unwrap();
    refused(&stack, &lock, foreign);
    let (_dir, stack, lock) = store();
    std::os::unix::fs::symlink("nowhere", &lock).unwrap();
    refused(&stack, &lock, foreign);
    let (_dir, stack, lock) = store();
    // Opening a pipe without a writer would wait for ever.
    assert!(std::process::Command::new("mkfifo").arg(&lock).status().unwrap().success());
    refused(&stack, &lock, foreign);
}

#[test]
fn another_kernel_is_elsewhere() {
    let this_boot = line_of("/proc/sys/kernel/random/boot_id");
    for (boot, is_this_kind) in [("other-boot", true), ("-", true), ("other-boot", false), (&this_boot, false)] {
        let (dir, stack, lock) = store();
        let kind = OsDir::new(dir.path(), None).file_system();
        let mut contents = marker(boot, dir.path(), if is_this_kind { kind } else { kind + 1 });
        // The owner file is there: nobody has taken over from it yet.
        fs::write(dir.path().join("reftable-0123456789abcdef.owner"), "").unwrap();
        fs::write(&lock, &contents).unwrap();
        // The time of the contents can be set, that of the last change cannot.
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        File::options().write(true).open(&lock).unwrap().set_modified(long_ago).unwrap();
        refused(&stack, &lock, "another machine");
        contents.push('\n');
        fs::write(&lock, &contents).unwrap();
        refused(&stack, &lock, "git or another program");
    }
    if !this_boot.is_empty() {
        // The same marker with this boot is that of a dead process.
        let (dir, stack, lock) = store();
        let kind = OsDir::new(dir.path(), None).file_system();
        fs::write(&lock, marker(&this_boot, dir.path(), kind)).unwrap();
        put(&stack).unwrap();
    }
}

#[test]
fn another_version_is_respected() {
    let this_boot = line_of("/proc/sys/kernel/random/boot_id");
    let (_dir, stack, lock) = store();
    let contents = old_marker(&this_boot);
    fs::write(&lock, &contents).unwrap();
    refused(&stack, &lock, "git or another program");
    assert_eq!(fs::read(&lock).unwrap(), contents.as_bytes());
    // Nor does the first version take ours for one of its own: it looks for its first line and a
    // newline.
    let mut tx = stack.transaction();
    fs::remove_file(&lock).unwrap();
    tx.set("refs/heads/y", Expect::Any, id());
    let prepared = tx.prepare().unwrap();
    let ours = fs::read_to_string(&lock).unwrap();
    assert!(ours.lines().next() != Some("reftable lock 1") && ours.len() <= 512, "{ours}");
    drop(prepared);
}

/// Its owner was seen dead by a successor that has died since, and whose work has changed the file.
#[test]
fn a_lock_of_another_boot_whose_owner_file_is_gone_was_judged_before() {
    let (dir, stack, lock) = store();
    let kind = OsDir::new(dir.path(), None).file_system();
    if !OsDir::new(dir.path(), None).is_local() {
        loudly("SKIPPED: this file system is not local");
        return;
    }
    fs::write(&lock, marker("an-earlier-boot", dir.path(), kind)).unwrap();
    put(&stack).unwrap();
    assert!(!lock.exists());
    drop(stack);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_lock_that_a_person_removed_is_not_ours_any_more() {
    let (_dir, stack, lock) = store();
    put(&stack).unwrap();
    let mut tx = stack.transaction();
    tx.set("refs/heads/y", Expect::Any, id());
    let prepared = tx.prepare().unwrap();
    fs::remove_file(&lock).unwrap();
    fs::write(&lock, "another program's").unwrap();
    let error = prepared.commit().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains("removed or replaced"), "{error}");
    assert_eq!(fs::read(&lock).unwrap(), b"another program's");
    assert!(stack.snapshot().unwrap().get("refs/heads/y").unwrap().is_none());
}

/// Repairs a store whose newest table is cut off. While the repair writes its list, a person
/// removes its lock, and `others` go on. Returns what became of the repair.
fn repair_without_lock(others: impl Fn(&Path) + Send + Sync + 'static) -> (tempfile::TempDir, Result<String, Error>) {
    let (dir, stack, lock) = store();
    put(&stack).unwrap();
    put(&stack).unwrap();
    let list = fs::read_to_string(dir.path().join("tables.list")).unwrap();
    let newest = dir.path().join(list.lines().last().unwrap());
    File::options().write(true).open(&newest).unwrap().set_len(50).unwrap();
    let hooked = HookDir::new(dir.path(), is_temporary, move || {
        fs::remove_file(&lock).unwrap();
        others(lock.parent().unwrap());
    });
    let as_dir: std::sync::Arc<HookDir> = std::sync::Arc::clone(&hooked);
    let repair = Repair::new_in(as_dir, Box::new(RobustLocks::new(true)));
    let problem = repair.diagnose().unwrap().into_iter().find(Problem::has_fix).unwrap();
    let done = repair.fix(&problem);
    assert!(hooked.is_done());
    (dir, done)
}

/// What others have committed since must not be lost: it was acknowledged.
#[test]
fn a_repair_whose_lock_was_removed_replaces_nothing() {
    let locked = |done: Result<String, Error>| {
        let error = done.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
        assert!(error.to_string().contains("removed or replaced"), "{error}");
    };
    let list = |dir: &Path| fs::read_to_string(dir.join("tables.list")).unwrap();
    let (dir, done) = repair_without_lock(|_| ());
    locked(done);
    assert_eq!(list(dir.path()).lines().count(), 2, "the list is as it was");
    // Another process has the lock now.
    let (dir, done) = repair_without_lock(|dir| fs::write(dir.join("tables.list.lock"), "").unwrap());
    locked(done);
    assert_eq!(list(dir.path()).lines().count(), 2);
    assert!(dir.path().join("tables.list.lock").exists(), "it is theirs");
    // Another process has repaired it first, and has committed since.
    let (dir, done) = repair_without_lock(|dir| {
        let repair = Repair::new(dir);
        let problem =
            repair.diagnose().unwrap().into_iter().find(|problem| !matches!(problem, Problem::Garbage { .. }));
        repair.fix(&problem.unwrap()).unwrap();
        put(&Stack::open(dir, Options::default()).unwrap()).unwrap();
    });
    locked(done);
    assert_eq!(list(dir.path()).lines().count(), 2);
    let stack = Stack::open(dir.path(), Options::default()).unwrap();
    assert_eq!(stack.snapshot().unwrap().update_index(), 2, "the commit is there");
}

#[test]
fn a_removed_lock_is_not_mistaken_for_another_of_the_same_handle() {
    let (_dir, stack, lock) = store();
    put(&stack).unwrap();
    let mut tx = stack.transaction();
    tx.set("refs/heads/y", Expect::Any, id());
    let prepared = tx.prepare().unwrap();
    fs::remove_file(&lock).unwrap();
    // All locks of a handle are one file: a second one could not be told from the first.
    let other = stack.clone();
    let refused = std::thread::spawn(move || put(&other).unwrap_err()).join().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Locked);
    drop(prepared);
    put(&stack).unwrap();
}

#[test]
fn two_prepared_transactions_of_one_thread_are_an_error_and_no_deadlock() {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::open(dir.path(), Options::default().lock_timeout(None)).unwrap();
    let mut tx = stack.transaction();
    tx.set("refs/heads/x", Expect::Any, id());
    let first = tx.prepare().unwrap();
    let error = put(&stack).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains("this thread holds the lock already"), "{error}");
    first.commit().unwrap();
    put(&stack).unwrap();
}

/// Fails each call of one kind, on a file system that may be a server's, or a local one.
struct Unable {
    call: &'static str,
    error: i32,
    is_local: bool,
}

impl Hook for Unable {
    fn around(&self, call: &'static str, _name: &str, work: Work<'_>) -> io::Result<()> {
        if call == self.call { Err(io::Error::from_raw_os_error(self.error)) } else { work() }
    }

    fn is_local(&self, really: bool) -> bool {
        really && self.is_local
    }
}

/// Where links or kernel locks fail, for whatever reason, locks are plain files: a process that
/// meets one cannot judge it.
#[test]
fn without_links_or_kernel_locks_there_are_plain_locks() {
    use rustix::io::Errno;
    let errors = [
        Errno::NOLCK,
        Errno::INVAL,
        Errno::BADF,
        Errno::XDEV,
        Errno::PERM,
        Errno::ACCESS,
        Errno::NOTSUP,
        Errno::NOTTY,
        Errno::IO,
        Errno::NOSYS,
        Errno::MLINK,
        Errno::INTR,
        Errno::REMOTEIO,
    ];
    for error in errors {
        for (call, is_local) in [("link", true), ("link", false), ("try_lock", true), ("try_lock", false)] {
            let dir = tempfile::tempdir().unwrap();
            let unable = OverDir::over(dir.path(), Arc::new(Unable { call, error: error.raw_os_error(), is_local }));
            let stack = Stack::open_in(unable, Box::new(RobustLocks::new(true)), Options::default()).unwrap();
            let what = format!("{call}: {error}, local: {is_local}");
            put(&stack).unwrap_or_else(|failed| panic!("{what}: {failed}"));
            let mut tx = stack.transaction();
            tx.set("refs/heads/y", Expect::Any, id());
            let prepared = tx.prepare().unwrap();
            let options = Options::default().lock_timeout(Some(Duration::ZERO));
            let other = Stack::open(dir.path(), options).unwrap();
            refused(&other, &dir.path().join("tables.list.lock"), "git or another program");
            prepared.commit().unwrap();
            put(&other).unwrap();
            drop((stack, other));
            let names =
                fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let left: Vec<_> = names.filter(|name| !name.ends_with(".ref") && name != "tables.list").collect();
            assert!(left.is_empty(), "{what}: {left:?}");
        }
    }
}
