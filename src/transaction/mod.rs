//! Transactions: all changes or none, checked against what the caller expects.

mod group;
mod locked;
mod prepared;
mod transact;
#[cfg(test)]
mod work;

pub use locked::Locked;
pub use prepared::{Commit, Prepared};

use crate::changeset::{Changeset, Follower};
use crate::conflict::Expect;
use crate::error::Result;
use crate::stack::Stack;
use crate::value::{Ident, LogEntry, Target};

/// A set of changes that will happen together or not at all.
///
/// Collecting changes does no I/O and checks nothing; [`Self::prepare`] does. A name may appear
/// once among `set`, `delete` and `verify`; log entries may be as many as you like.
#[derive(Debug)]
#[must_use = "a transaction does nothing until it is committed"]
pub struct Transaction {
    stack: Stack,
    changes: Changeset,
}

impl Transaction {
    /// Points `name` at `target`.
    pub fn set(&mut self, name: impl AsRef<[u8]>, expect: Expect, target: impl Into<Target>) -> &mut Self {
        self.changes.set(name, expect, target);
        self
    }

    /// Deletes the reference `name`. Its reflog stays; see [`Self::delete_log`].
    pub fn delete(&mut self, name: impl AsRef<[u8]>, expect: Expect) -> &mut Self {
        self.changes.delete(name, expect);
        self
    }

    /// Changes nothing, but fails the transaction unless `name` is as expected.
    pub fn verify(&mut self, name: impl AsRef<[u8]>, expect: Expect) -> &mut Self {
        self.changes.verify(name, expect);
        self
    }

    /// Writes a log entry for every [`Self::set`] to an object id, from the id before to the new
    /// one.
    pub fn reflog(&mut self, committer: Ident, message: impl AsRef<[u8]>) -> &mut Self {
        self.changes.reflog(committer, message);
        self
    }

    /// Asks for the values that are replaced: [`Commit::replaced`] has them then. They are looked
    /// up anyway; asking costs a copy of the names, and where another process commits for us,
    /// for one more record of up to 7 KiB. What does not fit into that we commit ourselves.
    pub fn report_replaced(&mut self) -> &mut Self {
        self.changes.asks_replaced = Some(Follower::Caller);
        self
    }

    /// Appends one log entry, as given. Several for one name keep their order.
    ///
    /// The message must be one line; it is stored with one newline at its end, as git does.
    pub fn append_log(&mut self, name: impl AsRef<[u8]>, entry: LogEntry) -> &mut Self {
        self.changes.append_log(name, entry);
        self
    }

    /// Lets a reflog of `name` exist, if there is none yet: with nothing in it but a marker
    /// ([`crate::LogItem::Marker`]). Where git is to log what it would not log by itself, such as
    /// updates of tags, that is how to ask it.
    pub fn create_log(&mut self, name: impl AsRef<[u8]>) -> &mut Self {
        self.changes.create_log(name);
        self
    }

    /// Deletes the log entry of `name` that has this update index. If it was the last one the log
    /// still exists: a marker takes its place, as with `git reflog delete`.
    pub fn delete_log_entry(&mut self, name: impl AsRef<[u8]>, update_index: u64) -> &mut Self {
        self.changes.delete_log_entry(name, update_index);
        self
    }

    /// Deletes the reflog of `name` as it is now, markers included; not the entries that this
    /// transaction appends.
    pub fn delete_log(&mut self, name: impl AsRef<[u8]>) -> &mut Self {
        self.changes.delete_log(name);
        self
    }

    /// What it will do: for code that makes changesets for stores of several kinds.
    pub fn changes(&mut self) -> &mut Changeset {
        &mut self.changes
    }

    /// Whether nothing was asked for yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Takes the lock, reads the newest state and checks every expectation against it.
    ///
    /// Until the result is committed or dropped nobody else can commit. Cost under the lock, beside
    /// writing the table: a look-up for each name and, once, for each directory that created names
    /// are in, which takes time by the length of its name; for each created name a seek in each
    /// table; for each [`Self::delete_log`] the same, and the entries of that log. What was deleted
    /// costs nothing, unless a created name takes the place of a directory: then each tombstone
    /// below it that no compaction has dropped yet is stepped over, once.
    ///
    /// Waits for the lock as long as [`crate::Options::lock_timeout`] says. [`Prepared::commit`]
    /// has it then, and does not wait for it again.
    ///
    /// # Errors
    /// `Locked` after [`crate::Options::lock_timeout`]; `Conflict` with every mismatch; `Invalid`
    /// for names, messages and ids that cannot be; `TooLarge` when a name or message does not fit
    /// into a block; `Corrupt`; `Io`. Nothing has changed then, and no lock is held.
    pub fn prepare(mut self) -> Result<Prepared> {
        self.changes.check()?;
        Prepared::under(self.stack.lock()?, self.changes)
    }

    /// Commits: checks every expectation against the newest state and publishes all changes at
    /// once.
    ///
    /// Threads that commit through one [`Stack`] at the same time share the work: one of them takes
    /// the lock and publishes the transactions of all that wait, in the order in which they came,
    /// each checked against those before it. Each gets its own result, and a conflict fails its own
    /// transaction only. So do processes that wait for the lock ([`crate::Options::delegation`]).
    ///
    /// Waits as long as [`crate::Options::lock_timeout`] says until it is begun, by this thread or
    /// for it. When another thread has begun it, it waits until that is done; when another process
    /// has, as much longer as [`crate::Options::outcome_timeout`] says, and it fails with
    /// `Indeterminate` after that. A compaction that is due comes on top ([`Stack::compact`]),
    /// unless [`crate::Options::background_compaction`] does it.
    ///
    /// # Errors
    /// Those of [`Self::prepare`] and [`Prepared::commit`]. `Locked`, too, when this thread holds a
    /// [`Prepared`] of the same stack.
    pub fn commit(mut self) -> Result<Commit> {
        self.changes.check()?;
        group::commit(&self.stack, self.changes)
    }
}

impl Stack {
    /// A new transaction. No I/O and no lock before [`Transaction::prepare`] or
    /// [`Transaction::commit`].
    pub fn transaction(&self) -> Transaction {
        Transaction { stack: self.clone(), changes: Changeset::default() }
    }

    /// Commits transactions in order, as threads that commit at the same time do: one lock, one
    /// table, and a result for each. Later ones see earlier ones; a conflict fails its own
    /// transaction only.
    ///
    /// They must be of this stack or its clones; those of others fail with `Invalid`.
    ///
    /// Waits for the lock as long as [`crate::Options::lock_timeout`] says; without it all fail
    /// with `Locked`. Another process never does it for us. A compaction that is due comes on top,
    /// as after [`Transaction::commit`].
    #[must_use = "each transaction has a result of its own, and it may be a refusal"]
    pub fn commit_all(&self, transactions: impl IntoIterator<Item = Transaction>) -> Vec<Result<Commit>> {
        group::commit_all(self, transactions.into_iter().map(|transaction| transaction.changes_for(self)).collect())
    }
}

impl Transaction {
    fn changes_for(mut self, stack: &Stack) -> Result<Changeset> {
        if !std::sync::Arc::ptr_eq(&self.stack.shared, &stack.shared) {
            return Err(crate::Error::invalid("the transaction is of another stack").in_file(self.stack.path()));
        }
        self.changes.check()?;
        Ok(self.changes)
    }
}
