//! Many processes of a C host on one store, beside git where there is one.

#![cfg(test)]
#![cfg(not(feature = "git-2-55"))]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reftable::{Expect, ObjectId, Options, Stack};
use support::{archive, compile, run, source};

/// The host, compiled, and a place to work in.
struct Host {
    at: tempfile::TempDir,
    program: PathBuf,
}

impl Host {
    fn new(flags: &[&str]) -> Host {
        Host::of("crowd", flags)
    }

    /// That of `tests/c/compactions.c`.
    fn that_compacts() -> Host {
        Host::of("compactions", &[])
    }

    fn of(name: &str, flags: &[&str]) -> Host {
        let at = tempfile::tempdir().unwrap();
        let program = at.path().join(name);
        compile(&source(&format!("tests/c/{name}.c")), flags, &program);
        Host { at, program }
    }

    fn command(&self, store: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(store).args(arguments);
        command
    }

    /// A host that commits for so many seconds and tells of each commit that succeeded.
    fn endless(&self, store: &Path, name: &str, seconds: u64) -> Child {
        let mut command = self.command(store, &["loop", name, &seconds.to_string()]);
        command.stdout(Stdio::piped()).spawn().unwrap()
    }

    /// Runs the host on a store of its own, and returns what it says.
    fn says(&self, arguments: &[&str]) -> String {
        let output = run(&mut self.command(&self.at.path().join("store"), arguments));
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn a_crowd_loses_no_commit() {
    println!("{}", Host::new(&[]).says(&["crowd", "24", "8"]));
}

#[test]
fn a_killed_process_blocks_nobody() {
    println!("{}", Host::new(&[]).says(&["kill", "200"]));
}

#[test]
fn a_killed_compaction_leaves_no_table_locked() {
    println!("{}", Host::that_compacts().says(&["kill", "60"]));
}

#[test]
fn locks_of_many_tables_take_few_descriptors() {
    Host::that_compacts().says(&["many", "60", "20"]);
}

/// Where files cannot be without a name the host makes the lock, and the library marks it then.
#[test]
fn a_lock_of_the_hosts_is_marked_late_and_mostly_taken_over() {
    let host = Host::new(&["-DWITHOUT_UNNAMED"]);
    println!("{}", host.says(&["kill", "200"]));
    println!("{}", host.says(&["crowd", "12", "8"]));
}

/// The control of all these crowds: an owner that looks dead for a moment.
#[test]
fn a_lock_that_is_closed_before_it_is_renamed_loses_commits() {
    let host = Host::new(&["-DWITHOUT_DUPLICATE"]);
    let crowd = host.command(&host.at.path().join("store"), &["crowd", "12", "8"]).output().unwrap();
    println!("{}", String::from_utf8_lossy(&crowd.stdout));
    assert!(!crowd.status.success(), "the crowd does not notice");
}

#[test]
fn the_hosts_signal_handlers_know_the_lock() {
    Host::new(&[]).says(&["signal"]);
}

#[test]
fn who_waits_for_its_own_parent_gets_the_time_out() {
    Host::new(&[]).says(&["hook"]);
}

#[test]
fn threads_wait_for_one_another_as_processes_do() {
    println!("{}", Host::new(&[]).says(&["threads", "16", "6"]));
}

#[test]
fn an_owner_that_cannot_be_seen_is_waited_for() {
    println!("{}", Host::new(&[]).says(&["orphan"]));
}

#[test]
fn who_waits_longest_is_first() {
    println!("{}", Host::new(&[]).says(&["order", "32"]));
}

#[test]
fn a_waiter_that_is_stopped_keeps_nobody() {
    println!("{}", Host::new(&[]).says(&["stopped"]));
}

#[test]
fn cleaning_waits_for_the_lock_as_long_as_the_compaction_before_it() {
    Host::new(&[]).says(&["clean"]);
}

#[test]
fn two_that_wait_for_each_other_come_to_an_end() {
    println!("{}", Host::new(&[]).says(&["cross"]));
}

/// A host knows its code only, and may end with a failed assertion.
#[test]
fn a_word_that_is_no_policy_is_named() {
    let host = Host::new(&[]);
    let mut crowd = host.command(&host.at.path().join("store"), &["crowd", "1", "1"]);
    let output = crowd.env("REFTABLE_POLICY", "fu ll\n").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = r#"libreftable: REFTABLE_POLICY is "fu ll\n"; set it to full or git, or unset it"#;
    assert_eq!(said.lines().next(), Some(expected), "{said}");
}

#[test]
fn waiters_leave_the_processor_to_others() {
    // What is promised; without optimisation half as much again.
    let is_optimised = !cfg!(debug_assertions) || archive().is_some();
    let most = if is_optimised { ["12", "25"] } else { ["18", "38"] };
    for (waiters, percent) in ["8", "32"].into_iter().zip(most) {
        println!("{}", Host::new(&[]).says(&["idle", waiters, percent]));
    }
}

/// A loop of `git update-ref` on names of its own; tells of each that succeeded.
fn git_loop(repository: &Path, id: &str, number: usize) -> Child {
    let script = format!(
        "end=$(($(date +%s) + 3)); n=0; while [ $(date +%s) -lt $end ]; do n=$((n+1)); \
         git update-ref refs/heads/g{number}/$n {id} 2>/dev/null && echo refs/heads/g{number}/$n; done; true"
    );
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).current_dir(repository).stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn hosts_and_git_share_a_store_and_some_are_killed() {
    let host = Host::new(&[]);
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.arg("-C").arg(host.at.path()).args(["-c", "user.name=A", "-c", "user.email=a@b"]).args(arguments);
        let output = git.output().ok()?;
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    };
    if git(&["init", "-q", "--ref-format=reftable", "repository"]).is_none() {
        assert!(std::env::var_os("REFTABLE_REQUIRE_GIT").is_none(), "a git that knows reftable is required");
        return;
    }
    git(&["-C", "repository", "commit", "-q", "--allow-empty", "-m", "one"]).unwrap();
    let id = git(&["-C", "repository", "rev-parse", "HEAD"]).unwrap();
    let repository = host.at.path().join("repository");
    let store = repository.join(".git/reftable");
    let end = Instant::now() + Duration::from_secs(3);
    let gits: Vec<Child> = (0..2).map(|number| git_loop(&repository, id.trim(), number)).collect();
    let hosts: Vec<Child> = (0..2).map(|number| host.endless(&store, &format!("h{number}"), 3)).collect();
    let (by_the_killed, by_us) = std::thread::scope(|scope| {
        let killed = scope.spawn(|| killed_hosts(&host, &store, end));
        let us = scope.spawn(|| commits_of_ours(&store, id.trim(), end));
        (killed.join().unwrap(), us.join().unwrap())
    });
    let by_git: Vec<String> = gits.into_iter().flat_map(said).collect();
    let mut by_hosts = Vec::new();
    for child in hosts {
        let mut said = said(child);
        let last = said.pop().unwrap();
        assert!(last.ends_with(" 0 failed"), "{last}");
        by_hosts.extend(said);
    }
    let listed = Command::new("git").arg("-C").arg(&repository).args(["show-ref"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let there: BTreeSet<&str> = listed.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    println!(
        "{} by git, {} by hosts, {} by hosts that were killed, {} by us; git lists {}",
        by_git.len(),
        by_hosts.len(),
        by_the_killed.len(),
        by_us.len(),
        there.len()
    );
    assert!(!by_git.is_empty() && !by_hosts.is_empty() && !by_the_killed.is_empty() && !by_us.is_empty());
    for name in by_git.iter().chain(&by_us) {
        assert!(there.contains(&**name), "{name} was acknowledged");
    }
    let stack = Stack::open(&store, Options::default()).unwrap();
    let snapshot = stack.snapshot().unwrap();
    for name in by_hosts.iter().chain(&by_git).chain(&by_the_killed).chain(&by_us) {
        assert!(snapshot.get(name).unwrap().is_some(), "{name} was acknowledged");
    }
}

/// The whole lines that a process has written, once it has ended.
fn said(child: Child) -> Vec<String> {
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let whole = said.rfind('\n').map_or("", |end| &said[..end]);
    whole.lines().map(str::to_owned).collect()
}

/// Hosts that are killed one after another; what they have acknowledged.
fn killed_hosts(host: &Host, store: &Path, end: Instant) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if Instant::now() >= end {
            break;
        }
        let mut child = host.endless(store, &format!("k{number}"), 60);
        std::thread::sleep(Duration::from_millis(20 + number * 7919 % 100));
        child.kill().unwrap();
        acknowledged.extend(said(child));
    }
    acknowledged
}

/// Commits of this process, through the crate.
fn commits_of_ours(store: &Path, id: &str, end: Instant) -> Vec<String> {
    let stack = Stack::open(store, Options::default().lock_timeout(Some(Duration::from_secs(30)))).unwrap();
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if Instant::now() >= end {
            break;
        }
        // Before those of hosts, at which `git show-ref` ends: what they point to is no object.
        let name = format!("refs/heads/c/{number}");
        let mut tx = stack.transaction();
        tx.set(&name, Expect::Any, id.parse::<ObjectId>().unwrap());
        tx.commit().unwrap();
        acknowledged.push(name);
        std::thread::sleep(Duration::from_millis(5));
    }
    acknowledged
}
