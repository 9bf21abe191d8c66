//! `reftable symbolic-ref` does what `git symbolic-ref` does.

use crate::support::for_each_hash;

#[test]
fn targets_are_read_and_written() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        assert_eq!(repo.ours(["symbolic-ref", "HEAD"]), repo.git(["symbolic-ref", "HEAD"]));
        repo.ours(["symbolic-ref", "HEAD", "refs/heads/unborn"]);
        assert_eq!(repo.git(["symbolic-ref", "HEAD"]), "refs/heads/unborn");
        repo.ours(["symbolic-ref", "-m", "back", "HEAD", "refs/heads/main"]);
        assert_eq!(repo.git(["reflog", "-1", "--format=%H %gs"]), format!("{id} back"));
        repo.ours(["symbolic-ref", "refs/heads/x", "HEAD"]);
        for flags in [&["symbolic-ref", "refs/heads/x"][..], &["symbolic-ref", "--no-recurse", "refs/heads/x"]] {
            assert_eq!(repo.ours(flags), repo.git(flags));
        }
        let json = &repo.run(["symbolic-ref", "--json", "HEAD"]).json()[0];
        assert_eq!(json["symref"], "refs/heads/main");
    });
}

#[test]
fn what_is_not_symbolic_is_refused() {
    for_each_hash(|repo| {
        repo.commit("one");
        repo.run(["symbolic-ref", "refs/heads/main"]).failed(128);
        repo.run(["symbolic-ref", "refs/heads/none"]).failed(128);
        repo.run(["symbolic-ref", "HEAD", "elsewhere"]).failed(128);
        assert_eq!(repo.git(["symbolic-ref", "HEAD"]), "refs/heads/main");
    });
}
