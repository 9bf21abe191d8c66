//! What stands in the way of one change of a batch, in the words that scripts match.

use std::collections::HashMap;
use std::fmt::{self, Display};

use reftable::escape::escaped;
use reftable::{Conflict, ConflictKind, Expect, ObjectId, Target};

use super::{Action, Batch, Change};
use crate::error::{Error, Result};
use crate::rev::{Kind, Revisions};
use crate::view::View;

/// What stands in the way of one change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The place of the change in its batch.
    pub index: usize,
    /// The reference that would have changed: what the name leads to.
    pub name: Vec<u8>,
    /// The kind of thing.
    pub reason: Reason,
    /// A sentence.
    pub text: String,
}

/// Kinds of things that stand in the way of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// One of two names would have to be a directory of the other.
    NameConflict,
    /// It should not exist.
    Exists,
    /// It should exist.
    Missing,
    /// It points somewhere else.
    IncorrectOld,
    /// The object does not exist, or is none for a branch.
    InvalidNew,
    /// It should be symbolic.
    NotSymbolic,
}

impl Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::NameConflict => "refname conflict",
            Reason::Exists => "reference already exists",
            Reason::Missing => "reference does not exist",
            Reason::IncorrectOld => "incorrect old value provided",
            Reason::InvalidNew => "invalid new value provided",
            Reason::NotSymbolic => "expected symref but found regular ref",
        })
    }
}

/// The name that `change` is of in the end.
fn end(change: &Change, view: &View) -> Vec<u8> {
    match change.follow {
        true => view.follow_stored(&change.name).map_or_else(|_| change.name.clone(), |chain| chain.name),
        false => change.name.clone(),
    }
}

/// Checks that what the changes write are objects, of a kind that may be there, and stores beside
/// the id of an annotated tag what that leads to. Returns what may not be written.
pub(super) fn check_objects(batch: &mut Batch, view: &View, revisions: &mut Revisions) -> Result<Vec<Refusal>> {
    let mut refusals = Vec::new();
    if !revisions.has_objects() {
        return Ok(refusals);
    }
    for (index, change) in batch.changes.iter_mut().enumerate() {
        let Action::Set(Target::Id(id)) = change.action else { continue };
        if id.kind() != revisions.hash() {
            continue;
        }
        let name = end(change, view);
        let is_branch = name == b"HEAD" || name.starts_with(b"refs/heads/");
        let text = match revisions.kind(id)? {
            None => format!("trying to write ref '{}' with nonexistent object {id}", escaped(&name)),
            Some(kind) if is_branch && kind != Kind::Commit => {
                format!("trying to write non-commit object {id} to branch '{}'", escaped(&name))
            }
            Some(kind) => {
                if kind == Kind::Tag
                    && let Some(peeled) = revisions.peeled(id)?
                {
                    change.action = Action::Set(Target::Tag { id, peeled });
                }
                continue;
            }
        };
        refusals.push(Refusal { index, name, reason: Reason::InvalidNew, text });
    }
    Ok(refusals)
}

/// What `error`, the store's answer to `batch`, says about each change, in their order.
pub(super) fn refusals(batch: &Batch, error: &Error, view: &View) -> Vec<Refusal> {
    let conflicts = error.store().map_or(&[][..], reftable::Error::conflicts);
    let by_name: HashMap<&[u8], &Conflict> =
        conflicts.iter().rev().map(|conflict| (conflict.name.as_slice(), conflict)).collect();
    if by_name.is_empty() {
        return Vec::new();
    }
    let each = |(index, change): (usize, &Change)| {
        let name = end(change, view);
        let conflict = by_name.get(name.as_slice())?;
        let (reason, what) = match &conflict.kind {
            ConflictKind::Mismatch { expected, actual } => mismatch(&name, expected, actual.as_ref(), view)?,
            ConflictKind::Name { other } => (Reason::NameConflict, in_the_way(&name, other, view)),
            _ => return None,
        };
        let text = match (&conflict.kind, reason) {
            (ConflictKind::Mismatch { expected: Expect::Is(Target::Symbolic(_)), .. }, Reason::IncorrectOld) => {
                format!("verifying symref target: '{}': {what}", escaped(&change.name))
            }
            _ => format!("cannot lock ref '{}': {what}", escaped(&change.name)),
        };
        Some(Refusal { index, name, reason, text })
    };
    batch.changes.iter().enumerate().filter_map(each).collect()
}

fn mismatch(name: &[u8], expected: &Expect, actual: Option<&Target>, view: &View) -> Option<(Reason, String)> {
    let missing = || (Reason::Missing, format!("unable to resolve reference '{}'", escaped(name)));
    Some(match (expected, actual) {
        (Expect::Absent, Some(Target::Symbolic(target))) if resolve(target, view).is_none() => {
            (Reason::Exists, "dangling symref already exists".to_owned())
        }
        (Expect::Absent, Some(_)) => (Reason::Exists, "reference already exists".to_owned()),
        (Expect::Is(_) | Expect::Exists, None) => missing(),
        (Expect::Is(Target::Symbolic(expected)), Some(Target::Symbolic(actual))) => {
            let (actual, expected) = (escaped(actual), escaped(expected));
            (Reason::IncorrectOld, format!("is at {actual} but expected {expected}"))
        }
        (Expect::Is(Target::Symbolic(expected)), Some(_)) => {
            let expected = escaped(expected);
            (Reason::NotSymbolic, format!("expected symref with target '{expected}': but is a regular ref"))
        }
        (Expect::Is(expected), Some(actual)) => {
            let at = match actual {
                Target::Symbolic(target) => resolve(target, view),
                actual => actual.id(),
            };
            let expected = expected.id().map(|id| id.to_string()).unwrap_or_default();
            match at {
                Some(at) => (Reason::IncorrectOld, format!("is at {at} but expected {expected}")),
                None => (Reason::Missing, format!("reference is missing but expected {expected}")),
            }
        }
        _ => return None,
    })
}

fn in_the_way(name: &[u8], other: &[u8], view: &View) -> String {
    match view.stored(other) {
        Ok(Some(_)) => format!("'{}' exists; cannot create '{}'", escaped(other), escaped(name)),
        _ => {
            let (first, second) = (name.min(other), name.max(other));
            format!("cannot process '{}' and '{}' at the same time", escaped(first), escaped(second))
        }
    }
}

fn resolve(target: &[u8], view: &View) -> Option<ObjectId> {
    view.follow_stored(target).ok()?.target?.id()
}
