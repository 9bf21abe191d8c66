//! The hook `reference-transaction`, as git runs it.

use std::fmt::{self, Display, Formatter};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reftable::escape::escaped;
use reftable::{Expect, HashKind, ObjectId, Target};

use super::{Action, Change};
use crate::bytes;
use crate::config::{Config, ConfiguredHook};
use crate::error::{Error, Result};

const NAME: &str = "reference-transaction";

/// The hooks of a repository that has some, and may run them.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    /// In their order: those of the configuration, then the file.
    programs: Vec<Program>,
    git_dir: PathBuf,
    /// Where they run.
    dir: PathBuf,
}

#[derive(Debug, Clone)]
enum Program {
    Configured(ConfiguredHook),
    File(PathBuf),
}

/// When the hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before the lock is asked for. What it says counts.
    Preparing,
    /// Under the lock, all is checked. What it says counts.
    Prepared,
    Committed,
    Aborted,
}

impl Phase {
    fn word(self) -> &'static str {
        match self {
            Phase::Preparing => "preparing",
            Phase::Prepared => "prepared",
            Phase::Committed => "committed",
            Phase::Aborted => "aborted",
        }
    }
}

impl Hook {
    /// The hooks of the configuration, and the one in `hooks`, a directory that may be relative to
    /// `dir`, if it can be run.
    ///
    /// # Errors
    /// If the configuration is not understood.
    pub(crate) fn find(config: &Config, hooks: &Path, git_dir: &Path, dir: &Path) -> Result<Option<Hook>> {
        let mut programs: Vec<Program> = config.hooks(NAME)?.into_iter().map(Program::Configured).collect();
        let path = dir.join(hooks).join(NAME);
        programs.extend(is_executable(&path).then_some(Program::File(path)));
        let hook = || Hook { programs: programs.clone(), git_dir: git_dir.to_owned(), dir: dir.to_owned() };
        Ok((!programs.is_empty()).then(hook))
    }

    /// Runs all of them, one after the other, and waits. One that refuses keeps none from running.
    pub(super) fn run(&self, phase: Phase, lines: &[u8]) -> Result<()> {
        let all: Vec<Result<()>> = self.programs.iter().map(|program| self.run_one(program, phase, lines)).collect();
        all.into_iter().collect()
    }

    fn run_one(&self, program: &Program, phase: Phase, lines: &[u8]) -> Result<()> {
        let failed = |why: &dyn std::fmt::Display| {
            let word = phase.word();
            Error::refused(format!(
                "in '{word}' phase, update aborted by the reference-transaction hook {program}: it {why}; nothing was \
                 changed"
            ))
        };
        let start = |mut command: Command| {
            command.arg(phase.word()).current_dir(&self.dir).env("GIT_DIR", &self.git_dir);
            // As with git, what a hook prints is for people.
            command.stdin(Stdio::piped()).stdout(Stdio::from(std::io::stderr())).spawn()
        };
        let child = match (start(program.command()), program) {
            // As git does, with what does not say which program it is for.
            (Err(error), Program::File(path)) if is_no_program(&error) => {
                let mut shell = Command::new("sh");
                shell.arg(path);
                start(shell)
            }
            (started, _) => started,
        };
        let mut child = child.map_err(|error| failed(&format!("cannot be run: {error}")))?;
        if let Some(mut input) = child.stdin.take() {
            // One that does not want to know closes its input.
            let _it_may_not_read = input.write_all(lines);
        }
        let status = child.wait().map_err(|error| failed(&format!("cannot be waited for: {error}")))?;
        if status.success() { Ok(()) } else { Err(failed(&format!("has refused: {status}"))) }
    }
}

impl Program {
    /// What is configured may be words for a shell, which gets the arguments after them.
    fn command(&self) -> Command {
        match self {
            Program::File(path) => Command::new(path),
            Program::Configured(hook) => {
                let name = bytes::to_path(&hook.command);
                let script = [hook.command.as_slice(), b" \"$@\""].concat();
                let mut command = Command::new("sh");
                command.arg("-c").arg(bytes::to_path(&script)).arg(name);
                command
            }
        }
    }
}

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Program::File(path) => path.display().fmt(f),
            Program::Configured(hook) => write!(f, "'{}' of the configuration", escaped(&hook.name)),
        }
    }
}

/// Whether this user may run it. A directory counts, as to git: it refuses when it is run.
#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(unix)]
fn is_no_program(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error())
}

#[cfg(not(unix))]
fn is_no_program(_: &std::io::Error) -> bool {
    false
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

/// What the hook is told of `changes`, each with the name that it changes in the end.
pub(super) fn lines<'a>(changes: impl IntoIterator<Item = (&'a Change, &'a [u8])>, hash: HashKind) -> Vec<u8> {
    let mut lines = Vec::new();
    for (change, name) in changes {
        let old = match &change.expect {
            Expect::Is(target) => value(target),
            _ => ObjectId::null(hash).to_string().into_bytes(),
        };
        let new = match &change.action {
            Action::Set(target) => value(target),
            _ => ObjectId::null(hash).to_string().into_bytes(),
        };
        lines.extend_from_slice(&[old.as_slice(), &new, name].join(b" ".as_slice()));
        lines.push(b'\n');
    }
    lines
}

fn value(target: &Target) -> Vec<u8> {
    match target {
        Target::Symbolic(name) => [b"ref:".as_slice(), name].concat(),
        other => other.id().map(|id| id.to_string().into_bytes()).unwrap_or_default(),
    }
}
