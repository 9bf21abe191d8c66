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

/// A hook of the configuration that notes its name and the phase, and refuses in one.
fn configure(repo: &Path, name: &str, refuses_in: &str) {
    let command = format!("echo {name} >> \"$GIT_DIR/heard\"; cat > /dev/null; [ \"$1\" != '{refuses_in}' ] && true");
    git(repo, ["config", &format!("hook.{name}.command"), &format!("f() {{ {command}; }}; f")]);
    git(repo, ["config", "--add", &format!("hook.{name}.event"), "reference-transaction"]);
}

#[test]
fn hooks_of_the_configuration_run_in_order_and_before_the_file() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    init(top.path(), "repo", &[]);
    let repo = top.path().join("repo");
    let id: ObjectId = git(&repo, ["rev-parse", "HEAD"]).parse().unwrap();
    let commit = |name: &str| {
        let mut batch = Batch::default();
        batch.changes.push(Change::set(format!("refs/heads/{name}"), Expect::Absent, id));
        batch.commit(&Repository::at(&repo)?.open(&Options::default(), None)?)
    };
    configure(&repo, "second", "");
    configure(&repo, "first", "");
    // What comes up again comes later.
    let config = repo.join(".git/config");
    let again = "[hook \"second\"]\n\tevent = reference-transaction\n";
    fs::write(&config, fs::read_to_string(&config).unwrap() + again).unwrap();
    configure(&repo, "off", "preparing");
    git(&repo, ["config", "hook.off.enabled", "false"]);
    configure(&repo, "gone", "preparing");
    git(&repo, ["config", "--add", "hook.gone.event", ""]);
    git(&repo, ["config", "hook.other.event", "pre-commit"]);
    commit("a").unwrap();
    assert_eq!(heard(&repo), "first\nsecond\n".repeat(3));

    // A veto stops the change, and not the hooks after it. The file in hooks/ is the last one.
    configure(&repo, "first", "prepared");
    put_hook(&repo, "");
    let error = commit("b").unwrap_err();
    assert!(error.kind() == ErrorKind::Refused && error.to_string().contains("'first'"), "{error}");
    let told = heard(&repo);
    let words: Vec<&str> = told.lines().filter(|line| !line.contains("refs/heads/b")).collect();
    let each = ["preparing", "prepared", "aborted"].map(|phase| ["first", "second", phase]);
    assert_eq!(words, each.concat());

    // All of the configuration's may be switched off, which leaves the file.
    git(&repo, ["config", "hook.reference-transaction.enabled", "false"]);
    commit("b").unwrap();
    let told = heard(&repo);
    assert!(told.starts_with("preparing\n") && !told.contains("first"), "{told}");
    git(&repo, ["config", "hook.reference-transaction.enabled", "true"]);

    for (key, value) in
        [("hook.none.event", "reference-transaction"), ("hook.reference-transaction.event", "reference-transaction")]
    {
        git(&repo, ["config", key, value]);
        let error = commit("c").unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("hook."), "{error}");
        git(&repo, ["config", "--unset", key]);
    }
}
