//! Where symbolic references lead.

use super::finding::Severity;
use crate::error::Result;
use crate::name;
use crate::snapshot::Snapshot;
use crate::value::Target;

/// How many references git reads in a row: the last must not be symbolic.
const MOST_READ: usize = 5;

/// The rule that the symbolic reference `name` breaks by leading to `target`. One that leads to nothing breaks none:
/// the branch may be born later, and in the store of a linked worktree it is in another store.
///
/// # Errors
/// `Corrupt`, if a table cannot be read.
pub(super) fn broken_rule(snapshot: &Snapshot, name: &[u8], target: &[u8]) -> Result<Option<(Severity, &'static str)>> {
    if name::broken_rule(target).is_some() {
        return Ok(Some((Severity::Error, "leads to something that is not a valid name")));
    }
    if let Some(rule) = endless(snapshot, name, target)? {
        return Ok(Some((Severity::Error, rule)));
    }
    let is_ref =
        name::is_root_ref(target) || [b"refs/".as_slice(), b"worktrees/"].iter().any(|dir| target.starts_with(dir));
    Ok((!is_ref).then_some((Severity::Note, "leads out of refs/")))
}

fn endless(snapshot: &Snapshot, name: &[u8], target: &[u8]) -> Result<Option<&'static str>> {
    let mut seen = vec![name.to_vec()];
    let mut next = target.to_vec();
    while seen.len() < MOST_READ {
        if seen.contains(&next) {
            return Ok(Some("leads in a circle"));
        }
        let Some(found) = snapshot.get(&next)? else { return Ok(None) };
        let Target::Symbolic(after) = found.target else { return Ok(None) };
        seen.push(std::mem::replace(&mut next, after));
    }
    Ok(Some("leads through more symbolic references than git follows"))
}
