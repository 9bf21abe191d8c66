//! Many tables become one: by ranges of keys, whole blocks where nothing newer falls into them, and
//! with a proof that nothing was lost.

mod copy;
mod emptied;
mod expiry;
mod merge;
mod pattern;
mod proof;
mod ranges;
mod task;

pub use expiry::Expiry;
pub(crate) use merge::MergeTask;
pub use task::Progress;
pub(crate) use task::{CompactionTask, OnProgress};

use std::io::Write;
use std::ops::{ControlFlow, Range, RangeInclusive};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::pool::ThreadBudget;
use crate::snapshot::Snapshot;
use crate::table::{Table, TableStats, TableWriter, WriteOptions};
use task::Cancellable;

/// Merges the tables of `snapshot` at these positions into one, which may take their place, and
/// says what it holds. Leaves out what is overwritten, what `expiry` says, and tombstones if the
/// range begins with the oldest table. `create` gives what to write to; it is asked a second time
/// if a record of the inputs does not fit into a block of this size.
///
/// If nothing was written, the tables may go without one in their place, unless the newest is among
/// them: it has the largest update index, which must not be used again.
///
/// # Errors
/// `Invalid` for a range without tables; `Corrupt`, with file and offset; `TooLarge` beyond the
/// limit of [`WriteOptions::max_table_size`]; those of `create`; `Io`, as its output says.
pub fn merge_tables<W: Write>(
    snapshot: &Snapshot,
    range: Range<usize>,
    expiry: Expiry,
    options: &WriteOptions,
    mut create: impl FnMut() -> Result<W>,
) -> Result<(W, TableStats)> {
    let at_bottom = range.start == 0;
    let tables = snapshot.tables().get(range).unwrap_or_default();
    let on_progress = |_| ControlFlow::Continue(());
    let (compaction, budget) = (CompactionTask::new(expiry, false, &on_progress), ThreadBudget::single());
    merge_somehow(tables, options, |options, trusts_indexes| {
        let task =
            MergeTask { tables, at_bottom, copies: true, trusts_indexes, compaction: &compaction, budget: &budget };
        write_merged(&task, options, create()?)
    })
}

/// Merges tables into one. With [`merge_somehow`] all of them fit.
pub(crate) fn write_merged<W: Write>(task: &MergeTask<'_>, options: &WriteOptions, out: W) -> Result<(W, TableStats)> {
    let MergeTask { tables, compaction, budget, .. } = *task;
    let hash = tables.last().map(|table| table.hash()).ok_or_else(no_tables)?;
    let writer = TableWriter::new(Cancellable { out, task: compaction }, hash, update_indexes(tables)?, options)?;
    let mut writer = writer.with_thread_budget(budget);
    merge::merge(task, &mut writer).map_err(|error| proof::explain(error, tables))?;
    let (out, written) = writer.finish()?;
    Ok((out.out, written))
}

/// What `merge` gives with these options; or without the indexes of `tables`, if something is
/// damaged, which may be one of those: a scan of everything in order needs none. Or with blocks
/// that hold whatever those of `tables` hold.
///
/// A record that filled a block of its own table may not fit into one of the merged table: its
/// update index takes more bytes there, the first block has the header in it, and others may write
/// larger blocks than we do. So if something is too large, it is tried once more.
pub(crate) fn merge_somehow<T>(
    tables: &[Arc<Table>],
    options: &WriteOptions,
    mut merge: impl FnMut(&WriteOptions, bool) -> Result<T>,
) -> Result<T> {
    let bytes: u64 = tables.iter().map(|table| table.file_size()).sum();
    let mut merge = |options: &WriteOptions| match merge(options, true) {
        Err(error) if error.kind() == ErrorKind::Corrupt => merge(options, false),
        merged => merged,
    };
    match merge(options) {
        Err(error) if error.kind() == ErrorKind::TooLarge && bytes <= options.largest_table() => {
            merge(&options.clone().with_room_for(merge::largest_block(tables)?))
        }
        merged => merged,
    }
}

/// The update indexes of all tables together.
pub(crate) fn update_indexes(tables: &[Arc<Table>]) -> Result<RangeInclusive<u64>> {
    let range = tables.iter().map(least).min().zip(tables.iter().map(most).max());
    range.map(|(min, max)| min..=max).ok_or_else(no_tables)
}

fn no_tables() -> Error {
    Error::invalid("there are no tables to compact")
}

/// The smallest update index of a table, also of one in which they run backwards.
fn least(table: &Arc<Table>) -> u64 {
    table.header().min_update_index.min(table.header().max_update_index)
}

fn most(table: &Arc<Table>) -> u64 {
    table.header().max_update_index
}
