//! Read, decide, commit; and again if another commit was faster (optimistic concurrency control).

use std::time::Duration;

use super::Transaction;
use crate::error::{Error, ErrorKind};
use crate::snapshot::Snapshot;
use crate::stack::Stack;

/// How often a transaction is tried.
const ATTEMPTS: u32 = 32;

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

impl Stack {
    /// Reads, decides and commits; starts over when the decision was overtaken.
    ///
    /// `decide` gets the newest state and an empty transaction, and says with [`crate::Expect`]
    /// what its decision rests on: that is what is checked. If another commit has made it untrue,
    /// `decide` is called again with the state of then, up to 32 times, with pauses that grow and
    /// jitter. A conflict with the very state that was shown is returned at once: trying again
    /// would not help. So is every other error, of `decide` or of the commit. A transaction without
    /// changes is not committed.
    ///
    /// Each attempt waits as [`Transaction::commit`] does, with the whole of
    /// [`crate::Options::lock_timeout`] and [`crate::Options::outcome_timeout`]. The pauses are 50
    /// ms at most, and 1.4 s at most in all.
    ///
    /// # Errors
    /// Those of `decide`, of [`Stack::snapshot`] and of [`Transaction::commit`]; the last
    /// `Conflict` when every attempt was overtaken.
    pub fn transact<T, E: From<Error>>(
        &self,
        mut decide: impl FnMut(&Snapshot, &mut Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut attempt = 1;
        loop {
            let snapshot = self.snapshot()?;
            let mut tx = self.transaction();
            let value = decide(&snapshot, &mut tx)?;
            if tx.is_empty() {
                return Ok(value);
            }
            let Err(error) = tx.commit() else { return Ok(value) };
            let was_overtaken =
                error.kind() == ErrorKind::Conflict && self.snapshot()?.update_index() != snapshot.update_index();
            if !was_overtaken || attempt == ATTEMPTS {
                return Err(error.into());
            }
            self.shared.env.counters.retries.add(1);
            self.pause(attempt);
            attempt += 1;
        }
    }

    /// The first repetition comes at once; then up to 1 ms, 2 ms, 4 ms and so on.
    fn pause(&self, attempt: u32) {
        let longest = Duration::from_micros(500).saturating_mul(1 << attempt.min(16)).min(LONGEST_PAUSE);
        if attempt > 1 {
            let nanoseconds = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
            self.shared.env.dir.sleep(Duration::from_nanos(self.shared.env.dir.random() % nanoseconds));
        }
    }
}
