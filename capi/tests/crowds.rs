//! Many processes of a C host on one store, beside git where there is one.

#![cfg(test)]
#![cfg(not(feature = "git-2-55"))]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use support::{compile, run, source};

/// The host, compiled, and a place to work in.
struct Host {
    at: tempfile::TempDir,
    program: PathBuf,
}

impl Host {
    fn new(flags: &[&str]) -> Host {
        let at = tempfile::tempdir().unwrap();
        let program = at.path().join("crowd");
        compile(&source("tests/c/crowd.c"), flags, &program);
        Host { at, program }
    }

    fn command(&self, store: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(store).args(arguments);
        command
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
fn the_hosts_signal_handlers_know_the_lock() {
    Host::new(&[]).says(&["signal"]);
}

#[test]
fn who_waits_for_its_own_parent_gets_the_time_out() {
    Host::new(&[]).says(&["hook"]);
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
fn two_that_wait_for_each_other_come_to_an_end() {
    println!("{}", Host::new(&[]).says(&["cross"]));
}

#[test]
fn waiters_leave_the_processor_to_others() {
    for (waiters, percent) in [("8", "12"), ("32", "25")] {
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
fn hosts_and_git_share_a_store() {
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
    let gits: Vec<Child> = (0..2).map(|number| git_loop(&repository, id.trim(), number)).collect();
    let hosts: Vec<Child> = (0..2)
        .map(|number| {
            let mut host = host.command(&store, &["loop", &format!("h{number}"), "3"]);
            host.stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let (mut by_git, mut by_hosts) = (Vec::new(), Vec::new());
    for child in gits {
        let output = child.wait_with_output().unwrap();
        by_git.extend(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned));
    }
    for (number, child) in hosts.into_iter().enumerate() {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.trim().ends_with(" 0 failed"), "{said}");
        let done: usize = said.split(' ').next().unwrap().parse().unwrap();
        by_hosts.extend((0..done).map(|done| format!("refs/heads/h{number}/{done:05}")));
    }
    // Ids that the host makes up are no objects, and git says so; it lists them all the same.
    let listed = Command::new("git").arg("-C").arg(&repository).args(["show-ref"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let there: std::collections::BTreeSet<&str> = listed.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    println!("{} by git, {} by hosts, {} there", by_git.len(), by_hosts.len(), there.len());
    assert!(!by_git.is_empty() && !by_hosts.is_empty());
    for name in by_git.iter() {
        assert!(there.contains(&**name), "{name} was acknowledged to git");
    }
    let stack = reftable::Stack::open(&store, reftable::Options::default()).unwrap();
    let snapshot = stack.snapshot().unwrap();
    for name in by_hosts.iter().chain(&by_git) {
        assert!(snapshot.get(name).unwrap().is_some(), "{name} was acknowledged");
    }
}
