//! The same store for threads that wait.

use std::fmt;
use std::time::Duration;

use futures_lite::future::block_on;
use reftable::Snapshot;
use reftable::engine::Changeset;

use crate::backend::Bucket;
use crate::clean::Cleaned;
use crate::commit::Commit;
use crate::compact::Compact;
use crate::error::{Error, Result};
use crate::stats::Stats;
use crate::store::Store;

/// A [`Store`] whose calls return when they are done. Threads that commit at once share requests,
/// as tasks do.
pub struct Blocking<B>(Store<B>);

impl<B> fmt::Debug for Blocking<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Blocking").field(&self.0).finish()
    }
}

impl<B> Clone for Blocking<B> {
    fn clone(&self) -> Self {
        Blocking(self.0.clone())
    }
}

impl<B: Bucket> Store<B> {
    /// The same store, without async. Not to be used in a task of an async runtime: it waits.
    #[must_use]
    pub fn blocking(self) -> Blocking<B> {
        Blocking(self)
    }
}

impl<B: Bucket> Blocking<B> {
    /// The store within, for async code.
    #[must_use]
    pub fn inner(&self) -> &Store<B> {
        &self.0
    }

    /// As [`Store::snapshot`].
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub fn snapshot(&self) -> Result<Snapshot> {
        block_on(self.0.snapshot())
    }

    /// As [`Store::snapshot_within`].
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub fn snapshot_within(&self, age: Duration) -> Result<Snapshot> {
        block_on(self.0.snapshot_within(age))
    }

    /// As [`Store::commit`].
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn commit(&self, changes: Changeset) -> Result<Commit> {
        block_on(self.0.commit(changes))
    }

    /// As [`Store::transact`].
    ///
    /// # Errors
    /// As [`Store::transact`].
    pub fn transact<E: From<Error>>(
        &self,
        decide: impl FnMut(&Snapshot, &mut Changeset) -> Result<(), E>,
    ) -> Result<Commit, E> {
        block_on(self.0.transact(decide))
    }

    /// As [`Store::import`].
    ///
    /// # Errors
    /// As [`Store::import`].
    pub fn import(&self, snapshot: &Snapshot, progress: impl FnMut(u64, u64)) -> Result<()> {
        block_on(self.0.import(snapshot, progress))
    }

    /// As [`Store::stats`].
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub fn stats(&self) -> Result<Stats> {
        block_on(self.0.stats())
    }

    /// As [`Store::compact`].
    ///
    /// # Errors
    /// As [`Store::compact`].
    pub fn compact(&self, what: Compact) -> Result<bool> {
        block_on(self.0.compact(what))
    }

    /// As [`Store::clean`].
    ///
    /// # Errors
    /// As [`Store::clean`].
    pub fn clean(&self, dry_run: bool) -> Result<Cleaned> {
        block_on(self.0.clean(dry_run))
    }
}
