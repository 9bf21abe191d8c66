//! What a handle has done so far, in numbers.

use std::sync::Arc;
use std::time::Duration;

use crate::sync::Counter;

/// What a handle and its clones have done since it was opened. Counting costs a few nanoseconds an
/// event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// Transactions that were published.
    pub commits: u64,
    /// Tables that were published for them: fewer where threads shared one.
    pub groups: u64,
    /// The most transactions in one table.
    pub largest_group: u64,
    /// How often another process had the list lock when we wanted it, or we left it free for a
    /// while.
    pub lock_waits: u64,
    /// How long we waited for it then, in all.
    pub lock_wait: Duration,
    /// How often we backed off for git; see [`crate::Options::fairness`].
    pub back_offs: u64,
    /// How often the table list was read.
    pub reloads: u64,
    /// Compactions that were published.
    pub compactions: u64,
    /// Compactions that failed after a commit.
    pub failed_compactions: u64,
    /// Threads that were started for large compactions.
    pub helpers: u64,
    /// How often [`crate::Stack::transact`] started over.
    pub retries: u64,
    /// Transactions of this handle that another process has published with its own; see
    /// [`crate::Options::delegation`]. They count as commits, too.
    pub delegated: u64,
    /// Transactions of other processes that we have published with ours.
    pub committed_for_others: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: Counter,
    pub(crate) groups: Counter,
    pub(crate) largest_group: Counter,
    pub(crate) lock_waits: Counter,
    pub(crate) lock_wait_nanoseconds: Counter,
    pub(crate) back_offs: Counter,
    pub(crate) reloads: Counter,
    pub(crate) compactions: Counter,
    pub(crate) failed_compactions: Counter,
    /// Shared with the threads' owners.
    pub(crate) helpers: Arc<Counter>,
    pub(crate) retries: Counter,
    pub(crate) delegated: Counter,
    pub(crate) committed_for_others: Counter,
}

impl Counters {
    /// A table with so many transactions was published.
    pub(crate) fn published(&self, transactions: usize) {
        let transactions = u64::try_from(transactions).unwrap_or(u64::MAX);
        self.commits.add(transactions);
        self.groups.add(1);
        self.largest_group.raise(transactions);
    }

    /// The list lock was not free at once.
    pub(crate) fn waited(&self, time: Duration) {
        self.lock_waits.add(1);
        self.lock_wait_nanoseconds.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl Counters {
    /// What they say now.
    pub(super) fn metrics(&self) -> Metrics {
        Metrics {
            commits: self.commits.get(),
            groups: self.groups.get(),
            largest_group: self.largest_group.get(),
            lock_waits: self.lock_waits.get(),
            lock_wait: Duration::from_nanos(self.lock_wait_nanoseconds.get()),
            back_offs: self.back_offs.get(),
            reloads: self.reloads.get(),
            compactions: self.compactions.get(),
            failed_compactions: self.failed_compactions.get(),
            helpers: self.helpers.get(),
            retries: self.retries.get(),
            delegated: self.delegated.get(),
            committed_for_others: self.committed_for_others.get(),
        }
    }
}
