//! One way to read, whatever the format.

use std::fs;

use reftable::Expect;
use reftable::bytes::Reading;
use reftable_git::{Batch, Change, Error, ErrorKind, Head, Repository};

use crate::support::{git, git_knows_reftables, init, repository};

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
fn what_goes_through_a_loop_is_refused_and_what_goes_beside_it_is_done() {
    if !git_knows_reftables() {
        return;
    }
    for format in ["reftable", "files"] {
        let top = tempfile::tempdir().unwrap();
        init(top.path(), "repo", &[&format!("--ref-format={format}")]);
        let repo = top.path().join("repo");
        for (name, target) in [("a", "b"), ("b", "c"), ("c", "a"), ("self", "self")] {
            git(&repo, ["symbolic-ref", &format!("refs/heads/{name}"), &format!("refs/heads/{target}")]);
        }
        let repository = Repository::at(&repo).unwrap();
        let view = repository.view(Reading::Checked).unwrap();
        for name in ["refs/heads/a", "refs/heads/self"] {
            let error = view.resolve(name.as_bytes()).unwrap_err();
            assert!(error.kind() == ErrorKind::NotFound && error.to_string().contains(name), "{format}: {error}");
            assert!(view.get(name.as_bytes()).unwrap().is_some(), "as it is stored");
        }
        assert_eq!(view.expand(b"self").unwrap(), None);
        assert_eq!(view.shorten(b"refs/heads/self").unwrap(), b"self");
        if format == "files" {
            continue;
        }
        let before = git(&repo, ["for-each-ref", "--format=%(refname) %(symref)"]);
        let stores = repository.open_to_write().unwrap();
        let id = view.resolve(b"HEAD").unwrap().unwrap();
        let commit = |change| Batch { changes: vec![change], ..Batch::default() }.commit(&stores);
        let error = commit(Change::set("refs/heads/a", Expect::Any, id)).unwrap_err();
        assert!(error.to_string().contains("too many symbolic references"), "{error}");
        assert!(error.to_string().contains("no-deref"), "the way out: {error}");
        assert_eq!(git(&repo, ["for-each-ref", "--format=%(refname) %(symref)"]), before);
        commit(Change::delete("refs/heads/a", Expect::Any).no_deref()).unwrap();
        commit(Change::set("refs/heads/self", Expect::Any, id).no_deref()).unwrap();
        let view = repository.view(Reading::Checked).unwrap();
        assert_eq!(view.resolve(b"refs/heads/b").unwrap(), None, "it leads nowhere now");
        assert_eq!(view.resolve(b"refs/heads/self").unwrap(), Some(id));
    }
}

#[test]
fn a_repository_that_vanishes_is_an_error_for_readers_and_writers() {
    if !git_knows_reftables() {
        return;
    }
    for format in ["reftable", "files"] {
        let top = tempfile::tempdir().unwrap();
        init(top.path(), "repo", &[&format!("--ref-format={format}")]);
        let repo = top.path().join("repo");
        let repository = Repository::at(&repo).unwrap();
        let view = repository.view(Reading::Copied).unwrap();
        let stores = (format == "reftable").then(|| repository.open_to_write().unwrap());
        let (id, gone) = (view.resolve(b"HEAD").unwrap().unwrap(), top.path().join("gone"));
        fs::rename(&repo, &gone).unwrap();
        let state = || fs::read_dir(top.path()).unwrap().count();

        assert!(Repository::at(&repo).unwrap_err().to_string().contains("repo"), "{format}");
        let error = repository.head().unwrap_err();
        assert!(error.kind() != ErrorKind::Invalid, "{format}: {error}");
        if let Some(stores) = stores {
            // What was read before stays what it was.
            assert_eq!(view.resolve(b"HEAD").unwrap(), Some(id));
            let changes = vec![Change::set("refs/heads/new", Expect::Absent, id)];
            let error = Batch { changes, ..Batch::default() }.commit(&stores).unwrap_err();
            assert!(error.to_string().contains("repo/.git/reftable"), "{error}");
            assert!(repository.open_to_write().is_err());
        }
        assert_eq!(state(), 1, "nothing was made in its place");
        assert_eq!(Repository::at(&gone).unwrap().head().unwrap().id(), Some(id), "{format}");
        assert!(git(&gone, ["for-each-ref", "refs/heads/new"]).is_empty());
    }
}

#[test]
fn a_loop_of_symbolic_references_ends_with_an_error() {
    let Some((_top, repo)) = repository() else { return };
    git(&repo, ["symbolic-ref", "refs/heads/a", "refs/heads/b"]);
    git(&repo, ["symbolic-ref", "refs/heads/b", "refs/heads/a"]);
    git(&repo, ["symbolic-ref", "HEAD", "refs/heads/a"]);
    let error = Repository::at(&repo).unwrap().head().unwrap_err();
    assert!(error.kind() == ErrorKind::NotFound && error.to_string().contains("too many symbolic"), "{error}");
}
