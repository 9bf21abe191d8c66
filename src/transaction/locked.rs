//! Before the first phase, for callers that decide under the lock: it is held, and nothing is asked
//! for yet.

use super::{Prepared, Transaction};
use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::stack::{ListLock, Stack};

/// The lock of a store, and the state that no other process changes while it is held. Dropping it
/// releases the lock, and nothing has changed.
#[derive(Debug)]
#[must_use = "dropping it releases the lock"]
pub struct Locked {
    pub(super) stack: Stack,
    pub(super) snapshot: Snapshot,
    pub(super) lock: ListLock,
}

impl Stack {
    /// Takes the lock before anything is decided: lock, look, decide. What is decided upon
    /// [`Locked::snapshot`] cannot be overtaken. Every other writer waits meanwhile, so
    /// [`Stack::transact`] and expectations are to be preferred where they do.
    ///
    /// ```
    /// # use reftable::{Expect, ObjectId, Options, Stack};
    /// # let dir = tempfile::tempdir()?;
    /// # let stack = Stack::open(dir.path(), Options::default())?;
    /// # let id: ObjectId = "2e6f9b0d5885b6010f9167787445617f553a735f".parse()?;
    /// let locked = stack.lock()?;
    /// let number = locked.snapshot().prefix("refs/builds/")?.into_iter().count();
    /// let mut tx = stack.transaction();
    /// tx.set(format!("refs/builds/{number}"), Expect::Absent, id);
    /// locked.prepare(tx)?.commit()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `Locked` after [`crate::Options::lock_timeout`], and when this thread has the lock;
    /// `Corrupt`; `Io`.
    pub fn lock(&self) -> Result<Locked> {
        let (lock, snapshot) = self.shared.write_lock.lock_list()?;
        Ok(Locked { stack: self.clone(), snapshot, lock })
    }
}

impl Locked {
    /// The state under the lock.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// As [`Transaction::prepare`], without waiting.
    ///
    /// # Errors
    /// As [`Transaction::prepare`], and `Invalid` for a transaction of another stack than this one
    /// and its clones. The lock is released then.
    pub fn prepare(self, transaction: Transaction) -> Result<Prepared> {
        let changes = transaction.changes_for(&self.stack)?;
        Prepared::under(self, changes)
    }
}
