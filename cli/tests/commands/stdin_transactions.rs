//! `reftable update --stdin` speaks git's line protocol.

use crate::effort::bound;
use crate::support::{self, Repo, Run, feed, for_each_hash, isolated};

fn ours(repo: &Repo, input: &str) -> Run {
    repo.run_with(["update", "--stdin"], input.as_bytes())
}

/// Runs the same input through git in a copy of the state, and compares output, success and
/// references.
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
            format!("create refs/heads/m {one}\nstart\ncreate refs/heads/n {one}\ncommit\n"),
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
        let error = ours(repo, &input).failed(128);
        assert_eq!(error, "fatal: cannot lock ref 'refs/heads/main': reference already exists\n");
        assert!(!repo.git_agrees(["show-ref", "--exists", "refs/heads/a"]));
        let error = ours(repo, "create refs/heads/a 123\n").refused();
        assert_eq!(error, "fatal: create refs/heads/a: invalid <new-oid>: 123; line 1\n");
    });
}

/// What was cut off anywhere within a line changes nothing: `delete refs/heads/feature` may have
/// been `delete refs/heads/feature-2`.
#[test]
fn input_that_ends_within_a_line_changes_nothing() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        for name in ["feature", "feature-2"] {
            repo.ours(["update", &format!("refs/heads/{name}"), &one]);
        }
        let before = repo.ours(["list"]);
        for line in [
            format!("update refs/heads/feature {}", repo.zero()),
            format!("create refs/heads/new {one}"),
            "delete refs/heads/feature".to_owned(),
            format!("delete refs/heads/feature {one}"),
            "verify refs/heads/missing".to_owned(),
            "symref-update HEAD refs/heads/feature".to_owned(),
            "symref-create refs/heads/s refs/heads/feature".to_owned(),
            "symref-delete HEAD".to_owned(),
            "symref-verify HEAD refs/heads/main".to_owned(),
            "option no-deref".to_owned(),
            format!("start\ndelete refs/heads/feature {one}\ncommit"),
            format!("start\ndelete refs/heads/feature {one}\nprepare\ncommit"),
            "start".to_owned(),
        ] {
            for input in [line.clone(), format!("create refs/heads/before {one}\n{line}")] {
                let input = if line.starts_with("start") { line.clone() } else { input };
                let error = ours(repo, &input).refused();
                assert!(error.contains("ends within the line"), "{input}: {error}");
                assert_eq!(repo.ours(["list"]), before, "{input}");
            }
        }
        // Nobody is kept from the lock after a transaction that was prepared.
        repo.ours(["update", "--timeout", "0", "refs/heads/feature", &one]);
    });
}

#[test]
fn words_may_be_c_strings() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        for input in [
            format!("create \"refs/heads/a\" \"{one}\"\n"),
            format!("create \"refs/heads/\\303\\274\" {one}\n"),
            format!("update refs/heads/a {one} \"\"\n"),
            format!("update refs/heads/b {one} \"\"\n"),
            format!("create \"refs/heads/c {one}\n"),
            format!("create \"refs/heads/d\"x {one}\n"),
            format!("create \"refs/heads/\\e\" {one}\n"),
            "delete \"refs/heads/a\"\n".to_owned(),
        ] {
            compare(repo, &input);
        }
    });
}

/// git reads and writes FETCH_HEAD and MERGE_HEAD as files: in the store nobody would see them.
#[test]
fn pseudo_references_are_refused_however_they_are_reached() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        let zero = repo.zero();
        repo.ours(["symbolic-ref", "refs/heads/link", "FETCH_HEAD"]);
        for name in ["FETCH_HEAD", "MERGE_HEAD"] {
            for input in [
                format!("update {name} {one}\n"),
                format!("create {name} {one}\n"),
                format!("delete {name}\n"),
                format!("update {name} {zero}\n"),
                format!("symref-create {name} refs/heads/main\n"),
            ] {
                compare(repo, &input);
                ours(repo, &input).refused();
            }
            repo.run(["update", name, &one]).refused();
            repo.run(["delete", name]).refused();
            repo.run(["symbolic-ref", name, "refs/heads/main"]).refused();
        }
        repo.run(["update", "refs/heads/link", &one]).refused();
        assert!(!repo.ours(["list"]).lines().any(|line| line.ends_with(" FETCH_HEAD")));
        // One letter more, and it is any reference.
        repo.ours(["update", "FETCH_HEADS", &one]);
    });
}

/// Stores that others wrote may have such names all the same, and they may lead to branches.
#[test]
fn what_git_does_not_follow_never_changes_what_it_leads_to() {
    for_each_hash(|repo| {
        let (one, two) = (repo.commit("one"), repo.commit("two"));
        repo.git(["branch", "other"]);
        let branches = || repo.ours(["list", "--prefix", "refs/heads/"]) + &repo.ours(["log", "refs/heads/other"]);
        let untouched = branches();
        for (number, name) in ["FETCH_HEAD", "MERGE_HEAD", "odd/a b", "odd/a..b", "odd/a.lock"].iter().enumerate() {
            let put = |index: usize| {
                let links = [(*name, "refs/heads/other"), ("refs/x/link", *name)];
                support::put_symbolic(repo, index as u64, &links);
            };
            put(1000 + 10 * number);
            for args in [
                vec!["update", name, &one],
                vec!["update", "-m", "x", name, &one],
                vec!["update", "--no-deref", name, &one],
                vec!["update", name, &one, &two],
                vec!["symbolic-ref", name, "refs/heads/main"],
                vec!["update", "refs/x/link", &one],
                vec!["update", "-m", "x", "refs/x/link", &one],
                vec!["delete", "refs/x/link"],
                vec!["delete", "refs/x/link", &two],
            ] {
                let error = repo.run(&args).refused();
                assert_eq!(error.contains("--no-deref"), args.contains(&"refs/x/link"), "{error}");
            }
            let quoted = format!("\"{name}\"");
            for line in [
                format!("update {quoted} {one}"),
                format!("update {quoted} {one} {two}"),
                format!("symref-update {quoted} refs/heads/main"),
                format!("update refs/x/link {one}"),
                format!("delete refs/x/link {two}"),
                "symref-update refs/x/link refs/heads/main".into(),
            ] {
                ours(repo, &(line + "\n")).refused();
            }
            assert_eq!(branches(), untouched, "{name}");
            // To delete it is to delete just that.
            for (turn, delete) in [
                vec!["delete", name],
                vec!["delete", name, &two],
                vec!["delete", "--no-deref", name],
                vec!["update", name, &repo.zero()],
            ]
            .iter()
            .enumerate()
            {
                put(1001 + 10 * number + turn);
                repo.ours(delete);
                let left = repo.ours(["list", "--prefix", name]);
                assert_eq!(left, "", "{delete:?}");
                assert_eq!(branches(), untouched, "{delete:?}");
            }
            put(1006 + 10 * number);
            ours(repo, &format!("delete {quoted} {two}\n")).ok();
            repo.ours(["delete", "--no-deref", "refs/x/link"]);
            assert_eq!(branches(), untouched, "{name}");
        }
    });
}

#[test]
fn a_circle_can_be_deleted_as_the_message_says() {
    for_each_hash(|repo| {
        repo.commit("one");
        support::put_symbolic(repo, 1000, &[("refs/x/a", "refs/x/b"), ("refs/x/b", "refs/x/a")]);
        let error = repo.run(["delete", "refs/x/a"]).refused();
        assert!(error.contains("--no-deref"), "{error}");
        repo.ours(["delete", "--no-deref", "refs/x/a"]);
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

/// Changes of two names, or of one twice, directly or through `HEAD` or a symbolic branch.
#[test]
fn two_changes_of_one_reference_are_refused_as_git_refuses_them() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        let two = repo.commit("two");
        repo.git(["branch", "other"]);
        repo.git(["symbolic-ref", "refs/heads/sym", "refs/heads/main"]);
        let of = |name: &str| {
            vec![
                format!("update {name} {one}\n"),
                format!("verify {name} {two}\n"),
                format!("option no-deref\nupdate {name} {one}\n"),
                format!("option no-deref\nsymref-update {name} refs/heads/other\n"),
                format!("option no-deref\nsymref-delete {name}\n"),
            ]
        };
        let mut pairs = vec![
            format!("create refs/heads/new {one}\ndelete refs/heads/new\n"),
            format!("delete refs/heads/never\ndelete refs/heads/never\n"),
            format!("option no-deref\nverify HEAD {two}\nupdate HEAD {one}\n"),
            format!("delete HEAD {two}\nupdate refs/heads/main {one}\n"),
            format!("verify refs/heads/other {two}\nupdate refs/heads/other {one}\n"),
        ];
        for first in ["HEAD", "refs/heads/main"].map(of).into_iter().flatten() {
            for second in ["HEAD", "refs/heads/sym"].map(of).into_iter().flatten() {
                pairs.push(format!("{first}{second}"));
            }
        }
        let step = 4 / bound("quarters of the pairs of changes", 4, 1);
        for input in pairs.into_iter().step_by(step) {
            same_outcome(repo, &input);
        }
    });
}

/// Runs `input` through git and through us, each in a new copy of the repository.
#[track_caller]
fn same_outcome(repo: &Repo, input: &str) {
    let run = |program: &str, args: [&str; 2]| {
        let copy = repo.copy();
        let run = feed(isolated(program).current_dir(&copy).args(args), input.as_bytes());
        let list = ["for-each-ref", "--include-root-refs", "--format=%(objectname) %(symref) %(refname)"];
        let message = String::from_utf8_lossy(&run.stderr).into_owned();
        (run.status.success(), repo.git_in(&copy, list), message)
    };
    let git = run("git", ["update-ref", "--stdin"]);
    let ours = run(env!("CARGO_BIN_EXE_reftable"), ["update", "--stdin"]);
    assert_eq!((ours.0, &ours.1), (git.0, &git.1), "{input}: {} / {}", ours.2, git.2);
}
