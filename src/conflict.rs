//! What a transaction expects, and what it met instead.

use std::fmt;

use crate::escape::{Text, debug_with_text, escaped};
use crate::value::Target;

/// What must be true of a reference at the moment of the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expect {
    /// Nothing.
    Any,
    /// It does not exist.
    Absent,
    /// It exists, wherever it points.
    Exists,
    /// It is not symbolic: it does not exist, or it points at an object. What a change of a name
    /// rests on that would have been a change of another name, had this one led there.
    NotSymbolic,
    /// It points here. For object ids a stored peeled id does not matter.
    Is(Target),
    /// It does not exist, or it points here: what a change rests on that repeats an earlier one, or
    /// that took a deletion into account. Compared as [`Self::Is`] does.
    AbsentOr(Target),
}

impl Expect {
    pub(crate) fn holds(&self, actual: Option<&Target>) -> bool {
        match (self, actual) {
            (Expect::Any, _) | (Expect::Exists, Some(_)) => true,
            (Expect::Absent | Expect::NotSymbolic | Expect::AbsentOr(_), None) => true,
            (Expect::NotSymbolic, Some(actual)) => !matches!(actual, Target::Symbolic(_)),
            (Expect::Is(expected) | Expect::AbsentOr(expected), Some(actual)) => is_same(expected, actual),
            (Expect::Absent, Some(_)) | (Expect::Exists | Expect::Is(_), None) => false,
        }
    }
}

/// Whether both point at the same: a stored peeled id does not matter.
fn is_same(expected: &Target, actual: &Target) -> bool {
    match (expected, actual) {
        (Target::Symbolic(expected), Target::Symbolic(actual)) => expected == actual,
        _ => expected.id().is_some() && expected.id() == actual.id(),
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expect::Any => f.write_str("anything"),
            Expect::Absent => f.write_str("absent"),
            Expect::Exists => f.write_str("present"),
            Expect::NotSymbolic => f.write_str("not symbolic"),
            Expect::Is(target) => write!(f, "{target}"),
            Expect::AbsentOr(target) => write!(f, "{target} or absent"),
        }
    }
}

/// One reason why a transaction was refused.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// The reference that the transaction wanted to change or verify.
    pub name: Vec<u8>,
    /// What is in the way.
    pub kind: ConflictKind,
}

debug_with_text!(Conflict { name; kind });

/// What is in the way of a change.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConflictKind {
    /// The reference is not as expected.
    Mismatch {
        /// What the transaction asked for.
        expected: Expect,
        /// What there is.
        actual: Option<Target>,
    },
    /// One of the two names would have to be a directory of the other.
    Name {
        /// The name that is there already, or that the same transaction creates.
        other: Vec<u8>,
    },
}

impl fmt::Debug for ConflictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConflictKind::Mismatch { expected, actual } => {
                f.debug_struct("Mismatch").field("expected", expected).field("actual", actual).finish()
            }
            ConflictKind::Name { other } => f.debug_struct("Name").field("other", &Text(other)).finish(),
        }
    }
}

impl Conflict {
    /// A conflict about this reference.
    #[must_use]
    pub fn new(name: impl AsRef<[u8]>, kind: ConflictKind) -> Conflict {
        Conflict { name: name.as_ref().to_vec(), kind }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = escaped(&self.name);
        match &self.kind {
            ConflictKind::Mismatch { expected, actual: Some(actual) } => {
                write!(f, "'{name}' is at {actual}, expected {expected}")
            }
            ConflictKind::Mismatch { expected, actual: None } => {
                write!(f, "'{name}' does not exist, expected {expected}")
            }
            ConflictKind::Name { other } => {
                write!(f, "'{name}' cannot exist beside '{}'", escaped(other))
            }
        }
    }
}
