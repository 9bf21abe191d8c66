//! Reading a table: look-ups, scans of its records, and its blocks one by one.

mod bloom;
mod cursor;
mod dump;
mod index_cache;
mod index_walk;
mod log_range;
mod lookup;
mod parts;
mod pointing_at;
mod single_block;
mod sorted_keys;
mod whole_block;

pub(crate) use bloom::NameHash;
pub(crate) use cursor::{Cursor, Ran};
pub use dump::{BlockDump, Blocks, RecordView};
pub(crate) use index_cache::{IndexCache, WarmUp};
pub(crate) use index_walk::IndexWalk;
pub(crate) use parts::PartialTable;
pub use pointing_at::PointingAt;
pub(crate) use pointing_at::refs_pointing_at;
pub(crate) use whole_block::WholeBlock;
