//! What every store of tables does, wherever its tables are: no function here does any I/O.
//!
//! [`crate::Stack`] stands on it, with its tables in a directory that many processes share. So can
//! another engine, with tables in memory, in an object store or in a database. What an engine adds
//! is a place for tables, a list of those that count, and a way to replace that list atomically if
//! it is still the one that was read; and what it promises to readers and after a crash.
//!
//! - [`snapshot`]: the state that some tables make up; [`crate::table::Table::open`] opens each.
//! - [`WriteGroup`]: what the state will be after some [`Changeset`]s, written as one table.
//! - [`table_name`]: what that table is called; [`update_indexes_of_name`]: what such a name says.
//! - [`compaction_due`]: which tables should become one.
//! - [`merge_tables`]: how they become one.
//!
//! An engine in memory, whole:
//!
//! ```
//! use std::sync::Arc;
//!
//! use reftable::engine::{self, AutoCompact, Changeset, Expiry, WriteGroup};
//! use reftable::table::{Table, WriteOptions};
//! use reftable::{Expect, ObjectId, Result, Snapshot};
//!
//! #[derive(Default)]
//! struct Memory {
//!     tables: Vec<Arc<Table>>,
//!     names: u64,
//! }
//!
//! impl Memory {
//!     fn snapshot(&self) -> Result<Snapshot> {
//!         engine::snapshot(self.tables.clone(), None)
//!     }
//!
//!     /// A table of these bytes. Two with the same update indexes need two names.
//!     fn table(&mut self, min: u64, max: u64, bytes: Vec<u8>) -> Result<Arc<Table>> {
//!         self.names += 1;
//!         Table::open(engine::table_name(min, max, self.names), bytes).map(Arc::new)
//!     }
//!
//!     /// Commits all of them in one table, and says of each whether it did.
//!     fn commit(&mut self, all: Vec<Changeset>) -> Result<Vec<Result<u64>>> {
//!         let base = self.snapshot()?;
//!         let mut group = WriteGroup::new(&base);
//!         let results = all.into_iter().map(|changes| group.admit(changes)).collect();
//!         if !group.is_empty() {
//!             let (min, max) = group.update_indexes().into_inner();
//!             let table = group.write(Vec::new(), &WriteOptions::default())?;
//!             let table = self.table(min, max, table)?;
//!             self.tables.push(table);
//!         }
//!         Ok(results)
//!     }
//!
//!     fn compact(&mut self) -> Result<()> {
//!         let (base, options) = (self.snapshot()?, WriteOptions::default());
//!         let due = engine::compaction_due(&base, AutoCompact::Geometric(2), u64::MAX);
//!         let Some(due) = due else { return Ok(()) };
//!         let nothing_expires = Expiry::default();
//!         let create = || Ok(Vec::new());
//!         let (bytes, _) =
//!             engine::merge_tables(&base, due.clone(), nothing_expires, &options, create)?;
//!         let header = |position: usize| base.tables()[position].header();
//!         let min = header(due.start).min_update_index;
//!         let max = header(due.end - 1).max_update_index;
//!         let merged = self.table(min, max, bytes)?;
//!         self.tables.splice(due, [merged]);
//!         Ok(())
//!     }
//! }
//!
//! let id: ObjectId = "2e6f9b0d5885b6010f9167787445617f553a735f".parse()?;
//! let set = |name: String, expect| {
//!     let mut changes = Changeset::new();
//!     changes.set(name, expect, id);
//!     changes
//! };
//! let mut store = Memory::default();
//! for number in 0..20 {
//!     let name = format!("refs/heads/{number:02}");
//!     // The second of the group sees what the first has done, and is refused.
//!     let both = vec![set(name.clone(), Expect::Absent), set(name, Expect::Absent)];
//!     let results = store.commit(both)?;
//!     assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
//!     store.compact()?;
//! }
//! assert!(store.tables.len() < 5);
//! let snapshot = store.snapshot()?;
//! assert_eq!(snapshot.get("refs/heads/07")?.map(|found| found.target), Some(id.into()));
//! assert_eq!(snapshot.refs()?.into_iter().count(), 20);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batch;
mod check;
mod compaction;
mod directories;
mod policy;
mod rows;
mod state;
mod view;

pub use batch::WriteGroup;
pub(crate) use compaction::{CompactionTask, MergeTask, OnProgress, merge_somehow, update_indexes, write_merged};
pub use compaction::{Expiry, Progress, merge_tables};
pub use policy::{AutoCompact, compaction_due};
pub(crate) use state::check_hash;
pub use state::{snapshot, table_name, update_indexes_of_name};

pub use crate::changeset::Changeset;
