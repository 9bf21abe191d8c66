//! What a store consists of.

use std::ops::Range;
use std::time::Duration;

use reftable::engine;

use crate::backend::Bucket;
use crate::error::Result;
use crate::store::Store;

/// What a store consists of, as its root says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many times the root was written.
    pub edition: u64,
    /// Bytes of the root, with the tables in it.
    pub root_bytes: u64,
    /// Of how many editions, this one included, their writers can learn that they have written
    /// them.
    pub remembered: u64,
    /// How long ago the oldest edition whose writer is known was written before the newest, by the
    /// writers' clocks.
    pub history: Duration,
    /// Oldest first.
    pub tables: Vec<TableStats>,
    /// Which of them are to be merged, if a compaction is due.
    pub compaction_due: Option<Range<usize>>,
}

/// A table of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableStats {
    /// Its name, which is that of its object if it is not inline.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Whether its bytes are in the root.
    pub is_inline: bool,
}

impl<B: Bucket> Store<B> {
    /// Reads the newest state, and says what it consists of.
    ///
    /// # Errors
    /// As [`Self::snapshot`].
    pub async fn stats(&self) -> Result<Stats> {
        let snapshot = self.snapshot().await?;
        let inner = self.inner();
        let state = inner.cached();
        let root = state.as_ref().and_then(|state| state.root());
        let remembered = root.map_or(0, |root| root.edition.saturating_sub(root.history.forgotten));
        let history = root.map_or(Duration::ZERO, |root| root.history.span());
        let tables = root.map(|root| root.tables.iter());
        let table = |line: &crate::root::TableLine| TableStats {
            name: line.name.clone(),
            bytes: line.len,
            is_inline: line.inline.is_some(),
        };
        Ok(Stats {
            edition: root.map_or(0, |root| root.edition),
            root_bytes: root.map_or(0, |root| root.print().len() as u64),
            remembered,
            history,
            tables: tables.into_iter().flatten().map(table).collect(),
            compaction_due: engine::compaction_due(&snapshot, inner.options.compact, u64::MAX),
        })
    }
}
