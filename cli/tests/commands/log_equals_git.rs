//! `reftable log` shows the entries that `git reflog` shows.

use crate::support::{Repo, for_each_hash, isolated};

/// git has no command that prints raw entries; this has all but the old id and the time zone.
fn git_log(repo: &Repo, name: &str) -> Vec<String> {
    let format = "--format=%H %gn <%ge> %gd %gs";
    let log = repo.git(["reflog", "show", "--date=raw", format, name]);
    // main@{1700000000 +0130} becomes 1700000000 +0130
    let bare = |line: &str| match line.split_once("> ").zip(line.split_once("@{")) {
        Some(((who, _), (_, rest))) => format!("{who}> {}", rest.replacen('}', "", 1)),
        None => line.to_owned(),
    };
    log.lines().map(|line| bare(line).trim_end().to_owned()).collect()
}

/// The same of this program: without the old id, and with a space in place of the tab.
fn our_log(repo: &Repo, name: &str) -> Vec<String> {
    let log = repo.ours(["log", name]);
    let without_old = |line: &str| line.split(' ').skip(1).collect::<Vec<_>>().join(" ").replacen('\t', " ", 1);
    log.lines().map(without_old).collect()
}

#[test]
fn entries_are_those_of_git() {
    for_each_hash(|repo| {
        repo.commit("one");
        repo.commit("zwei äöü");
        repo.git(["switch", "-q", "-c", "topic"]);
        repo.commit("three");
        repo.git(["update-ref", "refs/heads/topic", "HEAD~"]);
        repo.git(["reflog", "delete", "topic@{1}"]);
        for name in ["HEAD", "refs/heads/main", "refs/heads/topic"] {
            assert_eq!(our_log(repo, name), git_log(repo, name));
        }
        let all = repo.ours(["log", "HEAD"]);
        let newest: Vec<_> = all.lines().take(2).collect();
        assert_eq!(repo.ours(["log", "HEAD", "-n", "2"]).lines().collect::<Vec<_>>(), newest);
        assert_eq!(repo.ours(["log", "HEAD", "-n", "0"]), "");
        let oldest = all.lines().last().unwrap();
        assert!(oldest.starts_with(&repo.zero()), "{oldest}");
    });
}

#[test]
fn json_takes_an_entry_apart() {
    for_each_hash(|repo| {
        let first = repo.commit("one");
        let second = repo.commit("two");
        let log = repo.run(["log", "refs/heads/main", "--json"]).json();
        assert_eq!(log.len(), 2);
        assert_eq!(log[0]["old"], first.as_str());
        assert_eq!(log[0]["new"], second.as_str());
        assert_eq!(log[0]["name"], "refs/heads/main");
        assert_eq!(log[0]["committer"], "A U Thor");
        assert_eq!(log[0]["email"], "author@example.com");
        assert_eq!(log[0]["time"], 1_700_000_000);
        assert_eq!(log[0]["tz"], "+0130");
        assert_eq!(log[0]["message"], "commit: two");
        assert!(log[0]["update_index"].as_u64() > log[1]["update_index"].as_u64());
    });
}

#[test]
fn an_empty_reflog_is_not_a_missing_one() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        repo.git(["-c", "core.logAllRefUpdates=false", "update-ref", "refs/heads/quiet", &id]);
        repo.run(["log", "refs/heads/quiet"]).failed(1);
        let output = isolated("git").current_dir(repo.path()).args(["branch", "kept"]).status();
        assert!(output.unwrap().success());
        repo.git(["reflog", "expire", "--expire=all", "refs/heads/kept"]);
        let exists = repo.git_agrees(["reflog", "exists", "refs/heads/kept"]);
        let run = repo.run(["log", "refs/heads/kept"]);
        assert_eq!((run.code == Some(0), run.out.as_str()), (exists, ""));
    });
}
