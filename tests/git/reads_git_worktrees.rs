//! A linked worktree has a stack of its own; together with the main one it is what git lists there.

use crate::support::git::{self, Repo};
use crate::support::{HASHES, assert_verifies, contents};
use reftable::{Options, Stack, Target};

/// Whether git keeps a reference apart for each worktree.
fn is_per_worktree(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name);
    !name.starts_with("refs/")
        || ["refs/worktree/", "refs/bisect/", "refs/rewritten/"].iter().any(|own| name.starts_with(own))
}

#[test]
fn both_stacks_together_are_what_git_lists() {
    if !git::is_there() {
        return;
    }
    for hash in HASHES {
        let repo = Repo::new(hash);
        repo.git(["commit", "-q", "--allow-empty", "-m", "first"]);
        let linked = repo.beside("linked");
        repo.git(["worktree", "add", "-q", "-b", "topic", linked.to_str().unwrap()]);
        let id = repo.line(["rev-parse", "HEAD"]);
        repo.git_at(&linked, ["commit", "-q", "--allow-empty", "-m", "second"]);
        repo.git_at(&linked, ["update-ref", "refs/worktree/private", &id]);
        repo.git_at(&linked, ["update-ref", "refs/heads/shared", &id]);
        repo.git(["update-ref", "refs/bisect/bad", &id]);

        let own = Stack::open(repo.work_tree().join(".git/worktrees/linked/reftable"), Options::default()).unwrap();
        assert_verifies(&own);
        let own = own.snapshot().unwrap();
        assert_eq!(own.get("HEAD").unwrap().unwrap().target, Target::symbolic("refs/heads/topic"));
        assert_eq!(own.hash(), Some(hash));

        let main = repo.snapshot();
        git::assert_refs_equal(&repo, repo.work_tree(), &contents::of(&main).refs);
        let mut seen: Vec<_> =
            contents::of(&main).refs.into_iter().filter(|found| !is_per_worktree(&found.name)).collect();
        seen.extend(contents::of(&own).refs);
        seen.sort_by(|a, b| a.name.cmp(&b.name));
        git::assert_refs_equal(&repo, &linked, &seen);
        assert_eq!(contents::log(&own, "HEAD").len(), git::lines(&repo.git_at(&linked, ["reflog", "HEAD"])).count());
    }
}
