//! Runs the program as people do, for two seconds, with few processes.

#![expect(clippy::unwrap_used, reason = "a helper that fails is to fail its test")]

use std::process::{Command, Output};

fn stress(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_reftable-stress")).args(args).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

/// The control runs find violations, so they keep their repository: in a directory that goes away with the test.
fn broken(flag: &str) -> (Output, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let root = root.to_str().unwrap();
    let args = ["--seconds=2", "--processes=3", "--git=0", "--seed=3", "--durability=off", "--dir", root, flag];
    (stress(&args), dir)
}

#[test]
fn a_run_is_clean_and_says_so_in_json() {
    for hash in [None, Some("--sha256")] {
        let mut args = vec!["--seconds=2", "--processes=4", "--git=2", "--seed=1", "--durability=off", "--json"];
        args.extend(hash);
        let output = stress(&args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        let shown = text(&output);
        let last: serde_json::Value = serde_json::from_str(shown.lines().last().unwrap()).unwrap();
        assert_eq!(last["violations"], 0);
        assert!(last["ours"]["commits"].as_u64().unwrap() > 0, "{shown}");
        assert!(last["ours"]["reads"].as_u64().unwrap() > 0, "{shown}");
        assert!(last["checked"]["transfers"].as_u64().unwrap() > 0, "{shown}");
    }
}

#[test]
fn without_git_processes_ours_are_checked_all_the_same() {
    let output = stress(&["--seconds=1", "--processes=2", "--git=0", "--seed=2"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn without_git_on_the_machine_it_says_so_and_runs() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reftable-stress"));
    let output = command.args(["--seconds=1", "--processes=3", "--seed=2"]).env("PATH", "").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("running without git"), "{}", text(&output));
}

#[test]
fn transfers_in_two_commits_are_found_out() {
    let (output, _dir) = broken("--break-atomicity");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("broken sum"), "{}", text(&output));
}

#[test]
fn acknowledged_commits_that_are_missing_are_found_out() {
    let (output, _dir) = broken("--break-acks");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("lost: "), "{}", text(&output));
}

#[test]
fn wrong_usage_exits_with_2() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("precious"), "").unwrap();
    assert_eq!(stress(&["--seconds=0"]).status.code(), Some(2));
    assert_eq!(stress(&["--no-such-option"]).status.code(), Some(2));
    assert_eq!(stress(&["--dir", dir.path().to_str().unwrap()]).status.code(), Some(2));
}
