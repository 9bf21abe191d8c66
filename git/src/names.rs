//! Names of references: which store has them, and how people shorten them.

use reftable::name::{is_per_worktree, is_pseudo_ref};

/// The rules by which git reads a short name, in its order: what comes before it and after.
const RULES: [(&str, &str); 6] = [
    ("", ""),
    ("refs/", ""),
    ("refs/tags/", ""),
    ("refs/heads/", ""),
    ("refs/remotes/", ""),
    ("refs/remotes/", "/HEAD"),
];

/// One of the stores that are open for a worktree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The one of the repository.
    Shared,
    /// The one that a linked worktree has for itself.
    Worktree,
}

impl Place {
    /// Where git keeps `name`. Of what another worktree has for itself it is the place there.
    #[must_use]
    pub fn of(name: &[u8]) -> Place {
        match Home::of(name) {
            Home::Shared(_) => Place::Shared,
            Home::Own(_) | Home::File(_) | Home::Main(_) | Home::Worktree { .. } => Place::Worktree,
        }
    }
}

/// Where a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home<'a> {
    /// In the store of the repository.
    Shared(&'a [u8]),
    /// In the one of this worktree.
    Own(&'a [u8]),
    /// In that of the main worktree.
    Main(&'a [u8]),
    /// In that of another worktree, or of this one by its name.
    Worktree { worktree: &'a [u8], name: &'a [u8] },
    /// In a file of its own, beside the store of this worktree.
    File(&'a [u8]),
}

impl<'a> Home<'a> {
    /// Where git looks for `name`.
    pub(crate) fn of(name: &'a [u8]) -> Home<'a> {
        let elsewhere = |rest: &'a [u8]| is_per_worktree(rest).then_some(rest);
        if let Some(rest) = name.strip_prefix(b"main-worktree/").and_then(elsewhere) {
            return Home::Main(rest);
        }
        if let Some(rest) = name.strip_prefix(b"worktrees/") {
            let (worktree, rest) = rest.split_at(rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len()));
            if let Some(name) = rest.strip_prefix(b"/").and_then(elsewhere) {
                return Home::Worktree { worktree, name };
            }
        }
        match name {
            name if is_pseudo_ref(name) => Home::File(name),
            name if is_per_worktree(name) => Home::Own(name),
            name => Home::Shared(name),
        }
    }
}

/// The full names that `short` may stand for, the one that git prefers first.
pub(crate) fn candidates(short: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    RULES.iter().map(move |(before, after)| [before.as_bytes(), short, after.as_bytes()].concat())
}

/// The shorter names of `full`, the shortest first, each with those other names that git would
/// prefer to `full`.
pub(crate) fn shorter_loosely(full: &[u8]) -> Vec<(&[u8], Vec<Vec<u8>>)> {
    let preferred = |(short, _)| (short, candidates(short).take_while(|name| name != full).collect());
    shorter(full).into_iter().map(preferred).collect()
}

/// The shorter names of `full`, the shortest first, each with the other names that it may stand
/// for.
pub(crate) fn shorter(full: &[u8]) -> Vec<(&[u8], Vec<Vec<u8>>)> {
    let mut found = Vec::new();
    for (before, after) in RULES.iter().skip(1).rev() {
        let short = full.strip_prefix(before.as_bytes()).and_then(|rest| rest.strip_suffix(after.as_bytes()));
        if let Some(short) = short.filter(|short| !short.is_empty()) {
            found.push((short, candidates(short).filter(|name| name != full).collect()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_worktrees_are_told_from_names_that_look_like_them() {
        let worktree = |worktree, name| Home::Worktree { worktree, name };
        for (name, home) in [
            (b"HEAD".as_slice(), Home::Own(b"HEAD")),
            (b"refs/heads/main", Home::Shared(b"refs/heads/main")),
            (b"refs/bisect/bad", Home::Own(b"refs/bisect/bad")),
            (b"main-worktree/HEAD", Home::Main(b"HEAD")),
            (b"main-worktree/refs/heads/main", Home::Shared(b"main-worktree/refs/heads/main")),
            (b"worktrees/a/refs/bisect/bad", worktree(b"a", b"refs/bisect/bad")),
            (b"worktrees/a/refs/heads/main", Home::Shared(b"worktrees/a/refs/heads/main")),
            (b"worktrees/a", Home::Shared(b"worktrees/a")),
            (b"FETCH_HEAD", Home::File(b"FETCH_HEAD")),
        ] {
            assert_eq!(Home::of(name), home);
        }
    }
    #[test]
    fn each_worktree_has_its_own_root_references_and_bisections() {
        for own in ["HEAD", "ORIG_HEAD", "MERGE_HEAD", "refs/bisect/bad", "refs/worktree/x", "refs/rewritten/x"] {
            assert_eq!(Place::of(own.as_bytes()), Place::Worktree, "{own}");
        }
        for shared in ["refs/heads/main", "refs/stash", "refs/bisect", "refs/heads/HEAD", "worktrees/x"] {
            assert_eq!(Place::of(shared.as_bytes()), Place::Shared, "{shared}");
        }
    }
}
