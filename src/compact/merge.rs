//! The merge of a compaction, record by record.

use std::io::Write;
use std::sync::Arc;

use super::{Expiry, Job};
use crate::error::Result;
use crate::merged::{Merged, Tombstones};
use crate::record::LogEntryView;
use crate::table::{Table, TableWriter};

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
    let merged = Merged::new(tables.to_vec());
    let mut refs = merged.refs(b"", tombstones)?;
    let mut count = 0u32;
    let mut look_up = || {
        count = count.wrapping_add(1);
        if count.is_multiple_of(RECORDS) { job.check() } else { Ok(()) }
    };
    while let Some(record) = refs.next()? {
        look_up()?;
        writer.add_ref(&record)?;
    }
    let mut logs = merged.logs(b"", tombstones)?;
    while let Some(record) = logs.next()? {
        look_up()?;
        if !record.entry.is_some_and(|entry| is_expired(&job.expiry, record.update_index, &entry)) {
            writer.add_log(&record)?;
        }
    }
    Ok(())
}

fn is_expired(expiry: &Expiry, update_index: u64, entry: &LogEntryView<'_>) -> bool {
    expiry.before_time.is_some_and(|time| entry.time < time)
        || expiry.before_update_index.is_some_and(|index| update_index < index)
}
