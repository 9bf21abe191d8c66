//! Why a command ended early, and the exit code that says so.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use reftable::ErrorKind;

use crate::output::shown_path;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Done = 0,
    /// Not found, a conflict, or a warning: the store is not as expected, or somebody else has its
    /// lock.
    Not = 1,
    /// The arguments cannot be.
    Usage = 2,
    /// The store is damaged or cannot be reached.
    Broken = 3,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> ExitCode {
        ExitCode::from(code as u8)
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    Store(reftable::Error),
    Told(Code, String),
    /// This signal has ended it.
    Interrupted(i32, String),
    /// Writing the output failed.
    Output(io::Error),
}

impl Failure {
    /// What was asked for is not there.
    pub(crate) fn not_found(message: impl Into<String>) -> Failure {
        Failure::Told(Code::Not, message.into())
    }

    /// The arguments make no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure::Told(Code::Usage, message.into())
    }

    /// The store, or the way to it, is damaged.
    pub(crate) fn broken(message: impl Into<String>) -> Failure {
        Failure::Told(Code::Broken, message.into())
    }

    /// A file could not be read.
    pub(crate) fn file(path: &Path, error: impl Display) -> Failure {
        Failure::broken(format!("{}: {error}", shown_path(path)))
    }

    /// Signals could not be caught or sent.
    pub(crate) fn signals(error: io::Error) -> Failure {
        Failure::broken(format!("cannot handle signals: {error}"))
    }

    /// The exit code. A reader that has seen enough of our output is content.
    pub(crate) fn code(&self) -> Code {
        match self {
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Code::Done,
            Failure::Output(_) => Code::Broken,
            Failure::Told(code, _) => *code,
            Failure::Interrupted(..) => Code::Not,
            Failure::Store(error) => match error.kind() {
                ErrorKind::Conflict | ErrorKind::Locked => Code::Not,
                ErrorKind::Invalid | ErrorKind::TooLarge => Code::Usage,
                _ => Code::Broken,
            },
        }
    }

    /// What to tell the user; `None` when there is nothing to tell.
    pub(crate) fn message(&self) -> Option<String> {
        match self {
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            Failure::Output(error) => Some(format!("cannot write the output: {error}")),
            Failure::Told(_, message) | Failure::Interrupted(_, message) => Some(message.clone()),
            Failure::Store(error) => Some(error.to_string()),
        }
    }
}

impl From<reftable_git::Error> for Failure {
    fn from(error: reftable_git::Error) -> Failure {
        let code = match error.kind() {
            reftable_git::ErrorKind::NotFound | reftable_git::ErrorKind::Refused => Code::Not,
            reftable_git::ErrorKind::Invalid | reftable_git::ErrorKind::Untrusted => Code::Usage,
            _ => Code::Broken,
        };
        error.into_store().map_or_else(|error| Failure::Told(code, error.to_string()), Failure::Store)
    }
}

impl From<reftable::Error> for Failure {
    fn from(error: reftable::Error) -> Failure {
        Failure::Store(error)
    }
}

impl From<reftable::ParseIdError> for Failure {
    fn from(error: reftable::ParseIdError) -> Failure {
        Failure::Store(error.into())
    }
}

/// For writes to the output only; other files go through [`Failure::file`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Output(error)
    }
}
