//! References point at objects that exist, and branches at commits.

use std::fs;
use std::path::Path;

use reftable::{Expect, ObjectId, Target};
use reftable_git::{Batch, Change, ErrorKind, ObjectKind, Repository, Stores};

use crate::support::{git, git_knows_reftables, init, run_git};

fn id_of(repo: &Path, what: &str) -> ObjectId {
    git(repo, ["rev-parse", what]).parse().unwrap()
}

fn open(repo: &Path) -> Stores {
    let repository = Repository::at(repo).unwrap();
    repository.open_to_write().unwrap().with_objects(repository.objects().unwrap())
}

fn set(stores: &Stores, name: &str, id: ObjectId) -> reftable_git::Result<()> {
    let changes = vec![Change::set(name, Expect::Any, id)];
    Batch { changes, ..Batch::default() }.commit(stores).map(drop)
}

/// A repository with tags of tags, of a tree and of a blob; some of it in packs.
fn make(top: &Path) -> std::path::PathBuf {
    init(top, "repo", &[]);
    let repo = top.join("repo");
    fs::write(repo.join("file"), "text").unwrap();
    git(&repo, ["add", "file"]);
    git(&repo, ["commit", "-q", "-m", "two"]);
    git(&repo, ["tag", "-a", "-m", "t", "v1"]);
    git(&repo, ["tag", "-a", "-m", "t", "of-tag", "v1"]);
    git(&repo, ["gc", "-q"]);
    git(&repo, ["tag", "-a", "-m", "t", "of-tree", "HEAD^{tree}"]);
    git(&repo, ["tag", "-a", "-m", "t", "of-blob", "HEAD:file"]);
    repo
}

#[test]
fn values_are_accepted_and_refused_as_by_git() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let repo = make(top.path());
    git(top.path(), ["clone", "-q", "--shared", "--bare", "--ref-format=reftable", "repo", "borrower"]);
    let missing: ObjectId = "2e6f9b0d5885b6010f9167787445617f553a735f".parse().unwrap();
    let whats = ["HEAD", "v1", "of-tag", "of-tree", "of-blob", "HEAD^{tree}", "HEAD:file"];
    let ids: Vec<ObjectId> = whats.iter().map(|what| id_of(&repo, what)).chain([missing]).collect();
    let borrower = top.path().join("borrower");
    for dir in [&repo, &borrower] {
        let stores = open(dir);
        for (turn, id) in ids.iter().enumerate() {
            for name in ["refs/heads/b", "refs/tags/t", "refs/odd", "HEAD"] {
                let (ours, theirs) = (format!("{name}-ours-{turn}"), format!("{name}-git-{turn}"));
                let [ours, theirs] = if name == "HEAD" { [name.to_owned(), name.to_owned()] } else { [ours, theirs] };
                let git_says = run_git(dir, ["update-ref", "--no-deref", &theirs, &id.to_string()]).status.success();
                let change = Change::set(ours.as_str(), Expect::Any, *id).no_deref();
                let we_say = Batch { changes: vec![change], ..Batch::default() }.commit(&stores);
                assert_eq!(we_say.is_ok(), git_says, "{name} {id}: {we_say:?}");
                if git_says {
                    let view = stores.view().unwrap();
                    let stored = |name: &str| view.get(name.as_bytes()).unwrap().unwrap().target;
                    assert_eq!(stored(&ours), stored(&theirs), "{name} {id}");
                } else {
                    assert_eq!(we_say.unwrap_err().kind(), ErrorKind::Invalid);
                }
            }
        }
    }
}

#[test]
fn a_value_is_refused_before_the_lock_is_asked_for() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let repo = make(top.path());
    let stores = open(&repo);
    fs::write(repo.join(".git/reftable/tables.list.lock"), "").unwrap();
    let tag = id_of(&repo, "v1");
    let error = set(&stores, "refs/heads/b", tag).unwrap_err();
    assert!(error.to_string().contains("an annotated tag, and a branch has commits"), "{error}");
    assert_eq!(error.change(), Some(0));
}

#[test]
fn objects_that_come_later_are_found_and_tags_are_peeled_to_the_end() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let repo = make(top.path());
    let stores = open(&repo);
    let objects = Repository::at(&repo).unwrap().objects().unwrap();
    git(&repo, ["commit", "-q", "--allow-empty", "-m", "later"]);
    git(&repo, ["repack", "-q", "-a", "-d"]);
    let later = id_of(&repo, "HEAD");
    assert_eq!(objects.kind(&later).unwrap(), Some(ObjectKind::Commit));
    set(&stores, "refs/heads/b", later).unwrap();
    let (tag, commit) = (id_of(&repo, "of-tag"), id_of(&repo, "of-tag^{}"));
    assert_eq!(objects.peel(&tag).unwrap(), commit);
    set(&stores, "refs/tags/t", tag).unwrap();
    let stored = stores.view().unwrap().get(b"refs/tags/t").unwrap().unwrap().target;
    assert_eq!(stored, Target::Tag { id: tag, peeled: commit });
}
