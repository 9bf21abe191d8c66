//! `reftable compact`, as git sees it.

use crate::support::{self, for_each_hash};

#[test]
fn everything_goes_into_one_table_and_nothing_is_lost() {
    for_each_hash(|repo| {
        for number in 0..5 {
            repo.git_adds_a_table(["commit", "-q", "--allow-empty", "-m", &number.to_string()]);
        }
        let refs = repo.git(["for-each-ref"]);
        let log = repo.git(["reflog"]);
        let text = repo.ours(["compact", "--all"]);
        assert!(text.contains(": merged 6 tables of "), "{text}");
        assert_eq!(std::fs::read_to_string(repo.store().join("tables.list")).unwrap().lines().count(), 1);
        assert_eq!((repo.git(["for-each-ref"]), repo.git(["reflog"])), (refs, log));
        assert!(repo.ours(["compact", "--all"]).ends_with("nothing to do"));
        assert!(repo.ours(["compact", "--rewrite"]).contains(": merged 1 tables of "));
        repo.git(["refs", "verify"]);
        repo.ours(["verify"]);
    });
}

#[test]
fn old_log_entries_expire() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        let two = repo.commit("two");
        let entry = |date: &str, message: &str, id: &str| {
            let run =
                repo.command().env("GIT_COMMITTER_DATE", date).args(["update", "-m", message, "HEAD", id]).status();
            assert!(run.unwrap().success());
        };
        entry("1600000000 +0000", "old", &one);
        entry("1800000000 +0000", "new", &two);
        repo.ours(["compact", "--expire-logs", "1700000000"]);
        assert_eq!(repo.git(["reflog", "--format=%gs"]), "new\ncommit: two\ncommit (initial): one");
        repo.ours(["compact", "--expire-logs", "2024-01-01"]);
        assert_eq!(repo.git(["reflog", "--format=%gs"]), "new");
        repo.ours(["compact", "--expire-logs", "now"]);
        assert_eq!(repo.git(["reflog", "--format=%gs"]), "");
        assert_eq!(repo.git(["rev-parse", "HEAD"]), two);
        repo.git(["fsck"]);
    });
}

/// Reflogs of several references, each with one entry of 2020; the stash has two.
fn old_logs(repo: &support::Repo) {
    repo.commit("one");
    for name in ["refs/heads/a", "refs/remotes/o/a", "refs/notes/n"] {
        repo.git(["update-ref", "--create-reflog", "-m", "old", name, "HEAD"]);
    }
    for message in ["first", "second"] {
        let id = repo.git(["commit-tree", "-m", message, "-p", "HEAD", "HEAD^{tree}"]);
        repo.git(["update-ref", "--create-reflog", "-m", message, "refs/stash", &id]);
    }
}

fn entries(repo: &support::Repo) -> [usize; 4] {
    ["refs/heads/a", "refs/remotes/o/a", "refs/notes/n", "refs/stash"].map(|name| {
        repo.git(["reflog", "exists", name]);
        repo.git(["log", "-g", "--format=%gd", name]).lines().count()
    })
}

#[test]
fn stashes_expire_only_if_they_are_named() {
    for_each_hash(|repo| {
        old_logs(repo);
        repo.ours(["compact", "--expire-logs", "never"]);
        repo.ours(["compact", "--expire-logs", "refs/none*=now"]);
        assert_eq!(entries(repo), [1, 1, 1, 2]);
        repo.ours(["compact", "--expire-logs", "refs/notes/*=all", "--expire-logs", "refs/heads/*=never"]);
        assert_eq!(entries(repo), [1, 1, 0, 2]);
        repo.ours(["compact", "--expire-logs", "now"]);
        assert_eq!(entries(repo), [0, 0, 0, 2]);
        assert_eq!(repo.git(["stash", "list"]).lines().count(), 2);
        repo.ours(["compact", "--expire-logs", "refs/stash=now"]);
        assert_eq!(entries(repo), [0, 0, 0, 0]);
    });
}

#[test]
fn the_configuration_protects_and_expires_as_in_git() {
    for_each_hash(|repo| {
        old_logs(repo);
        repo.git(["config", "gc.refs/notes/*.reflogExpire", "never"]);
        repo.git(["config", "gc.refs/heads/*.reflogExpire", "2000-01-01"]);
        repo.git(["config", "gc.reflogExpire", "never"]);
        repo.ours(["compact", "--expire-logs"]);
        assert_eq!(entries(repo), [1, 1, 1, 2]);
        repo.ours(["compact", "--expire-logs", "all"]);
        assert_eq!(entries(repo), [1, 0, 1, 2]);
        repo.git(["config", "gc.refs/stash.reflogExpire", "now"]);
        repo.git(["config", "--unset", "gc.reflogExpire"]);
        repo.ours(["compact", "--expire-logs", "never"]);
        assert_eq!(entries(repo), [1, 0, 1, 0]);
    });
}

#[test]
fn a_word_that_is_not_understood_expires_nothing() {
    for_each_hash(|repo| {
        old_logs(repo);
        for word in ["90", "soon", "", "3m", "90.dais.ago", "=now", "refs/[=now", "refs/heads/*=90", "*=", "-90d"] {
            let error = repo.run(["compact", &format!("--expire-logs={word}")]).failed(2);
            assert!(!error.is_empty(), "{word}");
        }
        assert!(repo.run(["compact", "--expire-logs", "90"]).failed(2).contains("90.days.ago"));
        for word in ["-5.days", "-5.days.ago", "2.weeks.-3.days", "refs/heads/*=-5.days", "refs/stash=-1.day.ago"] {
            repo.run(["compact", &format!("--expire-logs={word}")]).failed(2);
        }
        repo.git(["config", "gc.refs/notes/*.reflogExpire", "nevre"]);
        let error = repo.run(["compact", "--expire-logs", "now"]).failed(2);
        assert!(error.contains("gc.refs/notes/*.reflogExpire") && error.contains("nevre"), "{error}");
        assert_eq!(entries(repo), [1, 1, 1, 2]);
    });
}

/// Milliseconds, dates as digits, next year.
#[test]
fn a_time_that_has_not_come_expires_nothing() {
    for_each_hash(|repo| {
        old_logs(repo);
        repo.git(["config", "gc.reflogExpire", "never"]);
        for word in ["1700000000000", "@1700000000000", "9998-12-31", "202601010000", "18446744073709551615"] {
            for wish in [word.to_owned(), format!("refs/heads/*={word}"), format!("refs/stash={word}")] {
                let error = repo.run(["compact", "-q", &format!("--expire-logs={wish}")]).failed(2);
                assert!(error.contains(word) && error.contains("'all' or 'now'"), "{error}");
            }
        }
        for key in ["gc.reflogExpire", "gc.refs/notes/*.reflogExpire"] {
            repo.git(["config", key, "1700000000000"]);
            let error = repo.run(["compact", "-q", "--expire-logs"]).failed(2);
            assert!(error.contains(key) && error.contains("'all' or 'now'"), "{error}");
            repo.git(["config", "--unset", key]);
        }
        assert_eq!(entries(repo), [1, 1, 1, 2]);
    });
}
