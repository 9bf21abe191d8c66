//! Why a command ended early, and the exit code that says so.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use reftable::ErrorKind;

use crate::json::{self, Object};
use crate::output::shown_path;

/// What an error of a store comes to. Stores in directories and those in buckets have types of
/// their own, whose kinds have the same names.
macro_rules! kind_of {
    ($kinds:ty, $error:expr) => {{
        type Kinds = $kinds;
        match $error.kind() {
            Kinds::Conflict => Code::Conflict,
            Kinds::Locked => Code::Locked,
            Kinds::Invalid | Kinds::TooLarge => Code::Usage,
            _ => Code::Broken,
        }
    }};
}
/// Whose exit codes and messages a command has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// Our own.
    Own,
    /// Those of the command of git that has the name.
    Git,
}

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Done,
    /// Not found, or a warning.
    Missing,
    /// The arguments cannot be.
    Usage,
    /// The store is damaged or cannot be reached.
    Broken,
    /// References are not as expected.
    Conflict,
    /// Another process has the lock of the store.
    Locked,
    /// What git's command answers.
    Git(u8),
}

impl Code {
    fn number(self) -> u8 {
        match self {
            Code::Done => 0,
            Code::Missing => 1,
            Code::Usage => 2,
            Code::Broken => 3,
            Code::Conflict => 4,
            Code::Locked => 5,
            Code::Git(number) => number,
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> ExitCode {
        ExitCode::from(code.number())
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    Store(reftable::Error),
    Git(reftable_git::Error),
    #[cfg(feature = "object-store")]
    Bucket(reftable_bucket::Error),
    Told(Code, String),
    /// The words of the command line do not fit together.
    Arguments(String),
    /// git's command would call this an error and exit with this number, not a fatal one.
    NotFatal(u8, Box<Failure>),
    /// What was being done.
    Within(String, Box<Failure>),
    /// This signal has ended it.
    Interrupted(i32, String),
    /// Writing the output failed.
    Output(io::Error),
}

impl Failure {
    /// What was asked for is not there.
    pub(crate) fn not_found(message: impl Into<String>) -> Failure {
        Failure::Told(Code::Missing, message.into())
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

    /// The same as an error that git's command would not call fatal.
    pub(crate) fn not_fatal(self) -> Failure {
        Failure::NotFatal(1, Box::new(self))
    }

    /// The same for those of git's commands that exit with 255 if the store does not let them.
    pub(crate) fn exits_with_255(self) -> Failure {
        match (&self, self.kind()) {
            (Failure::Store(_) | Failure::Git(_), Code::Broken | Code::Locked) => {
                Failure::NotFatal(255, Box::new(self))
            }
            _ => self,
        }
    }

    /// The same with what was being done before it.
    pub(crate) fn within(self, what: &str) -> Failure {
        Failure::Within(what.to_owned(), Box::new(self))
    }

    /// What kind of thing has happened, as our own exit codes tell it. A reader that has seen
    /// enough of our output is content.
    fn kind(&self) -> Code {
        match self {
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Code::Done,
            Failure::Output(_) => Code::Broken,
            Failure::Told(code, _) => *code,
            Failure::Arguments(_) => Code::Usage,
            Failure::NotFatal(_, failure) | Failure::Within(_, failure) => failure.kind(),
            Failure::Interrupted(..) => Code::Missing,
            Failure::Store(error) => kind_of!(ErrorKind, error),
            #[cfg(feature = "object-store")]
            Failure::Bucket(error) => kind_of!(reftable_bucket::ErrorKind, error),
            Failure::Git(error) => match (error.kind(), error.store()) {
                (_, Some(error)) => kind_of!(ErrorKind, error),
                (reftable_git::ErrorKind::NotFound, _) => Code::Missing,
                (reftable_git::ErrorKind::Refused, _) => Code::Conflict,
                (reftable_git::ErrorKind::Invalid | reftable_git::ErrorKind::Untrusted, _) => Code::Usage,
                _ => Code::Broken,
            },
        }
    }

    /// The word for the kind in JSON.
    fn word(&self) -> &'static str {
        match (self, self.kind()) {
            (Failure::Interrupted(..), _) => "interrupted",
            (_, Code::Done | Code::Missing | Code::Git(_)) => "missing",
            (_, Code::Usage) => "usage",
            (_, Code::Broken) => "broken",
            (_, Code::Conflict) => "conflict",
            (_, Code::Locked) => "locked",
        }
    }

    /// The exit code.
    pub(crate) fn code(&self, voice: Voice) -> Code {
        match (self, self.kind(), voice) {
            (_, kind, Voice::Own) => kind,
            (_, Code::Done, Voice::Git) => Code::Done,
            (_, Code::Git(number), Voice::Git) => Code::Git(number),
            (Failure::Arguments(_), ..) => Code::Git(129),
            (Failure::NotFatal(number, _), ..) => Code::Git(*number),
            (Failure::Interrupted(..), ..) => Code::Git(1),
            _ => Code::Git(128),
        }
    }

    /// What to tell the user; `None` when there is nothing to tell.
    pub(crate) fn message(&self) -> Option<String> {
        match self {
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            Failure::Output(error) => Some(format!("cannot write the output: {error}")),
            Failure::Told(_, message) | Failure::Interrupted(_, message) | Failure::Arguments(message) => {
                Some(message.clone())
            }
            Failure::NotFatal(_, failure) => failure.message(),
            Failure::Within(what, failure) => Some(format!("{what}: {}", failure.message()?)),
            Failure::Store(error) => Some(error.to_string()),
            #[cfg(feature = "object-store")]
            Failure::Bucket(error) => Some(error.to_string()),
            Failure::Git(error) => Some(error.to_string()),
        }
    }

    /// What stands before the message.
    pub(crate) fn prefix(&self, voice: Voice) -> &'static str {
        match (voice, self) {
            (Voice::Own, _) => "reftable",
            (Voice::Git, Failure::Arguments(_)) => "usage",
            (Voice::Git, Failure::NotFatal(..) | Failure::Interrupted(..)) => "error",
            (Voice::Git, _) => "fatal",
        }
    }

    /// The same for programs.
    pub(crate) fn object(&self, message: &str) -> Object {
        let object = Object::of("error").put("kind", self.word()).put("message", message);
        let conflicts = match self {
            Failure::Store(error) => error.conflicts(),
            Failure::Git(error) => error.store().map_or(&[][..], reftable::Error::conflicts),
            #[cfg(feature = "object-store")]
            Failure::Bucket(error) => error.conflicts(),
            Failure::NotFatal(_, failure) | Failure::Within(_, failure) => return failure.object(message),
            _ => &[],
        };
        if conflicts.is_empty() {
            return object;
        }
        object.put("conflicts", conflicts.iter().map(json::conflict).collect::<Vec<_>>())
    }
}

#[cfg(feature = "object-store")]
impl From<reftable_bucket::Error> for Failure {
    fn from(error: reftable_bucket::Error) -> Failure {
        Failure::Bucket(error)
    }
}

impl From<reftable_git::Error> for Failure {
    fn from(error: reftable_git::Error) -> Failure {
        Failure::Git(error)
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
