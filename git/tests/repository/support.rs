//! Repositories in temporary directories, and git beside them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// git, without any configuration of the user's, and always with the same identity and time.
pub(crate) fn git_command(dir: &Path) -> Command {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
        command.env_remove(name);
    }
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null").env("LC_ALL", "C");
    command.env("GIT_DEFAULT_REF_FORMAT", "reftable");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "A U Thor").env(format!("GIT_{role}_EMAIL"), "author@example.com");
        command.env(format!("GIT_{role}_DATE"), "1700000000 +0130");
    }
    command.args(["-c", "protocol.file.allow=always"]).current_dir(dir);
    command
}

pub(crate) fn run_git<S: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = S>) -> Output {
    git_command(dir).args(args).output().unwrap()
}

/// Runs git, which must succeed, and returns its output without the last newline.
#[track_caller]
pub(crate) fn git<S: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = S>) -> String {
    let output = run_git(dir, args);
    assert!(output.status.success(), "git in {dir:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
}

/// A repository with a commit on `main`, as `dir/name`.
#[track_caller]
pub(crate) fn init(dir: &Path, name: &str, args: &[&str]) {
    let start = ["init", "-q", "-b", "main", "--ref-format=reftable"];
    git(dir, start.iter().chain(args).chain(&[name]));
    if !args.contains(&"--bare") {
        git(&dir.join(name), ["commit", "-q", "--allow-empty", "-m", "first"]);
    }
}

/// A repository with a commit on `main`, in a directory of its own; `None` where these tests need a
/// newer git.
pub(crate) fn repository() -> Option<(TempDir, PathBuf)> {
    repository_made_by(|top, name| init(top, name, &[]))
}

/// The same, made by `make` in a directory, with a name.
pub(crate) fn repository_made_by(make: impl FnOnce(&Path, &str)) -> Option<(TempDir, PathBuf)> {
    if !git_knows_reftables() {
        return None;
    }
    let top = tempfile::tempdir().unwrap();
    make(top.path(), "repo");
    let repo = top.path().join("repo");
    Some((top, repo))
}

/// Says so if git is missing or too old; CI does not accept that.
pub(crate) fn git_knows_reftables() -> bool {
    let version = Command::new("git").arg("version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let mut numbers = version.trim_start_matches("git version ").split('.').map_while(|part| part.parse::<u32>().ok());
    let knows = numbers.next().zip(numbers.next()).is_some_and(|version| version >= (2, 45));
    assert!(knows || std::env::var_os("REFTABLE_REQUIRE_GIT").is_none(), "git 2.45 or newer is required");
    if !knows {
        eprintln!("SKIPPED: these tests need git 2.45 or newer");
    }
    knows
}

/// SplitMix64: a test needs no better randomness, and the same one everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap() % end
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
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

/// The number that an environment variable has.
pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().unwrap())
}
