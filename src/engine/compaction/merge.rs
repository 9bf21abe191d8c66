//! The merge of a compaction, range by range, by as many threads as may work on it.

use std::io::Write;
use std::mem;
use std::ops;
use std::sync::Arc;

use super::Expiry;
use super::copy::Copier;
use super::emptied::Expirer;
use super::proof::{Account, Extent, check_ranges, check_sections};
use super::ranges::{Range, bytes_of_range, ranges};
use super::task::CompactionTask;
use crate::error::{Error, ErrorKind, Result};
use crate::format::header::{BlockKind, footer_len};
use crate::format::record::{LogRecord, Record, RefRecord, split_key};
use crate::invariant::{defect, invariant, violated};
use crate::merge::{Merge, Tally, Tombstones};
use crate::pool::{Pool, ThreadBudget};
use crate::table::{BlockRun, Cursor, RunWriter, Table, TableWriter, WholeBlock};

/// What the parts of a merge have in common.
struct SectionMerge {
    /// Oldest first.
    tables: Vec<Arc<Table>>,
    /// Those of them that blocks are copied from.
    sources: Vec<Arc<Table>>,
    kind: BlockKind,
    tombstones: Tombstones,
    expiry: Expiry,
}

/// The merge of one range, for any thread to do.
struct Subcompaction {
    section: Arc<SectionMerge>,
    range: Range,
    out: RunWriter,
}

/// A merge of whole tables.
pub(crate) struct MergeTask<'a> {
    /// Oldest first.
    pub(crate) tables: &'a [Arc<Table>],
    /// Whether nothing lies below them. Tombstones go only there.
    pub(crate) at_bottom: bool,
    /// Whether blocks are copied as they are, where nothing newer falls into them.
    pub(crate) copies: bool,
    /// Whether indexes lead to blocks to copy, and to where ranges begin. Otherwise all is read in
    /// order.
    pub(crate) trusts_indexes: bool,
    pub(crate) compaction: &'a CompactionTask<'a>,
    pub(crate) budget: &'a ThreadBudget,
}

/// Writes what the tables amount to.
pub(super) fn merge<W: Write>(task: &MergeTask<'_>, writer: &mut TableWriter<W>) -> Result<()> {
    let tombstones = if task.at_bottom { Tombstones::Hide } else { Tombstones::Show };
    let mut ends = Vec::new();
    for kind in [BlockKind::Ref, BlockKind::Log] {
        let mut sources = Vec::new();
        for table in task.tables.iter().filter(|_| task.copies && task.trusts_indexes) {
            sources.extend(writer.copies_from(table, kind)?.then(|| Arc::clone(table)));
        }
        let section = SectionMerge {
            tables: task.tables.to_vec(),
            sources,
            kind,
            tombstones,
            expiry: task.compaction.expiry.clone(),
        };
        ends.push(merge_section(&Arc::new(section), task, writer)?);
    }
    match ends.as_slice() {
        [refs, logs] => check_sections(task.tables, refs, logs),
        _ => Err(violated("a compaction has merged other sections than two")),
    }
}

/// Merges the ranges of a section, several at a time, and writes them in order. Returns where the
/// section ends in each table that has it.
fn merge_section<W: Write>(
    section: &Arc<SectionMerge>,
    task: &MergeTask<'_>,
    writer: &mut TableWriter<W>,
) -> Result<Vec<Option<u64>>> {
    let bytes = section.bytes();
    let room = bytes_of_range(&section.tables, section.kind);
    let ranges = if task.trusts_indexes { ranges(&section.tables, section.kind)? } else { vec![Range::default()] };
    check_ranges(&ranges)?;
    let (mut written, count) = (0, ranges.len() as u64);
    let mut account = Account::default();
    let mut ranges = ranges.into_iter();
    let mut pool = Pool::new(task.budget, task.budget.jobs_of(room), |(): &mut (), part: Subcompaction| part.merge());
    let mut is_first = writer.is_empty();
    loop {
        let merged = match ranges.next() {
            Some(range) => {
                let out = writer.piece_writer(section.kind, mem::take(&mut is_first), room);
                pool.put(Subcompaction { section: Arc::clone(section), range, out })?
            }
            None => match pool.take()? {
                None => break,
                merged => merged,
            },
        };
        let Some((range, piece)) = merged else { continue };
        let (mut piece, mut of_range) = piece?;
        if writer.is_empty() && !piece.is_empty() && !piece.has_header() {
            // All before it came to nothing, so the file starts with it.
            (piece, of_range) = section.merge(&range, writer.piece_writer(section.kind, true, room))?;
        }
        account.add(of_range);
        writer.append(section.kind, piece)?;
        written += 1;
        if !bytes.is_empty() {
            task.compaction.advance(bytes.start + (bytes.end - bytes.start).saturating_mul(written) / count)?;
        }
    }
    let section_written = writer.appended(section.kind);
    invariant!(written == count, "a compaction has merged {written} of {count} ranges");
    account.check(section.kind, section_written.records, section_written.keys)?;
    account.check_extents(&section.tables, section.kind)
}

impl Subcompaction {
    fn merge(self) -> (Range, Result<(BlockRun, Account)>) {
        let piece = self.section.merge(&self.range, self.out);
        (self.range, piece)
    }
}

impl SectionMerge {
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
    fn merge(&self, range: &Range, mut out: RunWriter) -> Result<(BlockRun, Account)> {
        let account = match self.kind {
            BlockKind::Log => self.merge_logs(range, &mut out)?,
            _ => self.merge_refs(range, &mut out)?,
        };
        Ok((out.into_run()?, account))
    }

    fn merge_refs(&self, range: &Range, out: &mut RunWriter) -> Result<Account> {
        self.walk(range, out, &mut RefSink { drop_tombstones: self.tombstones == Tombstones::Hide })
    }

    fn merge_logs(&self, range: &Range, out: &mut RunWriter) -> Result<Account> {
        let expirer = Expirer::new(&self.expiry, &self.tables, range)?;
        let mut sink = LogSink { drop_tombstones: self.tombstones == Tombstones::Hide, expiry: &self.expiry, expirer };
        let account = self.walk(range, out, &mut sink)?;
        sink.expirer.end(out)?;
        Ok(Account { expired: sink.expirer.expired, marked: sink.expirer.marked, ..account })
    }

    /// Hands each record in `range`, or whole blocks of them, to `sink`.
    #[inline(always)]
    fn walk<R: Record>(&self, range: &Range, out: &mut RunWriter, sink: &mut impl Sink<R>) -> Result<Account> {
        let mut merge = Merge::<R>::warming(&self.tables, self.tombstones, None);
        merge.seek(&range.from)?;
        let from = merge.places();
        let first = merge.front().map(|record| record.key().to_vec());
        let mut copier = Copier::new(self.sources.iter(), self.kind, &range.from, range.to.as_deref())?;
        while let Some(record) = merge.next()? {
            if range.to.as_ref().is_some_and(|to| record.key() >= to.as_slice()) {
                break;
            }
            if !copier.awaits(record) {
                sink.add(out, record).map_err(|error| refused(out, record, error))?;
            } else if !copier.copy(&mut merge, out, |out, block, limit| sink.copy(out, block, limit))? {
                let record = merge.front().ok_or_else(|| violated("a merge has lost the current record"))?;
                sink.add(out, record).map_err(|error| refused(out, record, error))?;
            }
        }
        let Tally { read, shadowed, hidden } = merge.tally();
        Ok(Account {
            read,
            shadowed,
            dropped: hidden,
            expired: 0,
            marked: 0,
            first,
            last: merge.last_key().map(<[u8]>::to_vec),
            extents: extents(&merge, &from),
        })
    }
}

/// What a merge has read of each table, which began at the places `from`.
fn extents<R: Record>(merge: &Merge<R>, from: &[(u64, usize)]) -> Vec<Extent> {
    let to = merge.places().into_iter().zip(merge.section_ends());
    from.iter().zip(to).map(|(from, (to, end))| Extent { from: *from, to, end, has_gap: false }).collect()
}

/// The error of a writer that refuses a record. Keys that do not ascend are a defect of the merge,
/// unless they do not in their table either.
#[cold]
fn refused<R: Record>(out: &RunWriter, record: &Cursor<R>, error: Error) -> Error {
    if error.kind() == ErrorKind::Invalid && record.key() <= out.last_key() {
        return defect(format!("a compaction comes to keys out of order: {}", error.message()));
    }
    record.refused(error)
}

/// The size of blocks that hold whatever those of the tables hold.
pub(super) fn largest_block(tables: &[Arc<Table>]) -> Result<u32> {
    let mut largest = 0;
    for table in tables {
        largest = table.longest_block()?.max(table.header().block_size.into()).max(largest);
    }
    Ok(u32::try_from(largest).unwrap_or(u32::MAX))
}

/// Where the records of a merge go.
trait Sink<R: Record> {
    /// Takes a record.
    fn add(&mut self, out: &mut RunWriter, record: &Cursor<R>) -> Result<()>;

    /// Takes a block, which ends before the key `limit`; or leaves it, and says `false`.
    fn copy(&mut self, out: &mut RunWriter, block: &WholeBlock<'_>, limit: Option<&[u8]>) -> Result<bool>;
}

struct RefSink {
    drop_tombstones: bool,
}

impl Sink<RefRecord> for RefSink {
    #[inline(always)]
    fn add(&mut self, out: &mut RunWriter, record: &Cursor<RefRecord>) -> Result<()> {
        out.add_ref_within(record.view())
    }

    fn copy(&mut self, out: &mut RunWriter, block: &WholeBlock<'_>, limit: Option<&[u8]>) -> Result<bool> {
        out.copy_refs(block, limit, self.drop_tombstones)
    }
}

struct LogSink<'a> {
    drop_tombstones: bool,
    expiry: &'a Expiry,
    expirer: Expirer<'a>,
}

impl Sink<LogRecord> for LogSink<'_> {
    #[inline(always)]
    fn add(&mut self, out: &mut RunWriter, record: &Cursor<LogRecord>) -> Result<()> {
        match self.expiry.is_set() {
            true => self.expirer.add(out, &record.view()),
            false => out.add_log(&record.view()),
        }
    }

    fn copy(&mut self, out: &mut RunWriter, block: &WholeBlock<'_>, limit: Option<&[u8]>) -> Result<bool> {
        if let Some((name, _)) = block.first_key().and_then(split_key) {
            self.expirer.enter(out, name)?;
        }
        let copied = out.copy_logs(block, limit, |record| match record.entry {
            None => self.drop_tombstones,
            Some(_) => self.expiry.takes(record),
        })?;
        if copied {
            self.expirer.copied(out.last_key());
        }
        Ok(copied)
    }
}
