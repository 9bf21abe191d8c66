//! In a linked worktree some references are its own and the others those of the repository.

use std::path::PathBuf;

use crate::support::{Repo, for_each_hash};

const FORMAT: &str = "--format=%(if)%(symref)%(then)ref: %(symref)%(else)%(objectname)%(end) %(refname)";

fn with_worktree(repo: &Repo) -> PathBuf {
    let linked = repo.top().join("linked");
    repo.commit("one");
    repo.git(["worktree", "add", "-q", "-b", "topic", "../linked"]);
    repo.git_in(&linked, ["commit", "-q", "--allow-empty", "-m", "two"]);
    linked
}

#[test]
fn listings_are_those_of_git() {
    for_each_hash(|repo| {
        let linked = with_worktree(repo);
        repo.git(["update-ref", "refs/bisect/bad", "main"]);
        repo.git(["update-ref", "ORIG_HEAD", "main"]);
        repo.git_in(&linked, ["update-ref", "refs/worktree/mine", "topic"]);
        repo.git_in(&linked, ["update-ref", "refs/bisect/good", "topic"]);
        let dir = linked.to_str().unwrap();
        let expected = repo.git_in(&linked, ["for-each-ref", "--include-root-refs", FORMAT]);
        assert_eq!(repo.ours(["-C", dir, "list"]), expected);
        assert_eq!(repo.ours(["list"]), repo.git(["for-each-ref", "--include-root-refs", FORMAT]));
        let topic = repo.git(["rev-parse", "topic"]);
        let pointing = repo.ours(["-C", dir, "list", "--points-at", &topic]);
        assert_eq!(pointing.lines().count(), 3, "{pointing}");
    });
}

#[test]
fn reads_go_where_git_goes() {
    for_each_hash(|repo| {
        let linked = with_worktree(repo);
        let dir = linked.to_str().unwrap();
        assert_eq!(repo.ours(["-C", dir, "get", "HEAD"]), repo.git_in(&linked, ["rev-parse", "HEAD"]));
        assert_eq!(repo.ours(["get", "HEAD"]), repo.git(["rev-parse", "HEAD"]));
        assert_ne!(repo.ours(["-C", dir, "get", "HEAD"]), repo.ours(["get", "HEAD"]));
        assert_eq!(repo.ours(["-C", dir, "symbolic-ref", "HEAD"]), "refs/heads/topic");
        let log = repo.ours(["-C", dir, "log", "HEAD", "-n1"]);
        assert!(log.ends_with("commit: two"), "{log}");
        for (dir, name) in [(dir, "main-worktree/HEAD"), (".", "worktrees/linked/HEAD")] {
            assert_eq!(repo.ours(["-C", dir, "get", name]), repo.git(["-C", dir, "rev-parse", name]));
            assert_eq!(repo.ours(["-C", dir, "symbolic-ref", name]), repo.git(["-C", dir, "symbolic-ref", name]));
            assert!(repo.ours(["-C", dir, "log", name, "-n1"]).contains("commit"), "{name}");
            repo.run(["-C", dir, "delete", name]).failed(128);
        }
        repo.run(["get", "worktrees/nobody/HEAD"]).failed(1);
    });
}

#[test]
fn writes_go_where_git_looks() {
    for_each_hash(|repo| {
        let linked = with_worktree(repo);
        let dir = linked.to_str().unwrap();
        let main = repo.git(["rev-parse", "main"]);
        let topic = repo.git(["rev-parse", "topic"]);
        // The branch is in one store, HEAD and its reflog are in the other.
        repo.ours(["-C", dir, "update", "-m", "back", "HEAD", &main, &topic]);
        assert_eq!(repo.git(["rev-parse", "topic"]), main);
        assert_eq!(repo.git_in(&linked, ["reflog", "-1", "--format=%gs", "HEAD"]), "back");
        assert_eq!(repo.git(["reflog", "-1", "--format=%gs", "topic"]), "back");
        assert_ne!(repo.git(["reflog", "-1", "--format=%gs", "HEAD"]), "back");

        repo.ours(["-C", dir, "update", "refs/bisect/bad", &topic]);
        assert!(!repo.git_agrees(["show-ref", "--exists", "refs/bisect/bad"]));
        assert_eq!(repo.git_in(&linked, ["rev-parse", "refs/bisect/bad"]), topic);
        repo.ours(["-C", dir, "symbolic-ref", "HEAD", "refs/heads/other"]);
        assert_eq!(repo.git_in(&linked, ["symbolic-ref", "HEAD"]), "refs/heads/other");
        assert_eq!(repo.git(["symbolic-ref", "HEAD"]), "refs/heads/main");
        repo.ours(["-C", dir, "delete", "refs/bisect/bad"]);
        assert_eq!(repo.git_in(&linked, ["for-each-ref", "refs/bisect"]), "");

        let input =
            format!("update refs/worktree/x {main}\nupdate refs/heads/x {main}\nverify refs/heads/topic {main}\n");
        repo.run_with(["-C", dir, "update", "--stdin"], input.as_bytes()).ok();
        assert_eq!(repo.git_in(&linked, ["rev-parse", "refs/worktree/x", "refs/heads/x"]), format!("{main}\n{main}"));
        assert!(!repo.git_agrees(["show-ref", "--exists", "refs/worktree/x"]));
    });
}

#[test]
fn both_stores_are_compacted_and_checked() {
    for_each_hash(|repo| {
        let linked = with_worktree(repo);
        let dir = linked.to_str().unwrap();
        assert_eq!(repo.run(["-C", dir, "compact", "--all", "--json"]).json().len(), 2);
        let checked = repo.run(["-C", dir, "verify", "--json"]).json();
        assert_eq!(checked.len(), 2);
        assert!(checked.iter().all(|summary| summary["findings"] == 0));
        assert_eq!(repo.run(["compact", "--all", "--json"]).json().len(), 1);
        repo.git(["refs", "verify"]);
    });
}

/// What is in the wrong store is not found by git; `verify` in the worktree tells.
#[test]
fn verify_knows_both_stores() {
    for_each_hash(|repo| {
        let linked = with_worktree(repo);
        let dir = linked.to_str().unwrap();
        repo.git_in(&linked, ["bisect", "start"]);
        repo.git_in(&linked, ["update-ref", "refs/worktree/mine", "topic"]);
        assert!(repo.ours(["-C", dir, "verify"]).ends_with(" 0 errors, 0 warnings, 0 notes"));
        let own = repo.store().join("../worktrees/linked/reftable");
        let stack = reftable::Stack::open(&own, reftable::Options::default()).unwrap();
        let mut tx = stack.transaction();
        let target = reftable::Target::symbolic("refs/heads/main");
        tx.set("refs/heads/stray", reftable::Expect::Absent, target);
        tx.commit().unwrap();
        assert!(!repo.git_agrees(["-C", dir, "show-ref", "--exists", "refs/heads/stray"]));
        let run = repo.run(["-C", dir, "verify"]);
        assert_eq!(run.code, Some(3), "{}", run.out);
        assert!(run.out.contains("'refs/heads/stray' is shared by all worktrees"), "{}", run.out);

        repo.git(["symbolic-ref", "refs/heads/topic", "HEAD"]);
        let run = repo.run(["-C", dir, "verify"]);
        assert!(run.out.contains("'HEAD' leads in a circle"), "{}", run.out);
        assert!(repo.ours(["verify"]).ends_with(" 0 errors, 0 warnings, 0 notes"), "not for the main worktree");
    });
}
