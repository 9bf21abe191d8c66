//! The merge of a compaction, range by range, by as many threads as may work on it.

use std::io::Write;
use std::mem;
use std::ops;
use std::sync::Arc;

use super::Expiry;
use super::job::Job;
use super::ranges::{Range, ranges};
use crate::error::Result;
use crate::format::{BlockKind, footer_len};
use crate::merged::{Merge, Tombstones};
use crate::pool::{Crew, Pool};
use crate::record::{LogEntryView, LogRecord, Record, RefRecord};
use crate::table::{Cursor, Piece, PieceWriter, Table, TableWriter};

/// What the parts of a merge have in common.
struct Section {
    /// Oldest first.
    tables: Vec<Arc<Table>>,
    kind: BlockKind,
    tombstones: Tombstones,
    expiry: Expiry,
}

/// The merge of one range, for any thread to do.
struct Part {
    section: Arc<Section>,
    range: Range,
    out: PieceWriter,
}

/// Writes what `tables`, oldest first, amount to. Tombstones go only `at_bottom` of the stack.
pub(super) fn merge<W: Write>(
    tables: &[Arc<Table>],
    at_bottom: bool,
    job: &Job<'_>,
    crew: &Crew,
    writer: &mut TableWriter<W>,
) -> Result<()> {
    let tombstones = if at_bottom { Tombstones::Hide } else { Tombstones::Show };
    for kind in [BlockKind::Ref, BlockKind::Log] {
        let section = Section { tables: tables.to_vec(), kind, tombstones, expiry: job.expiry };
        merge_section(&Arc::new(section), job, crew, writer)?;
    }
    Ok(())
}

/// Merges the ranges of a section, several at a time, and writes them in order. What is under way takes about a range of memory
/// for each thread, and one more.
fn merge_section<W: Write>(
    section: &Arc<Section>,
    job: &Job<'_>,
    crew: &Crew,
    writer: &mut TableWriter<W>,
) -> Result<()> {
    let bytes = section.bytes();
    let ranges = ranges(&section.tables, section.kind)?;
    let (mut written, count) = (0, ranges.len() as u64);
    let mut ranges = ranges.into_iter();
    let mut pool = Pool::new(crew, crew.threads() + 1, |(): &mut (), part: Part| part.merge());
    let mut is_first = writer.is_empty();
    loop {
        let merged = match ranges.next() {
            Some(range) => {
                let out = writer.piece_writer(mem::take(&mut is_first));
                pool.put(Part { section: Arc::clone(section), range, out })?
            }
            None => match pool.take()? {
                None => return Ok(()),
                merged => merged,
            },
        };
        let Some((range, piece)) = merged else { continue };
        let mut piece = piece?;
        if writer.is_empty() && !piece.is_empty() && !piece.has_header() {
            // All before it came to nothing, so the file starts with it.
            piece = section.merge(&range, &mut writer.piece_writer(true))?;
        }
        writer.append(section.kind, piece)?;
        written += 1;
        if !bytes.is_empty() {
            job.advance(bytes.start + (bytes.end - bytes.start).saturating_mul(written) / count)?;
        }
    }
}

impl Part {
    fn merge(mut self) -> (Range, Result<Piece>) {
        let piece = self.section.merge(&self.range, &mut self.out);
        (self.range, piece)
    }
}

impl Section {
    /// Its place in all bytes of the tables, as if they were one table.
    fn bytes(&self) -> ops::Range<u64> {
        let sum = |bytes: fn(&Table) -> u64| self.tables.iter().map(|table| bytes(table)).sum::<u64>();
        match self.kind {
            BlockKind::Log => {
                let footers = sum(|table| footer_len(table.header().version) as u64);
                let end = sum(Table::file_size).saturating_sub(footers);
                end.saturating_sub(sum(|table| table.section_len(BlockKind::Log)))..end
            }
            _ => 0..sum(|table| table.section_len(BlockKind::Ref)),
        }
    }

    /// The blocks of one range.
    fn merge(&self, range: &Range, out: &mut PieceWriter) -> Result<Piece> {
        match self.kind {
            BlockKind::Log => self.merge_logs(range, out)?,
            _ => self.merge_refs(range, out)?,
        }
        out.finish()
    }

    fn merge_refs(&self, range: &Range, out: &mut PieceWriter) -> Result<()> {
        self.walk::<RefRecord>(range, |record| out.add_ref(&record.view()))
    }

    fn merge_logs(&self, range: &Range, out: &mut PieceWriter) -> Result<()> {
        self.walk::<LogRecord>(range, |record| {
            let record = record.view();
            match record.entry.is_some_and(|entry| is_expired(&self.expiry, record.update_index, &entry)) {
                true => Ok(()),
                false => out.add_log(&record),
            }
        })
    }

    /// Hands each record in `range` to `each`.
    #[inline(always)]
    fn walk<R: Record>(&self, range: &Range, mut each: impl FnMut(&Cursor<R>) -> Result<()>) -> Result<()> {
        let mut merge = Merge::<R>::in_passing(&self.tables, self.tombstones);
        merge.seek(&range.from)?;
        while let Some(record) = merge.next()? {
            if range.to.as_ref().is_some_and(|to| record.key() >= to.as_slice()) {
                break;
            }
            each(record)?;
        }
        Ok(())
    }
}

fn is_expired(expiry: &Expiry, update_index: u64, entry: &LogEntryView<'_>) -> bool {
    expiry.before_time.is_some_and(|time| entry.time < time)
        || expiry.before_update_index.is_some_and(|index| update_index < index)
}
