//! What stands in the way of one change of a batch, in the words that scripts match.

use std::collections::{BTreeMap, HashMap};
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
    /// What is not as the change expects, unless it is the change itself that cannot be.
    pub conflict: Option<ConflictKind>,
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
    /// The change cannot be, whatever is in the repository. git gives up on all then.
    Impossible,
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
            Reason::Impossible => "invalid change",
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

/// Checks that what the change at `index` writes is an object, of a kind that may be there, and
/// stores beside the id of an annotated tag what that leads to. Returns why it may not be written.
pub(super) fn check_object(
    index: usize,
    change: &mut Change,
    view: &View,
    revisions: &mut Revisions,
) -> Result<Option<Refusal>> {
    let Action::Set(Target::Id(id)) = change.action else { return Ok(None) };
    if !revisions.has_objects() || id.kind() != revisions.hash() {
        return Ok(None);
    }
    let is_branch = |name: &[u8]| name == b"HEAD" || name.starts_with(b"refs/heads/");
    let end = end(change, view);
    // One that leads to a branch need not be called like one.
    let branch = [&change.name, &end].into_iter().find(|name| is_branch(name));
    let text = match (revisions.kind(id)?, branch) {
        (None, _) => format!("trying to write ref '{}' with nonexistent object {id}", escaped(&change.name)),
        (Some(kind), Some(branch)) if kind != Kind::Commit => {
            format!("trying to write non-commit object {id} to branch '{}'", escaped(branch))
        }
        (Some(Kind::Tag), _) => {
            if let Some(peeled) = revisions.peeled(id)? {
                change.action = Action::Set(Target::Tag { id, peeled });
            }
            return Ok(None);
        }
        _ => return Ok(None),
    };
    let name = change.name.clone();
    Ok(Some(Refusal { index, name, reason: Reason::InvalidNew, text, conflict: None }))
}

/// The same for all changes, up to the first that may not be written.
pub(super) fn check_objects(batch: &mut Batch, view: &View, revisions: &mut Revisions) -> Result<Option<Refusal>> {
    for (index, change) in batch.changes.iter_mut().enumerate() {
        if let Some(refusal) = check_object(index, change, view, revisions)? {
            return Ok(Some(refusal));
        }
    }
    Ok(None)
}

/// What `error`, the answer to `batch`, says about each change, in their order.
pub(super) fn refusals(batch: &Batch, error: &Error, view: &View) -> Vec<Refusal> {
    let conflicts = error.conflicts();
    if conflicts.is_empty() {
        return Vec::new();
    }
    let ends: Vec<Vec<u8>> = batch.changes.iter().map(|change| end(change, view)).collect();
    let each = |(index, kind): (usize, ConflictKind)| {
        let (change, name) = (batch.changes.get(index)?, ends.get(index)?.clone());
        let (reason, what) = match &kind {
            ConflictKind::Mismatch { expected, actual } => mismatch(&name, expected, actual.as_ref(), view),
            ConflictKind::Name { other } => (Reason::NameConflict, in_the_way(&name, other, view)),
            _ => return None,
        };
        let text = match (&kind, reason) {
            (ConflictKind::Mismatch { expected: Expect::Is(Target::Symbolic(_)), .. }, Reason::IncorrectOld) => {
                format!("verifying symref target: '{}': {what}", escaped(&change.name))
            }
            (_, Reason::NameConflict) => what,
            _ => format!("cannot lock ref '{}': {what}", escaped(&change.name)),
        };
        Some(Refusal { index, name, reason, text, conflict: Some(kind) })
    };
    conflicts_of_changes(batch, conflicts, &ends).into_iter().filter_map(each).collect()
}

/// The change that each conflict stops, by its place. Of two names that come at once git refuses
/// the one that was given first; a name that goes is in the way of one that comes.
fn conflicts_of_changes(batch: &Batch, conflicts: &[Conflict], ends: &[Vec<u8>]) -> BTreeMap<usize, ConflictKind> {
    let places: HashMap<&[u8], usize> = ends.iter().enumerate().map(|(at, end)| (end.as_slice(), at)).collect();
    let comes = |at: &usize| batch.changes.get(*at).is_some_and(|change| matches!(change.action, Action::Set(_)));
    let mut found = BTreeMap::new();
    for conflict in conflicts {
        let Some(&at) = places.get(conflict.name.as_slice()) else { continue };
        let first = match &conflict.kind {
            ConflictKind::Name { other } => places.get(other.as_slice()).filter(|other| **other < at && comes(other)),
            _ => None,
        };
        let (at, kind) = match first {
            Some(first) => (*first, ConflictKind::Name { other: conflict.name.clone() }),
            None => (at, conflict.kind.clone()),
        };
        found.entry(at).or_insert(kind);
    }
    found
}

/// The same, and the change that `error` says cannot be.
pub(super) fn all_refusals(batch: &Batch, error: &Error, view: &View) -> Vec<Refusal> {
    let Some((index, change)) = error.change().and_then(|index| Some((index, batch.changes.get(index)?))) else {
        return refusals(batch, error, view);
    };
    let (name, text) = (change.name.clone(), error.to_string());
    vec![Refusal { index, name, reason: Reason::Impossible, text, conflict: None }]
}

/// What a store says to `batch`, in the words of the first refusal that it comes to, if it comes to
/// any.
pub(super) fn told(batch: &Batch, error: Error, view: &View) -> Error {
    match refusals(batch, &error, view).into_iter().next() {
        Some(refusal) if error.store().is_some() => error.told(refusal.text),
        _ => error,
    }
}

fn mismatch(name: &[u8], expected: &Expect, actual: Option<&Target>, view: &View) -> (Reason, String) {
    let missing = || (Reason::Missing, format!("unable to resolve reference '{}'", escaped(name)));
    match (expected, actual) {
        (Expect::Absent, Some(Target::Symbolic(target))) if resolve(target, view).is_none() => {
            (Reason::Exists, "dangling symref already exists".to_owned())
        }
        (Expect::Absent, Some(_)) => (Reason::Exists, "reference already exists".to_owned()),
        (Expect::Is(_) | Expect::Exists, None) => missing(),
        (
            Expect::Is(Target::Symbolic(expected)) | Expect::AbsentOr(Target::Symbolic(expected)),
            Some(Target::Symbolic(actual)),
        ) => {
            let (actual, expected) = (escaped(actual), escaped(expected));
            (Reason::IncorrectOld, format!("is at {actual} but expected {expected}"))
        }
        (Expect::Is(Target::Symbolic(expected)) | Expect::AbsentOr(Target::Symbolic(expected)), Some(_)) => {
            let expected = escaped(expected);
            (Reason::NotSymbolic, format!("expected symref with target '{expected}': but is a regular ref"))
        }
        (Expect::Is(expected) | Expect::AbsentOr(expected), Some(actual)) => {
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
        _ => (Reason::IncorrectOld, format!("is not as expected: {expected}")),
    }
}

/// That a name cannot come because of another one.
pub(super) fn exists(there: &[u8], new: &[u8]) -> String {
    format!("'{}' exists; cannot create '{}'", escaped(there), escaped(new))
}

fn in_the_way(name: &[u8], other: &[u8], view: &View) -> String {
    match view.stored(other) {
        Ok(Some(_)) => exists(other, name),
        _ => {
            let (first, second) = (name.min(other), name.max(other));
            format!("cannot process '{}' and '{}' at the same time", escaped(first), escaped(second))
        }
    }
}

fn resolve(target: &[u8], view: &View) -> Option<ObjectId> {
    view.follow_stored(target).ok()?.target?.id()
}
