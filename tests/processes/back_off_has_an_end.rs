//! Beside git each process of this library leaves the list lock free for a moment before it takes
//! it. That costs a stated time at most, whatever the time-out, and never keeps a process from
//! taking over from the dead.

#![cfg(target_os = "linux")]

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use crate::support::over_dir::{Hook, OverDir, Work};
use crate::support::victim::{self, Victim, say};
use reftable::Stack;
use reftable::dir::Dir;
use reftable::dir::OsDir;
use reftable::lock::{ExclusiveFile, RobustLocks};
use reftable::{AutoCompact, Durability, ErrorKind, Expect, ObjectId, Options};

const LOCK: &str = "tables.list.lock";

/// docs/protocol.md: backing off delays one taking of the lock by 300 ms and a pause of 30 ms.
const MOST: Duration = Duration::from_millis(330);

const TIMEOUTS: [Option<Duration>; 5] = [
    Some(Duration::from_millis(100)),
    Some(Duration::from_secs(1)),
    Some(Duration::from_secs(10)),
    Some(Duration::from_secs(60)),
    None,
];

/// A clock that only waiting moves, and what others do whenever a process waits.
struct Clock {
    now: Mutex<Duration>,
    /// What the wall clock shows when this one shows that; without it, when the list was
    /// written.
    wall: Option<fn(Duration) -> Duration>,
    others: Box<dyn Fn() + Send + Sync>,
}

impl Hook for Clock {
    fn around(&self, _call: &'static str, _name: &str, work: Work<'_>) -> io::Result<()> {
        work()
    }

    fn now(&self, _dir: &OsDir) -> Duration {
        *self.now.lock().unwrap()
    }

    fn sleep(&self, _dir: &OsDir, time: Duration) {
        *self.now.lock().unwrap() += time;
        (self.others)();
    }

    /// As if each list had just been written, unless another time is given.
    fn wall_clock(&self, dir: &OsDir) -> Option<u128> {
        if let Some(wall) = self.wall {
            return Some(wall(self.now(dir)).as_nanos());
        }
        dir.stat("tables.list").ok().map(|stat| stat.modified)
    }
}

/// The directory by such a clock.
fn clocked(path: &Path, others: impl Fn() + Send + Sync + 'static) -> Arc<OverDir<Clock>> {
    OverDir::over(path, Arc::new(Clock { now: Mutex::default(), wall: None, others: Box::new(others) }))
}

fn options(timeout: Option<Duration>) -> Options {
    // Without syncs: how long those take says nothing about the lock.
    Options::default().durability(Durability::Off).auto_compact(AutoCompact::Off).lock_timeout(timeout)
}

fn open(dir: &Arc<OverDir<Clock>>, timeout: Option<Duration>) -> Stack {
    let as_dir: Arc<OverDir<Clock>> = Arc::clone(dir);
    Stack::open_in(as_dir, Box::new(RobustLocks::new(false)), options(timeout)).unwrap()
}

fn put(stack: &Stack) -> reftable::Result<()> {
    let mut tx = stack.transaction();
    tx.set("refs/heads/x", Expect::Any, ObjectId::from_bytes(&[7; 20]).unwrap());
    tx.commit().map(|_| ())
}

/// How long `work` takes on the clock of `dir`.
fn time_of(dir: &OverDir<Clock>, work: impl FnOnce()) -> Duration {
    let start = dir.now();
    work();
    dir.now() - start
}

/// Gives the newest table a name that this library does not make, as if git had written it.
fn give_to_git(dir: &Path) {
    let list = dir.join("tables.list");
    let names = fs::read_to_string(&list).unwrap();
    let name = names.lines().last().unwrap();
    let other = if name.ends_with("0.ref") { "1.ref" } else { "0.ref" };
    let renamed = format!("{}{other}", &name[..name.len() - other.len()]);
    fs::rename(dir.join(name), dir.join(&renamed)).unwrap();
    fs::write(dir.join("new"), names.replace(name, &renamed)).unwrap();
    fs::rename(dir.join("new"), list).unwrap();
}

/// A store where git has just committed, and after that a process of this library.
fn beside_git() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    put(&Stack::open(dir.path(), options(None)).unwrap()).unwrap();
    give_to_git(dir.path());
    put(&Stack::open(dir.path(), options(None).fairness(false)).unwrap()).unwrap();
    dir
}

/// Says that it holds the lock, and waits for its end.
#[test]
fn victim_with_a_prepared_transaction() {
    let Some(dir) = victim::dir() else { return };
    let stack = Stack::open(&dir, options(None)).unwrap();
    let mut tx = stack.transaction();
    tx.set("refs/heads/never", Expect::Any, ObjectId::from_bytes(&[1; 20]).unwrap());
    let _prepared = tx.prepare().unwrap();
    say("ready");
    std::thread::sleep(Duration::from_secs(60));
}

fn leave_a_lock(dir: &Path) {
    let mut holder = Victim::start(victim_with_a_prepared_transaction, dir);
    assert_eq!(holder.line().unwrap(), "ready");
    holder.kill();
    assert!(dir.join(LOCK).exists(), "a dead owner leaves its lock");
}

fn locks_of_dead_owners_are_taken_over(timeout: Option<Duration>) {
    let dir = beside_git();
    let clocked = clocked(dir.path(), || ());
    let stack = open(&clocked, timeout);
    leave_a_lock(dir.path());
    let time = time_of(&clocked, || put(&stack).unwrap());
    assert!(time < Duration::from_millis(100), "a commit, {timeout:?}: {time:?}");
    assert_eq!(stack.metrics().back_offs, 1, "there are neighbours");
    leave_a_lock(dir.path());
    let time = time_of(&clocked, || drop(stack.transaction().prepare().unwrap()));
    assert!(time < Duration::from_millis(100), "a preparation, {timeout:?}: {time:?}");
    assert_eq!(stack.metrics().back_offs, 2);
}

#[test]
fn locks_of_dead_owners_are_taken_over_at_once_whatever_the_time_out() {
    for timeout in TIMEOUTS {
        locks_of_dead_owners_are_taken_over(timeout);
    }
}

#[test]
fn locks_of_the_living_are_not_taken_over() {
    let dir = beside_git();
    let clocked = clocked(dir.path(), || ());
    let timeout = Duration::from_secs(10);
    let stack = open(&clocked, Some(timeout));
    let mut holder = Victim::start(victim_with_a_prepared_transaction, dir.path());
    assert_eq!(holder.line().unwrap(), "ready");
    let time = time_of(&clocked, || {
        let error = put(&stack).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(error.to_string().contains("which is alive"), "{error}");
    });
    assert!(time >= timeout, "{time:?}");
    holder.kill();
}

/// The same by the wall clock. Other work on the machine may delay one of a few rounds, not
/// all.
#[test]
fn the_next_commit_after_a_kill_takes_milliseconds_beside_git() {
    let dir = beside_git();
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        leave_a_lock(dir.path());
        let list = fs::File::options().write(true).open(dir.path().join("tables.list")).unwrap();
        list.set_modified(SystemTime::now()).unwrap();
        let stack = Stack::open(dir.path(), options(Some(Duration::from_secs(10)))).unwrap();
        let start = Instant::now();
        put(&stack).unwrap();
        fastest = fastest.min(start.elapsed());
        assert_eq!(stack.metrics().back_offs, 1, "there are neighbours");
    }
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
}

fn a_crowd_delays_it_for_a_stated_time(timeout: Option<Duration>) {
    let dir = beside_git();
    // Whenever we wait, other processes of this library replace the list. So the lock is never left
    // free.
    let (list, new) = (dir.path().join("tables.list"), dir.path().join("new"));
    let clocked = clocked(dir.path(), move || {
        fs::copy(&list, &new).unwrap();
        fs::rename(&new, &list).unwrap();
    });
    let stack = open(&clocked, timeout);
    let time = time_of(&clocked, || drop(stack.transaction().prepare().unwrap()));
    assert!(time <= MOST, "a preparation, {timeout:?}: {time:?}");
    assert_eq!(stack.metrics().back_offs, 1, "there are neighbours");
}

#[test]
fn a_crowd_that_never_leaves_a_gap_delays_nobody_for_more_than_a_stated_time() {
    for timeout in TIMEOUTS {
        a_crowd_delays_it_for_a_stated_time(timeout);
    }
}

#[test]
fn a_gap_is_left_to_neighbours_and_to_nobody_else() {
    let dir = beside_git();
    let clocked = clocked(dir.path(), || ());
    let stack = open(&clocked, Some(Duration::from_secs(10)));
    let time = time_of(&clocked, || put(&stack).unwrap());
    assert!(time >= Duration::from_micros(500), "git has committed lately: {time:?}");
    clocked.sleep(Duration::from_secs(2));
    assert_eq!(time_of(&clocked, || put(&stack).unwrap()), Duration::ZERO, "and is forgotten");
    assert_eq!(stack.metrics().back_offs, 1);
}

/// Commits twice, and another process has the lock when the first one comes. Returns how many
/// back-offs were left.
fn gaps_after_meeting_a_lock(locks: Box<dyn reftable::lock::Locker>) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join(LOCK);
    let released = lock.clone();
    let clocked = clocked(dir.path(), move || drop(fs::remove_file(&released)));
    let as_dir: Arc<OverDir<Clock>> = Arc::clone(&clocked);
    let stack = Stack::open_in(as_dir, locks, options(Some(Duration::from_secs(10)))).unwrap();
    put(&stack).unwrap();
    assert_eq!(stack.metrics().back_offs, 0);
    fs::write(&lock, "").unwrap();
    put(&stack).unwrap();
    assert_eq!((stack.metrics().back_offs, stack.metrics().lock_waits), (0, 1));
    put(&stack).unwrap();
    stack.metrics().back_offs
}

fn who_holds_the_lock_is_a_neighbour() {
    assert_eq!(gaps_after_meeting_a_lock(Box::new(RobustLocks::new(false))), 1);
}

/// git is known by its lock before it has committed: it may be the lock that makes it fail.
#[test]
fn who_was_met_with_a_lock_of_theirs_is_a_neighbour() {
    who_holds_the_lock_is_a_neighbour();
}

#[test]
fn plain_locks_tell_nothing_of_neighbours() {
    assert_eq!(gaps_after_meeting_a_lock(Box::new(ExclusiveFile)), 0);
}

/// What lets the lock go, taken once.
type Release = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// One process of this library that meets others. Its wall clock begins with a window.
struct Crowd {
    dir: tempfile::TempDir,
    clock: Arc<OverDir<Clock>>,
    ours: Stack,
    other: Stack,
    /// What happens as soon as `ours` waits.
    release: Release,
}

impl Crowd {
    fn new(options: Options) -> Crowd {
        // Each 120 ms have a window, and each 720 one for those whom nobody knows.
        Crowd::by_clock(|now| Duration::from_secs(36) + now, options)
    }

    fn by_clock(wall: fn(Duration) -> Duration, options: Options) -> Crowd {
        let dir = tempfile::tempdir().unwrap();
        let other = Stack::open(dir.path(), self::options(None).fairness(false)).unwrap();
        put(&other).unwrap();
        let release: Release = Arc::default();
        let released = Arc::clone(&release);
        let others = Box::new(move || released.lock().unwrap().take().into_iter().for_each(|release| release()));
        let clock = Clock { now: Mutex::default(), wall: Some(wall), others };
        let clock = OverDir::over(dir.path(), Arc::new(clock));
        let as_dir: Arc<OverDir<Clock>> = Arc::clone(&clock);
        let ours = Stack::open_in(as_dir, Box::new(RobustLocks::new(false)), options).unwrap();
        Crowd { dir, clock, ours, other, release }
    }

    fn wait_until(&self, millis: u64) {
        let until = Duration::from_millis(millis);
        self.clock.sleep(until.checked_sub(self.clock.now()).unwrap());
    }

    /// How long it takes us to get the lock, so many milliseconds after the beginning.
    fn time_at(&self, millis: u64) -> Duration {
        self.wait_until(millis);
        time_of(&self.clock, || drop(self.ours.transaction().prepare().unwrap()))
    }

    /// The same if another process of this library has the lock, and releases it within a
    /// millisecond.
    fn time_to_meet_at(&self, millis: u64) -> Duration {
        self.wait_until(millis);
        let prepared = self.other.transaction().prepare().unwrap();
        *self.release.lock().unwrap() = Some(Box::new(|| drop(prepared)));
        time_of(&self.clock, || drop(self.ours.transaction().prepare().unwrap()))
    }

    /// We find the lock in the hands of git.
    fn meet_git(&self) {
        let lock = self.dir.path().join(LOCK);
        fs::write(&lock, "").unwrap();
        *self.release.lock().unwrap() = Some(Box::new(move || fs::remove_file(lock).unwrap()));
        drop(self.ours.transaction().prepare().unwrap());
    }
}

/// Whether a process that waited for so long has left a window. Else it looks every 0.25 to 3 ms.
fn has_left_a_window(time: Duration) -> bool {
    let (poll, window) = (Duration::from_millis(3), Duration::from_millis(25));
    assert!(time < poll || (window..window + poll).contains(&time), "{time:?}");
    time >= window
}

fn a_crowd_leaves_a_window() {
    assert!(has_left_a_window(Crowd::new(options(None)).time_to_meet_at(0)));
}

/// git cannot be seen waiting, and processes that keep meeting each other would never leave it the
/// lock.
#[test]
fn a_crowd_leaves_windows_to_programs_that_it_has_not_seen() {
    a_crowd_leaves_a_window();
    let crowd = Crowd::new(options(Some(Duration::from_secs(10))));
    assert!(has_left_a_window(crowd.time_to_meet_at(0)));
    assert_eq!(crowd.ours.metrics().back_offs, 1);
    assert!(!has_left_a_window(crowd.time_at(30)), "the window is over");
    assert!(!has_left_a_window(crowd.time_to_meet_at(120)), "nobody is known for whom to leave more");
    assert!(has_left_a_window(crowd.time_to_meet_at(720)));
    assert!(!has_left_a_window(crowd.time_at(3 * 720)), "the others are gone");
}

#[test]
fn a_crowd_leaves_more_windows_to_programs_that_it_has_seen_within_the_hour() {
    let crowd = Crowd::new(options(None));
    crowd.meet_git();
    assert!(!has_left_a_window(crowd.time_to_meet_at(2 * 720)), "a process is met by accident");
    assert!(has_left_a_window(crowd.time_to_meet_at(2 * 720 + 120)));
    assert!(has_left_a_window(crowd.time_to_meet_at(2 * 720 + 240)));
    crowd.time_to_meet_at(3_700_000);
    assert!(!has_left_a_window(crowd.time_to_meet_at(720 * 5200 + 120)), "it is forgotten");
    assert!(has_left_a_window(crowd.time_to_meet_at(720 * 5201)));
}

#[test]
fn windows_are_left_by_nobody_who_is_alone_or_in_a_hurry() {
    let alone = Crowd::new(options(None));
    assert_eq!((0..20).map(|_| alone.time_at(0)).sum::<Duration>(), Duration::ZERO);
    let hurry = Crowd::new(options(Some(Duration::from_millis(30))));
    assert!(!has_left_a_window(hurry.time_to_meet_at(0)), "a fifth of the time is for ourselves");
    let rude = Crowd::new(options(None).fairness(false));
    assert!(!has_left_a_window(rude.time_to_meet_at(0)));
}

#[test]
fn a_window_has_an_end_though_the_clock_stands_still() {
    let crowd = Crowd::by_clock(|_| Duration::from_secs(36), options(None));
    let time = crowd.time_to_meet_at(0);
    assert!(time <= MOST, "{time:?}");
}

fn locks_of_dead_owners_are_taken_over_in_a_window() {
    let crowd = Crowd::new(options(None));
    crowd.time_to_meet_at(30);
    leave_a_lock(crowd.dir.path());
    assert_eq!(crowd.time_at(720), Duration::ZERO);
}

/// A window is for the living.
#[test]
fn no_window_keeps_the_lock_of_a_dead_owner() {
    locks_of_dead_owners_are_taken_over_in_a_window();
}

#[cfg(reftable_mutants)]
#[test]
fn mistakes_are_caught() {
    use reftable::mutant::{FAIRNESS, Mutant, activate};
    let timeout = Some(Duration::from_secs(10));
    for mutant in FAIRNESS {
        activate(Some(mutant));
        let outcome = std::panic::catch_unwind(|| match mutant {
            Mutant::BackOffFromDeadOwners => locks_of_dead_owners_are_taken_over(timeout),
            Mutant::CrowdsLeaveNoWindows => a_crowd_leaves_a_window(),
            Mutant::LeaveWindowToDeadOwners => locks_of_dead_owners_are_taken_over_in_a_window(),
            Mutant::BackOffWithoutEnd => a_crowd_delays_it_for_a_stated_time(timeout),
            _ => who_holds_the_lock_is_a_neighbour(),
        });
        activate(None);
        assert!(outcome.is_err(), "{mutant:?} is not caught");
    }
}
