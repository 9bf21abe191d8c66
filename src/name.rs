//! Reference names: git's rules, prefixes, and conflicts between a name and the directories of
//! another.

use std::cmp::Ordering;

use crate::error::{Error, Result};
use crate::escape::escaped;

/// Checks `name` against the rules of `git check-ref-format --allow-onelevel`.
///
/// # Errors
/// `Invalid`, saying which rule is broken.
pub fn check(name: &[u8]) -> Result<()> {
    match broken_rule(name) {
        None => Ok(()),
        Some(rule) => {
            let shown = escaped(name.get(..name.len().min(200)).unwrap_or_default());
            Err(Error::invalid(format!("'{shown}' is not a valid reference name: {rule}")))
        }
    }
}

/// The rule that `name` breaks.
pub(crate) fn broken_rule(name: &[u8]) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it is empty");
    }
    if name == b"@" {
        return Some("it is '@'");
    }
    if name.ends_with(b".") {
        return Some("it ends with '.'");
    }
    if name.windows(2).any(|pair| pair == b"..") {
        return Some("it contains '..'");
    }
    if name.windows(2).any(|pair| pair == b"@{") {
        return Some("it contains '@{'");
    }
    if name.iter().any(|byte| *byte < 0x20 || *byte == 0x7f || b" ~^:?*[\\".contains(byte)) {
        return Some("it contains a space, a control character or one of ~^:?*[\\");
    }
    name.split(|&byte| byte == b'/').find_map(|part| match part {
        [] => Some("it begins or ends with '/' or contains '//'"),
        [b'.', ..] => Some("a part of it begins with '.'"),
        [.., b'.', b'l', b'o', b'c', b'k'] => Some("a part of it ends with '.lock'"),
        _ => None,
    })
}

/// Whether git keeps `name` in a file of its own, whatever the format of the references is.
#[must_use]
pub fn is_pseudo_ref(name: &[u8]) -> bool {
    name == b"FETCH_HEAD" || name == b"MERGE_HEAD"
}

/// Whether git takes `name` for a reference although it is not in `refs/`.
pub(crate) fn is_root_ref(name: &[u8]) -> bool {
    const OTHERS: [&[u8]; 6] = [
        b"HEAD",
        b"AUTO_MERGE",
        b"BISECT_EXPECTED_REV",
        b"NOTES_MERGE_PARTIAL",
        b"NOTES_MERGE_REF",
        b"MERGE_AUTOSTASH",
    ];
    let has_form = name.iter().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'));
    has_form && !is_pseudo_ref(name) && (OTHERS.contains(&name) || name.ends_with(b"_HEAD"))
}

/// Whether each worktree has a reference of this name for itself, so that git keeps it in the store
/// of the worktree. All other names are shared by the worktrees of a repository; `HEAD` is
/// everybody's own.
#[must_use]
pub fn is_per_worktree(name: &[u8]) -> bool {
    const OWN: [&[u8]; 3] = [b"refs/worktree/", b"refs/bisect/", b"refs/rewritten/"];
    let is_root = name.iter().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'));
    is_root || OWN.iter().any(|directory| name.starts_with(directory))
}

/// The names that must not exist beside `name`, because it would need them as directories: `a/b/c`
/// gives `a/b` and `a`.
pub(crate) fn ancestors(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/').filter_map(|(slash, _)| name.get(..slash))
}

/// The order of names as directories, with a slash after each: what is below one comes directly
/// after it.
pub(crate) fn by_directory(a: &[u8], b: &[u8]) -> Ordering {
    a.iter().chain(b"/").cmp(b.iter().chain(b"/"))
}

/// Whether `name` needs `directory` as a directory.
pub(crate) fn is_below(name: &[u8], directory: &[u8]) -> bool {
    name.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_those_of_git() {
        for good in ["HEAD", "refs/heads/main", "refs/heads/a.b", "refs/heads/a@b", "refs/heads/ä", "refs/x{y}"] {
            assert!(check(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [
            "", "@", "a..b", "a/", "/a", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "a b", "a~", "a^", "a:",
            "a?", "a*", "a[", "a\\", "a\x7f", "a\n", "a@{b", "a\0b",
        ] {
            assert!(check(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn root_references_are_those_of_git() {
        for root in ["HEAD", "ORIG_HEAD", "CHERRY_PICK_HEAD", "AUTO_MERGE", "X-Y_HEAD"] {
            assert!(is_root_ref(root.as_bytes()), "{root}");
        }
        for other in ["FETCH_HEAD", "MERGE_HEAD", "head", "Orig_HEAD", "refs/heads/HEAD", "HEADS", "main", ""] {
            assert!(!is_root_ref(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn ancestors_are_the_directories_of_a_name() {
        assert_eq!(ancestors(b"a/b/c").collect::<Vec<_>>(), [b"a/b".as_slice(), b"a"]);
        assert!(is_below(b"a/b", b"a"));
        assert!(!is_below(b"ab", b"a") && !is_below(b"a", b"a"));
    }

    #[test]
    fn names_below_a_directory_come_directly_behind_it() {
        let mut names = [b"a".as_slice(), b"a-b", b"a/b", b"a/b-c", b"a/b/c", b"a0", b"b"];
        names.sort_by(|a, b| by_directory(a, b));
        assert_eq!(names, [b"a-b".as_slice(), b"a", b"a/b-c", b"a/b", b"a/b/c", b"a0", b"b"]);
    }
}
