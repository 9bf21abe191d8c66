//! What the stacks of our processes counted, to be written down and added up.

use serde::{Deserialize, Serialize};

/// See [`reftable::Metrics`]; one stack's, or several stacks' together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metrics {
    /// Transactions that were published.
    pub(crate) commits: u64,
    /// Tables for them.
    pub(crate) groups: u64,
    /// The most transactions in one table.
    pub(crate) largest_group: u64,
    /// How often another process had the lock.
    pub(crate) lock_waits: u64,
    /// How long it was waited for, in microseconds.
    pub(crate) lock_wait_us: u64,
    /// How often git was let go first.
    pub(crate) back_offs: u64,
    /// How often the list was read.
    pub(crate) reloads: u64,
    /// How often a decision was made again.
    pub(crate) retries: u64,
    /// Compactions after a commit that failed.
    pub(crate) failed_compactions: u64,
}

impl Metrics {
    /// Of one stack.
    pub(crate) fn of(stack: &reftable::Stack) -> Metrics {
        let counted = stack.metrics();
        Metrics {
            commits: counted.commits,
            groups: counted.groups,
            largest_group: counted.largest_group,
            lock_waits: counted.lock_waits,
            lock_wait_us: u64::try_from(counted.lock_wait.as_micros()).unwrap_or(u64::MAX),
            back_offs: counted.back_offs,
            reloads: counted.reloads,
            retries: counted.retries,
            failed_compactions: counted.failed_compactions,
        }
    }

    /// Adds another stack's.
    pub(crate) fn add(&mut self, other: &Metrics) {
        self.commits += other.commits;
        self.groups += other.groups;
        self.largest_group = self.largest_group.max(other.largest_group);
        self.lock_waits += other.lock_waits;
        self.lock_wait_us += other.lock_wait_us;
        self.back_offs += other.back_offs;
        self.reloads += other.reloads;
        self.retries += other.retries;
        self.failed_compactions += other.failed_compactions;
    }

    /// Transactions in a table, on average.
    pub(crate) fn mean_group(&self) -> f64 {
        self.commits as f64 / self.groups.max(1) as f64
    }

    /// Milliseconds that a wait took, on average.
    pub(crate) fn mean_wait_ms(&self) -> f64 {
        self.lock_wait_us as f64 / 1000.0 / self.lock_waits.max(1) as f64
    }
}
