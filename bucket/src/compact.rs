//! Merging of large tables, apart from commits.

use std::ops::Range;

use reftable::Snapshot;
use reftable::engine;

use crate::backend::Bucket;
use crate::claim::Claim;
use crate::error::Result;
use crate::mutant::{self, Mutant};
use crate::plan::{self, Next};
use crate::store::{Inner, Store};

/// What to merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compact {
    /// What the rule of the store's options would merge, if that is due.
    Due,
    /// All tables.
    All,
}

impl<B: Bucket> Store<B> {
    /// Merges tables into one. Whether it did: nothing may be due, or another machine may be
    /// merging the same, or have done so meanwhile.
    ///
    /// The merge runs beside commits; only the swap of the root is done in their place. What is
    /// more than commits merge is claimed first, so that one machine does it. Costs memory for all
    /// that is merged.
    ///
    /// # Errors
    /// `Missing` if there is no store; `Corrupt`; `TooLarge`; `Unavailable` after the time-out;
    /// `Denied`; `Indeterminate`, if it is not known whether the tables were replaced: no record is
    /// lost in either case.
    pub async fn compact(&self, what: Compact) -> Result<bool> {
        let inner = self.inner();
        let state = self.within_time(inner.refresh()).await?;
        let Some(range) = inner.due(&state.snapshot, what) else { return Ok(false) };
        let inputs = state.snapshot.tables().get(range.clone()).unwrap_or_default();
        let bytes = inputs.iter().map(|table| table.file_size()).sum();
        let is_large = bytes > inner.options.small_merge;
        let claim = if is_large { self.within_time(inner.claim_compaction(bytes)).await? } else { Claim::Unclear };
        if matches!(claim, Claim::Theirs) {
            return Ok(false);
        }
        let names: Vec<String> = inputs.iter().map(|table| table.name().to_owned()).collect();
        let done = match plan::merge(&state.snapshot, range, &inner.options) {
            Ok(merged) => self.within_time_of(bytes, inner.put_merged(&names, merged)).await,
            Err(error) => Err(error),
        };
        inner.release_compaction(claim).await;
        done
    }
}

/// A merged table: update indexes and bytes; `None` if nothing is left.
type Merged = Option<(u64, u64, Vec<u8>)>;

impl<B: Bucket> Inner<B> {
    fn due(&self, snapshot: &Snapshot, what: Compact) -> Option<Range<usize>> {
        match what {
            Compact::Due => engine::compaction_due(snapshot, self.options.compact, u64::MAX),
            Compact::All => (snapshot.tables().len() > 1).then_some(0..snapshot.tables().len()),
        }
    }

    /// 1. Read the root, while none of our handle commits. 2. If the merged tables are there in one
    ///    piece, write the new one and swap; if not, another machine has merged them. 3. A swap
    ///    that is refused: delete the new one, and go back to 1.
    async fn put_merged(&self, inputs: &[String], merged: Merged) -> Result<bool> {
        let mut lead = self.lead.lock().await;
        // What another leader of this handle has begun ends first.
        self.finish_flight(&mut lead).await;
        loop {
            let state = self.refresh().await?;
            let names: Vec<&str> = state.snapshot.tables().iter().map(|table| table.name()).collect();
            let Some(start) = names.windows(inputs.len()).position(|run| run == inputs) else { return Ok(false) };
            let id = self.bucket.random()?;
            let context = self.context(&lead, id);
            let mut next = Next::after(&state, &context);
            next.put(start..start + inputs.len(), merged.clone(), id, &context)?;
            self.put_apart(&mut next).await?;
            if mutant::is_on(Mutant::DeleteInputsEarly) {
                self.delete_all(&next.replaced).await;
            }
            let written: Vec<String> = next.written.clone();
            if self.swap(&mut lead, &state, id, next).await? {
                return Ok(true);
            }
            self.delete_all(&written).await;
        }
    }
}
