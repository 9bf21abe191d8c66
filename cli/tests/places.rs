//! Which directories are understood.

mod support;

use std::fs;

use support::for_each_hash;

#[test]
fn work_trees_git_directories_and_stores() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        fs::create_dir_all(repo.path().join("a/b")).unwrap();
        for dir in [".", "a/b", ".git", ".git/objects", ".git/reftable"] {
            assert_eq!(repo.ours(["-C", dir, "get", "HEAD"]), id, "{dir}");
        }
        repo.git(["clone", "-q", "--bare", "--ref-format=reftable", ".", "bare.git"]);
        assert_eq!(repo.ours(["-C", "bare.git", "get", "refs/heads/main"]), id);
        repo.git(["init", "-q", "--separate-git-dir", "../elsewhere"]);
        assert!(repo.path().join(".git").is_file());
        assert_eq!(repo.ours(["-C", "a/b", "get", "HEAD"]), id);
    });
}

#[test]
fn a_new_store_needs_no_git() {
    for_each_hash(|repo| {
        let store = repo.top().join("reftable");
        fs::create_dir(&store).unwrap();
        let dir = store.to_str().unwrap();
        let id = "1".repeat(repo.zero().len());
        assert_eq!(repo.ours(["-C", dir, "list"]), "");
        repo.ours(["-C", dir, "update", "refs/heads/main", &id]);
        assert_eq!(repo.ours(["-C", dir, "list"]), format!("{id} refs/heads/main"));
    });
}

#[test]
fn other_directories_are_explained() {
    for_each_hash(|repo| {
        repo.git(["init", "-q", "--ref-format=files", "files"]);
        let error = repo.run(["-C", "files", "list"]).failed(3);
        assert!(error.contains("git refs migrate --ref-format=reftable"), "{error}");
        repo.run(["-C", repo.top().to_str().unwrap(), "list"]).failed(3);
        let error = repo.run(["-C", "missing", "list"]).failed(3);
        assert!(error.contains("missing"), "{error}");
    });
}
