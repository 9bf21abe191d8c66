//! Running git, out of reach of the user's configuration, and talking to `git update-ref --stdin`.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::history::Change;

/// The first version with reftables.
const OLDEST: (u32, u32) = (2, 45);

/// A git command in `dir` that sees no configuration but the repository's.
pub(crate) fn command(dir: &Path) -> Command {
    command_of(Path::new("git"), dir)
}

/// The same with the git that is given.
pub(crate) fn command_of(program: &Path, dir: &Path) -> Command {
    let mut command = environment(Command::new(program), dir);
    // With --users the repository is another user's.
    command.args(["-c", "safe.directory=*"]);
    command
}

/// A command in `dir` for which a git that it starts sees no configuration but the repository's.
pub(crate) fn environment(mut command: Command, dir: &Path) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "stress")))
        .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "stress@example.org")))
        .stdin(Stdio::null());
    command
}

/// What a git command prints.
///
/// # Errors
/// When it cannot be started or fails, with what it said.
pub(crate) fn output(dir: &Path, args: &[impl AsRef<OsStr>]) -> Result<String> {
    output_of(Path::new("git"), dir, args)
}

/// The same with the git that is given.
///
/// # Errors
/// As [`output`].
pub(crate) fn output_of(program: &Path, dir: &Path, args: &[impl AsRef<OsStr>]) -> Result<String> {
    let output = command_of(program, dir).args(args).output().context("cannot run git")?;
    let shown = || args.iter().map(|arg| arg.as_ref().to_string_lossy()).collect::<Vec<_>>().join(" ");
    if !output.status.success() {
        bail!("`git {}` failed: {}", shown(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Git's version when it is new enough for reftables; else why it is not used.
pub(crate) fn version() -> std::result::Result<String, String> {
    let output = output(Path::new("."), &["version"]).map_err(|error| format!("{error:#}"))?;
    let version = output.trim().trim_start_matches("git version ").to_owned();
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < OLDEST { Err(format!("git {version} is older than {}.{}", OLDEST.0, OLDEST.1)) } else { Ok(version) }
}

/// How far a transaction of git's got.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was refused before anything was published.
    Refused(String),
    /// It failed while it was being published: git reports failures of what follows in the same
    /// way.
    Unclear(String),
}

/// A running `git update-ref --stdin`.
#[derive(Debug)]
pub(crate) struct Session {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Session {
    /// Starts one.
    pub(crate) fn start(dir: &Path, message: &str) -> Result<Session> {
        let mut child = command(dir)
            .args(["update-ref", "-m", message, "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run git update-ref")?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("git has no standard output")?;
        Ok(Session { child, stdin, stdout: BufReader::new(stdout) })
    }

    /// Carries out one transaction. After a failure the session is over.
    pub(crate) fn transact(&mut self, changes: &[Change]) -> std::result::Result<(), Failure> {
        let mut input = String::from("start\n");
        for change in changes {
            input.push_str(&instruction(change));
        }
        input.push_str("prepare\n");
        if !self.exchange(&input, &["start: ok", "prepare: ok"]) {
            return Err(Failure::Refused(self.last_words()));
        }
        if !self.exchange("commit\n", &["commit: ok"]) {
            return Err(Failure::Unclear(self.last_words()));
        }
        Ok(())
    }

    fn exchange(&mut self, input: &str, replies: &[&str]) -> bool {
        let Some(stdin) = &mut self.stdin else { return false };
        if stdin.write_all(input.as_bytes()).and_then(|()| stdin.flush()).is_err() {
            return false;
        }
        replies.iter().all(|expected| {
            let mut line = String::new();
            self.stdout.read_line(&mut line).is_ok() && line.trim_end() == *expected
        })
    }

    fn last_words(&mut self) -> String {
        self.stdin = None;
        let mut said = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            // What could be read is what there is to tell.
            let _ = stderr.read_to_string(&mut said);
        }
        said.trim().to_owned()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The end of its input ends git.
        self.stdin = None;
        let _ = self.child.wait();
    }
}

/// A change as a line of input; nothing for those that git makes by itself.
fn instruction(change: &Change) -> String {
    match change {
        Change::Set { name, old: Some(old), new } => format!("update {name} {new} {old}\n"),
        Change::Set { name, old: None, new } => format!("create {name} {new}\n"),
        Change::Delete { name, old } => format!("delete {name} {old}\n"),
        _ => String::new(),
    }
}

/// The kind of a failure, to be counted by. `None` for one that nobody expects.
pub(crate) fn kind_of(said: &str) -> Option<&'static str> {
    let kinds = [
        ("cannot lock references", "lock"),
        ("data is locked", "lock"),
        ("but expected", "conflict"),
        ("already exists", "conflict"),
        ("reference is missing", "conflict"),
        ("unable to resolve reference", "conflict"),
    ];
    kinds.iter().find(|(text, _)| said.contains(text)).map(|(_, kind)| *kind)
}
