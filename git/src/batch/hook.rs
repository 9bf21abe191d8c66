//! The hook `reference-transaction`, as git runs it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reftable::{Expect, HashKind, ObjectId, Target};

use super::{Action, Change};
use crate::error::{Error, Result};

const NAME: &str = "reference-transaction";

/// The hook of a repository that has one, and may run it.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    path: PathBuf,
    git_dir: PathBuf,
    /// Where it runs.
    dir: PathBuf,
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
    /// The hook in `hooks`, a directory that may be relative to `dir`, if it can be run.
    pub(crate) fn find(hooks: &Path, git_dir: &Path, dir: &Path) -> Option<Hook> {
        let path = dir.join(hooks).join(NAME);
        is_executable(&path).then(|| Hook { path, git_dir: git_dir.to_owned(), dir: dir.to_owned() })
    }

    /// Runs it and waits.
    pub(super) fn run(&self, phase: Phase, lines: &[u8]) -> Result<()> {
        let failed = |why: &dyn std::fmt::Display| {
            let (word, path) = (phase.word(), self.path.display());
            Error::refused(format!(
                "in '{word}' phase, update aborted by the reference-transaction hook {path}: it {why}; nothing was \
                 changed"
            ))
        };
        let mut command = Command::new(&self.path);
        command.arg(phase.word()).current_dir(&self.dir).env("GIT_DIR", &self.git_dir);
        // As with git, what a hook prints is for people.
        command.stdin(Stdio::piped()).stdout(Stdio::from(std::io::stderr()));
        let mut child = command.spawn().map_err(|error| failed(&format!("cannot be run: {error}")))?;
        if let Some(mut input) = child.stdin.take() {
            // One that does not want to know closes its input.
            let _it_may_not_read = input.write_all(lines);
        }
        let status = child.wait().map_err(|error| failed(&format!("cannot be waited for: {error}")))?;
        if status.success() { Ok(()) } else { Err(failed(&format!("has refused: {status}"))) }
    }
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
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
