//! What was set: getters for callers that pass options on, as `get_` like those of
//! [`std::process::Command`], because the setters have the plain names.

use std::time::Duration;

use super::options::{Durability, Options};
use crate::bytes::Reading;
use crate::engine::AutoCompact;
use crate::oid::HashKind;
use crate::table::WriteOptions;

impl Options {
    /// See [`Self::hash`]; `None` unless it was said.
    #[must_use]
    pub fn get_hash(&self) -> Option<HashKind> {
        self.hash
    }

    /// See [`Self::write`].
    pub fn get_write(&self) -> &WriteOptions {
        &self.write
    }

    /// See [`Self::durability`].
    #[must_use]
    pub fn get_durability(&self) -> Durability {
        self.durability
    }

    /// See [`Self::auto_compact`].
    #[must_use]
    pub fn get_auto_compact(&self) -> AutoCompact {
        self.auto_compact
    }

    /// See [`Self::background_compaction`].
    #[must_use]
    pub fn get_background_compaction(&self) -> bool {
        self.background
    }

    /// See [`Self::threads`]; what the system says now, unless it was set.
    #[must_use]
    pub fn get_threads(&self) -> usize {
        self.thread_count()
    }

    /// See [`Self::compact_at_once`].
    #[must_use]
    pub fn get_compact_at_once(&self) -> u64 {
        self.compact_at_once
    }

    /// See [`Self::fairness`].
    #[must_use]
    pub fn get_fairness(&self) -> bool {
        self.fairness
    }

    /// See [`Self::delegation`].
    #[must_use]
    pub fn get_delegation(&self) -> bool {
        self.delegation
    }

    /// See [`Self::break_abandoned_locks`].
    #[must_use]
    pub fn get_break_abandoned_locks(&self) -> bool {
        self.break_abandoned_locks
    }

    /// See [`Self::lock_timeout`].
    #[must_use]
    pub fn get_lock_timeout(&self) -> Option<Duration> {
        self.lock_timeout
    }

    /// See [`Self::outcome_timeout`]: the time that counts, also when it follows from the lock
    /// time-out.
    #[must_use]
    pub fn get_outcome_timeout(&self) -> Duration {
        self.patience_for_outcome()
    }

    /// See [`Self::reload_deadline`].
    #[must_use]
    pub fn get_reload_deadline(&self) -> Duration {
        self.reload_deadline
    }

    /// See [`Self::reading`].
    #[must_use]
    pub fn get_reading(&self) -> Reading {
        self.reading
    }

    /// See [`Self::permissions`].
    #[must_use]
    pub fn get_permissions(&self) -> Option<u32> {
        self.permissions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_got() {
        let seconds = Duration::from_secs;
        let options = Options::default()
            .hash(HashKind::Sha256)
            .durability(Durability::Off)
            .auto_compact(AutoCompact::Off)
            .background_compaction(true)
            .threads(3)
            .compact_at_once(4)
            .fairness(false)
            .delegation(false)
            .break_abandoned_locks(true)
            .lock_timeout(Some(seconds(5)))
            .outcome_timeout(Some(seconds(6)))
            .reload_deadline(seconds(7))
            .reading(Reading::Copied)
            .permissions(Some(0o600));
        assert_eq!(options.get_hash(), Some(HashKind::Sha256));
        assert_eq!(options.get_durability(), Durability::Off);
        assert_eq!(options.get_auto_compact(), AutoCompact::Off);
        assert!(options.get_background_compaction() && options.get_break_abandoned_locks());
        assert!(!options.get_fairness() && !options.get_delegation());
        assert_eq!((options.get_threads(), options.get_compact_at_once()), (3, 4));
        assert_eq!(options.get_lock_timeout(), Some(seconds(5)));
        assert_eq!(options.get_outcome_timeout(), seconds(6));
        assert_eq!(options.get_reload_deadline(), seconds(7));
        assert_eq!(options.get_reading(), Reading::Copied);
        assert_eq!(options.get_permissions(), Some(0o600));
        assert_eq!(Options::default().lock_timeout(None).get_outcome_timeout(), seconds(60));
    }
}
