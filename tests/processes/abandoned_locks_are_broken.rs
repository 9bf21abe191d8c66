//! A lock that git has left is broken by processes that were told to
//! (`Options::break_abandoned_locks`), on the evidence that `repair` asks for, and by nobody else.

#![cfg(target_os = "linux")]

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::effort::{bound, loudly};
use crate::support::git::{self, Repo};
use crate::support::name_of;
use crate::support::over_dir::{Hook, OverDir, Work};
use crate::support::victim::{self, Victim, say};
use reftable::dir::{Dir, OsDir};
use reftable::lock::{ExclusiveFile, RobustLocks};
use reftable::{ErrorKind, Expect, HashKind, ObjectId, Options, Stack};

const LOCK: &str = "tables.list.lock";
const MINUTE: Duration = Duration::from_secs(60);

/// A clock that only waiting moves, and how often processes were looked at.
struct World {
    later: Duration,
    slept: Mutex<Duration>,
    openers: fn(&OsDir, &str) -> Option<Vec<u32>>,
    looks: AtomicUsize,
}

/// The processes that have the file open, as if the processes that can be seen were all: not
/// everywhere where this runs root sees all.
fn openers(dir: &OsDir, name: &str) -> Option<Vec<u32>> {
    use std::os::unix::fs::MetadataExt;
    let number = |path: &Path| fs::metadata(path).map(|about| (about.dev(), about.ino())).ok();
    let wanted = number(&dir.path().join(name))?;
    let has_it = |process: u32| {
        let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
        files.into_iter().any(|file| number(&file.path()) == Some(wanted))
    };
    let names = fs::read_dir("/proc").unwrap().flatten().map(|process| process.file_name().into_string().unwrap());
    Some(names.filter_map(|name| name.parse().ok()).filter(|process| has_it(*process)).collect())
}

impl World {
    fn later(later: Duration) -> World {
        World { later, slept: Mutex::default(), openers, looks: AtomicUsize::new(0) }
    }
}

impl Hook for World {
    fn around(&self, _call: &'static str, _name: &str, work: Work<'_>) -> io::Result<()> {
        work()
    }

    fn openers(&self, dir: &OsDir, name: &str) -> Option<Vec<u32>> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        (self.openers)(dir, name)
    }

    fn wall_clock(&self, dir: &OsDir) -> Option<u128> {
        Some(dir.wall_clock()? + (self.later + *self.slept.lock().unwrap()).as_nanos())
    }

    fn now(&self, _dir: &OsDir) -> Duration {
        *self.slept.lock().unwrap()
    }

    fn sleep(&self, _dir: &OsDir, time: Duration) {
        *self.slept.lock().unwrap() += time;
    }
}

fn options() -> Options {
    Options::default().lock_timeout(Some(Duration::from_secs(5))).break_abandoned_locks(true)
}

fn put(stack: &Stack) -> reftable::Result<()> {
    let mut tx = stack.transaction();
    tx.set("refs/heads/x", Expect::Any, ObjectId::from_bytes(&[7; 20]).unwrap());
    tx.commit().map(|_| ())
}

fn open(dir: &Path, world: World, options: Options) -> (Stack, Arc<OverDir<World>>) {
    let dir = OverDir::over(dir, Arc::new(world));
    let as_dir: Arc<OverDir<World>> = Arc::clone(&dir);
    (Stack::open_in(as_dir, Box::new(RobustLocks::new(true)), options).unwrap(), dir)
}

fn refused(stack: &Stack, lock: &Path) {
    assert_eq!(put(stack).unwrap_err().kind(), ErrorKind::Locked);
    assert!(lock.exists());
}

/// Set where a test runs with the files of the first process hidden.
const AGAIN: &str = "REFTABLE_ALL_IN_SIGHT";

/// Whether all processes can be seen from here: as root, outside of containers. If only the first
/// one keeps its files from root, as in some virtual machines, the test runs again where that one
/// has none: it has nothing to do with our directories.
fn sees_processes(test: impl Fn()) -> bool {
    let test = name_of(test);
    let dir = tempfile::tempdir().unwrap();
    if OsDir::new(dir.path(), None).openers(".").is_some() {
        return true;
    }
    let hide = "mount --bind \"$0\" /proc/1/fd && mount --bind /dev/null /proc/1/maps || exit 77; exec \"$@\"";
    let mut again = Command::new("unshare");
    again.args(["--mount", "sh", "-c", hide]).arg(dir.path()).arg(std::env::current_exe().unwrap());
    let is_first = std::env::var_os(AGAIN).is_none();
    let done = is_first.then(|| again.args(["--exact", test, "--nocapture"]).env(AGAIN, "1").status().unwrap());
    if let Some(done) = done.filter(|done| ![Some(1), Some(77)].contains(&done.code())) {
        assert!(done.success(), "{test} fails with all processes in sight");
        return false;
    }
    assert!(std::env::var_os("REFTABLE_REQUIRE_MOUNTS").is_none(), "processes of others cannot be seen");
    loudly("SKIPPED: processes of others cannot be seen");
    false
}

/// The time is a minute later, and the processes that have a file open are what the system says.
fn real_evidence() -> World {
    World { openers: |dir, name| dir.openers(name), ..World::later(MINUTE) }
}

/// A repository whose git does this when it has the lock.
fn git_that(command: &str) -> Option<Repo> {
    use std::os::unix::fs::PermissionsExt;
    let repo = git::is_there().then(|| Repo::new(HashKind::Sha1))?;
    repo.git(["commit", "-q", "--allow-empty", "-m", "first"]);
    let hook = repo.work_tree().join(".git/hooks/reference-transaction");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, format!("#!/bin/sh\n[ \"$1\" = prepared ] || exit 0\n{command}\n")).unwrap();
    fs::set_permissions(hook, fs::Permissions::from_mode(0o755)).unwrap();
    Some(repo)
}

fn killed_git() -> Option<Repo> {
    let repo = git_that("kill -9 $PPID")?;
    assert!(!repo.try_git(["branch", "never"]).status.success());
    assert!(repo.reftable_dir().join(LOCK).exists(), "a killed git leaves its lock");
    Some(repo)
}

#[test]
fn the_lock_of_a_killed_git_blocks_nobody_for_long() {
    let Some(repo) = killed_git() else { return };
    let (dir, lock) = (repo.reftable_dir(), repo.reftable_dir().join(LOCK));
    let (stack, _) = open(&dir, World::later(MINUTE), options().break_abandoned_locks(false));
    refused(&stack, &lock);
    let (stack, _) = open(&dir, World::later(Duration::ZERO), options());
    refused(&stack, &lock);
    let (stack, world) = open(&dir, World::later(Duration::ZERO), options().lock_timeout(Some(MINUTE)));
    put(&stack).unwrap();
    assert!((8..12).contains(&world.now().as_secs()), "after ten seconds: {:?}", world.now());
    assert!(!lock.exists());
    assert_eq!(repo.snapshot().get("refs/heads/never").unwrap(), None);
}

#[test]
fn a_call_that_does_not_wait_breaks_it_too() {
    let Some(repo) = killed_git() else { return };
    let (stack, _) = open(&repo.reftable_dir(), World::later(MINUTE), options().lock_timeout(Some(Duration::ZERO)));
    put(&stack).unwrap();
}

#[test]
fn what_the_system_says_suffices_for_a_killed_git() {
    if !sees_processes(what_the_system_says_suffices_for_a_killed_git) {
        return;
    }
    let Some(repo) = killed_git() else { return };
    let (stack, _) = open(&repo.reftable_dir(), real_evidence(), options());
    put(&stack).unwrap();
    assert!(!repo.reftable_dir().join(LOCK).exists());
    a_living_git_keeps_its_lock(real_evidence());
}

#[test]
fn a_git_that_lives_keeps_its_lock_however_old() {
    a_living_git_keeps_its_lock(World::later(MINUTE));
}

fn a_living_git_keeps_its_lock(world: World) {
    let Some(repo) = git_that("touch ready; read answer < answer") else { return };
    let answer = repo.work_tree().join("answer");
    assert!(Command::new("mkfifo").arg(&answer).status().unwrap().success());
    let (git, outcome) = std::thread::scope(|scope| {
        let git = scope.spawn(|| repo.try_git(["branch", "at-last"]));
        while !repo.work_tree().join("ready").exists() {
            assert!(!git.is_finished(), "git has not run its hook");
            std::thread::sleep(Duration::from_millis(5));
        }
        let (stack, _) = open(&repo.reftable_dir(), world, options());
        let outcome = put(&stack);
        fs::write(answer, "go on\n").unwrap();
        (git.join().unwrap(), outcome)
    });
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Locked);
    assert!(git.status.success(), "{git:?}");
}

/// Says that it has the store open, and waits for its end.
#[test]
fn victim_with_an_open_store() {
    let Some(dir) = victim::dir() else { return };
    let breaks = !dir.join("strangers").exists();
    let stack = Stack::open(&dir, Options::default().break_abandoned_locks(breaks)).unwrap();
    assert!(!stack.snapshot().unwrap().tables().is_empty());
    say("ready");
    std::thread::sleep(MINUTE);
}

/// Servers have tables open all the time. They say that they have no such lock, if they were told
/// to break them, too.
#[test]
fn who_breaks_locks_itself_does_not_keep_others_from_it() {
    if !sees_processes(who_breaks_locks_itself_does_not_keep_others_from_it) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    put(&Stack::open(dir.path(), Options::default()).unwrap()).unwrap();
    let lock = dir.path().join(LOCK);
    for is_stranger in [false, true] {
        fs::write(&lock, "").unwrap();
        if is_stranger {
            fs::write(dir.path().join("strangers"), "").unwrap();
        }
        let mut other = Victim::start(victim_with_an_open_store, dir.path());
        assert_eq!(other.line().unwrap(), "ready");
        let (stack, _) = open(dir.path(), real_evidence(), options());
        match is_stranger {
            true => refused(&stack, &lock),
            false => put(&stack).unwrap(),
        }
        other.kill();
    }
}

/// `/proc` shows it; what that is good for is tested where it is read.
#[test]
fn who_breaks_locks_says_that_it_has_no_closed_one() {
    let announced = |dir: &Path| {
        use std::os::unix::fs::MetadataExt;
        let about = fs::metadata(dir).unwrap();
        let name = format!("/memfd:reftable-{}-{} (deleted)", about.dev(), about.ino());
        let files = fs::read_dir("/proc/self/fd").unwrap().flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|target| target == Path::new(&name))
    };
    let dir = tempfile::tempdir().unwrap();
    let stranger = Stack::open(dir.path(), Options::default()).unwrap();
    assert!(!announced(dir.path()));
    let stack = Stack::open(dir.path(), options()).unwrap();
    assert!(announced(dir.path()));
    drop((stack, stranger));
    assert!(!announced(dir.path()));
}

#[test]
fn who_has_the_lock_open_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join(LOCK);
    let file: Stdio = fs::File::create(&lock).unwrap().into();
    let mut holder = Command::new("sleep").arg("60").stdin(file).spawn().unwrap();
    let (stack, _) = open(dir.path(), World::later(MINUTE), options());
    refused(&stack, &lock);
    holder.kill().unwrap();
    holder.wait().unwrap();
    std::mem::drop(stack);
    let (stack, _) = open(dir.path(), World::later(MINUTE), options());
    put(&stack).unwrap();
}

#[test]
fn processes_are_looked_at_once_a_second() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(LOCK), "").unwrap();
    for (later, most) in [(Duration::ZERO, 0), (MINUTE, 6)] {
        let world = World { openers: |_, _| Some(vec![77]), ..World::later(later) };
        let (stack, dir) = open(dir.path(), world, options());
        assert_eq!(put(&stack).unwrap_err().kind(), ErrorKind::Locked);
        assert!(dir.now() >= Duration::from_secs(5));
        let looks = dir.hook.looks.load(Ordering::SeqCst);
        assert!(looks <= most && (most == 0 || looks > 3), "{looks} looks, {later:?} later");
    }
}

/// There, a lock may be that of a process of this library, which has closed it.
#[test]
fn plain_locks_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(LOCK), "").unwrap();
    let world = World::later(MINUTE);
    let over = OverDir::over(dir.path(), Arc::new(world));
    let stack = Stack::open_in(over, Box::new(ExclusiveFile), options()).unwrap();
    refused(&stack, &dir.path().join(LOCK));
}

/// The settings of one handle are not those of another on the same locks.
#[test]
fn handles_with_other_options_break_what_they_were_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join(LOCK);
    fs::write(&lock, "").unwrap();
    let world = World::later(MINUTE);
    let (breaks, _) = open(dir.path(), world, options());
    let cautious = breaks.with_options(options().break_abandoned_locks(false)).unwrap();
    refused(&cautious, &lock);
    put(&cautious.with_options(options()).unwrap()).unwrap();
}

/// Every lock looks a minute old, so that only what the system says of open files keeps those of
/// the living.
struct Old;

impl Hook for Old {
    fn around(&self, _call: &'static str, _name: &str, work: Work<'_>) -> io::Result<()> {
        work()
    }

    fn wall_clock(&self, dir: &OsDir) -> Option<u128> {
        Some(dir.wall_clock()? + MINUTE.as_nanos())
    }
}

/// How long the crowd commits; `REFTABLE_KILLED_GITS_SECONDS=60` takes longer.
fn seconds() -> u64 {
    let said = std::env::var("REFTABLE_KILLED_GITS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    said.unwrap_or_else(|| bound("seconds among gits that are killed", 6, 3))
}

/// Three processes of this library commit, and a git now and then; another git is killed with the
/// lock, again and again. All go on, and nothing that was acknowledged is lost. (A git that is
/// always there would keep the locks of dead ones: it cannot be told whose they are.)
#[test]
fn a_crowd_goes_on_among_gits_that_are_killed() {
    if !sees_processes(a_crowd_goes_on_among_gits_that_are_killed) {
        return;
    }
    let dying = "case \"$(cat)\" in *refs/heads/dying*) kill -9 $PPID;; esac";
    let Some(repo) = git_that(dying) else { return };
    let (dir, begin, seconds) = (repo.reftable_dir(), std::time::Instant::now(), seconds());
    let is_over = || begin.elapsed() >= Duration::from_secs(seconds);
    let ours = |number: u32| {
        let over = OverDir::over(&dir, Arc::new(Old));
        let options = options().lock_timeout(Some(MINUTE));
        let stack = Stack::open_in(over, Box::new(RobustLocks::new(true)), options).unwrap();
        let mut names = Vec::new();
        while !is_over() {
            let name = format!("refs/heads/ours-{number}/{}", names.len());
            let mut tx = stack.transaction();
            tx.set(name.as_str(), Expect::Absent, ObjectId::from_bytes(&[7; 20]).unwrap());
            tx.commit().unwrap();
            names.push(name);
        }
        names
    };
    let head = String::from_utf8(repo.try_git(["rev-parse", "HEAD"]).stdout).unwrap().trim().to_owned();
    let git = || {
        let names = (0..).map(|number| format!("refs/heads/git/{number}")).take_while(|_| !is_over());
        let names = names.inspect(|_| std::thread::sleep(Duration::from_millis(500)));
        names.filter(|name| repo.try_git(["update-ref", name, &head]).status.success()).collect::<Vec<_>>()
    };
    let kill = || {
        let mut killed = 0;
        while !is_over() {
            let outcome = repo.try_git(["update-ref", "refs/heads/dying", &head]);
            assert!(!outcome.status.success(), "it is killed, or does not get the lock");
            killed += u32::from(!String::from_utf8_lossy(&outcome.stderr).contains("lock"));
            while repo.reftable_dir().join(LOCK).exists() && !is_over() {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        killed
    };
    let (names, killed) = std::thread::scope(|scope| {
        let mut crowd: Vec<_> = (0..3).map(|number| scope.spawn(move || ours(number))).collect();
        crowd.push(scope.spawn(git));
        let killed = scope.spawn(kill);
        let names: Vec<String> = crowd.into_iter().flat_map(|one| one.join().unwrap()).collect();
        (names, killed.join().unwrap())
    });
    let by_git = names.iter().filter(|name| name.contains("/git/")).count();
    println!("{} commits of this library, {by_git} of git's, {killed} gits killed with the lock", names.len() - by_git);
    let snapshot = repo.snapshot();
    let lost = names.iter().filter(|name| snapshot.get(name.as_str()).unwrap().is_none()).count();
    assert_eq!(lost, 0, "of {} that were acknowledged", names.len());
    assert_eq!(snapshot.get("refs/heads/dying").unwrap(), None);
    assert!(killed >= 2 && names.len() > 5, "{killed} were killed, {} commits", names.len());
}

#[cfg(reftable_mutants)]
#[test]
fn mistakes_are_caught() {
    use reftable::mutant::{BREAKING, Mutant, activate};
    for mutant in BREAKING {
        activate(Some(mutant));
        let outcome = std::panic::catch_unwind(|| match mutant {
            Mutant::BreakOpenLocks => who_has_the_lock_open_keeps_it(),
            _ => young_locks_stay(),
        });
        activate(None);
        assert!(outcome.is_err(), "{mutant:?} is not caught");
    }
}

#[test]
fn young_locks_stay() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(LOCK), "").unwrap();
    let (stack, _) = open(dir.path(), World::later(Duration::ZERO), options());
    refused(&stack, &dir.path().join(LOCK));
}
