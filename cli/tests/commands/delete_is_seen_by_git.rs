//! `reftable delete` does what `git update-ref -d` does.

use crate::support::{Repo, for_each_hash, isolated};

#[test]
fn the_reference_goes_with_its_reflog() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        repo.git(["branch", "topic"]);
        assert!(repo.git_agrees(["reflog", "exists", "refs/heads/topic"]));
        repo.run(["delete", "refs/heads/topic", &"1".repeat(id.len())]).failed(1);
        repo.ours(["delete", "refs/heads/topic", &id]);
        assert!(!repo.git_agrees(["show-ref", "--exists", "refs/heads/topic"]));
        assert!(!repo.git_agrees(["reflog", "exists", "refs/heads/topic"]));
        repo.git(["branch", "topic/below"]);
    });
}

#[test]
fn symbolic_references_are_followed_unless_told_otherwise() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        repo.git(["update-ref", "refs/heads/a", &id]);
        repo.git(["symbolic-ref", "refs/heads/alias", "refs/heads/a"]);
        repo.ours(["delete", "refs/heads/alias"]);
        assert!(!repo.git_agrees(["show-ref", "--exists", "refs/heads/a"]));
        assert_eq!(repo.git(["symbolic-ref", "refs/heads/alias"]), "refs/heads/a");
        repo.git(["update-ref", "refs/heads/a", &id]);
        repo.ours(["delete", "--no-deref", "refs/heads/alias"]);
        assert!(!repo.git_agrees(["show-ref", "--exists", "refs/heads/alias"]));
        assert_eq!(repo.git(["rev-parse", "refs/heads/a"]), id);
    });
}

#[test]
fn exit_codes_are_those_of_git() {
    for_each_hash(|repo: &Repo| {
        let id = repo.commit("one");
        let zero = repo.zero();
        let before = repo.ours(["stats"]);
        for args in [vec!["refs/heads/none"], vec!["refs/heads/none", &id], vec!["refs/heads/none", &zero]] {
            let git = isolated("git").current_dir(repo.path()).args(["update-ref", "-d"]).args(&args).output().unwrap();
            let ours = repo.run(["update-ref", "-d"].iter().chain(&args));
            assert_eq!(ours.code, git.status.code(), "{args:?}");
        }
        // Nothing to delete is nothing to write.
        repo.ours(["delete", "refs/heads/none"]);
        assert_eq!(repo.ours(["stats"]).lines().next(), before.lines().next());
    });
}
