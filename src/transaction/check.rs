//! Checking a transaction against a snapshot: names, expectations, directory/file conflicts.

use std::collections::HashSet;

use super::{Action, Conflict, ConflictKind, Update};
use crate::error::{Error, Result};
use crate::name;
use crate::snapshot::Snapshot;
use crate::value::Target;

/// Names are valid and appear once. Sorts the updates by name, as the table needs them.
pub(super) fn order(updates: &mut [Update]) -> Result<()> {
    for update in updates.iter() {
        name::check(&update.name)?;
        if let Action::Set(target) = &update.action {
            check_target(&update.name, target)?;
        }
    }
    updates.sort_by(|a, b| a.name.cmp(&b.name));
    for pair in updates.windows(2) {
        if let [a, b] = pair
            && a.name == b.name
        {
            let shown = String::from_utf8_lossy(&a.name);
            return Err(Error::invalid(format!("the transaction names '{shown}' twice")));
        }
    }
    Ok(())
}

/// Symbolic targets are names; the null id stands for "no object" and is no target.
fn check_target(name: &[u8], target: &Target) -> Result<()> {
    match target {
        Target::Symbolic(other) => name::check(other),
        Target::Id(id) if !id.is_null() => Ok(()),
        Target::Tag { id, peeled } if !id.is_null() && !peeled.is_null() => Ok(()),
        _ => {
            let shown = String::from_utf8_lossy(name);
            Err(Error::invalid(format!("'{shown}' cannot point at the null id")).way_out("delete it instead"))
        }
    }
}

/// Checks ordered `updates` against `snapshot`. Returns what each name points at now.
///
/// # Errors
/// `Conflict`, with every mismatch; `Corrupt`.
pub(super) fn check(updates: &[Update], snapshot: &Snapshot) -> Result<Vec<Option<Target>>> {
    let mut conflicts = Vec::new();
    let mut current = Vec::with_capacity(updates.len());
    for update in updates {
        let actual = snapshot.get(&update.name)?.map(|found| found.target);
        if !update.expect.holds(actual.as_ref()) {
            let kind = ConflictKind::Mismatch { expected: update.expect.clone(), actual: actual.clone() };
            conflicts.push(Conflict { name: update.name.clone(), kind });
        }
        current.push(actual);
    }
    name_conflicts(updates, &current, snapshot, &mut conflicts)?;
    if conflicts.is_empty() { Ok(current) } else { Err(Error::conflict(conflicts)) }
}

/// Finds created names that would be directories of others, or have others as directories.
fn name_conflicts(
    updates: &[Update],
    current: &[Option<Target>],
    snapshot: &Snapshot,
    conflicts: &mut Vec<Conflict>,
) -> Result<()> {
    let set: HashSet<&[u8]> = names_with(updates, |action| matches!(action, Action::Set(_)));
    let deleted: HashSet<&[u8]> = names_with(updates, |action| matches!(action, Action::Delete));
    // Directories that were found free; whole namespaces share theirs.
    let mut free: HashSet<&[u8]> = HashSet::new();
    let mut below = snapshot.refs()?;
    for (update, actual) in updates.iter().zip(current) {
        if actual.is_some() || !matches!(update.action, Action::Set(_)) {
            continue;
        }
        let mut clash = |other: &[u8]| {
            let kind = ConflictKind::Name { other: other.to_vec() };
            conflicts.push(Conflict { name: update.name.clone(), kind });
        };
        let mut clashed = false;
        for directory in name::ancestors(&update.name) {
            if free.contains(directory) {
                break;
            }
            if set.contains(directory) || (!deleted.contains(directory) && snapshot.get(directory)?.is_some()) {
                clashed = true;
                clash(directory);
            }
        }
        if !clashed {
            // What holds for a directory holds for those above it.
            free.extend(name::ancestors(&update.name));
        }
        let mut directory = update.name.clone();
        directory.push(b'/');
        below.seek(&directory)?;
        while let Some(found) = below.next()? {
            if !name::is_below(found.name, &update.name) {
                break;
            }
            if !deleted.contains(found.name) {
                clash(found.name);
                break;
            }
        }
    }
    Ok(())
}

fn names_with(updates: &[Update], wanted: impl Fn(&Action) -> bool) -> HashSet<&[u8]> {
    updates.iter().filter(|update| wanted(&update.action)).map(|update| update.name.as_slice()).collect()
}
