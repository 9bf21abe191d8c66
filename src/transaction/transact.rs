//! Read, decide, commit; and again if another commit was faster (optimistic concurrency control).

use std::time::Duration;

use super::Transaction;
use crate::error::{Error, ErrorKind};
use crate::snapshot::Snapshot;
use crate::stack::Stack;

/// How often a transaction is tried while others may be faster.
const ATTEMPTS: u32 = 8;

impl Stack {
    /// Reads, decides and commits; starts over when the decision was overtaken.
    ///
    /// `decide` gets the newest state and an empty transaction, and says with [`crate::Expect`]
    /// what its decision rests on: that is what is checked. If another commit has made it untrue,
    /// `decide` is called again with the state of then, with pauses that grow and jitter. After
    /// eight attempts that were overtaken it is called once more with the lock held, as
    /// [`Stack::lock`] does: nobody is faster then, and every other writer waits for it. (So it
    /// must not write to this store itself; such a commit is refused with `Locked`.) A conflict
    /// with the very state that was shown is returned at once: trying again would not help. So is
    /// every other error, of `decide` or of the commit. A transaction without changes is not
    /// committed.
    ///
    /// Each attempt waits as [`Transaction::commit`] does, with the whole of
    /// [`crate::Options::lock_timeout`] and [`crate::Options::outcome_timeout`]. The pauses are
    /// 63 ms at most in all.
    ///
    /// # Errors
    /// Those of `decide`, of [`Stack::snapshot`], of [`Transaction::commit`] and of
    /// [`Stack::lock`]. `Conflict` says that what `decide` expects is not what it was shown.
    pub fn transact<T, E: From<Error>>(
        &self,
        mut decide: impl FnMut(&Snapshot, &mut Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        for attempt in 0..ATTEMPTS {
            self.pause_before(attempt);
            let snapshot = self.snapshot()?;
            let mut tx = self.transaction();
            let value = decide(&snapshot, &mut tx)?;
            if tx.is_empty() {
                return Ok(value);
            }
            let Err(error) = tx.commit() else { return Ok(value) };
            let was_overtaken =
                error.kind() == ErrorKind::Conflict && self.snapshot()?.update_index() != snapshot.update_index();
            if !was_overtaken {
                return Err(error.into());
            }
            self.shared.env.counters.retries.add(1);
        }
        let locked = self.lock()?;
        let mut tx = self.transaction();
        let value = decide(locked.snapshot(), &mut tx)?;
        if !tx.is_empty() {
            locked.prepare(tx)?.commit()?;
        }
        Ok(value)
    }

    /// The first repetition comes at once; the next ones after up to 1 ms, 2 ms, 4 ms and so on.
    fn pause_before(&self, attempt: u32) {
        if let Some(doublings) = attempt.checked_sub(2) {
            let longest = Duration::from_millis(1 << doublings);
            let nanoseconds = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
            self.shared.env.dir.sleep(Duration::from_nanos(self.shared.env.dir.random() % nanoseconds));
        }
    }
}
