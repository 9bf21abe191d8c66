//! What `reftable update` writes, git reads.

use crate::support::for_each_hash;

#[test]
fn references_are_created_moved_and_deleted() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        let two = repo.commit("two");
        let zero = repo.zero();
        repo.ours(["update", "refs/heads/new", &one, &zero]);
        assert_eq!(repo.git(["rev-parse", "refs/heads/new"]), one);
        repo.ours(["update", "refs/heads/new", &two, &one]);
        assert_eq!(repo.git(["rev-parse", "refs/heads/new"]), two);
        repo.ours(["update", "refs/heads/empty", &one, ""]);
        repo.ours(["update", "refs/heads/new", &zero, &two]);
        assert!(!repo.git_agrees(["rev-parse", "--verify", "-q", "refs/heads/new"]));
        repo.ours(["update", "refs/heads/never", &zero]);
        repo.ours(["update", "refs/heads/never", &zero, &zero]);
        repo.git(["refs", "verify"]);
        repo.git(["fsck", "--strict"]);
    });
}

#[test]
fn old_values_are_checked() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        let two = repo.commit("two");
        let error = repo.run(["update", "refs/heads/main", &one, &one]).failed(1);
        assert!(error.contains("refs/heads/main") && error.contains(&two), "{error}");
        repo.run(["update", "refs/heads/main", &one, ""]).failed(1);
        repo.run(["update", "refs/heads/none", &repo.zero(), &one]).failed(1);
        repo.run(["update", "refs/heads/main/below", &one]).failed(1);
        assert_eq!(repo.git(["rev-parse", "main"]), two);
    });
}

#[test]
fn symbolic_references_are_followed_or_overwritten() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        let two = repo.commit("two");
        repo.ours(["update", "HEAD", &one, &two]);
        assert_eq!(repo.git(["symbolic-ref", "HEAD"]), "refs/heads/main");
        assert_eq!(repo.git(["rev-parse", "main"]), one);
        // The old id of a symbolic reference is that of what it leads to, as in git.
        repo.run(["update", "--no-deref", "HEAD", &two, &two]).failed(1);
        repo.ours(["update", "--no-deref", "-m", "detach", "HEAD", &two, &one]);
        assert!(!repo.git_agrees(["symbolic-ref", "-q", "HEAD"]));
        assert_eq!((repo.git(["rev-parse", "HEAD"]), repo.git(["rev-parse", "main"])), (two.clone(), one.clone()));
        assert!(repo.ours(["log", "HEAD", "-n1"]).starts_with(&format!("{one} {two} ")));
    });
}

#[test]
fn reasons_make_reflog_entries_like_those_of_git() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        let two = repo.commit("two");
        repo.ours(["update", "-m", "through  HEAD\n", "HEAD", &one]);
        let ours = repo.ours(["log", "HEAD", "-n1"]);
        assert_eq!(ours, format!("{two} {one} A U Thor <author@example.com> 1700000000 +0130\tthrough HEAD"));
        assert_eq!(repo.ours(["log", "refs/heads/main", "-n1"]), ours);
        repo.git(["update-ref", "HEAD", &two]);
        repo.git(["update-ref", "-m", "through  HEAD\n", "HEAD", &one]);
        assert_eq!(repo.ours(["log", "HEAD", "-n1"]), ours);
        assert_eq!(repo.ours(["log", "refs/heads/main", "-n1"]), ours);

        // As with git, HEAD hears of its branch whatever name that was changed by.
        repo.ours(["update", "refs/heads/main", &two]);
        repo.ours(["update", "-m", "by name", "refs/heads/main", &one]);
        for name in ["HEAD", "main"] {
            assert_eq!(repo.git(["reflog", "show", "-1", "--format=%gs", name]), "by name", "{name}");
        }
        // Tags have no log unless the configuration says so.
        repo.ours(["update", "-m", "no log", "refs/tags/t", &one]);
        assert!(!repo.git_agrees(["reflog", "exists", "refs/tags/t"]));
        repo.git(["config", "core.logAllRefUpdates", "always"]);
        repo.ours(["update", "-m", "a log", "refs/tags/u", &one]);
        assert!(repo.git_agrees(["reflog", "exists", "refs/tags/u"]));
    });
}

#[test]
fn a_peeled_id_is_stored_with_the_tag() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        repo.git(["tag", "-a", "-m", "annotated", "v1"]);
        let tag = repo.git(["rev-parse", "v1"]);
        repo.ours(["update", "refs/tags/v2", &tag, "--peeled", &one]);
        let tags = repo.run(["list", "--prefix", "refs/tags/", "--json"]).json();
        assert_eq!((&tags[0]["id"], &tags[0]["peeled"]), (&tags[1]["id"], &tags[1]["peeled"]));
        assert!(repo.git(["show-ref", "-d", "v2"]).contains(&format!("{one} refs/tags/v2^{{}}")));
    });
}

#[test]
fn objects_are_named_in_most_ways_without_git() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        let two = repo.commit("two");
        repo.git(["tag", "-a", "-m", "t", "v1", "main~1"]);
        let tag = repo.git(["rev-parse", "v1"]);
        let tree = repo.git(["rev-parse", "main^{tree}"]);
        repo.git(["config", "branch.main.remote", "."]);
        repo.git(["config", "branch.main.merge", "refs/heads/other"]);
        repo.git(["branch", "-q", "other", "main~1"]);
        let alone = |args: &[&str]| repo.command().args(args).env("PATH", "").output().unwrap();
        for (word, id) in [
            ("main~1", &one),
            ("v1^{}", &one),
            ("v1^0", &one),
            (&one[..9], &one),
            ("@{1}", &one),
            ("HEAD@{upstream}", &one),
            ("v1", &tag),
            ("@^{tree}", &tree),
        ] {
            let output = alone(&["update", "refs/tags/t", word]);
            assert!(output.status.success(), "{word}: {output:?}");
            assert_eq!(&repo.git(["rev-parse", "refs/tags/t"]), id, "{word}");
        }
        let refused = |args: &[&str]| String::from_utf8(alone(args).stderr).unwrap();
        let missing = "1".repeat(one.len());
        assert!(refused(&["update", "refs/tags/t", &missing]).contains("nonexistent object"));
        assert!(refused(&["update", "refs/heads/main", "v1"]).contains("non-commit object"));
        // Who lists types needs none either; what is in a tree is git's to say.
        let listed = alone(&["list", "--format=%(objecttype) %(refname)"]);
        assert!(String::from_utf8(listed.stdout).unwrap().contains("tag refs/tags/v1\n"));
        assert!(refused(&["update", "refs/tags/t", "main:file"]).contains("cannot be asked"));
        assert_eq!(repo.git(["rev-parse", "main"]), two);
    });
}
