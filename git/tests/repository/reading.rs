//! One way to read, whatever the format.

use std::fs;

use reftable::bytes::Reading;
use reftable_git::{Error, ErrorKind, Head, Repository};

use crate::support::{git, git_knows_reftables, init};

#[test]
fn a_head_is_a_branch_or_unborn_or_detached_in_both_formats() {
    if !git_knows_reftables() {
        return;
    }
    for format in ["reftable", "files"] {
        let top = tempfile::tempdir().unwrap();
        let format = format!("--ref-format={format}");
        init(top.path(), "repo", &[&format]);
        let repo = top.path().join("repo");
        let head = || Repository::at(&repo).unwrap().head().unwrap();
        let id = git(&repo, ["rev-parse", "HEAD"]).parse().unwrap();
        assert_eq!(head(), Head::Branch { name: b"refs/heads/main".into(), id }, "{format}");
        assert_eq!(head().branch(), Some(b"main".as_slice()));
        git(&repo, ["checkout", "-q", "--detach"]);
        assert_eq!(head(), Head::Detached { id }, "{format}");
        git(&repo, ["checkout", "-q", "--orphan", "new"]);
        assert_eq!(head(), Head::Unborn { name: b"refs/heads/new".into() }, "{format}");

        git(&repo, ["tag", "-a", "-m", "t", "v1", &format!("{id}")]);
        git(&repo, ["pack-refs", "--all"]);
        git(&repo, ["worktree", "add", "-q", "--detach", "../linked", "main"]);
        fs::write(repo.join(".git/FETCH_HEAD"), format!("{id}\t\tbranch 'main' of x\n")).unwrap();
        let repository = Repository::at(&repo).unwrap();
        let view = repository.view(Reading::Checked).unwrap();
        assert_eq!(view.peel(b"refs/tags/v1").unwrap(), Some(id), "{format}");
        assert_eq!(view.resolve(b"FETCH_HEAD").unwrap(), Some(id), "{format}");
        assert_eq!(view.resolve(b"worktrees/linked/HEAD").unwrap(), Some(id), "{format}");
        assert_eq!(view.expand(b"v1").unwrap(), Some(b"refs/tags/v1".to_vec()), "{format}");
        assert_eq!(view.log_entries(b"refs/heads/main").unwrap().len(), 1, "{format}");
        let mut names = Vec::new();
        view.refs(b"refs/", |found| {
            names.push(String::from_utf8_lossy(found.name).into_owned());
            Ok::<_, Error>(())
        })
        .unwrap();
        assert_eq!(names, ["refs/heads/main", "refs/tags/v1"], "{format}");
    }
}

#[test]
fn a_loop_of_symbolic_references_ends_with_an_error() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    init(top.path(), "repo", &[]);
    let repo = top.path().join("repo");
    git(&repo, ["symbolic-ref", "refs/heads/a", "refs/heads/b"]);
    git(&repo, ["symbolic-ref", "refs/heads/b", "refs/heads/a"]);
    git(&repo, ["symbolic-ref", "HEAD", "refs/heads/a"]);
    let error = Repository::at(&repo).unwrap().head().unwrap_err();
    assert!(error.kind() == ErrorKind::NotFound && error.to_string().contains("too many symbolic"), "{error}");
}
