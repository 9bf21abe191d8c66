//! The oracle: real git, cut off from the configuration of the machine it runs on.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use reftable::{HashKind, Log, Options, Ref, Snapshot, Stack, Target};
use tempfile::TempDir;

use super::contents;
use super::effort::loudly;

/// The first version that knows `--ref-format` and `--include-root-refs`.
const LEAST: (u32, u32) = (2, 45);

/// Whether there is a git that knows reftables. Without one, says so; with `REFTABLE_REQUIRE_GIT`
/// set, fails.
pub(crate) fn is_there() -> bool {
    let version = version();
    if version.is_some_and(|version| version >= LEAST) {
        return true;
    }
    let found = version.map_or("none".to_owned(), |(major, minor)| format!("{major}.{minor}"));
    let message = format!("git {}.{} or newer is needed, found: {found}", LEAST.0, LEAST.1);
    assert!(std::env::var_os("REFTABLE_REQUIRE_GIT").is_none(), "{message}");
    loudly(&format!("SKIPPED: {message}"));
    false
}

/// Whether git is at least this version.
pub(crate) fn is_at_least(major: u32, minor: u32) -> bool {
    version().is_some_and(|version| version >= (major, minor))
}

fn version() -> Option<(u32, u32)> {
    let output = Command::new("git").arg("version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = text.split_whitespace().nth(2)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// A repository with real git, in a directory of its own.
pub(crate) struct Repo {
    pub(crate) hash: HashKind,
    root: TempDir,
    work_tree: PathBuf,
    config: Vec<String>,
    env: BTreeMap<String, Vec<u8>>,
}

impl Repo {
    pub(crate) fn new(hash: HashKind) -> Repo {
        Repo::with(hash, &[], true)
    }

    /// `config` are settings such as `reftable.blockSize=256`; without `compacts` git leaves a
    /// table a commit.
    pub(crate) fn with(hash: HashKind, config: &[&str], compacts: bool) -> Repo {
        let root = tempfile::tempdir().unwrap();
        let work_tree = root.path().join("main");
        let config = config.iter().map(|&setting| setting.to_owned()).collect();
        let mut repo = Repo { hash, root, work_tree, config, env: BTreeMap::new() };
        if !compacts {
            repo.set_env("GIT_TEST_REFTABLE_AUTOCOMPACTION", "false");
        }
        let format = format!("--object-format={}", hash.name());
        let at = repo.work_tree.clone();
        std::fs::create_dir(&at).unwrap();
        repo.git(["init", "-q", "-b", "main", "--ref-format=reftable", &format]);
        repo
    }

    pub(crate) fn set_env(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.env.insert(name.to_owned(), value.as_ref().to_vec());
    }

    pub(crate) fn work_tree(&self) -> &Path {
        &self.work_tree
    }

    /// Beside the work tree, for linked ones.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn reftable_dir(&self) -> PathBuf {
        self.work_tree.join(".git/reftable")
    }

    pub(crate) fn open(&self, options: Options) -> Stack {
        Stack::open(self.reftable_dir(), options).unwrap()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.open(Options::default()).snapshot().unwrap()
    }

    fn command<S: AsRef<OsStr>>(&self, at: &Path, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("git");
        let inherited = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_"));
        for (name, _) in inherited {
            command.env_remove(name);
        }
        for setting in &self.config {
            command.arg("-c").arg(setting);
        }
        command
            .args(args)
            .current_dir(at)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", self.root.path())
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("GIT_AUTHOR_NAME", "A U Thor")
            .env("GIT_AUTHOR_EMAIL", "author@example.com")
            .env("GIT_AUTHOR_DATE", "1700000000 +0100")
            .env("GIT_COMMITTER_NAME", "C O Mitter")
            .env("GIT_COMMITTER_EMAIL", "committer@example.com")
            .env("GIT_COMMITTER_DATE", "1700000001 -0230")
            .envs(self.env.iter().map(|(name, value)| (name, os_string(value))));
        command
    }

    /// Runs git, which must succeed, and returns what it printed.
    pub(crate) fn git<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Vec<u8> {
        self.git_at(&self.work_tree, args)
    }

    pub(crate) fn git_at<S: AsRef<OsStr>>(&self, at: &Path, args: impl IntoIterator<Item = S>) -> Vec<u8> {
        let mut command = self.command(at, args);
        checked(&command.output().unwrap(), &command).stdout
    }

    /// What it printed, as one line of text.
    pub(crate) fn line<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        String::from_utf8(self.git(args)).unwrap().trim_end_matches('\n').to_owned()
    }

    /// Runs git, which may fail.
    pub(crate) fn try_git<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        self.command(&self.work_tree, args).output().unwrap()
    }

    /// Runs git with something to read.
    pub(crate) fn feed<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, input: &[u8]) -> Vec<u8> {
        let mut command = self.command(&self.work_tree, args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        checked(&output, &command).stdout
    }

    /// Commits without files, so that references have something to point at.
    pub(crate) fn commits(&self, count: usize) -> Vec<String> {
        let tree = String::from_utf8(self.feed(["mktree"], b"")).unwrap();
        let person = "A U Thor <author@example.com> 1700000000 +0100";
        let paths: Vec<PathBuf> = (0..count).map(|number| self.beside(&format!("commit-{number}"))).collect();
        for (number, path) in paths.iter().enumerate() {
            let text = format!("tree {tree}author {person}\ncommitter {person}\n\ncommit {number}\n");
            std::fs::write(path, text).unwrap();
        }
        let args = ["hash-object", "-t", "commit", "-w"].map(OsStr::new).into_iter();
        let told = self.git(args.chain(paths.iter().map(|path| path.as_os_str())));
        lines(&told).map(|id| String::from_utf8(id.to_vec()).unwrap()).collect()
    }

    /// Compares everything that we read with what git lists.
    pub(crate) fn assert_reads_equal(&self) {
        assert_lists_equal(self, &self.work_tree, &self.snapshot());
    }

    /// git finds nothing to complain about.
    pub(crate) fn assert_fsck(&self) {
        self.git(["fsck", "--strict"]);
        if is_at_least(2, 47) {
            self.git(["refs", "verify", "--strict"]);
        }
    }
}

fn checked(output: &Output, command: &Command) -> Output {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    output.clone()
}

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> std::ffi::OsString {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> std::ffi::OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// References and logs of `snapshot`, against what git lists at `at`.
pub(crate) fn assert_lists_equal(repo: &Repo, at: &Path, snapshot: &Snapshot) {
    let ours = contents::of(snapshot);
    assert_refs_equal(repo, at, &ours.refs);
    assert_logs_equal(repo, at, snapshot);
}

pub(crate) fn assert_refs_equal(repo: &Repo, at: &Path, ours: &[Ref]) {
    let format = "--format=%(refname)%00%(objectname)%00%(*objectname)%00%(symref)";
    let listed = repo.git_at(at, ["for-each-ref", "--include-root-refs", format]);
    let mut theirs: Vec<(String, Target)> = lines(&listed)
        .map(|line| line.split(|&byte| byte == 0).map(|part| String::from_utf8(part.to_vec()).unwrap()).collect())
        .map(|fields: Vec<String>| (fields[0].clone(), target_of(repo, at, &fields)))
        .collect();
    theirs.sort_by(|a, b| a.0.cmp(&b.0));
    // git does not list symbolic references that lead nowhere. It has them all the same.
    let listed: HashSet<String> = theirs.iter().map(|(name, _)| name.clone()).collect();
    let mut seen = Vec::new();
    for found in ours {
        let name = String::from_utf8(found.name.clone()).unwrap();
        if found.target.id().is_some() || listed.contains(&name) {
            seen.push((name, found.target.clone()));
        } else {
            assert_eq!(symbolic(repo, at, &name), found.target, "{name}");
        }
    }
    assert_eq!(seen, theirs);
}

/// Where a symbolic reference leads directly; `for-each-ref` tells the end of the chain.
fn symbolic(repo: &Repo, at: &Path, name: &str) -> Target {
    let told = repo.git_at(at, ["symbolic-ref", "--no-recurse", name]);
    Target::symbolic(told.strip_suffix(b"\n").unwrap())
}

fn target_of(repo: &Repo, at: &Path, fields: &[String]) -> Target {
    match fields {
        [name, _, _, symref] if !symref.is_empty() => symbolic(repo, at, name),
        [_, id, peeled, _] if peeled.is_empty() => Target::Id(id.parse().unwrap()),
        [_, id, peeled, _] => Target::Tag { id: id.parse().unwrap(), peeled: peeled.parse().unwrap() },
        other => panic!("{other:?}"),
    }
}

/// A log entry as far as git shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    new: String,
    message: Vec<u8>,
    name: Vec<u8>,
    email: Vec<u8>,
    when: String,
}

/// Logs beyond this many are compared one in so many: each costs two processes.
const LOGS_COMPARED: usize = 12;

fn assert_logs_equal(repo: &Repo, at: &Path, snapshot: &Snapshot) {
    let listed = repo.git_at(at, ["reflog", "list"]);
    let mut theirs: Vec<&str> = lines(&listed).map(|name| std::str::from_utf8(name).unwrap()).collect();
    theirs.sort_unstable();
    let names = contents::logged(snapshot);
    assert_eq!(names, theirs, "the names that have logs");
    for name in names.iter().step_by(1 + names.len() / LOGS_COMPARED) {
        let log = contents::log(snapshot, name);
        // Of a name that leads nowhere now, git shows no more than that it has a log.
        if repo.command(at, ["rev-parse", "--quiet", "--verify", name]).output().unwrap().status.success() {
            let messages: Vec<_> = log.iter().map(|log| message(log).to_vec()).collect();
            assert_eq!(messages, all_messages(repo, at, name), "{name}");
            let seen: Vec<Shown> = log.iter().filter(|log| !log.entry.new.is_null()).map(shown).collect();
            assert_eq!(seen, entries(repo, at, name), "{name}");
        }
    }
}

fn message(log: &Log) -> &[u8] {
    log.entry.message.strip_suffix(b"\n").unwrap_or(&log.entry.message)
}

fn shown(log: &Log) -> Shown {
    let committer = &log.entry.committer;
    Shown {
        new: log.entry.new.to_string(),
        message: message(log).to_vec(),
        name: committer.name.clone(),
        email: committer.email.clone(),
        when: format!("{} {:+05}", committer.time, committer.time_zone),
    }
}

/// The messages of all entries, newest first, those of deletions too.
fn all_messages(repo: &Repo, at: &Path, name: &str) -> Vec<Vec<u8>> {
    let args = ["reflog", "expire", "--dry-run", "--verbose", "--expire=never", "--expire-unreachable=never", name];
    let told = repo.git_at(at, args);
    let mut messages: Vec<_> =
        lines(&told).filter_map(|line| line.strip_prefix(b"keep ")).map(<[u8]>::to_vec).collect();
    messages.reverse();
    messages
}

/// The entries that lead to an object.
fn entries(repo: &Repo, at: &Path, name: &str) -> Vec<Shown> {
    let format = "--format=%H%x00%gs%x00%gn%x00%ge%x00%gd";
    let utf8 = "i18n.logOutputEncoding=UTF-8";
    let printed = repo.git_at(at, ["-c", utf8, "log", "-g", "-z", "--no-decorate", "--date=raw", format, name, "--"]);
    let fields: Vec<&[u8]> = printed.split(|&byte| byte == 0).collect();
    fields
        .chunks_exact(5)
        .map(|fields| {
            let selector = String::from_utf8(fields[4].to_vec()).unwrap();
            Shown {
                new: String::from_utf8(fields[0].to_vec()).unwrap(),
                message: fields[1].to_vec(),
                name: fields[2].to_vec(),
                email: fields[3].to_vec(),
                when: selector.rsplit_once("@{").unwrap().1.trim_end_matches('}').to_owned(),
            }
        })
        .collect()
}

/// Without their newlines.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
}
