//! Repositories of other users: read, not written, and nothing of theirs is followed.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use reftable::Options;
use reftable::bytes::Reading;
use reftable_git::{ErrorKind, Repository, Revisions, Trust};

use crate::support::{git, git_knows_reftables, init, repository, run_git};

const OTHER: u32 = 54_001;

/// Says so unless we can give files to others.
fn is_root() -> bool {
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !is_root {
        eprintln!("SKIPPED: only root can give a repository to another user");
    }
    is_root
}

fn give_away(path: &Path) {
    chown(path, Some(OTHER), None).unwrap();
}

#[test]
fn a_repository_of_another_user_is_read_and_not_written() {
    if !git_knows_reftables() || !is_root() {
        return;
    }
    // Each part alone makes it another user's, as for git.
    for part in [".", ".git", "../linked", "../linked/.git"] {
        let top = tempfile::tempdir().unwrap();
        init(top.path(), "repo", &[]);
        let repo = top.path().join("repo");
        git(&repo, ["worktree", "add", "-q", "../linked"]);
        give_away(&repo.join(part));
        let place = if part.starts_with("..") { top.path().join("linked") } else { repo };
        assert!(!run_git(&place, ["status"]).status.success(), "git trusts {part}");
        let found = Repository::at(&place).unwrap();
        assert_eq!(found.trust().unwrap(), Trust::Reduced, "{part}");
        assert!(found.view(Reading::Checked).unwrap().get(b"HEAD").unwrap().is_some());
        let error = found.open(&Options::default(), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted);
        assert!(error.to_string().contains("--add safe.directory"), "{error}");
    }
}

#[test]
fn nothing_is_included_from_a_repository_of_another_user() {
    let Some((_top, repo)) = repository().filter(|_| is_root()) else { return };
    git(&repo, ["config", "include.path", "more"]);
    fs::write(repo.join(".git/more"), "[core]\n\thooksPath = /theirs\n").unwrap();
    let hooks = |repo: &Path| Repository::at(repo).unwrap().config().unwrap().unwrap().hooks_path();
    assert_eq!(hooks(&repo), Some("/theirs".into()));
    give_away(&repo);
    assert_eq!(hooks(&repo), None);
}

/// A git that is told where the repository is no more asks whose it is.
#[test]
fn no_git_is_started_in_a_repository_of_another_user() {
    let Some((top, repo)) = repository().filter(|_| is_root()) else { return };
    let mark = top.path().join("ran");
    for (key, value) in [
        ("extensions.partialClone", "origin".to_owned()),
        ("remote.origin.promisor", "true".to_owned()),
        ("remote.origin.url", "ssh://host/x".to_owned()),
        ("core.sshCommand", format!("touch {} #", mark.display())),
    ] {
        git(&repo, ["config", key, &value]);
    }
    let missing: reftable::ObjectId = "2e6f9b0d5885b6010f9167787445617f553a735f".parse().unwrap();
    let ask = || Revisions::of(&Repository::at(&repo).unwrap()).exists(missing);
    let _there_is_no_host = ask();
    assert!(mark.exists(), "the user's own is asked for what it lacks");
    fs::remove_file(&mark).unwrap();
    give_away(&repo);
    assert_eq!(ask().unwrap_err().kind(), ErrorKind::Untrusted);
    assert_eq!(Repository::at(&repo).unwrap().git_command().unwrap_err().kind(), ErrorKind::Untrusted);
    assert!(!mark.exists());
}
