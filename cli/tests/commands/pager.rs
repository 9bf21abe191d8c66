//! At a terminal output goes through a pager where git's would, and colours are git's.
//!
//! `script` is the terminal.

use std::fs;
use std::process::Command;

use crate::support::{Repo, feed, for_each_hash, isolated};

/// What a run at a terminal gave: the exit code, and all that was shown.
fn at_terminal(repo: &Repo, env: &[(&str, &str)], words: &str) -> (i32, String) {
    let mut script: Command = isolated("script");
    script.current_dir(repo.path()).env_remove("PAGER").env_remove("LESS").env("TERM", "xterm");
    let line = format!("'{}' {words}", env!("CARGO_BIN_EXE_reftable"));
    let output = feed(script.envs(env.iter().copied()).args(["-q", "-e", "-c", &line, "/dev/null"]), b"");
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).replace('\r', ""))
}

fn for_each(test: impl Fn(&Repo) + Sync) {
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("SKIPPED: these tests need the program 'script'");
        return;
    }
    for_each_hash(|repo| {
        repo.commit("one");
        test(repo);
    });
}

/// A pager that leaves a mark on each line.
const MARKS: (&str, &str) = ("GIT_PAGER", "sed s/^/paged:/");

#[test]
fn log_and_what_is_asked_to_go_through_a_pager() {
    for_each(|repo| {
        for (words, is_paged) in [
            ("log HEAD", true),
            ("reflog", true),
            ("reflog show HEAD", true),
            ("-p list", true),
            ("--paginate -C . get HEAD", true),
            ("list", false),
            ("get HEAD", false),
            ("show-ref", false),
            ("stats", false),
            ("reflog list", false),
            ("log HEAD --json", false),
            ("-P log HEAD", false),
            ("--no-pager reflog", false),
            ("-p list --format='%(subject)'", true),
            ("list --format='%(subject)'", false),
            ("log --help", true),
            ("log -h", false),
        ] {
            let (code, shown) = at_terminal(repo, &[MARKS], words);
            assert_eq!((code, shown.contains("paged:")), (0, is_paged), "{words}: {shown}");
        }
        let run = repo.run_with(["log", "HEAD"], b"");
        assert!(!run.out.contains("paged:"), "{}", run.out);
    });
}

#[test]
fn the_pager_is_the_one_that_git_would_start() {
    for_each(|repo| {
        let shown = |env: &[(&str, &str)]| at_terminal(repo, env, "log HEAD").1;
        let marks = |mark: &str| format!("sed s/^/{mark}:/");
        let (by_git, by_all) = (marks("git"), marks("all"));
        assert!(shown(&[("PAGER", &by_all)]).starts_with("all:"));
        repo.git(["config", "core.pager", &marks("core")]);
        assert!(shown(&[("PAGER", &by_all)]).starts_with("core:"));
        repo.git(["config", "pager.log", &marks("log")]);
        assert!(shown(&[("PAGER", &by_all)]).starts_with("log:"));
        assert!(shown(&[("GIT_PAGER", &by_git)]).starts_with("git:"));
        repo.git(["config", "pager.log", "false"]);
        repo.git(["config", "pager.refs", "true"]);
        assert!(!shown(&[]).contains("core:"), "pager.log is false");
        assert!(at_terminal(repo, &[], "list").1.starts_with("core:"));
        for none in ["", "cat"] {
            repo.git(["config", "core.pager", none]);
            assert!(!at_terminal(repo, &[("PAGER", &by_all)], "-p list").1.contains("all:"), "'{none}'");
        }
        let settings = ("GIT_PAGER", "sh -c 'cat >/dev/null; echo $LESS $LV'");
        assert_eq!(at_terminal(repo, &[settings], "-p list").1, "FRX -c\n");
        assert_eq!(at_terminal(repo, &[settings, ("LESS", "S")], "-p list").1, "S -c\n");
    });
}

#[test]
fn exit_codes_do_not_depend_on_the_pager() {
    for_each(|repo| {
        for (pager, words, expected) in [
            ("cat -n", "-p get refs/heads/none", 1),
            ("cat -n", "-p exists refs/heads/none", 2),
            ("false", "-p list", 0),
            ("head -n 1", "-p list", 0),
            ("true", "-p dump .git/reftable", 0),
            ("kill -INT $PPID; sleep 0.2; cat -n", "-p list", 0),
        ] {
            let (code, shown) = at_terminal(repo, &[("GIT_PAGER", pager)], words);
            assert_eq!(code, expected, "{pager}, {words}: {shown}");
            assert!(!shown.contains("ipe"), "{pager}, {words}: {shown}");
        }
        let (code, shown) = at_terminal(repo, &[("GIT_PAGER", "no-such-pager")], "log HEAD");
        assert_eq!(code, 3, "{shown}");
        assert!(shown.contains("the pager 'no-such-pager' cannot be run"), "{shown}");
    });
}

/// Only what git prints for us has colours.
#[test]
fn colours_are_those_that_git_shows() {
    for_each(|repo| {
        let format = "--format='%(color:red)%(refname)'";
        let is_coloured = |words: &str| at_terminal(repo, &[("GIT_PAGER", "cat")], words).1.contains("\u{1b}[");
        assert!(is_coloured(&format!("list {format}")));
        assert!(!is_coloured(&format!("list --color=never {format}")));
        assert!(!repo.run(["list", "--format=%(color:red)%(refname)"]).out.contains("\u{1b}["));
        assert!(repo.run(["list", "--color", "--format=%(color:red)%(refname)"]).out.contains("\u{1b}["));
        for words in ["list --help", "-P list --help", "list --bogus", "list", "verify", "get refs/heads/none"] {
            assert!(!is_coloured(words), "{words}");
        }
        assert!(is_coloured("reflog"));
        repo.git(["config", "color.ui", "false"]);
        assert!(!is_coloured("reflog"));
        // 'git for-each-ref' does not ask the configuration, either.
        assert!(is_coloured(&format!("list {format}")));
    });
}

/// What another user's repository names is not run.
#[test]
fn the_pager_of_another_users_repository_is_not_started() {
    for_each(|repo| {
        let touched = repo.top().join("touched");
        repo.git(["config", "core.pager", &format!("sh -c 'touch {}; cat'", touched.display())]);
        let is_run = || {
            at_terminal(repo, &[("PAGER", "sed s/^/paged:/")], "log HEAD");
            fs::remove_file(&touched).is_ok()
        };
        assert!(is_run());
        let chown =
            |owner: &str| Command::new("chown").arg("-R").arg(owner).arg(repo.path()).status().unwrap().success();
        if !chown("65534") {
            eprintln!("SKIPPED: only root can give a repository away");
            return;
        }
        assert!(!is_run());
    });
}
