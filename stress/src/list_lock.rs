//! Which process has the list lock at a moment, for telling which was in the way of others.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// Whose the list lock was when a process had just been killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ListLock {
    /// The killed process had it. (It keeps its marker while a successor has it.)
    OfTheKilled,
    /// Another process of this library had it, or one that was killed before.
    OfAnother,
    /// git had it.
    OfGit,
    /// Nobody had it.
    Free,
}

impl ListLock {
    pub(crate) const ALL: [ListLock; 4] = [ListLock::OfTheKilled, ListLock::OfAnother, ListLock::OfGit, ListLock::Free];

    /// Looks at the lock of this store just after the process with this number has ended.
    pub(crate) fn after_death_of(process: u32, store: &Path) -> ListLock {
        let Ok(contents) = fs::read(store.join("tables.list.lock")) else { return ListLock::Free };
        let text = String::from_utf8_lossy(&contents);
        let owner = text.lines().find_map(|line| line.strip_prefix("process ")).map(str::parse::<u32>);
        match owner {
            Some(Ok(owner)) if owner == process => ListLock::OfTheKilled,
            Some(_) => ListLock::OfAnother,
            None => ListLock::OfGit,
        }
    }

    /// As what it is printed.
    pub(crate) fn words(self) -> &'static str {
        match self {
            ListLock::OfTheKilled => "with the list lock",
            ListLock::OfAnother => "while another of this library had it",
            ListLock::OfGit => "while git had it",
            ListLock::Free => "while it was free",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_says_whose_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let look = || ListLock::after_death_of(7, dir.path());
        assert_eq!(look(), ListLock::Free);
        let is = |text: &str| {
            fs::write(dir.path().join("tables.list.lock"), text).unwrap();
            look()
        };
        assert_eq!(is("reftable lock 2 100\nboot x\nprocess 7\nstarted 3\n"), ListLock::OfTheKilled);
        assert_eq!(is("reftable lock 2 100\nboot x\nprocess 77\nstarted 3\n"), ListLock::OfAnother);
        assert_eq!(is(""), ListLock::OfGit);
        assert_eq!(is("0x000000000001-0x000000000001-00000000.ref\n"), ListLock::OfGit);
    }
}
