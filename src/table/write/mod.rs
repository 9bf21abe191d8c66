//! Writing a table: runs of blocks, made anew or copied, and the indexes over them.

mod block_copy;
mod fill_factor;
mod object_index;
mod options;
mod radix_sort;
mod run;
mod stats;
mod writer;

pub use options::WriteOptions;
pub(crate) use run::{BlockRun, RunWriter};
pub use stats::{SectionStats, TableStats};
pub use writer::TableWriter;
