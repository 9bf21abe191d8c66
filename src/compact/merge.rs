//! The merge of a compaction, record by record.

use std::io::Write;
use std::sync::Arc;

use super::Expiry;
use crate::error::Result;
use crate::merged::{Merged, Tombstones};
use crate::record::LogEntryView;
use crate::table::{Table, TableWriter};

/// Writes what `tables`, oldest first, amount to. Tombstones go only `at_bottom` of the stack.
pub(super) fn merge<W: Write>(
    tables: &[Arc<Table>],
    at_bottom: bool,
    expiry: &Expiry,
    writer: &mut TableWriter<W>,
) -> Result<()> {
    let tombstones = if at_bottom { Tombstones::Hide } else { Tombstones::Show };
    let merged = Merged::new(tables.to_vec());
    let mut refs = merged.refs(b"", tombstones)?;
    while let Some(record) = refs.next()? {
        writer.add_ref(&record)?;
    }
    let mut logs = merged.logs(b"", tombstones)?;
    while let Some(record) = logs.next()? {
        if !record.entry.is_some_and(|entry| is_expired(expiry, record.update_index, &entry)) {
            writer.add_log(&record)?;
        }
    }
    Ok(())
}

fn is_expired(expiry: &Expiry, update_index: u64, entry: &LogEntryView<'_>) -> bool {
    expiry.before_time.is_some_and(|time| entry.time < time)
        || expiry.before_update_index.is_some_and(|index| update_index < index)
}
