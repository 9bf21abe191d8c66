//! Checking a changeset against a snapshot: expectations, directory/file conflicts.

use std::collections::HashSet;

use super::directories::Directories;
use super::view::GroupView;
use crate::changeset::{Action, LogChange, Update};
use crate::conflict::{Conflict, ConflictKind};
use crate::error::{Error, Result};
use crate::name;
use crate::oid::HashKind;
use crate::value::Target;

/// Checks ordered `updates` against `view`. Returns what each name points at now.
///
/// What is not there must have a valid name, unless its log is there to be deleted: that is among
/// `logs` then.
///
/// # Errors
/// `Conflict`, with every mismatch; `Corrupt`.
pub(super) fn check(updates: &[Update], logs: &[LogChange], view: &GroupView<'_>) -> Result<Vec<Option<Box<Target>>>> {
    let mut conflicts = Vec::new();
    let mut current = Vec::with_capacity(updates.len());
    for update in updates {
        let actual = view.get(&update.name)?;
        if actual.is_none() && !name_check_is_waived(update, logs) {
            name::check(&update.name)?;
        }
        if !update.expect.holds(actual.as_ref()) {
            let kind = ConflictKind::Mismatch { expected: (*update.expect).clone(), actual: actual.clone() };
            conflicts.push(Conflict { name: update.name.to_vec(), kind });
        }
        current.push(actual.map(Box::new));
    }
    name_conflicts(updates, &current, view, &mut conflicts)?;
    if conflicts.is_empty() { Ok(current) } else { Err(Error::conflict(conflicts)) }
}

/// Whether only the log of a bad name is to go.
fn name_check_is_waived(update: &Update, logs: &[LogChange]) -> bool {
    let is_its_log = |log: &LogChange| matches!(log, LogChange::DeleteAll { refname } if **refname == *update.name);
    name::broken_rule(&update.name).is_some() && logs.iter().any(is_its_log)
}

/// Finds created names that would be directories of others, or have others as directories.
fn name_conflicts(
    updates: &[Update],
    current: &[Option<Box<Target>>],
    view: &GroupView<'_>,
    conflicts: &mut Vec<Conflict>,
) -> Result<()> {
    let set: HashSet<&[u8]> = names_with(updates, |action| matches!(action, Action::Set(_)));
    let deleted: HashSet<&[u8]> = names_with(updates, |action| matches!(action, Action::Delete));
    let is_created = |(update, actual): &(&Update, &Option<Box<Target>>)| {
        actual.is_none() && matches!(update.action, Action::Set(_))
    };
    let created: Vec<&Update> = updates.iter().zip(current).filter(is_created).map(|(update, _)| update).collect();
    let below = names_below(&created, &deleted, view)?;
    let mut directories = Directories::default();
    for (update, below) in created.iter().zip(below) {
        let is_taken = |directory: &[u8]| {
            Ok(set.contains(directory) || (!deleted.contains(directory) && view.get(directory)?.is_some()))
        };
        let taken = directories.taken_above(&update.name, is_taken)?;
        conflicts.extend(taken.map(<[u8]>::to_vec).chain(below).map(|other| {
            let kind = ConflictKind::Name { other };
            Conflict { name: update.name.to_vec(), kind }
        }));
    }
    Ok(())
}

/// For each of `created` a name that has it as a directory, and will live beside it.
fn names_below(created: &[&Update], deleted: &HashSet<&[u8]>, view: &GroupView<'_>) -> Result<Vec<Option<Vec<u8>>>> {
    let mut found = vec![None; created.len()];
    let mut order: Vec<_> = created.iter().zip(&mut found).collect();
    order.sort_by(|(a, _), (b, _)| name::by_directory(&a.name, &b.name));
    let mut below = view.below(deleted);
    for (update, found) in order {
        *found = below.first(&update.name)?;
    }
    Ok(found)
}

fn names_with(updates: &[Update], wanted: impl Fn(&Action) -> bool) -> HashSet<&[u8]> {
    updates.iter().filter(|update| wanted(&update.action)).map(|update| &*update.name).collect()
}

/// The hash of all ids that are to be written: that of the store, or of the first if the store has
/// none yet.
///
/// # Errors
/// `Invalid` if one is of another.
pub(super) fn hash(updates: &[Update], logs: &[LogChange], store: Option<HashKind>) -> Result<Option<HashKind>> {
    let in_updates = updates.iter().flat_map(|update| match &update.action {
        Action::Set(target) => [target.id(), target.as_view().peeled()],
        Action::Delete | Action::Verify => [None, None],
    });
    let in_logs = logs.iter().flat_map(|change| match change {
        LogChange::Append { entry, .. } => [Some(entry.old), Some(entry.new)],
        LogChange::Create { .. } | LogChange::DeleteEntry { .. } | LogChange::DeleteAll { .. } => [None, None],
    });
    let mut hash = store;
    for id in in_updates.chain(in_logs).flatten() {
        let expected = *hash.get_or_insert(id.kind());
        if id.kind() != expected {
            let those = if store.is_some() { "the store holds" } else { "the transaction begins with" };
            return Err(Error::invalid(format!("{id} is a {} id, {those} {expected} ids", id.kind())));
        }
    }
    if hash.is_none() && logs.iter().any(|change| matches!(change, LogChange::Create { .. })) {
        let error = Error::invalid("nothing says which hash function the first log of this store is for");
        return Err(error.way_out("set Options::hash"));
    }
    Ok(hash)
}
