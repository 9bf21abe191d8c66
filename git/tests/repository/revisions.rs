//! Names of objects: what git reads them as, and what this crate does where there is no git.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reftable::bytes::Reading;
use reftable_git::{Repository, Revisions};

use crate::support::{git, git_command, git_knows_reftables, init, repository};

/// Names the repository to the process that has no git.
const REPOSITORY: &str = "REFTABLE_REVISIONS_REPOSITORY";
const BEYOND: &str = "only git knows";
const MISSING: &str = "missing";

/// Not a test: a process that finds no git, and reads the words of a file.
#[test]
fn one_process_without_git() {
    let Some(path) = std::env::var_os(REPOSITORY).map(PathBuf::from) else { return };
    let repository = Repository::at(&path).unwrap();
    let view = repository.view(Reading::Copied).unwrap();
    let mut answers = String::new();
    for word in fs::read_to_string(path.join("words")).unwrap().lines() {
        let answer = match Revisions::of(&repository).id(word.as_bytes(), &view) {
            Ok(id) => id.map_or(MISSING.to_owned(), |id| id.to_string()),
            Err(error) if error.to_string().contains("git, which knows") => BEYOND.to_owned(),
            Err(error) => error.to_string(),
        };
        answers += &(answer + "\n");
    }
    fs::write(path.join("answers"), answers).unwrap();
}

fn without_git(repo: &Path, words: &[String]) -> Vec<String> {
    fs::write(repo.join("words"), words.join("\n") + "\n").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "revisions::one_process_without_git"]).env(REPOSITORY, repo).env("PATH", "");
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
    fs::read_to_string(repo.join("answers")).unwrap().lines().map(str::to_owned).collect()
}

/// What git says to each word. Some end it: then it is asked anew for what comes after them.
fn by_git(repo: &Path, words: &[String]) -> Vec<String> {
    let mut answers: Vec<String> = Vec::new();
    while answers.len() < words.len() {
        let mut command = git_command(repo);
        command.args(["cat-file", "--batch-check=%(objectname)"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let asked = words[answers.len()..].join("\n") + "\n";
        let mut input = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || drop(input.write_all(asked.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let id = |line: &str| if line.contains(' ') { MISSING.to_owned() } else { line.to_owned() };
        answers.extend(String::from_utf8(output.stdout).unwrap().lines().map(id));
        if !output.status.success() {
            answers.push(MISSING.to_owned());
        }
    }
    answers
}

/// A repository with a merge, tags of all kinds, a branch that follows another, and logs.
fn make(top: &Path, hash: &str) -> PathBuf {
    init(top, "repo", &[&format!("--object-format={hash}")]);
    let repo = top.join("repo");
    let at = |time: u32, args: &[&str]| {
        let mut command = git_command(&repo);
        command.env("GIT_COMMITTER_DATE", format!("{time} +0000")).args(args);
        assert!(command.output().unwrap().status.success(), "{args:?}");
    };
    fs::write(repo.join("file"), "text").unwrap();
    git(&repo, ["add", "file"]);
    at(1_700_001_000, &["commit", "-q", "-m", "two"]);
    at(1_700_002_000, &["switch", "-q", "-c", "topic", "HEAD~1"]);
    at(1_700_003_000, &["commit", "-q", "--allow-empty", "-m", "three"]);
    at(1_700_004_000, &["tag", "-a", "-m", "t", "v1"]);
    git(&repo, ["gc", "-q"]);
    at(1_700_005_000, &["switch", "-q", "main"]);
    at(1_700_006_000, &["merge", "-q", "--no-ff", "-m", "four", "topic"]);
    at(1_700_007_000, &["tag", "-a", "-m", "t", "of-tag", "v1"]);
    at(1_700_008_000, &["tag", "-a", "-m", "t", "of-tree", "HEAD^{tree}"]);
    at(1_700_009_000, &["tag", "-a", "-m", "t", "of-blob", "HEAD:file"]);
    at(1_700_010_000, &["branch", "-q", "silent"]);
    at(1_700_011_000, &["switch", "-q", "--detach", "topic"]);
    at(1_700_012_000, &["switch", "-q", "topic"]);
    at(1_700_013_000, &["update-ref", "refs/remotes/origin/main", "main"]);
    git(&repo, ["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"]);
    git(&repo, ["symbolic-ref", "refs/heads/dangling", "refs/heads/nothing"]);
    for (key, value) in [
        ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
        ("branch.topic.remote", "origin"),
        ("branch.topic.merge", "refs/heads/main"),
        ("branch.main.remote", "."),
        ("branch.main.merge", "refs/heads/topic"),
    ] {
        git(&repo, ["config", key, value]);
    }
    git(&repo, ["reflog", "delete", "refs/heads/silent@{0}"]);
    repo
}

fn words(repo: &Path) -> Vec<String> {
    let id = |what: &str| git(repo, ["rev-parse", what]);
    let (commit, tag, tree) = (id("main"), id("v1"), id("main^{tree}"));
    let mut bases: Vec<String> = [
        "HEAD",
        "@",
        "main",
        "topic",
        "refs/heads/main",
        "heads/topic",
        "v1",
        "of-tag",
        "of-tree",
        "of-blob",
        "origin",
        "dangling",
        "nothing",
        "silent",
        "tags/v1",
        "main^{what}",
        "a..b",
        "main//",
        "",
        "-",
        "v1-1-gzzzz",
        "@{-1}",
        "@{-2}",
        "@{-3}",
        "@{-9}",
        "topic@{-1}",
        "@{u}",
        "main@{u}",
        "@{-1}@{upstream}",
        "HEAD@{U}",
        "silent@{u}",
        "@{0}",
        "@{1}",
        "HEAD@{1}",
        "HEAD@{4}",
        "@@{2}",
        "main@{0}",
        "main@{1}",
        "main@{2}",
        "main@{3}",
        "main@{9}",
        "topic@{u}@{0}",
        "@{-1}@{1}",
        "silent@{0}",
        "silent@{1}",
        "v1@{0}",
        "origin@{0}",
        "main@{1700000500}",
        "main@{1600000000}",
        "main@{1700001000}",
        "main@{2023-11-14T22:20:00Z}",
        "HEAD@{2023-11-14 23:20:00 +0000}",
        "main@{yesterday}",
        "main@{3.weeks.2.days.ago}",
        "@{now}",
        "main@{}",
        "main@{x",
    ]
    .map(str::to_owned)
    .to_vec();
    for id in [&commit, &tag, &tree] {
        bases.extend([id.clone(), id[..9].to_owned(), id[..9].to_uppercase(), id[..3].to_owned()]);
    }
    bases.extend([format!("v1-3-g{}", &commit[..9]), "0123456789".to_owned()]);
    let steps =
        ["", "^0", "^", "^2", "^3", "~", "~2", "~9", "^^2~", "^{}", "^{commit}", "^{tag}", "^{tree}", "^{blob}"];
    let steps = steps.iter().chain(&["^{object}", "^{tree}^{}", "~0^{tree}", "^{commit}~1^2"]);
    let each = |base: &String| steps.clone().map(move |step| format!("{base}{step}")).collect::<Vec<_>>();
    bases.iter().flat_map(each).filter(|word| !word.is_empty()).collect()
}

fn assert_read_alike(repo: &Path, words: &[String], may_need_git: impl Fn(&str) -> bool) {
    let (ours, theirs) = (without_git(repo, words), by_git(repo, words));
    let mut wrong = BTreeMap::new();
    for ((word, ours), theirs) in words.iter().zip(&ours).zip(&theirs) {
        // git takes `1}^{blob` for a date where it finds nothing.
        let is_odd = word.contains("@{") && word.contains("^{");
        if ours != theirs && !(ours == BEYOND && (is_odd || may_need_git(word))) {
            wrong.insert(word, format!("git says {theirs}, we say {ours}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), words.len());
}

#[test]
fn names_of_objects_are_read_as_by_git_and_without_it() {
    if !git_knows_reftables() {
        return;
    }
    for hash in ["sha1", "sha256"] {
        let top = tempfile::tempdir().unwrap();
        let repo = make(top.path(), hash);
        assert_read_alike(&repo, &words(&repo), |_| false);
        git(&repo, ["repack", "-q", "-a", "-d", "--write-midx"]);
        let all = words(&repo);
        assert_read_alike(&repo, &all, |_| false);
        // From a linked worktree, and from a repository that borrows the objects.
        git(&repo, ["worktree", "add", "-q", "--detach", "../linked"]);
        assert_read_alike(&top.path().join("linked"), &all, |_| false);
        git(top.path(), ["clone", "-q", "--shared", "--bare", "repo", "borrower"]);
        assert_read_alike(&top.path().join("borrower"), &all, |_| false);
    }
}

#[test]
fn what_only_git_knows_is_left_to_it() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let repo = make(top.path(), "sha1");
    let words =
        ["main:file", "main~0:file", ":/two", "main^{/two}", "main@{noon}", "main@{push}", "main~5000", ":file"];
    let words = words.map(str::to_owned);
    assert_eq!(without_git(&repo, &words), [BEYOND; 8]);
    // A word that several objects begin with.
    let blob = |number: usize| {
        fs::write(repo.join("file"), number.to_string()).unwrap();
        git(&repo, ["hash-object", "-w", "file"])
    };
    let mut seen = BTreeMap::new();
    let twice = (0..5_000).find_map(|number| {
        let id = blob(number);
        seen.insert(id[..4].to_owned(), number).map(|_| id[..4].to_owned())
    });
    assert_eq!(without_git(&repo, &[twice.unwrap()]), [BEYOND]);
}

#[test]
fn history_that_is_another_one_for_git_is_left_to_it() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let repo = make(top.path(), "sha1");
    let words = ["main~1".to_owned(), "main^{tree}".to_owned(), "main".to_owned()];
    git(&repo, ["replace", "--graft", "main"]);
    assert_eq!(without_git(&repo, &words)[..2], [BEYOND; 2]);
    assert_read_alike(&repo, &words, |word| word != "main");
    let url = format!("file://{}", repo.display());
    git(top.path(), ["clone", "-q", "--depth=1", &url, "shallow", "--branch=main"]);
    assert_eq!(without_git(&top.path().join("shallow"), &words)[0], BEYOND);
    // With git, its answer counts.
    let shallow = Repository::at(&top.path().join("shallow")).unwrap();
    let view = shallow.view(Reading::Copied).unwrap();
    assert_eq!(Revisions::of(&shallow).id(b"main~1", &view).unwrap(), None);
    // What a partial clone lacks git may fetch.
    git(&repo, ["config", "uploadpack.allowFilter", "true"]);
    git(top.path(), ["clone", "-q", "--filter=tree:0", "--bare", &url, "partial"]);
    let (tree, partial) = (git(&repo, ["rev-parse", "topic^{tree}"]), Repository::at(&top.path().join("partial")));
    let word = [tree[..12].to_owned(), "main".to_owned()];
    assert_eq!(without_git(&top.path().join("partial"), &word)[0], BEYOND);
    assert!(Revisions::of(&partial.unwrap()).exists(tree.parse().unwrap()).unwrap());
}

#[test]
fn at_alone_is_head_even_if_a_branch_is_called_so() {
    let Some((_top, repo)) = repository() else { return };
    let other = git(&repo, ["commit-tree", "-m", "other", "HEAD^{tree}"]);
    git(&repo, ["update-ref", "refs/heads/@", &other]);
    assert_read_alike(&repo, &["@", "heads/@", "@~0"].map(str::to_owned), |_| false);
    assert_ne!(without_git(&repo, &["@".to_owned()]), [other]);
}
