//! `reftable get` answers like `git rev-parse`.

use crate::support::for_each_hash;

#[test]
fn ids_are_those_of_git() {
    for_each_hash(|repo| {
        repo.commit("one");
        repo.git(["tag", "-a", "-m", "annotated", "v1"]);
        repo.git(["symbolic-ref", "refs/heads/alias", "HEAD"]);
        for name in ["HEAD", "refs/heads/main", "refs/heads/alias", "refs/tags/v1"] {
            assert_eq!(repo.ours(["get", name]), repo.git(["rev-parse", name]));
        }
        assert_eq!(repo.ours(["get", "--no-deref", "HEAD"]), "ref: refs/heads/main");
        assert_eq!(repo.ours(["get", "--no-deref", "refs/heads/alias"]), "ref: HEAD");
    });
}

#[test]
fn json_tells_the_way_and_the_end() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        repo.git(["tag", "-a", "-m", "annotated", "v1"]);
        let tag = &repo.run(["get", "refs/tags/v1", "--json"]).json()[0];
        assert_eq!(tag["peeled"], id.as_str());
        assert_eq!(tag["id"], repo.git(["rev-parse", "v1"]));
        let head = &repo.run(["get", "HEAD", "--json"]).json()[0];
        assert_eq!((&head["id"], &head["symref"]), (&id.as_str().into(), &"refs/heads/main".into()));
        let stored = &repo.run(["get", "HEAD", "--json", "--no-deref"]).json()[0];
        assert_eq!((stored.get("id"), &stored["symref"]), (None, &"refs/heads/main".into()));
    });
}

#[test]
fn what_does_not_exist_is_named() {
    for_each_hash(|repo| {
        assert!(repo.run(["get", "HEAD"]).failed(1).contains("'refs/heads/main', which does not exist"));
        repo.commit("one");
        assert!(repo.run(["get", "refs/heads/none"]).failed(1).contains("'refs/heads/none' does not exist"));
        assert!(repo.run(["get", "main"]).failed(1).contains("'refs/heads/main' does"));
        repo.git(["symbolic-ref", "refs/heads/a", "refs/heads/b"]);
        repo.git(["symbolic-ref", "refs/heads/b", "refs/heads/a"]);
        assert!(repo.run(["get", "refs/heads/a"]).failed(1).contains("too many"));
    });
}
