//! Why something could not be done.

use std::error::Error as StdError;
use std::fmt::{self, Display, Formatter};

use reftable::Conflict;

/// What an operation gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The object store did not answer, or says that it cannot now. The same call may succeed
    /// later.
    Unavailable,
    /// The object store refuses: credentials, permissions, a bucket that does not exist.
    Denied,
    /// An object that others name is not there.
    Missing,
    /// An object breaks the format. [`Error::object`] and [`Error::offset`] say where.
    Corrupt,
    /// Well-formed, but of a version that this build does not know.
    Unsupported,
    /// An expectation of the changes did not hold. [`Error::conflicts`] lists every mismatch.
    Conflict,
    /// The changes, or an argument, break a rule.
    Invalid,
    /// Something does not fit into a block, or a table into its limit.
    TooLarge,
    /// Others had their turns until the time-out. Nothing was changed.
    Locked,
    /// It is not known what became of the commit: a request may be under way still.
    Indeterminate,
    /// The object store breaks a rule that the protocol needs.
    Unfit,
}

/// Why something could not be done. Its text is one line: where, what, and the way out.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    object: Option<String>,
    offset: Option<u64>,
    conflicts: Vec<Conflict>,
}

impl Error {
    /// For those who implement [`crate::Bucket`].
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        let message = message.into();
        Error(Box::new(Inner { kind, message, object: None, offset: None, conflicts: Vec::new() }))
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unavailable, message)
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Corrupt, message)
    }

    /// Names the object, unless an inner layer already did.
    #[must_use]
    pub fn in_object(mut self, key: &str) -> Error {
        self.0.object.get_or_insert_with(|| key.to_owned());
        self
    }

    pub(crate) fn at(mut self, offset: usize) -> Error {
        self.0.offset.get_or_insert(offset as u64);
        self
    }

    /// The kind to match on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What happened, without place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The key of the object that the failure is about.
    #[must_use]
    pub fn object(&self) -> Option<&str> {
        self.0.object.as_deref()
    }

    /// The byte of [`Self::object`] where it was noticed.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// Every expectation that did not hold; empty unless the kind is [`ErrorKind::Conflict`].
    #[must_use]
    pub fn conflicts(&self) -> &[Conflict] {
        &self.0.conflicts
    }
}

impl From<reftable::Error> for Error {
    fn from(error: reftable::Error) -> Error {
        let kind = match error.kind() {
            reftable::ErrorKind::Corrupt => ErrorKind::Corrupt,
            reftable::ErrorKind::Unsupported => ErrorKind::Unsupported,
            reftable::ErrorKind::Missing => ErrorKind::Missing,
            reftable::ErrorKind::Conflict => ErrorKind::Conflict,
            reftable::ErrorKind::TooLarge => ErrorKind::TooLarge,
            reftable::ErrorKind::Io => ErrorKind::Unavailable,
            _ => ErrorKind::Invalid,
        };
        let object = error.path().map(|path| path.to_string_lossy().into_owned());
        let conflicts = error.conflicts().to_vec();
        Error(Box::new(Inner { kind, message: error.message().to_owned(), object, offset: error.offset(), conflicts }))
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        if let Some(object) = &inner.object {
            write!(f, "{}: ", reftable::escape::escaped(object.as_bytes()))?;
        }
        f.write_str(&inner.message)?;
        if let Some(offset) = inner.offset {
            write!(f, " at offset {offset}")?;
        }
        for conflict in &inner.conflicts {
            write!(f, "; {conflict}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.0.kind)
    }
}

impl StdError for Error {}
