//! In a repository that several users share all read and write after writes by any of them,
//! whatever their umasks: git's and ours in turn.

#![cfg(target_os = "linux")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::isolated;

/// The group that the users have in common.
const GROUP: u32 = 54_000;
const USERS: [u32; 3] = [54_001, 54_002, 54_003];
const UMASKS: [&str; 2] = ["077", "022"];

/// A repository of the first user's, in a directory that all may enter.
struct Shared {
    top: tempfile::TempDir,
    ours: PathBuf,
}

/// `None`, and a word about it, unless we may become other users.
fn as_root() -> Option<()> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let mut probe = Command::new("setpriv");
    probe.args(["--reuid=54001", "--regid=54001", "--groups=54000", "true"]);
    if is_root && probe.status().is_ok_and(|status| status.success()) {
        return Some(());
    }
    eprintln!("SKIPPED: only root, with setpriv, can be several users");
    None
}

impl Shared {
    fn new(shared: &str) -> Shared {
        let top = tempfile::tempdir().unwrap();
        fs::set_permissions(top.path(), Permissions::from_mode(0o755)).unwrap();
        let ours = top.path().join("reftable-of-all");
        fs::copy(env!("CARGO_BIN_EXE_reftable"), &ours).unwrap();
        fs::set_permissions(&ours, Permissions::from_mode(0o755)).unwrap();
        let repo = top.path().join("repo");
        fs::create_dir(&repo).unwrap();
        std::os::unix::fs::chown(&repo, Some(USERS[0]), Some(GROUP)).unwrap();
        fs::set_permissions(&repo, Permissions::from_mode(0o2775)).unwrap();
        let made = Shared { top, ours };
        let init = ["init", "-q", "-b", "main", "--ref-format=reftable", &format!("--shared={shared}")];
        made.git(USERS[0], "022", &init);
        made
    }

    fn repo(&self) -> PathBuf {
        self.top.path().join("repo")
    }

    fn store(&self) -> PathBuf {
        self.repo().join(".git/reftable")
    }

    #[track_caller]
    fn run(&self, user: u32, umask: &str, program: &Path, args: &[&str]) -> String {
        let mut command = isolated("setpriv");
        command.args([format!("--reuid={user}"), format!("--regid={user}"), format!("--groups={GROUP}")]);
        command.args(["sh", "-c", &format!("umask {umask}; exec \"$@\""), "sh"]).arg(program).args(args);
        // It belongs to the first of them.
        let safe = [("COUNT", "1"), ("KEY_0", "safe.directory"), ("VALUE_0", "*")];
        command.envs(safe.map(|(name, value)| (format!("GIT_CONFIG_{name}"), value)));
        let output = command.current_dir(self.repo()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "user {user}, umask {umask}, {program:?} {args:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[track_caller]
    fn git(&self, user: u32, umask: &str, args: &[&str]) -> String {
        let args = [["-c", "safe.directory=*"].as_slice(), args].concat();
        self.run(user, umask, Path::new("git"), &args)
    }

    #[track_caller]
    fn ours(&self, user: u32, umask: &str, args: &[&str]) -> String {
        self.run(user, umask, &self.ours, args)
    }

    /// Every file in the store belongs to the group, and has all of `least` and nothing beyond
    /// `most`.
    #[track_caller]
    fn assert_modes(&self, least: u32, most: u32) {
        for entry in fs::read_dir(self.store()).unwrap() {
            let entry = entry.unwrap();
            let file = entry.metadata().unwrap();
            let mode = file.mode() & 0o777;
            let name = entry.file_name();
            assert!(mode & least == least && mode & !most == 0, "{name:?} has {mode:o}, not {least:o} to {most:o}");
            assert_eq!(file.gid(), GROUP, "{name:?}");
        }
    }
}

#[test]
fn everybody_reads_and_writes_after_everybody() {
    let Some(()) = as_root() else { return };
    // With the umasks here git makes files of any mode between the two.
    for (shared, least, most, may_all_write) in [
        ("group", 0o660, 0o664, true),
        ("0660", 0o660, 0o660, true),
        ("0640", 0o640, 0o640, false),
        ("all", 0o664, 0o664, true),
    ] {
        let repo = Shared::new(shared);
        repo.git(USERS[0], "022", &["commit", "-q", "--allow-empty", "-m", "one"]);
        let id = repo.git(USERS[0], "022", &["rev-parse", "HEAD"]).trim().to_owned();
        let mut count = 1;
        for (round, umask) in UMASKS.into_iter().cycle().take(4).enumerate() {
            for user in USERS.into_iter().take(if may_all_write { 3 } else { 1 }) {
                let name = format!("refs/heads/{user}-{round}");
                repo.ours(user, umask, &["update", &format!("{name}-ours"), &id]);
                repo.assert_modes(least, most);
                if round % 2 == 0 {
                    repo.git(user, umask, &["update-ref", &format!("{name}-git"), &id]);
                    count += 1;
                }
                count += 1;
                if round == 1 {
                    repo.ours(user, umask, &["compact", "--all"]);
                }
                repo.assert_modes(least, most);
            }
            for user in USERS {
                let listed = repo.git(user, umask, &["for-each-ref"]);
                assert_eq!(listed.lines().count(), count, "user {user}, shared {shared}");
                let listed = repo.ours(user, umask, &["list", "--prefix", "refs/"]);
                assert_eq!(listed.lines().count(), count, "user {user}, shared {shared}");
            }
        }
    }
}

#[test]
fn what_root_writes_its_owner_still_reads() {
    let Some(()) = as_root() else { return };
    let repo = Shared::new("umask");
    repo.git(USERS[0], "077", &["commit", "-q", "--allow-empty", "-m", "one"]);
    let id = repo.git(USERS[0], "077", &["rev-parse", "HEAD"]).trim().to_owned();
    let list = repo.store().join("tables.list");
    assert_eq!(fs::metadata(&list).unwrap().mode() & 0o777, 0o600);
    repo.ours(0, "022", &["update", "refs/heads/by-root", &id]);
    assert_eq!(fs::metadata(&list).unwrap().mode() & 0o777, 0o600, "no wider than it was");
    let seen = repo.git(USERS[0], "077", &["for-each-ref", "--format=%(refname)"]);
    assert_eq!(seen, "refs/heads/by-root\nrefs/heads/main\n");
}
