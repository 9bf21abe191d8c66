//! Where symbolic references lead.

use super::kind::FindingKind;
use super::view::WorktreeView;
use crate::error::Result;
use crate::name;
use crate::value::Target;

/// How many references git reads in a row: the last must not be symbolic.
const MOST_READ: usize = 5;

/// The rule that the symbolic reference `name` breaks by leading to `target`. One that leads to
/// nothing breaks none: the branch may be born later, or be in a store that is not known here.
///
/// # Errors
/// `Corrupt`, if a table cannot be read.
pub(super) fn broken_rule(
    view: &WorktreeView,
    name: &[u8],
    target: &[u8],
) -> Result<Option<(FindingKind, &'static str)>> {
    if name::broken_rule(target).is_some() {
        return Ok(Some((FindingKind::InvalidTarget, "leads to something that is not a valid name")));
    }
    if let Some(rule) = endless(view, name, target)? {
        return Ok(Some((FindingKind::EndlessTarget, rule)));
    }
    let roots = [b"refs/".as_slice(), b"worktrees/", b"main-worktree/"];
    let is_ref = name::is_root_ref(target) || roots.iter().any(|root| target.starts_with(root));
    Ok((!is_ref).then_some((FindingKind::OutsideTarget, "leads out of refs/")))
}

fn endless(view: &WorktreeView, name: &[u8], target: &[u8]) -> Result<Option<&'static str>> {
    let mut seen = vec![name.to_vec()];
    let mut next = target.to_vec();
    while seen.len() < MOST_READ {
        if seen.contains(&next) {
            return Ok(Some("leads in a circle"));
        }
        let Some(found) = view.get(&next)? else { return Ok(None) };
        let Target::Symbolic(after) = found.target else { return Ok(None) };
        seen.push(std::mem::replace(&mut next, after));
    }
    Ok(Some("leads through more symbolic references than git follows"))
}
