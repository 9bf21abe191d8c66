//! Repositories made by real git, and our program run on them.
#![allow(dead_code, reason = "each test file uses a part of this")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "helpers of tests")]

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use reftable::table::RefRecordView;
use reftable::table::{TableWriter, WriteOptions};
use reftable::{HashKind, TargetView};
use serde_json::Value;
use tempfile::TempDir;

use crate::effort::{is_long, loudly};

pub(crate) const HASHES: [&str; 2] = ["sha1", "sha256"];

/// A repository in a temporary directory.
pub(crate) struct Repo {
    dir: TempDir,
    pub(crate) hash: &'static str,
}

/// What a run of our program gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) raw: Vec<u8>,
}

impl Run {
    /// The output of a run that must have succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "stderr: {}", self.err);
        assert_eq!(self.err, "");
        self.out
    }

    /// The message of a run that must have failed in this way.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "stdout: {}, stderr: {}", self.out, self.err);
        let prefixes = ["reftable: ", "error: ", "fatal: ", "usage: "];
        assert!(prefixes.iter().any(|prefix| self.err.starts_with(prefix)), "{}", self.err);
        self.err
    }

    /// The message of a run of one of git's words that must have been refused: with 1, or fatally.
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        let code = if self.code == Some(1) { 1 } else { 128 };
        self.failed(code)
    }

    /// One JSON value a line.
    #[track_caller]
    pub(crate) fn json(self) -> Vec<Value> {
        self.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Runs `test` for each hash on a new repository, both at once: much of their time is waiting. Says
/// so if git is missing or too old.
pub(crate) fn for_each_hash(test: impl Fn(&Repo) + Sync) {
    if !git_knows_reftables() {
        eprintln!("SKIPPED: these tests need git 2.45 or newer");
        return;
    }
    let run = |hash| {
        let repo = Repo { dir: tempfile::tempdir().unwrap(), hash };
        let format = format!("--object-format={hash}");
        repo.git_in(repo.top(), ["init", "-q", "-b", "main", "--ref-format=reftable", &format, "repo"]);
        test(&repo);
    };
    std::thread::scope(|scope| {
        for hash in HASHES {
            scope.spawn(move || run(hash));
        }
    });
}

/// What a command with these arguments exits with where our own words exit with `own`.
pub(crate) fn code_of(args: &[&str], own: i32) -> i32 {
    let is_of_git = |word: &&str| ["list", "update", "delete", "symbolic-ref"].contains(word);
    if args.iter().any(is_of_git) { 128 } else { own }
}

fn git_knows_reftables() -> bool {
    let Ok(output) = Command::new("git").arg("version").output() else { return false };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = text.trim_start_matches("git version ").split('.').map_while(|part| part.parse::<u32>().ok());
    numbers.next().zip(numbers.next()).is_some_and(|version| version >= (2, 45))
}

/// A command that sees no configuration of the user's and always has the same identity and time.
pub(crate) fn isolated(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
        command.env_remove(name);
    }
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null").env("LC_ALL", "C");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "A U Thor").env(format!("GIT_{role}_EMAIL"), "author@example.com");
        command.env(format!("GIT_{role}_DATE"), "1700000000 +0130");
    }
    if !is_long() {
        // What a disk takes to sync is most of what these tests would take.
        loudly("SHORTENED: core.fsync=none, so that no command waits for a disk; REFTABLE_LONG_TESTS=1 syncs");
        command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "core.fsync").env("GIT_CONFIG_VALUE_0", "none");
    }
    command
}

/// Runs to the end with `input`.
#[track_caller]
pub(crate) fn feed(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may have stopped reading because of an error, which its output will tell.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_tree(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

impl Repo {
    /// The temporary directory around it.
    pub(crate) fn top(&self) -> &Path {
        self.dir.path()
    }

    /// The work tree.
    pub(crate) fn path(&self) -> PathBuf {
        self.top().join("repo")
    }

    /// A copy of it as it is now; the one before is gone.
    #[track_caller]
    pub(crate) fn copy(&self) -> PathBuf {
        self.copy_to("copy")
    }

    /// The same under this name.
    #[track_caller]
    pub(crate) fn copy_to(&self, name: &str) -> PathBuf {
        let copy = self.top().join(name);
        let _there_may_be_none = fs::remove_dir_all(&copy);
        copy_tree(&self.path(), &copy);
        copy
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path().join(".git/reftable")
    }

    /// Runs git, which must succeed, and returns its output without the last newline.
    #[track_caller]
    pub(crate) fn git<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> String {
        self.git_in(&self.path(), args)
    }

    #[track_caller]
    pub(crate) fn git_in<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, dir: &Path, args: I) -> String {
        let output = isolated("git").current_dir(dir).args(args).output().unwrap();
        assert!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }

    /// Runs git, which must succeed and leaves its table on top of the others, whatever their
    /// sizes.
    #[track_caller]
    pub(crate) fn git_adds_a_table<const N: usize>(&self, args: [&str; N]) {
        let mut git = isolated("git");
        git.env("GIT_TEST_REFTABLE_AUTOCOMPACTION", "false").current_dir(self.path());
        assert!(git.args(args).status().unwrap().success());
    }

    /// Whether git succeeds.
    pub(crate) fn git_agrees<const N: usize>(&self, args: [&str; N]) -> bool {
        isolated("git").current_dir(self.path()).args(args).output().unwrap().status.success()
    }

    /// Makes a commit on HEAD and returns its id.
    #[track_caller]
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(["commit", "-q", "--allow-empty", "-m", message]);
        self.git(["rev-parse", "HEAD"])
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = isolated(env!("CARGO_BIN_EXE_reftable"));
        command.current_dir(self.path());
        command
    }

    pub(crate) fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Run {
        self.run_with(args, b"")
    }

    pub(crate) fn run_with<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I, input: &[u8]) -> Run {
        let output = feed(self.command().args(args), input);
        Run {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            raw: output.stdout,
        }
    }

    /// Runs our program, which must succeed, and returns its output without the last newline.
    #[track_caller]
    pub(crate) fn ours<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> String {
        self.run(args).ok().trim_end_matches('\n').to_owned()
    }

    /// The id of nothing.
    pub(crate) fn zero(&self) -> String {
        "0".repeat(if self.hash == "sha1" { 40 } else { 64 })
    }
}

/// Adds a table with symbolic references, whatever their names, on top of the others.
#[track_caller]
pub(crate) fn put_symbolic(repo: &Repo, index: u64, links: &[(&str, &str)]) {
    let hash = if repo.hash == "sha1" { HashKind::Sha1 } else { HashKind::Sha256 };
    let mut links = links.to_vec();
    links.sort_unstable();
    let mut table = TableWriter::new(Vec::new(), hash, index..=index, &WriteOptions::default()).unwrap();
    for (name, target) in links {
        let target = Some(TargetView::Symbolic(target.as_bytes()));
        table.add_ref(&RefRecordView { name: name.as_bytes(), update_index: index, target }).unwrap();
    }
    put_on_top(repo, index, &table.finish().unwrap().0);
}

/// Adds a table on top of the others.
#[track_caller]
pub(crate) fn put_on_top(repo: &Repo, index: u64, table: &[u8]) {
    let name = format!("0x{index:012x}-0x{index:012x}-{index:08x}.ref");
    fs::write(repo.store().join(&name), table).unwrap();
    let list = repo.store().join("tables.list");
    fs::write(&list, fs::read_to_string(&list).unwrap() + &name + "\n").unwrap();
}
