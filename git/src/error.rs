//! Why something could not be done.

use std::error::Error as StdError;
use std::fmt::{self, Display, Formatter};
use std::path::Path;

use reftable::{Conflict, escape};

/// What an operation gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for is not there.
    NotFound,
    /// What was asked for cannot be, whatever is in the repository.
    Invalid,
    /// The repository, or the way to it, is damaged, or of a kind that is not known.
    Broken,
    /// The repository belongs to another user, and the configuration does not say that it is safe.
    /// Nothing is written there.
    Untrusted,
    /// The hook `reference-transaction` has refused.
    Refused,
    /// A store says why: [`Error::store`].
    Store,
}

/// Why something could not be done. Its text is one line: what, where, and the way out.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    store: Option<reftable::Error>,
    /// The change of a batch that was refused.
    change: Option<usize>,
    /// A conflict that was found before a store was asked.
    conflict: Option<Box<Conflict>>,
}

impl Error {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), store: None, change: None, conflict: None }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::NotFound, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Invalid, message)
    }

    /// Two changes of one batch are in each other's way.
    pub(crate) fn conflict(message: impl Into<String>, conflict: Conflict) -> Error {
        Error { conflict: Some(Box::new(conflict)), ..Error::invalid(message) }
    }

    pub(crate) fn broken(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Broken, message)
    }

    pub(crate) fn untrusted(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Untrusted, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Refused, message)
    }

    /// Something is wrong with a file or directory.
    pub(crate) fn file(path: &Path, problem: impl Display) -> Error {
        Error::broken(format!("{}: {problem}", shown_path(path)))
    }

    /// A file of git's configuration cannot be read. `causes` end with the line.
    pub(crate) fn configuration<'a>(path: &Path, causes: impl Iterator<Item = &'a (dyn StdError + 'static)>) -> Error {
        let causes: Vec<String> = causes.map(ToString::to_string).collect();
        Error::file(path, format!("cannot read the configuration: {}", causes.join(": ")))
    }

    /// The same with more to say.
    pub(crate) fn with_advice(self, advice: &str) -> Error {
        if self.store.is_some() {
            return self;
        }
        Error { message: format!("{}; {advice}", self.message), ..self }
    }

    /// The same, about one change of a batch. A store that cannot be read is about none.
    pub(crate) fn of_change(self, change: usize) -> Error {
        let is_refusal = match &self.store {
            Some(error) => error.kind() == reftable::ErrorKind::Invalid,
            None => matches!(self.kind, ErrorKind::Invalid | ErrorKind::NotFound),
        };
        Error { change: is_refusal.then_some(change), ..self }
    }

    /// The change that was refused, if it was one that cannot be: its place in
    /// [`Batch::changes`](crate::Batch), from 0. Conflicts of a store name references instead.
    #[must_use]
    pub fn change(&self) -> Option<usize> {
        self.change
    }

    /// What is not as a change expects, as the store says, or a plan.
    pub(crate) fn conflicts(&self) -> &[Conflict] {
        match (&self.store, &self.conflict) {
            (Some(store), _) => store.conflicts(),
            (None, Some(conflict)) => std::slice::from_ref(conflict.as_ref()),
            (None, None) => &[],
        }
    }

    /// The same in other words. The store's own error stays inside.
    pub(crate) fn told(self, message: String) -> Error {
        Error { message, ..self }
    }

    /// The same with what was being done before it.
    pub(crate) fn within(self, what: &str) -> Error {
        let message = format!("{what}: {self}");
        self.told(message)
    }

    /// What kind of thing is wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The store's own error, if a store refused or failed.
    #[must_use]
    pub fn store(&self) -> Option<&reftable::Error> {
        self.store.as_ref()
    }

    /// The store's own error, or this one if no store has anything to do with it.
    ///
    /// # Errors
    /// With this one.
    pub fn into_store(self) -> Result<reftable::Error> {
        match self.store {
            Some(error) => Ok(error),
            None => Err(self),
        }
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.store {
            Some(error) if self.message.is_empty() => error.fmt(f),
            _ => f.write_str(&self.message),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.store.as_ref().and_then(StdError::source)
    }
}

impl From<reftable::Error> for Error {
    fn from(error: reftable::Error) -> Error {
        Error { kind: ErrorKind::Store, message: String::new(), store: Some(error), change: None, conflict: None }
    }
}

impl From<reftable::ParseIdError> for Error {
    fn from(error: reftable::ParseIdError) -> Error {
        reftable::Error::from(error).into()
    }
}

/// A path, as [`escape::quoted`] shows it.
pub(crate) fn shown_path(path: &Path) -> impl Display + '_ {
    escape::quoted(path.as_os_str().as_encoded_bytes())
}
