//! A repository that three users share: git and this crate by turns, with narrow and wide umasks.
//! Every file in the store has git's modes while and after it is used, all users read and write,
//! and the lock of a user who has died is no obstacle for the others.

#![cfg(target_os = "linux")]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reftable::bytes::Reading;
use reftable::{Expect, ObjectId};
use reftable_git::{Batch, Change, Error, Repository};

use crate::support::{git_command, git_knows_reftables};

/// The group that the users have in common.
const GROUP: u32 = 54_000;
const USERS: [u32; 3] = [54_001, 54_002, 54_003];
const UMASKS: [&str; 2] = ["077", "022"];
/// Tell a user's process the repository, a reference, and what to do.
const REPOSITORY: &str = "REFTABLE_USER_REPOSITORY";
const NAME: &str = "REFTABLE_USER_NAME";
const WHAT: &str = "REFTABLE_USER_WHAT";

/// Not a test: what one of the users does.
#[test]
fn what_one_user_does() {
    let Some(path) = std::env::var_os(REPOSITORY).map(PathBuf::from) else { return };
    let (name, what) = (std::env::var(NAME).unwrap(), std::env::var(WHAT).unwrap());
    let repository = Repository::at(&path).unwrap();
    let view = repository.view(Reading::Copied).unwrap();
    if what == "count" {
        let mut count = 0;
        let each = |_: &reftable::RefView<'_>| {
            count += 1;
            Ok::<_, Error>(())
        };
        view.refs(b"refs/", each).unwrap();
        assert_eq!(count.to_string(), name);
        return;
    }
    let id: ObjectId = view.resolve(b"refs/heads/main").unwrap().unwrap();
    let stores = repository.open_to_write().unwrap();
    let batch = Batch { changes: vec![Change::set(name, Expect::Absent, id)], ..Batch::default() };
    if what == "write" {
        batch.commit(&stores).unwrap();
        return;
    }
    let prepared = batch.prepare(&stores).unwrap();
    std::io::stderr().write_all(b"held\n").unwrap();
    if what == "die" {
        std::process::abort();
    }
    let _until_told = std::io::stdin().read_to_end(&mut Vec::new());
    prepared.commit().unwrap();
}

struct Shared {
    top: tempfile::TempDir,
    least: u32,
    most: u32,
}

impl Shared {
    /// `None`, and a word about it, unless we may become other users.
    fn new(shared: &str, least: u32, most: u32) -> Option<Shared> {
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        let mut probe = Command::new("setpriv");
        probe.args(["--reuid=54001", "--regid=54001", "--groups=54000", "true"]);
        if !is_root || !probe.status().is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: only root, with setpriv, can be several users");
            return None;
        }
        let top = tempfile::tempdir().unwrap();
        fs::set_permissions(top.path(), Permissions::from_mode(0o755)).unwrap();
        let program = top.path().join("program");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        let repo = top.path().join("repo");
        fs::create_dir(&repo).unwrap();
        chown(&repo, Some(USERS[0]), Some(GROUP)).unwrap();
        fs::set_permissions(&repo, Permissions::from_mode(0o2775)).unwrap();
        let made = Shared { top, least, most };
        let init = ["init", "-q", "-b", "main", "--ref-format=reftable", &format!("--shared={shared}")];
        made.git(USERS[0], "022", &init);
        made.git(USERS[0], "022", &["commit", "-q", "--allow-empty", "-m", "one"]);
        Some(made)
    }

    fn repo(&self) -> PathBuf {
        self.top.path().join("repo")
    }

    fn as_user(&self, user: u32, umask: &str, program: &Path, args: &[&str]) -> Command {
        let like = git_command(&self.repo());
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={user}"), format!("--regid={user}"), format!("--groups={GROUP}")]);
        command.args(["sh", "-c", &format!("umask {umask}; exec \"$@\""), "sh"]).arg(program).args(args);
        for (name, value) in like.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        // It belongs to the first of them.
        let safe = [("COUNT", "1"), ("KEY_0", "safe.directory"), ("VALUE_0", "*")];
        command.envs(safe.map(|(name, value)| (format!("GIT_CONFIG_{name}"), value)));
        command.current_dir(self.repo());
        command
    }

    #[track_caller]
    fn git(&self, user: u32, umask: &str, args: &[&str]) {
        let output = self.as_user(user, umask, Path::new("git"), args).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "user {user}, umask {umask}, {args:?}: {error}");
    }

    fn start(&self, user: u32, umask: &str, what: &str, name: &str) -> Child {
        let args = ["--exact", "shared::what_one_user_does"];
        let mut command = self.as_user(user, umask, &self.top.path().join("program"), &args);
        command.env(REPOSITORY, self.repo()).env(NAME, name).env(WHAT, what);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    #[track_caller]
    fn ours(&self, user: u32, umask: &str, what: &str, name: &str) {
        let output = self.start(user, umask, what, name).wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "user {user}, umask {umask}, {what} {name}: {said}");
    }

    /// Starts a process that has the lock, or has died with it.
    fn held(&self, user: u32, umask: &str, what: &str, name: &str) -> Child {
        let mut child = self.start(user, umask, what, name);
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n", "user {user}, umask {umask}");
        child
    }

    fn mode_of_list(&self) -> u32 {
        fs::metadata(self.repo().join(".git/reftable/tables.list")).unwrap().mode() & 0o777
    }

    /// Every file in the store belongs to the group, and has all of the least mode and nothing
    /// beyond the most. Returns how many there are.
    #[track_caller]
    fn assert_modes(&self) -> usize {
        let mut count = 0;
        for entry in fs::read_dir(self.repo().join(".git/reftable")).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            // A request is for users who may write, and git has none.
            let is_request = name.as_encoded_bytes().ends_with(b".request");
            let (least, most) = (if is_request { self.least & 0o660 } else { self.least }, self.most);
            let fits = |mode: u32| mode & least == least && mode & !most == 0;
            let Some(file) = looked_at_twice(&entry, |file| fits(file.mode() & 0o777)) else { continue };
            let mode = file.mode() & 0o777;
            assert!(fits(mode), "{name:?} has {mode:o}, not {least:o} to {most:o}");
            assert_eq!(file.gid(), GROUP, "{name:?}");
            count += 1;
        }
        count
    }
}

/// A word adds to what the umask leaves, a number is the mode.
fn mode_by_git(shared: &str, least: u32, umask: &str) -> u32 {
    let left = 0o666 & !u32::from_str_radix(umask, 8).unwrap();
    if shared.starts_with('0') { least } else { least | left }
}

/// What a file is, unless it is gone. Its mode comes a call after its name: one that does not fit
/// is given time.
fn looked_at_twice(entry: &fs::DirEntry, fits: impl Fn(&fs::Metadata) -> bool) -> Option<fs::Metadata> {
    let file = entry.metadata().ok()?;
    if fits(&file) {
        return Some(file);
    }
    std::thread::sleep(Duration::from_millis(100));
    entry.metadata().ok()
}

/// With the umasks here git makes files of any mode between the two.
const KINDS: [(&str, u32, u32, usize); 4] =
    [("group", 0o660, 0o664, 3), ("0660", 0o660, 0o660, 3), ("0640", 0o640, 0o640, 1), ("all", 0o664, 0o664, 3)];

#[test]
fn git_and_ours_in_turn_by_three_users() {
    if !git_knows_reftables() {
        return;
    }
    for (shared, least, most, writers) in KINDS {
        let Some(repo) = Shared::new(shared, least, most) else { return };
        let mut count = 1;
        for (round, umask) in UMASKS.into_iter().enumerate() {
            for user in USERS.into_iter().take(writers) {
                repo.ours(user, umask, "write", &format!("refs/heads/{user}-{round}-ours"));
                repo.assert_modes();
                assert_eq!(repo.mode_of_list(), mode_by_git(shared, least, umask), "{shared}, umask {umask}");
                repo.git(user, umask, &["update-ref", &format!("refs/heads/{user}-{round}-git"), "main"]);
                repo.assert_modes();
                assert_eq!(repo.mode_of_list(), mode_by_git(shared, least, umask), "git: {shared}, umask {umask}");
                count += 2;
            }
            for user in USERS {
                repo.ours(user, umask, "count", &count.to_string());
            }
        }
        repo.git(USERS[0], "077", &["pack-refs", "--all"]);
        USERS.into_iter().for_each(|user| repo.ours(user, "077", "count", &count.to_string()));
        repo.assert_modes();
    }
}

#[test]
fn locks_and_requests_have_the_modes_of_the_others() {
    if !git_knows_reftables() {
        return;
    }
    for (shared, least, most, writers) in KINDS.into_iter().filter(|kind| kind.3 > 1) {
        let Some(repo) = Shared::new(shared, least, most) else { return };
        for (round, umask) in UMASKS.into_iter().enumerate() {
            let mut holder = repo.held(USERS[0], umask, "hold", &format!("refs/heads/{round}-held"));
            let waiting: Vec<Child> = (1..writers)
                .map(|user| repo.start(USERS[user], umask, "write", &format!("refs/heads/{round}-{user}")))
                .collect();
            // The list, a table or two, the lock; then an owner file of each, and tsuccessor
            // request.
            let (start, mut seen) = (Instant::now(), 0);
            while start.elapsed() < Duration::from_millis(600) {
                seen = seen.max(repo.assert_modes());
                std::thread::sleep(Duration::from_millis(5));
            }
            assert!(seen > 4, "{seen}");
            drop(holder.stdin.take());
            assert!(holder.wait().unwrap().success());
            for child in waiting {
                assert!(child.wait_with_output().unwrap().status.success(), "{shared}, umask {umask}");
            }
            repo.assert_modes();
        }
        repo.ours(USERS[1], "022", "count", "7");
    }
}

#[test]
fn what_a_user_leaves_who_dies_with_the_lock_is_taken_over_by_another() {
    if !git_knows_reftables() {
        return;
    }
    for (shared, least, most, _) in KINDS.into_iter().filter(|kind| kind.3 > 1) {
        let Some(repo) = Shared::new(shared, least, most) else { return };
        for (round, umask) in UMASKS.into_iter().enumerate() {
            for (dead, successor) in [(0, 1), (1, 2), (2, 0)] {
                let name = format!("refs/heads/{round}-{dead}");
                assert!(!repo.held(USERS[dead], umask, "die", &name).wait().unwrap().success());
                assert!(repo.repo().join(".git/reftable/tables.list.lock").exists(), "nobody has died with it");
                repo.assert_modes();
                repo.ours(USERS[successor], umask, "write", &name);
                repo.assert_modes();
                repo.git(USERS[dead], umask, &["update-ref", &format!("{name}-git"), "main"]);
            }
        }
        repo.ours(USERS[2], "022", "count", "13");
    }
}
