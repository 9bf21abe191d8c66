//! The one error type: what went wrong, where, and the way out.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::io;
use std::path::{Path, PathBuf};

use crate::bytes::FailedRead;
use crate::conflict::Conflict;
use crate::escape::{NoControl, command, escaped, printable};
use crate::oid::ParseIdError;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is. Match on this; read the message for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused or failed. [`std::error::Error::source`] has its answer.
    Io,
    /// Bytes on disk break the format. [`Error::path`] and [`Error::offset`] say where.
    Corrupt,
    /// Well-formed, but of a version, hash or size that this build does not handle.
    Unsupported,
    /// A file that the table list names, or the list itself, was not there until the deadline.
    Missing,
    /// Another process held the lock until the time-out.
    Locked,
    /// An expectation of a transaction did not hold. [`Error::conflicts`] lists every mismatch.
    Conflict,
    /// An argument breaks a rule (reference names, ranges, order of records).
    Invalid,
    /// A name or a message does not fit into a block, or a table into its limit.
    TooLarge,
    /// The caller asked for it to stop.
    Cancelled,
    /// A defect of this library: a part of the work panicked in a thread that helped. Nothing has
    /// changed.
    Panicked,
    /// A defect of this library: something that must be true is not. Nothing has changed. Please
    /// report it.
    Internal,
    /// It is not known what became of the commit. Usually it was published, but the last sync
    /// failed: it is visible now and may be lost if power fails. Or the system has said that it
    /// could not be published, and not what is there instead. Or another thread or process was
    /// doing it along with its own, and has not said how that ended.
    Indeterminate,
}

/// How many conflicts are in the text of an error: the line is for a person. All are in
/// [`Error::conflicts`].
const SHOWN_CONFLICTS: usize = 10;

/// Why an operation failed. One pointer wide.
///
/// Its text is one line: what happened and where, the system's answer, the first ten of
/// [`Self::conflicts`] with the number of the others, and the way out.
pub struct Error(Box<Details>);

struct Details {
    kind: ErrorKind,
    message: Cow<'static, str>,
    path: Option<PathBuf>,
    offset: Option<u64>,
    way_out: Option<Cow<'static, str>>,
    conflicts: Vec<Conflict>,
    source: Option<io::Error>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Error(Box::new(Details {
            kind,
            message: printable(message.into()),
            path: None,
            offset: None,
            way_out: None,
            conflicts: Vec::new(),
            source: None,
        }))
    }

    #[cold]
    pub(crate) fn corrupt(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    #[cold]
    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// For layers that do not know which file they work on.
    #[cold]
    pub(crate) fn io_somewhere(what: impl Into<Cow<'static, str>>, source: io::Error) -> Self {
        let mut error = Self::new(ErrorKind::Io, what);
        match source.downcast::<FailedRead>() {
            Ok(FailedRead { offset, source }) => {
                error.0.offset = Some(offset);
                error.0.source = Some(source);
            }
            Err(source) => error.0.source = Some(source),
        }
        error
    }

    /// The system's refusal, while the caller did `what` with the file at `path`. For
    /// implementations of [`crate::lock::Locker`].
    #[cold]
    pub fn io(what: impl Into<Cow<'static, str>>, path: &Path, source: io::Error) -> Self {
        Self::io_somewhere(what, source).in_file(path)
    }

    pub(crate) fn conflict(conflicts: Vec<Conflict>) -> Self {
        let mut error = Self::new(ErrorKind::Conflict, "the transaction does not fit the current references");
        error.0.conflicts = conflicts;
        error
    }

    /// Names the file, unless an inner layer already did.
    pub(crate) fn in_file(mut self, path: &Path) -> Self {
        self.0.path.get_or_insert_with(|| path.to_owned());
        self
    }

    /// Names the file of a store. What is damaged there, or cannot be read from the disk, comes
    /// with the command that says what can be done.
    pub(crate) fn in_store_file(self, path: &Path) -> Self {
        let is_repairable = match self.kind() {
            ErrorKind::Corrupt | ErrorKind::Missing => true,
            ErrorKind::Io => self.is_failing_disk(),
            _ => false,
        };
        let error = self.in_file(path);
        match path.parent() {
            Some(store) if is_repairable => error.way_out(can_be_repaired(store)),
            _ => error,
        }
    }

    /// Names the place in the file, unless an inner layer already did.
    pub(crate) fn at(mut self, offset: u64) -> Self {
        self.0.offset.get_or_insert(offset);
        self
    }

    /// Turns an offset within a block into one within its file.
    pub(crate) fn shifted(mut self, base: u64) -> Self {
        let inner = self.0.offset.unwrap_or(0);
        self.0.offset = Some(base.saturating_add(inner));
        self
    }

    /// For positions that have no counterpart in the file, such as those in inflated data.
    pub(crate) fn inflated_at(mut self, block: u64) -> Self {
        if let Some(inner) = self.0.offset {
            self.0.message = format!("{} (at byte {inner} of the inflated block)", self.0.message).into();
        }
        self.0.offset = Some(block);
        self
    }

    pub(crate) fn way_out(mut self, way_out: impl Into<Cow<'static, str>>) -> Self {
        self.0.way_out.get_or_insert_with(|| way_out.into());
        self
    }

    /// For callers that know a better one.
    pub(crate) fn without_way_out(mut self) -> Self {
        self.0.way_out = None;
        self
    }

    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same error for another caller that is affected.
    pub(crate) fn duplicate(&self) -> Self {
        let inner = &*self.0;
        let source = inner.source.as_ref().map(|source| match source.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::new(source.kind(), source.to_string()),
        });
        Error(Box::new(Details {
            kind: inner.kind,
            message: inner.message.clone(),
            path: inner.path.clone(),
            offset: inner.offset,
            way_out: inner.way_out.clone(),
            conflicts: inner.conflicts.clone(),
            source,
        }))
    }

    /// The kind to match on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The file that the failure is about.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The byte in [`Self::path`] where the failure was noticed.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// Every expectation that did not hold; empty unless the kind is [`ErrorKind::Conflict`].
    #[must_use]
    pub fn conflicts(&self) -> &[Conflict] {
        &self.0.conflicts
    }

    /// The sentence about what happened, without place, cause and way out.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether the same call may succeed later without any change: another process or thread had
    /// the lock.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind() == ErrorKind::Locked
    }

    /// Whether a network file system says that it had looked at a file that was replaced meanwhile.
    pub(crate) fn is_stale(&self) -> bool {
        self.0.source.as_ref().is_some_and(|source| source.kind() == io::ErrorKind::StaleNetworkFileHandle)
    }

    /// Whether the system says that the disk, or what it hangs on, does not give its bytes.
    fn is_failing_disk(&self) -> bool {
        const EIO: i32 = 5;
        cfg!(unix) && self.0.source.as_ref().is_some_and(|source| source.raw_os_error() == Some(EIO))
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.0.source.as_ref().is_some_and(|source| source.kind() == io::ErrorKind::NotFound)
    }
}

impl From<ParseIdError> for Error {
    fn from(error: ParseIdError) -> Self {
        Error::invalid(error.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        // Paths, names and the words of others may have any characters.
        let mut f = NoControl(f);
        if let Some(path) = &inner.path {
            write!(f, "{}: ", escaped(path.as_os_str().as_encoded_bytes()))?;
        }
        f.write_str(&inner.message)?;
        if let Some(offset) = inner.offset {
            write!(f, " at offset {offset}")?;
        }
        if let Some(source) = &inner.source {
            write!(f, ": {source}")?;
        }
        for conflict in inner.conflicts.iter().take(SHOWN_CONFLICTS) {
            write!(f, "; {conflict}")?;
        }
        match inner.conflicts.len().saturating_sub(SHOWN_CONFLICTS) {
            0 => {}
            1 => f.write_str("; and one other")?,
            others => write!(f, "; and {others} others")?,
        }
        if let Some(way_out) = &inner.way_out {
            write!(f, "; {way_out}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}

/// The command that mends the store in `dir`, to be copied from a message: with `options`, such as
/// `--dry-run`.
pub(crate) fn repair_command(dir: &Path, options: &str) -> String {
    command(dir, format!("repair {options}").trim_end())
}

/// What leads on from a store that cannot be read.
pub(crate) fn can_be_repaired(dir: &Path) -> String {
    format!("{} says what can be done, and changes nothing", repair_command(dir, "--dry-run"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_copied() {
        assert_eq!(repair_command(Path::new("/srv/a.git"), "--dry-run"), "`reftable -C /srv/a.git repair --dry-run`");
        assert_eq!(repair_command(Path::new("/srv/it's $x"), ""), r"`reftable -C '/srv/it'\''s $x' repair`");
        let hidden = Path::new("/srv/it's \u{feff}\x1b\n\\");
        assert_eq!(repair_command(hidden, ""), r"`reftable -C $'/srv/it\'s \357\273\277\033\n\\' repair`");
    }
}
