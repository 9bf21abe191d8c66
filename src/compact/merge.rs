//! The merge of a compaction, range by range.

use std::io::Write;
use std::sync::Arc;

use super::ranges::{Range, ranges};
use super::{Expiry, Job};
use crate::error::Result;
use crate::format::BlockKind;
use crate::merged::{Merge, Tombstones};
use crate::record::{LogEntryView, LogRecord, Record, RefRecord};
use crate::table::{Cursor, Piece, PieceWriter, Table, TableWriter};

/// After how many records a merge looks whether it should stop: some tens of microseconds.
const RECORDS: u32 = 1024;

/// Writes what `tables`, oldest first, amount to. Tombstones go only `at_bottom` of the stack.
pub(super) fn merge<W: Write>(
    tables: &[Arc<Table>],
    at_bottom: bool,
    job: &Job<'_>,
    writer: &mut TableWriter<W>,
) -> Result<()> {
    let tombstones = if at_bottom { Tombstones::Hide } else { Tombstones::Show };
    for kind in [BlockKind::Ref, BlockKind::Log] {
        for range in ranges(tables, kind)? {
            // The first range may come to nothing; then the next is the first.
            let out = writer.piece_writer(writer.is_empty());
            writer.append(kind, merge_range(tables, kind, &range, tombstones, job, out)?)?;
        }
    }
    Ok(())
}

/// The blocks of one range: of references, or of logs.
fn merge_range(
    tables: &[Arc<Table>],
    kind: BlockKind,
    range: &Range,
    tombstones: Tombstones,
    job: &Job<'_>,
    mut out: PieceWriter,
) -> Result<Piece> {
    match kind {
        BlockKind::Log => walk::<LogRecord>(tables, range, tombstones, job, |record| {
            let record = record.view();
            match record.entry.is_some_and(|entry| is_expired(&job.expiry, record.update_index, &entry)) {
                true => Ok(()),
                false => out.add_log(&record),
            }
        })?,
        _ => walk::<RefRecord>(tables, range, tombstones, job, |record| out.add_ref(&record.view()))?,
    }
    out.finish()
}

/// Hands each record in `range` to `each`.
#[inline(always)]
fn walk<R: Record>(
    tables: &[Arc<Table>],
    range: &Range,
    tombstones: Tombstones,
    job: &Job<'_>,
    mut each: impl FnMut(&Cursor<R>) -> Result<()>,
) -> Result<()> {
    let mut merge = Merge::<R>::new(tables, tombstones);
    merge.seek(&range.from)?;
    let mut count = 0u32;
    while let Some(record) = merge.next()? {
        if range.to.as_ref().is_some_and(|to| record.key() >= to.as_slice()) {
            break;
        }
        count = count.wrapping_add(1);
        if count.is_multiple_of(RECORDS) {
            job.check()?;
        }
        each(record)?;
    }
    Ok(())
}

fn is_expired(expiry: &Expiry, update_index: u64, entry: &LogEntryView<'_>) -> bool {
    expiry.before_time.is_some_and(|time| entry.time < time)
        || expiry.before_update_index.is_some_and(|index| update_index < index)
}
