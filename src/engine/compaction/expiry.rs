//! Which log entries a compaction leaves out, and what it leaves of a log that loses all.

use super::pattern::Pattern;
use crate::error::Result;
use crate::value::LogRecordView;

/// The stashes are the reflog of this reference.
const STASH: &[u8] = b"refs/stash";

/// Which log entries a compaction leaves out. The default leaves out none.
///
/// The policy is git's. Logs that a rule matches follow the first such rule alone; others follow
/// the limits of `before_time` and `before_update_index`; but the log of `refs/stash`, whose
/// entries are the stashes, loses entries only to a rule.
///
/// A log whose last entry goes still exists ([`crate::Snapshot::log_exists`]): a marker takes its
/// place. To tell whether an entry is reachable takes objects, so there is no limit for unreachable
/// ones, as git has.
///
/// ```
/// # use reftable::compact::{Compact, Expiry};
/// let ninety_days_ago = 1_700_000_000 - 90 * 86_400;
/// let expiry = Expiry::default().before_time(ninety_days_ago);
/// let expiry = expiry.rule("refs/remotes/*", 1_700_000_000)?.rule("refs/notes/*", None)?;
/// let compaction = Compact::All { expiry };
/// # Ok::<(), reftable::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Expiry {
    /// Those from before this time, in seconds since 1970.
    pub before_time: Option<u64>,
    /// Those with an update index below this.
    pub before_update_index: Option<u64>,
    rules: Vec<Rule>,
    keeps_nothing: bool,
}

/// A limit for the logs of some references.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    names: Pattern,
    before_time: Option<u64>,
}

impl Expiry {
    /// Leaves out entries from before `time`, in seconds since 1970; with `u64::MAX`, all.
    #[must_use]
    pub fn before_time(self, time: impl Into<Option<u64>>) -> Expiry {
        Expiry { before_time: time.into(), ..self }
    }

    /// Leaves out entries with an update index below `index`.
    #[must_use]
    pub fn before_update_index(self, index: impl Into<Option<u64>>) -> Expiry {
        Expiry { before_update_index: index.into(), ..self }
    }

    /// Leaves out of the logs of references that match `pattern` entries from before `time`, and
    /// nothing else; with `None`, nothing. Of several rules that match, the first counts.
    ///
    /// Patterns are those of `gc.<pattern>.reflogExpire`: `*` and `?` match slashes, too, and there
    /// are classes (`[a-z]`, `[!x]`).
    ///
    /// # Errors
    /// `Invalid` for a pattern that ends within a class or after a backslash: it would match
    /// nothing, and protect nothing.
    pub fn rule(mut self, pattern: impl AsRef<[u8]>, time: impl Into<Option<u64>>) -> Result<Expiry> {
        self.rules.push(Rule { names: Pattern::new(pattern.as_ref())?, before_time: time.into() });
        Ok(self)
    }

    /// As git's C library has it: `refs/stash` is a log like others, and of a log that loses all
    /// nothing is left, markers included.
    #[must_use]
    pub fn keeping_nothing(self) -> Expiry {
        Expiry { keeps_nothing: true, ..self }
    }

    /// Whether any entry can be left out.
    #[must_use]
    pub fn is_set(&self) -> bool {
        let by_rule = || self.rules.iter().any(|rule| rule.before_time.is_some());
        self.before_time.is_some() || self.before_update_index.is_some() || by_rule()
    }

    /// Whether logs that lose all still exist.
    pub(super) fn leaves_markers(&self) -> bool {
        !self.keeps_nothing
    }

    /// Whether the record is to be left out. Tombstones and markers do not expire.
    pub(super) fn takes(&self, record: &LogRecordView<'_>) -> bool {
        let Some(entry) = record.entry.filter(|entry| self.keeps_nothing || !entry.is_marker()) else { return false };
        let is_before = |limit: Option<u64>| limit.is_some_and(|time| time == u64::MAX || entry.time < time);
        if let Some(rule) = self.rules.iter().find(|rule| rule.names.matches(record.refname)) {
            return is_before(rule.before_time);
        }
        let is_spared = record.refname == STASH && !self.keeps_nothing;
        !is_spared
            && (is_before(self.before_time)
                || self.before_update_index.is_some_and(|index| record.update_index < index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::LogEntryView;
    use crate::{HashKind, ObjectId};

    fn takes(expiry: &Expiry, refname: &str, time: u64) -> bool {
        let null = ObjectId::null(HashKind::Sha1);
        let new = ObjectId::from_bytes(&[1; 20]).unwrap();
        let entry = LogEntryView { old: null, new, name: b"", email: b"", time, time_zone: 0, message: b"" };
        expiry.takes(&LogRecordView { refname: refname.as_bytes(), update_index: 7, entry: Some(entry) })
    }

    #[test]
    fn stashes_expire_only_by_a_rule() {
        for expiry in [Expiry::default().before_time(100), Expiry::default().before_update_index(8)] {
            assert!(takes(&expiry, "refs/heads/main", 99));
            assert!(!takes(&expiry, "refs/stash", 99));
        }
        let named = Expiry::default().rule("refs/stash", 100).unwrap();
        assert!(takes(&named, "refs/stash", 99) && !takes(&named, "refs/heads/main", 99));
        assert!(takes(&Expiry::default().rule("*", 100).unwrap(), "refs/stash", 99));
        assert!(takes(&Expiry::default().before_time(100).keeping_nothing(), "refs/stash", 99));
    }

    #[test]
    fn the_first_rule_that_matches_counts_alone() {
        let expiry = Expiry::default().before_time(100).before_update_index(8);
        let expiry = expiry.rule("refs/remotes/kept/*", None).unwrap().rule("refs/remotes/*", 50).unwrap();
        assert!(takes(&expiry, "refs/heads/main", 200), "by its update index");
        assert!(!takes(&expiry, "refs/remotes/kept/a/b", 1));
        assert!(takes(&expiry, "refs/remotes/a", 49) && !takes(&expiry, "refs/remotes/a", 50));
    }

    #[test]
    fn the_end_of_time_takes_all() {
        assert!(takes(&Expiry::default().before_time(u64::MAX), "refs/heads/main", u64::MAX));
    }
}
