//! `reftable update --stdin` speaks git's line protocol.

mod support;

use support::{Repo, Run, feed, for_each_hash, isolated};

fn ours(repo: &Repo, input: &str) -> Run {
    repo.run_with(["update", "--stdin"], input.as_bytes())
}

/// Runs the same input through git in a copy of the state, and compares output, success and references.
#[track_caller]
fn compare(repo: &Repo, input: &str) {
    let copy = repo.copy();
    let git = feed(isolated("git").current_dir(&copy).args(["update-ref", "--stdin"]), input.as_bytes());
    let ours = ours(repo, input);
    assert_eq!(ours.code == Some(0), git.status.success(), "{input}: {} / {git:?}", ours.err);
    assert_eq!(ours.out, String::from_utf8_lossy(&git.stdout), "{input}");
    let list = ["for-each-ref", "--include-root-refs", "--format=%(objectname) %(symref) %(refname)"];
    assert_eq!(repo.git(list), repo.git_in(&copy, list), "{input}");
}

#[test]
fn conversations_end_as_with_git() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        let two = repo.commit("two");
        let zero = repo.zero();
        for input in [
            format!("create refs/heads/a {one}\ncreate refs/heads/b {two}\n"),
            format!("create refs/heads/c {one}\ncreate refs/heads/a {one}\n"),
            format!("update refs/heads/a {two} {one}\nverify refs/heads/b {two}\ndelete refs/heads/main {one}\n"),
            format!("update refs/heads/a {two} {one}\nverify refs/heads/b {two}\n"),
            format!("verify refs/heads/nothing\nverify refs/heads/nothing {zero}\n"),
            "verify refs/heads/nothing\n".to_owned(),
            "verify refs/heads/a\n".to_owned(),
            format!("start\nupdate refs/heads/d {one} {zero}\nprepare\ncommit\n"),
            format!("start\nupdate refs/heads/e {one}\ncommit\nstart\nupdate refs/heads/f {one}\nabort\n"),
            format!("start\nupdate refs/heads/g {one}\nprepare\n"),
            format!("start\nupdate refs/heads/g {one}\n"),
            format!("start\nupdate refs/heads/g {one}\nprepare\nupdate refs/heads/h {one}\n"),
            format!("start\nupdate refs/heads/i {one}\ncommit\nupdate refs/heads/j {one}\n"),
            "start\nstart\n".to_owned(),
            "abort\n".to_owned(),
            format!("prepare\nabort\nstart\ndelete refs/heads/b {two}\ncommit\n"),
            format!("update refs/heads/b {zero}\ndelete refs/heads/never\n"),
            format!("delete refs/heads/a {zero}\n"),
            format!("create refs/heads/z {zero}\n"),
            format!("update refs/heads/k {one}\nupdate refs/heads/k {one}\n"),
            format!("update HEAD {one}\n"),
            format!("option no-deref\nupdate HEAD {two}\nupdate refs/heads/l {one}\n"),
            format!("symref-update HEAD refs/heads/l oid {two}\n"),
            "symref-update HEAD refs/heads/d ref refs/heads/l\n".to_owned(),
            "symref-create refs/heads/s refs/heads/d\nsymref-verify HEAD refs/heads/d\n".to_owned(),
            "symref-delete refs/heads/s refs/heads/e\n".to_owned(),
            "symref-delete refs/heads/s refs/heads/d\n".to_owned(),
            format!("bogus refs/heads/a {one}\n"),
            format!("create refs/heads/x {one} {one}\n"),
            "create refs/heads/x\n".to_owned(),
            format!("create refs/heads/bad..name {one}\n"),
            String::new(),
        ] {
            compare(repo, &input);
        }
        repo.git(["refs", "verify"]);
    });
}

#[test]
fn all_happens_or_nothing() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        let input = format!("create refs/heads/a {one}\ncreate refs/heads/main {one}\nverify refs/heads/q {one}\n");
        let error = ours(repo, &input).failed(1);
        assert!(error.contains("'refs/heads/main'") && error.contains("'refs/heads/q'"), "{error}");
        assert!(!repo.git_agrees(["show-ref", "--exists", "refs/heads/a"]));
        let error = ours(repo, "create refs/heads/a 123\n").failed(2);
        assert!(error.contains("'create refs/heads/a 123'"), "{error}");
    });
}

#[test]
fn one_reason_goes_for_all() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        let input = format!("create refs/heads/a {one}\ncreate refs/heads/b {one}\n");
        repo.run_with(["update", "--stdin", "-m", "both"], input.as_bytes()).ok();
        for name in ["a", "b"] {
            assert_eq!(repo.git(["reflog", "--format=%H %gs", name]), format!("{one} both"));
        }
    });
}
