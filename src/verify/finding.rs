//! What a check has found, how bad it is, and the report of them all.

use std::fmt::{self, Write};

use super::kind::FindingKind;
use crate::error::Error;
use crate::escape::{NoControl, escaped, escaped_message};

/// How bad a [`Finding`] is, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Allowed, and nothing is in danger; another program may not manage to read it.
    Note,
    /// Read by all programs as it should be, but no program should have written it: it may become
    /// an error.
    Warning,
    /// A rule of the format or of git's references is broken: something is lost, hidden, or cannot
    /// be read.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// One rule that is broken, or something that is worth a word.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Which rule it is about.
    pub kind: FindingKind,
    /// How bad it is: as bad as its kind.
    pub severity: Severity,
    /// The file it was found in.
    pub file: String,
    /// Where in the file, if it can be told.
    pub offset: Option<u64>,
    /// The reference or log that it is about, if it is about one.
    pub name: Option<Vec<u8>>,
    /// What is wrong. Control characters in names and other text from the store are escaped.
    pub message: String,
}

/// A name for people, with escapes where it needs them.
pub(super) fn shown(name: &[u8]) -> String {
    escaped(name).to_string()
}

/// Messages may hold pieces of damaged tables.
fn without_controls(message: &str) -> String {
    escaped_message(message).to_string()
}

impl Finding {
    pub(super) fn new(
        kind: FindingKind,
        file: &str,
        offset: impl Into<Option<u64>>,
        message: impl AsRef<str>,
    ) -> Finding {
        let (severity, message) = (kind.severity(), without_controls(message.as_ref()));
        Finding { kind, severity, file: file.to_owned(), offset: offset.into(), name: None, message }
    }

    /// The same about a reference or its log.
    pub(super) fn about(self, name: &[u8]) -> Finding {
        Finding { name: Some(name.to_vec()), ..self }
    }

    /// A failure to read, as a broken rule.
    pub(super) fn of(file: &str, error: &Error) -> Finding {
        let mut message = error.message().to_owned();
        if let Some(source) = std::error::Error::source(error) {
            message = format!("{message}: {source}");
        }
        Finding::new(FindingKind::Unreadable, file, error.offset(), message)
    }
}

/// File, place and message; the severity is left to the caller that prints it.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            Some(offset) => write!(NoControl(f), "{}: at offset {offset}: {}", self.file, self.message),
            None => write!(NoControl(f), "{}: {}", self.file, self.message),
        }
    }
}

/// What [`Stack::verify`](crate::Stack::verify) saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// The tables that were walked, oldest first.
    pub tables: Vec<String>,
    /// Blocks in them.
    pub blocks: u64,
    /// Reference records in them, tombstones included.
    pub refs: u64,
    /// Log records in them, tombstones included.
    pub logs: u64,
    /// Every broken rule and every note, in the order of the tables.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is wrong: there are no errors and no warnings. There may be notes.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.worst().is_none_or(|severity| severity == Severity::Note)
    }

    /// The severity of the worst finding; `None` without findings.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// How many findings have this severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}
