//! The hook `reference-transaction`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use reftable::bytes::Reading;
use reftable::{Expect, ObjectId, Options};
use reftable_git::{Batch, Change, ErrorKind, Repository};

use crate::support::{git, git_knows_reftables, init};

fn put_hook(repo: &Path, refuses_in: &str) {
    let hook = repo.join(".git/hooks/reference-transaction");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let script = format!("#!/bin/sh\n{{ echo \"$1\"; cat; }} >> \"$GIT_DIR/heard\"\n[ \"$1\" != '{refuses_in}' ]\n");
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, Permissions::from_mode(0o755)).unwrap();
}

fn heard(repo: &Path) -> String {
    let file = repo.join(".git/heard");
    let text = fs::read_to_string(&file).unwrap_or_default();
    let _there_may_be_none = fs::remove_file(file);
    text
}

#[test]
fn the_hook_hears_each_phase_and_may_refuse() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    init(top.path(), "repo", &[]);
    let repo = top.path().join("repo");
    let old: ObjectId = git(&repo, ["rev-parse", "HEAD"]).parse().unwrap();
    let new: ObjectId = git(&repo, ["commit-tree", "-m", "two", "HEAD^{tree}"]).parse().unwrap();
    let zero = ObjectId::null(old.kind());
    let commit = |id: ObjectId| {
        let mut batch = Batch::default();
        batch.changes.push(Change::set("HEAD", Expect::Is(old.into()), id));
        batch.changes.push(Change::set("refs/heads/b", Expect::Any, id).no_deref());
        batch.commit(&Repository::at(&repo).unwrap().open(&Options::default(), None).unwrap())
    };
    let b = format!("{zero} {new} refs/heads/b\n");
    let before = format!("{old} {new} HEAD\n{b}");
    // The symbolic reference is followed under the lock, and what it leads to comes last.
    let after = format!("{b}{old} {new} refs/heads/main\n");
    for (refuses_in, told) in [
        ("preparing", format!("preparing\n{before}aborted\n{before}")),
        ("prepared", format!("preparing\n{before}prepared\n{after}aborted\n{after}")),
    ] {
        put_hook(&repo, refuses_in);
        let error = commit(new).unwrap_err();
        assert!(error.kind() == ErrorKind::Refused && error.to_string().contains(refuses_in), "{error}");
        assert_eq!(heard(&repo), told);
        assert_eq!(Repository::at(&repo).unwrap().head().unwrap().id(), Some(old));
    }
    put_hook(&repo, "committed");
    commit(new).unwrap();
    assert_eq!(heard(&repo), format!("preparing\n{before}prepared\n{after}committed\n{after}"));
    assert_eq!(Repository::at(&repo).unwrap().view(Reading::Checked).unwrap().resolve(b"HEAD").unwrap(), Some(new));
}
