//! A commit that waits for the lock is done by the lock holder, along with its own.

mod stopped_leader;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::effort::loudly;
use crate::support::fault_dir::{FaultDir, Fuse};
use crate::support::over_dir::OverDir;
use crate::support::victim;
use reftable::dir::Dir;
use reftable::lock::RobustLocks;
use reftable::{AutoCompact, Commit, Durability, ErrorKind, Expect, ObjectId, Options, Prepared, Result, Stack};
use stopped_leader::followed_by;

fn id(byte: u8) -> ObjectId {
    ObjectId::from_bytes(&[byte; 20]).unwrap()
}

fn options() -> Options {
    let options = Options::default().durability(Durability::Off).auto_compact(AutoCompact::Off);
    options.lock_timeout(Some(Duration::from_secs(10)))
}

fn commit(stack: &Stack, name: &str, expect: Expect) -> Result<Commit> {
    let mut tx = stack.transaction();
    tx.set(name, expect, id(1));
    tx.commit()
}

/// A store with one reference.
fn store() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    commit(&Stack::open(dir.path(), options()).unwrap(), "refs/heads/first", Expect::Absent).unwrap();
    dir
}

/// Holds the lock until it is dropped.
fn hold(dir: &Path) -> Prepared {
    let stack = Stack::open(dir, options()).unwrap();
    let mut tx = stack.transaction();
    tx.set("refs/heads/held", Expect::Any, id(1));
    tx.prepare().unwrap()
}

fn requests(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let requests = entries.filter(|entry| entry.file_name().to_str().unwrap().ends_with(".request"));
    // One that is empty yet is still being made. It may go while we look.
    requests.filter(|entry| entry.metadata().is_ok_and(|about| about.len() > 0)).count()
}

fn wait_for_requests(dir: &Path, count: usize) {
    let start = Instant::now();
    while requests(dir) != count {
        assert!(start.elapsed() < Duration::from_secs(10), "nobody asks");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Commits through a handle of its own, as another process does.
fn in_background(dir: &Path, options: Options, name: &str, expect: Expect) -> JoinHandle<(Result<Commit>, Stack)> {
    let stack = Stack::open(dir, options).unwrap();
    let name = name.to_owned();
    thread::spawn(move || (commit(&stack, &name, expect), stack))
}

#[test]
fn those_who_wait_share_a_table() {
    let dir = store();
    let reader = Stack::open(dir.path(), options()).unwrap();
    let held = hold(dir.path());
    let waiting: Vec<_> = (0..4)
        .map(|number| in_background(dir.path(), options(), &format!("refs/heads/{number}"), Expect::Absent))
        .collect();
    wait_for_requests(dir.path(), 4);
    drop(held);
    let mut delegated = 0;
    for (number, waiting) in waiting.into_iter().enumerate() {
        let (result, stack) = waiting.join().unwrap();
        let found = reader.snapshot().unwrap().get(format!("refs/heads/{number}")).unwrap().unwrap();
        assert_eq!(found.update_index, result.unwrap().update_index, "each knows its own");
        delegated += stack.metrics().delegated;
    }
    assert_eq!(delegated, 3, "one does it for all");
    assert_eq!(reader.snapshot().unwrap().tables().len(), 2);
    assert_eq!(requests(dir.path()), 0);
}

#[test]
fn in_a_crowd_everything_is_done_once() {
    let dir = store();
    let crowd: Vec<_> = (0..4)
        .map(|number| {
            let stack = Stack::open(dir.path(), options().auto_compact(AutoCompact::Lazy(16))).unwrap();
            thread::spawn(move || {
                for count in 0..100 {
                    commit(&stack, &format!("refs/heads/{number}/{count}"), Expect::Absent).unwrap();
                }
                (stack.metrics().delegated, stack.metrics().committed_for_others)
            })
        })
        .collect();
    let (delegated, committed) =
        crowd.into_iter().map(|one| one.join().unwrap()).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(delegated > 0, "nothing was ever delegated");
    assert_eq!(delegated, committed, "each was committed by one");
    let stack = Stack::open(dir.path(), options()).unwrap();
    assert_eq!(stack.snapshot().unwrap().refs().unwrap().into_iter().count(), 401);
}

/// Sets one reference that is there and one that is not, deletes one and looks at one; asks for
/// what is replaced.
fn commit_and_ask(stack: &Stack, byte: u8) -> Commit {
    let mut tx = stack.transaction();
    tx.set("refs/heads/first", Expect::Any, id(byte)).set(format!("refs/heads/new-{byte}"), Expect::Any, id(byte));
    tx.delete("refs/heads/held", Expect::Any).verify("refs/heads/none", Expect::Absent);
    tx.report_replaced();
    tx.commit().unwrap()
}

#[test]
fn replaced_values_come_from_who_commits() {
    let dir = store();
    let held = hold(dir.path());
    let waiting: Vec<_> = (2..6)
        .map(|byte| {
            let stack = Stack::open(dir.path(), options()).unwrap();
            let waiting = thread::spawn(move || (byte, commit_and_ask(&stack, byte), stack.metrics().delegated));
            wait_for_requests(dir.path(), usize::from(byte) - 1);
            waiting
        })
        .collect();
    drop(held);
    let mut done: Vec<_> = waiting.into_iter().map(|waiting| waiting.join().unwrap()).collect();
    assert_eq!(done.iter().map(|(_, _, delegated)| delegated).sum::<u64>(), 3, "one does it for all");
    done.sort_by_key(|(_, commit, _)| commit.update_index);
    let mut before = id(1);
    for (byte, commit, _) in done {
        let replaced: Vec<_> = commit.replaced.unwrap().into_iter().map(|old| (old.name, old.target)).collect();
        let new = format!("refs/heads/new-{byte}").into_bytes();
        let first = (b"refs/heads/first".to_vec(), Some(before.into()));
        assert_eq!(replaced, [first, (b"refs/heads/held".to_vec(), None), (new, None)], "{byte}");
        before = id(byte);
    }
}

#[test]
fn replaced_values_that_do_not_fit_are_found_out_by_who_asked() {
    let dir = store();
    let long = |number: u32| format!("refs/heads/{number}/{}", "long".repeat(100));
    let stack = Stack::open(dir.path(), options()).unwrap();
    let set = move |stack: &Stack, target: u32| {
        let mut tx = stack.transaction();
        for number in 0..30 {
            tx.set(format!("refs/short/{number}"), Expect::Any, reftable::Target::symbolic(long(target)));
        }
        tx.report_replaced();
        tx.commit().unwrap()
    };
    set(&stack, 1);
    let held = hold(dir.path());
    let waiting = thread::spawn(move || set(&stack, 2));
    wait_for_requests(dir.path(), 1);
    let leader = in_background(dir.path(), options(), "refs/heads/leads", Expect::Absent);
    wait_for_requests(dir.path(), 2);
    drop(held);
    leader.join().unwrap().0.unwrap();
    let replaced = waiting.join().unwrap().replaced.unwrap();
    assert_eq!(replaced.len(), 30);
    assert!(replaced.iter().all(|old| old.target == Some(reftable::Target::symbolic(long(1)))));
}

#[test]
fn a_conflict_comes_back_to_who_asked() {
    let dir = store();
    let held = hold(dir.path());
    let fits = in_background(dir.path(), options(), "refs/heads/fits", Expect::Absent);
    let does_not = in_background(dir.path(), options(), "refs/heads/first", Expect::Absent);
    wait_for_requests(dir.path(), 2);
    drop(held);
    fits.join().unwrap().0.unwrap();
    let error = does_not.join().unwrap().0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.conflicts().len(), 1);
    assert_eq!(requests(dir.path()), 0);
}

#[test]
fn who_gives_up_has_changed_nothing() {
    let dir = store();
    let held = hold(dir.path());
    let hasty = options().lock_timeout(Some(Duration::from_millis(50)));
    let (result, stack) = in_background(dir.path(), hasty, "refs/heads/late", Expect::Absent).join().unwrap();
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Locked);
    assert_eq!(requests(dir.path()), 0, "it takes its request back");
    drop(held);
    commit(&Stack::open(dir.path(), options()).unwrap(), "refs/heads/next", Expect::Absent).unwrap();
    assert!(stack.snapshot().unwrap().get("refs/heads/late").unwrap().is_none());
}

#[test]
fn only_the_same_terms_are_served() {
    let dir = store();
    let held = hold(dir.path());
    let ordered = options().durability(Durability::Ordered);
    let one = in_background(dir.path(), options(), "refs/heads/off", Expect::Absent);
    let other = in_background(dir.path(), ordered, "refs/heads/ordered", Expect::Absent);
    wait_for_requests(dir.path(), 2);
    drop(held);
    for waiting in [one, other] {
        let (result, stack) = waiting.join().unwrap();
        result.unwrap();
        assert_eq!(stack.metrics().delegated, 0);
    }
}

#[test]
fn it_can_be_turned_off() {
    let dir = store();
    let held = hold(dir.path());
    let alone = in_background(dir.path(), options().delegation(false), "refs/heads/alone", Expect::Absent);
    thread::sleep(Duration::from_millis(30));
    assert_eq!(requests(dir.path()), 0);
    drop(held);
    alone.join().unwrap().0.unwrap();
}

#[test]
fn requests_of_dead_followers_and_garbage_are_no_harm() {
    let dir = store();
    let name = |number: u8| dir.path().join(format!("reftable-{number:016x}.request"));
    fs::write(name(1), b"").unwrap();
    fs::write(name(2), b"rtwants\x01 and then nothing that makes sense").unwrap();
    fs::write(name(3), vec![0xff; 1 << 20]).unwrap();
    fs::create_dir(name(4)).unwrap();
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(elsewhere.path(), name(5)).unwrap();
    let stack = Stack::open(dir.path(), options()).unwrap();
    commit(&stack, "refs/heads/next", Expect::Absent).unwrap();
    assert!(!name(1).exists() && !name(2).exists(), "their followers are dead");
    assert_eq!(elsewhere.as_file().metadata().unwrap().len(), 0, "what a link points at is left alone");
}

#[test]
fn whatever_fails_the_leader_its_followers_know_where_they_are() {
    let mut delegated = 0;
    for nth in 1.. {
        let dir = store();
        let fuse = Fuse::new(nth, 5);
        let faulty: Arc<dyn Dir> = FaultDir::new(dir.path(), &fuse);
        let held = hold(dir.path());
        let full = || options().durability(Durability::Full);
        let waiting = in_background(dir.path(), full(), "refs/heads/follower", Expect::Absent);
        wait_for_requests(dir.path(), 1);
        let leader = Stack::open_in(faulty, Box::new(RobustLocks::new(false)), full());
        // By then the follower looks seldom enough for the leader to be first, as a rule.
        thread::sleep(Duration::from_millis(25));
        drop(held);
        let led = leader.and_then(|stack| commit(&stack, "refs/heads/leader", Expect::Absent));
        let (followed, follower) = waiting.join().unwrap();
        let snapshot = follower.snapshot().unwrap();
        let there = snapshot.get("refs/heads/follower").unwrap();
        match followed {
            Ok(commit) => assert_eq!(there.unwrap().update_index, commit.update_index),
            // The answer could not be written.
            Err(error) => assert_eq!(error.kind(), ErrorKind::Indeterminate, "call {nth}: {error}"),
        }
        if led.is_ok() {
            assert!(snapshot.get("refs/heads/leader").unwrap().is_some());
        }
        delegated += follower.metrics().delegated;
        if fuse.failed().is_none() {
            break;
        }
    }
    assert!(delegated > 0, "the follower never followed");
}

/// Neither the renaming of the list nor a look after it is answered: the leader knows nothing, and
/// its followers are not told otherwise.
#[test]
fn a_leader_that_cannot_tell_does_not_tell_its_followers() {
    for happens in [true, false] {
        let is_served = (0..50).any(|_| {
            let dir = store();
            let held = hold(dir.path());
            let waiting = in_background(dir.path(), options(), "refs/heads/follower", Expect::Absent);
            wait_for_requests(dir.path(), 1);
            let faulty = OverDir::losing(dir.path(), happens);
            let leader = Stack::open_in(faulty, Box::new(RobustLocks::new(false)), options()).unwrap();
            // By then the follower looks seldom enough for the leader to be first, as a rule.
            thread::sleep(Duration::from_millis(25));
            drop(held);
            let led = commit(&leader, "refs/heads/leader", Expect::Absent);
            let (followed, follower) = waiting.join().unwrap();
            // Else the follower was first, and has led.
            let Err(error) = led else { return false };
            assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
            let snapshot = follower.snapshot().unwrap();
            let there = |name: &str| snapshot.get(name).unwrap().map(|found| found.update_index);
            assert_eq!(there("refs/heads/leader").is_some(), happens);
            match followed {
                Ok(commit) => assert_eq!(there("refs/heads/follower"), Some(commit.update_index)),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}"),
            }
            assert_eq!(requests(dir.path()), 0);
            leader.metrics().committed_for_others > 0
        });
        assert!(is_served, "the follower never followed");
    }
}

/// As [`Options::outcome_timeout`] says: both times after the call, if it is still not known then.
#[test]
fn who_follows_one_that_is_stopped_waits_as_long_as_it_was_told() {
    let ms = Duration::from_millis;
    let patient = |outcome| options().lock_timeout(Some(ms(200))).outcome_timeout(outcome);
    let is_told_after = |outcome, sum| {
        let (told, after, is_there) = followed_by(&patient(outcome), sum + ms(1500));
        let error = told.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        assert!(after >= sum && after < sum + ms(1500), "told after {after:?}, not {sum:?}");
        assert!(is_there, "nobody can take it back");
    };
    // At once, each in a store of its own.
    thread::scope(|scope| {
        for (outcome, sum) in [(Some(ms(500)), ms(700)), (Some(Duration::ZERO), ms(200)), (None, ms(2200))] {
            scope.spawn(move || is_told_after(outcome, sum));
        }
        let (told, after, is_there) = followed_by(&patient(Some(ms(10_000))), ms(500));
        told.unwrap();
        assert!(is_there && after >= ms(500) && after < ms(5000), "{after:?}");
    });
}

#[test]
fn whatever_fails_a_follower_it_knows_where_it_is() {
    let (mut delegated, mut failed_after_asking) = (0, 0);
    for nth in 1.. {
        let dir = store();
        let fuse = Fuse::new(nth, 5);
        let faulty: Arc<dyn Dir> = FaultDir::new(dir.path(), &fuse);
        let held = hold(dir.path());
        let waiting = thread::spawn(move || {
            let stack = Stack::open_in(faulty, Box::new(RobustLocks::new(false)), options())?;
            let committed = commit(&stack, "refs/heads/follower", Expect::Absent);
            Ok::<_, reftable::Error>((committed?, stack.metrics().delegated))
        });
        let start = Instant::now();
        // If the request is what fails, it waits without one.
        while requests(dir.path()) == 0 && !waiting.is_finished() && start.elapsed() < Duration::from_millis(200) {
            thread::sleep(Duration::from_micros(100));
        }
        let has_asked = requests(dir.path()) > 0;
        drop(held);
        let leader = Stack::open(dir.path(), options()).unwrap();
        commit(&leader, "refs/heads/leader", Expect::Absent).unwrap();
        let followed = waiting.join().unwrap();
        // A process that is told that nothing was done must not find it done later, either.
        commit(&leader, "refs/heads/last", Expect::Absent).unwrap();
        let there = leader.snapshot().unwrap().get("refs/heads/follower").unwrap();
        match followed {
            Ok((commit, handed)) => {
                assert_eq!(there.unwrap().update_index, commit.update_index);
                delegated += handed;
            }
            Err(error) => {
                failed_after_asking += usize::from(has_asked);
                let is_told = error.kind() == ErrorKind::Indeterminate || there.is_none();
                assert!(is_told, "call {nth} ({:?}): it is done, and {error}", fuse.failed());
            }
        }
        if fuse.failed().is_none() {
            break;
        }
    }
    assert!(delegated > 0, "the follower never followed");
    assert!(failed_after_asking > 0, "nothing failed once something was asked");
}

/// Commits with very few descriptors, beside many who ask.
#[cfg(target_os = "linux")]
#[test]
fn victim_with_few_descriptors() {
    let Some(dir) = victim::dir() else { return };
    let stack = Stack::open(&dir, options()).unwrap();
    let (mut count, start) = (0, Instant::now());
    while count < 60 || stack.metrics().committed_for_others < 20 && start.elapsed() < Duration::from_secs(10) {
        commit(&stack, &format!("refs/heads/poor/{}", count % 60), Expect::Any).unwrap();
        count += 1;
    }
    assert!(
        stack.metrics().committed_for_others >= 20,
        "it has led too seldom: {} of {count}",
        stack.metrics().committed_for_others
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_leader_is_not_hurt_by_what_others_ask_for() {
    let dir = store();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let crowd: Vec<_> = (0..24)
        .map(|number| {
            let (stack, stop) = (Stack::open(dir.path(), options()).unwrap(), Arc::clone(&stop));
            thread::spawn(move || {
                let mut count = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    count += 1;
                    commit(&stack, &format!("refs/heads/{number}/{}", count % 4), Expect::Any).unwrap();
                }
            })
        })
        .collect();
    let poor = victim::Victim::start_limited(victim_with_few_descriptors, dir.path(), 20);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poor.finish()));
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    crowd.into_iter().for_each(|one| one.join().unwrap());
    assert!(outcome.is_ok(), "the victim says above why");
}

/// A group that three users share, as in `cli/tests/commands/shared_repositories.rs`.
#[cfg(target_os = "linux")]
const GROUP: u32 = 54000;

/// Commits names of its own until it is killed, and says which were acknowledged, and how often the
/// outcome was not known.
#[cfg(target_os = "linux")]
#[test]
fn victim_of_one_of_three_users() {
    let Some(dir) = victim::dir() else { return };
    let stack = Stack::open(&dir, options()).unwrap();
    let number = std::process::id();
    for count in 0u64.. {
        let name = format!("refs/heads/{number}/{count}");
        match commit(&stack, &name, Expect::Absent) {
            Ok(_) => victim::say(&name),
            Err(error) if error.kind() == ErrorKind::Indeterminate => victim::say("unknown"),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Six processes of three users, one of which is killed every 50 ms, for 3 s, or as many seconds as
/// `REFTABLE_USERS_SECONDS` says. Nothing that was acknowledged is lost, and hardly ever is the
/// outcome unknown: at most once in 10,000 commits, and once.
#[cfg(target_os = "linux")]
#[test]
fn three_users_lose_nothing_over_those_who_are_killed() {
    use std::os::unix::fs::{PermissionsExt, chown};
    let is_root = rustix::process::geteuid().is_root();
    if !is_root || !Path::new("/usr/bin/setpriv").exists() {
        assert!(std::env::var_os("REFTABLE_REQUIRE_MOUNTS").is_none(), "only root, with setpriv, can be several users");
        loudly("SKIPPED: only root, with setpriv, can be several users");
        return;
    }
    let dir = store();
    for entry in fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()) {
        chown(&entry, Some(54001), Some(GROUP)).unwrap();
        fs::set_permissions(&entry, fs::Permissions::from_mode(0o660)).unwrap();
    }
    chown(dir.path(), Some(54001), Some(GROUP)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o2770)).unwrap();
    let start_one = |user: u64| {
        let (user, group) = (format!("--reuid={}", 54001 + user % 3), format!("--groups={GROUP}"));
        let program = ["setpriv", &user, "--regid=54001", &group];
        victim::Victim::start_by(&program, victim_of_one_of_three_users, dir.path())
    };
    let seconds = std::env::var("REFTABLE_USERS_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(3);
    let (mut crowd, mut said): (std::collections::VecDeque<_>, Vec<_>) = ((0..6).map(start_one).collect(), Vec::new());
    let (start, mut kills) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(seconds) {
        thread::sleep(Duration::from_millis(50));
        said.extend(crowd.pop_front().unwrap().kill());
        kills += 1;
        crowd.push_back(start_one(kills));
    }
    crowd.into_iter().for_each(|one| said.extend(one.kill()));
    let snapshot = Stack::open(dir.path(), options()).unwrap().snapshot().unwrap();
    let (names, unknown): (Vec<_>, Vec<_>) = said.into_iter().partition(|line| line.starts_with("refs/"));
    for name in &names {
        assert!(snapshot.get(name).unwrap().is_some(), "{name} was acknowledged, and is lost");
    }
    println!("{} commits, {kills} kills, {} of unknown outcome", names.len(), unknown.len());
    let indeterminate = unknown.iter().filter(|line| *line == "unknown").count();
    assert!(names.len() > 100 && indeterminate <= 1 + names.len() / 10_000, "{indeterminate} of {}", names.len());
}
