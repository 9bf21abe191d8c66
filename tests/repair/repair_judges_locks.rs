//! `repair` removes a lock of others on evidence only: what cannot be seen is no reason, and
//! nothing goes but what was judged.

#![cfg(target_os = "linux")]

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::support::over_dir::{Hook, OverDir, Work};
use reftable::dir::OsDir;
use reftable::lock::RobustLocks;
use reftable::repair::{Evidence, Problem, Repair};
use reftable::{ErrorKind, Expect, ObjectId, Options, Stack};

const LOCK: &str = "tables.list.lock";

/// What the system says of processes and of time, and what another process does when the lock is
/// opened to be removed.
struct World {
    openers: Option<Vec<u32>>,
    lives: Option<bool>,
    later: Duration,
    at_opening: Option<Box<dyn Fn() + Send + Sync>>,
}

impl World {
    /// Nobody has the lock open, nobody else lives, and a minute has passed.
    fn quiet() -> World {
        World { openers: Some(Vec::new()), lives: Some(false), later: Duration::from_secs(60), at_opening: None }
    }
}

impl Hook for World {
    fn around(&self, call: &'static str, name: &str, work: Work<'_>) -> io::Result<()> {
        work()?;
        if call == "try_lock" && name == LOCK {
            self.at_opening.iter().for_each(|act| act());
        }
        Ok(())
    }

    fn openers(&self, _dir: &OsDir, _name: &str) -> Option<Vec<u32>> {
        self.openers.clone()
    }

    fn process_lives(&self, _dir: &OsDir, _process: u32) -> Option<bool> {
        self.lives
    }

    fn wall_clock(&self, dir: &OsDir) -> Option<u128> {
        Some(reftable::dir::Dir::wall_clock(dir)? + self.later.as_nanos())
    }
}

/// A store with something that has the name of the lock.
fn store(make_lock: impl Fn(&Path)) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let mut tx = Stack::open(dir.path(), Options::default()).unwrap().transaction();
    tx.set("refs/heads/a", Expect::Any, ObjectId::from_bytes(&[7; 20]).unwrap());
    tx.commit().unwrap();
    let lock = dir.path().join(LOCK);
    make_lock(&lock);
    (dir, lock)
}

fn only(dir: &Path, world: World) -> (Repair, Problem) {
    let dir = OverDir::over(dir, Arc::new(world));
    let repair = Repair::new_in(dir, Box::new(RobustLocks::new(true))).patience(Duration::from_millis(5));
    let mut problems = repair.diagnose().unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    (repair, problems.remove(0))
}

fn evidence(problem: &Problem) -> &Evidence {
    let Problem::ForeignLock(evidence) = problem else { panic!("{problem}") };
    evidence
}

fn empty(lock: &Path) {
    fs::write(lock, "").unwrap();
}

#[test]
fn an_abandoned_lock_of_git_is_removed() {
    let (dir, lock) = store(empty);
    let (repair, problem) = only(dir.path(), World::quiet());
    assert!(problem.has_fix(), "{problem}");
    assert!(problem.to_string().contains("60 s old, which no process has open"), "{problem}");
    repair.fix(&problem).unwrap();
    assert!(!lock.exists());
    assert_eq!(repair.fix(&problem).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_young_lock_stays() {
    let (dir, lock) = store(empty);
    let (repair, problem) = only(dir.path(), World { later: Duration::ZERO, ..World::quiet() });
    assert!(!problem.has_fix(), "{problem}");
    assert_eq!(repair.fix(&problem).unwrap_err().kind(), ErrorKind::Invalid);
    assert!(lock.exists());
}

/// git may have closed it, and holds it for as long as its compaction takes.
#[test]
fn the_lock_of_a_table_stays_for_an_hour() {
    let (dir, lock) = store(empty);
    let list = fs::read_to_string(dir.path().join("tables.list")).unwrap();
    fs::rename(&lock, dir.path().join(format!("{}.lock", list.trim_end()))).unwrap();
    assert!(!only(dir.path(), World::quiet()).1.has_fix());
    assert!(only(dir.path(), World { later: Duration::from_secs(3601), ..World::quiet() }).1.has_fix());
}

/// With `core.lockfilePid` git says who it is.
#[test]
fn a_process_that_git_names_must_be_dead_for_certain() {
    let (dir, _lock) = store(empty);
    fs::write(dir.path().join("tables.list~pid.lock"), "pid 4711\n").unwrap();
    for (lives, said) in [(Some(true), "4711 has it, which is alive"), (None, "whether that lives cannot be seen")] {
        let (_, problem) = only(dir.path(), World { lives, ..World::quiet() });
        assert!(problem.to_string().contains(said) && !problem.has_fix(), "{problem}");
    }
    let (_, problem) = only(dir.path(), World::quiet());
    assert!(problem.to_string().contains("4711 had it, which is dead") && problem.has_fix(), "{problem}");
}

#[test]
fn what_cannot_be_seen_is_no_reason() {
    let (dir, lock) = store(empty);
    let (repair, problem) = only(dir.path(), World { openers: None, ..World::quiet() });
    assert!(!problem.has_fix());
    assert!(problem.to_string().contains("cannot be seen from here"), "{problem}");
    assert_eq!(repair.fix(&problem).unwrap_err().kind(), ErrorKind::Invalid);
    assert!(lock.exists());
}

#[test]
fn who_uses_the_store_keeps_the_lock() {
    let (dir, _lock) = store(empty);
    let (_, problem) = only(dir.path(), World { openers: Some(vec![77]), ..World::quiet() });
    assert!(!problem.has_fix() && problem.to_string().contains("[77]"), "{problem}");
}

/// The file of the lock is as old as the process that takes it, the lock is not.
#[test]
fn a_lock_of_this_library_is_as_old_as_its_last_name() {
    // The marker of a living process, as if it were of another run of the kernel.
    let marked = |lock: &Path| {
        let mut tx = Stack::open(lock.parent().unwrap(), Options::default()).unwrap().transaction();
        tx.set("refs/heads/b", Expect::Any, ObjectId::from_bytes(&[7; 20]).unwrap());
        let held = tx.prepare().unwrap();
        let text = fs::read_to_string(lock).unwrap();
        drop(held);
        let boot = text.lines().find_map(|line| line.strip_prefix("boot ")).unwrap();
        let text = text.replace(boot, &"0".repeat(boot.len()));
        let (text, _) = text.rsplit_once("check ").unwrap();
        let owner = lock.with_file_name(text.lines().find_map(|line| line.strip_prefix("owner ")).unwrap());
        fs::write(&owner, format!("{text}check {:08x}\n", crc32fast::hash(text.as_bytes()))).unwrap();
        let then = std::time::SystemTime::now() - Duration::from_secs(4000);
        fs::File::options().write(true).open(&owner).unwrap().set_modified(then).unwrap();
        fs::hard_link(owner, lock).unwrap();
    };
    let (dir, _lock) = store(marked);
    let (_, problem) = only(dir.path(), World { later: Duration::ZERO, ..World::quiet() });
    assert!(evidence(&problem).age.unwrap() < Duration::from_secs(10), "{problem}");
    assert!(!problem.has_fix(), "{problem}");
    assert!(only(dir.path(), World::quiet()).1.has_fix());
}

#[test]
fn a_symbolic_link_goes_itself() {
    for target in ["nothing", "../precious"] {
        let (dir, lock) = store(|lock| {
            fs::write(lock.with_file_name("kept"), "precious").unwrap();
            let target = if target == "nothing" { PathBuf::from(target) } else { lock.with_file_name("kept") };
            symlink(target, lock).unwrap();
        });
        let (repair, problem) = only(dir.path(), World::quiet());
        assert!(problem.to_string().contains("symbolic link"), "{problem}");
        repair.fix(&problem).unwrap();
        assert!(lock.symlink_metadata().is_err());
        assert_eq!(fs::read_to_string(dir.path().join("kept")).unwrap(), "precious");
    }
}

#[test]
fn a_directory_goes_if_it_is_empty() {
    let (dir, lock) = store(|lock| fs::create_dir(lock).unwrap());
    fs::write(lock.join("something"), "of a user").unwrap();
    let (repair, problem) = only(dir.path(), World::quiet());
    assert_eq!(repair.fix(&problem).unwrap_err().kind(), ErrorKind::Io);
    fs::remove_file(lock.join("something")).unwrap();
    let (repair, problem) = only(dir.path(), World::quiet());
    repair.fix(&problem).unwrap();
    assert!(!lock.exists());
}

#[test]
fn a_pipe_is_not_waited_for() {
    let (dir, lock) = store(|lock| {
        assert!(std::process::Command::new("mkfifo").arg(lock).status().unwrap().success());
    });
    let (repair, problem) = only(dir.path(), World::quiet());
    repair.fix(&problem).unwrap();
    assert!(!lock.exists());
}

/// Another process has removed the lock that was judged, and git has taken one since.
#[test]
fn another_lock_of_that_name_stays() {
    let (dir, lock) = store(empty);
    let theirs = lock.clone();
    let replace = move || {
        fs::rename(&theirs, theirs.with_file_name("away")).unwrap();
        fs::write(&theirs, "git's").unwrap();
    };
    let (repair, problem) = only(dir.path(), World { at_opening: Some(Box::new(replace)), ..World::quiet() });
    assert_eq!(repair.fix(&problem).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(fs::read_to_string(&lock).unwrap(), "git's");
    // Nor does one that was not asked about.
    let (repair, _) = only(dir.path(), World::quiet());
    assert_eq!(repair.fix(&problem).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(fs::read_to_string(&lock).unwrap(), "git's");
}

/// Two that repair at once: the one that has the kernel lock is the one that removes.
#[test]
fn a_lock_that_somebody_else_is_removing_stays() {
    let (dir, lock) = store(empty);
    let (repair, problem) = only(dir.path(), World::quiet());
    let other = fs::File::open(&lock).unwrap();
    fs4::FileExt::lock(&other).unwrap();
    assert_eq!(repair.fix(&problem).unwrap_err().kind(), ErrorKind::Locked);
    assert!(lock.exists());
}
