//! Writing a table in one pass: references, their index, objects, their index, logs, their index,
//! footer.

use std::io::{self, Write};
use std::mem;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::object_index::{IdRange, ObjectIndex, PART_BYTES};
use super::run::{BlockRun, IndexEntry, RunWriter};
use super::stats::TableStats;
use crate::error::{Error, ErrorKind, Result};
use crate::format::block::Added;
use crate::format::header::{BlockKind, Footer, Header, version_for};
use crate::format::record::{IndexRecord, IndexView};
use crate::invariant::{defect, violated};
use crate::mutant::{self, Mutant};
use crate::oid::HashKind;
use crate::pool::{Pool, ThreadBudget};
use crate::table::{Table, WriteOptions};
use crate::value::{LogRecordView, RefRecordView};

/// Blocks are handed to the writer below in pieces of at least this many bytes.
const CHUNK: usize = 128 * 1024;

/// About as many bytes as a reference takes in a block.
const USUAL_REF: usize = 24;

/// The most that an index entry takes besides its key: three integers, a restart, a share of the
/// block's frame.
const INDEX_ENTRY_OVERHEAD: usize = 32;

/// Writes one table to any [`Write`]. Records are added in order, references before logs.
///
/// Memory: 128 KiB and a block on their way out, one index entry a block, and with the object index
/// 16 bytes for each id.
#[derive(Debug)]
pub struct TableWriter<W: Write> {
    out: W,
    /// Bytes that are on their way to `out`.
    unwritten: Vec<u8>,
    options: WriteOptions,
    header: Header,
    footer: Footer,
    /// Where the next block will be, unless it follows the last one directly.
    next: u64,
    /// Padding after the last block: written only if another padded block follows.
    pending_padding: usize,
    /// Makes the blocks of all sections.
    blocks: RunWriter,
    /// The section that is being written.
    section: Option<BlockKind>,
    /// The blocks of the section, or of a level of its index, so far.
    index: Vec<IndexEntry>,
    /// The first key of the section, as far as it was appended in pieces.
    first_key: Vec<u8>,
    /// For each id of a reference: its first 12 bytes, then the number of its block.
    objects: Vec<u128>,
    /// Offsets of the reference blocks by number.
    ref_blocks: Vec<u64>,
    stats: TableStats,
    budget: Option<ThreadBudget>,
}

/// See [`TableWriter::appended`].
#[derive(Debug)]
pub(crate) struct Appended<'a> {
    /// Records in its blocks.
    pub(crate) records: u64,
    /// The first and the last key.
    pub(crate) keys: Option<(&'a [u8], &'a [u8])>,
}

impl<W: Write> TableWriter<W> {
    /// Starts a table whose records have update indexes in `update_indexes`.
    ///
    /// # Errors
    /// `Invalid` for options or ranges that make no table.
    pub fn new(out: W, hash: HashKind, update_indexes: RangeInclusive<u64>, options: &WriteOptions) -> Result<Self> {
        options.check()?;
        let (min_update_index, max_update_index) = update_indexes.into_inner();
        if min_update_index > max_update_index {
            return Err(Error::invalid("the update indexes of a table must not run backwards"));
        }
        let version = version_for(hash);
        let header = Header { version, block_size: options.block_size, min_update_index, max_update_index, hash };
        Ok(TableWriter {
            out,
            unwritten: Vec::new(),
            header,
            footer: Footer::default(),
            next: 0,
            pending_padding: 0,
            blocks: RunWriter::new(header, options, true),
            section: None,
            index: Vec::new(),
            first_key: Vec::new(),
            objects: Vec::new(),
            ref_blocks: Vec::new(),
            stats: TableStats::default(),
            budget: None,
            options: options.clone(),
        })
    }

    /// Lets others help where there is much to do. Then a large object section is made in parts,
    /// with a short block at the end of each, however many they are; and the writer below is
    /// flushed now and then while the ids are sorted: an error ends that.
    pub(crate) fn with_thread_budget(mut self, budget: &ThreadBudget) -> Self {
        self.budget = Some(budget.clone());
        self
    }

    /// Adds a reference or its tombstone. Names must ascend bytewise.
    ///
    /// # Errors
    /// `Invalid` when out of order or range, `TooLarge` when the record does not fit into a block
    /// or the file would exceed its limit, `Io`. After an error the table is not usable.
    pub fn add_ref(&mut self, record: &RefRecordView<'_>) -> Result<()> {
        if self.section != Some(BlockKind::Ref) {
            self.begin(BlockKind::Ref)?;
        }
        self.blocks.add_ref(record)?;
        self.delegation()
    }

    /// Adds a log entry or its tombstone. Names must ascend bytewise; the entries of a name, newest
    /// first.
    ///
    /// Update indexes may lie outside of the table's range: a tombstone repeats that of the entry
    /// it hides.
    ///
    /// # Errors
    /// As for [`Self::add_ref`], but for ranges.
    pub fn add_log(&mut self, record: &LogRecordView<'_>) -> Result<()> {
        if self.section != Some(BlockKind::Log) {
            self.begin(BlockKind::Log)?;
        }
        self.blocks.add_log(record)?;
        self.delegation()
    }

    /// A writer for block runs of this table. The first one must be said to be that, because it has
    /// the file header in it. Room for about `bytes` is made at once.
    pub(crate) fn piece_writer(&self, kind: BlockKind, is_first: bool, bytes: usize) -> RunWriter {
        let has_ids = kind == BlockKind::Ref && self.options.object_index;
        let ids = if has_ids { bytes / USUAL_REF } else { 0 };
        RunWriter::new(self.header, &self.options, is_first).with_room(bytes, ids)
    }

    /// Whether no block has been written: the next piece must be one with the file header.
    pub(crate) fn is_empty(&self) -> bool {
        self.next == 0
    }

    /// Whether blocks of `table` may be copied into pieces of this one as they are, and are worth
    /// it.
    ///
    /// References store their update indexes as differences to the smallest of their table, so that
    /// has to be the same. Padding may differ: it is written anew.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset, if the table's index cannot be read.
    pub(crate) fn copies_from(&self, table: &Arc<Table>, kind: BlockKind) -> Result<bool> {
        let (ours, theirs) = (&self.header, table.header());
        let same_minimum = kind != BlockKind::Ref
            || theirs.min_update_index == ours.min_update_index
            || mutant::is_on(Mutant::CopyWrongDeltas);
        let is_alike = theirs.hash == ours.hash && theirs.block_size == ours.block_size && same_minimum;
        Ok(is_alike && table.is_well_filled(kind, &self.options)?)
    }

    /// Appends a piece of references or of logs, as if its records were added one by one, but for
    /// the current block, which ends. An empty one changes nothing.
    ///
    /// # Errors
    /// As for [`Self::add_ref`].
    pub(crate) fn append(&mut self, kind: BlockKind, piece: BlockRun) -> Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        if self.section != Some(kind) {
            self.begin(kind)?;
        }
        let own = self.blocks.finish()?;
        self.put(own)?;
        if piece.has_header != self.is_empty() {
            return Err(violated("the first piece of a table, and no other, must have the file header"));
        }
        if self.index.last().is_some_and(|last| last.last_key >= piece.first_key) {
            let shown = crate::escape::escaped(&piece.first_key);
            return Err(defect(format!("the key '{shown}' of a piece is not above the one before it")));
        }
        if self.index.is_empty() {
            piece.first_key.clone_into(&mut self.first_key);
        }
        self.put(piece)?;
        let last_key = self.index.last().map(|last| last.last_key.as_slice()).unwrap_or_default();
        self.blocks.continue_behind(last_key);
        Ok(())
    }

    /// What [`Self::append`] has written of the section of `kind`, which is not ended.
    pub(crate) fn appended(&self, kind: BlockKind) -> Appended<'_> {
        let last = self.index.last().filter(|_| self.section == Some(kind));
        let keys = last.map(|last| (self.first_key.as_slice(), last.last_key.as_slice()));
        let entries =
            if kind == BlockKind::Log { self.stats.log_section.entries } else { self.stats.ref_section.entries };
        Appended { records: entries, keys }
    }

    /// Ends the table and returns the writer below, not flushed or synced.
    ///
    /// # Errors
    /// `TooLarge` when the file would exceed its limit, `Io`.
    pub fn finish(mut self) -> Result<(W, TableStats)> {
        match self.section {
            Some(BlockKind::Ref) => self.finish_refs()?,
            Some(BlockKind::Log) => self.footer.log_index = self.finish_section()?,
            _ => {}
        }
        self.next -= mem::take(&mut self.pending_padding) as u64;
        let before = self.unwritten.len();
        if self.next == 0 {
            self.header.encode(&mut self.unwritten);
        }
        self.footer.encode(&self.header, &mut self.unwritten);
        self.stats.bytes = self.next + (self.unwritten.len() - before) as u64;
        self.check_size(self.stats.bytes)?;
        self.write_out()?;
        Ok((self.out, self.stats))
    }

    /// What was written so far.
    #[must_use]
    pub fn stats(&self) -> TableStats {
        let mut stats = self.stats;
        stats.count(self.section, self.blocks.finished(), self.next);
        stats
    }

    fn write_out(&mut self) -> Result<()> {
        write_all(&mut self.out, &self.unwritten)?;
        self.unwritten.clear();
        Ok(())
    }

    fn check_size(&self, bytes: u64) -> Result<()> {
        if bytes <= self.options.max_table_size {
            return Ok(());
        }
        let message = format!("the table would exceed {} bytes", self.options.max_table_size);
        Err(Error::new(ErrorKind::TooLarge, message).way_out("git cannot read offsets beyond 4 GiB; split the change"))
    }

    fn begin(&mut self, section: BlockKind) -> Result<()> {
        match (self.section, section) {
            (None, BlockKind::Ref) if self.is_empty() => {}
            (_, BlockKind::Ref) => return Err(Error::invalid("references must be written before logs")),
            (_, BlockKind::Log) => {
                self.finish_refs()?;
                // Logs follow the last block directly.
                self.next -= mem::take(&mut self.pending_padding) as u64;
                self.footer.log = self.next;
            }
            _ => {}
        }
        self.section = Some(section);
        self.blocks.begin_section();
        Ok(())
    }

    /// Takes the blocks that are finished, once they are worth it.
    #[inline]
    fn delegation(&mut self) -> Result<()> {
        if self.blocks.len() < CHUNK {
            return Ok(());
        }
        let piece = self.blocks.take();
        self.put(piece)
    }

    /// Writes the blocks of a piece, and notes them for the index.
    fn put(&mut self, piece: BlockRun) -> Result<()> {
        self.stats.count(self.section, &piece, self.next);
        if self.section == Some(BlockKind::Ref) {
            let first = self.ref_blocks.len() as u128;
            self.objects.extend(piece.objects.iter().map(|object| object + first));
            self.ref_blocks.extend(piece.blocks.iter().map(|block| self.next + block.offset));
        }
        if piece.is_empty() {
            return Ok(());
        }
        let place = |block: IndexEntry| IndexEntry { offset: self.next + block.offset, ..block };
        self.index.extend(piece.blocks.into_iter().map(place));
        self.unwritten.resize(self.unwritten.len() + mem::replace(&mut self.pending_padding, piece.padding), 0);
        self.next += piece.bytes.len() as u64;
        self.check_size(self.next)?;
        self.next += piece.padding as u64;
        if piece.bytes.len() < CHUNK {
            self.unwritten.extend_from_slice(&piece.bytes);
            return if self.unwritten.len() >= CHUNK { self.write_out() } else { Ok(()) };
        }
        self.write_out()?;
        write_all(&mut self.out, &piece.bytes)
    }

    /// Ends the reference section, and writes the object section if there is an index for it to
    /// speed up.
    fn finish_refs(&mut self) -> Result<()> {
        if self.section != Some(BlockKind::Ref) {
            return Ok(());
        }
        self.footer.ref_index = self.finish_section()?;
        let objects = mem::take(&mut self.objects);
        if self.footer.ref_index > 0 && self.options.object_index {
            self.write_objects(objects)?;
        }
        self.ref_blocks = Vec::new();
        Ok(())
    }

    /// Writes the last block of a section and the index over its blocks, bottom up.
    /// Returns the offset of the topmost level, 0 when the section is too small for an index.
    fn finish_section(&mut self) -> Result<u64> {
        let threshold = if self.options.padding { 3 } else { 1 };
        let mut root = 0;
        let of = self.section.ok_or_else(|| violated("a section ends that was not begun"))?;
        self.finish_blocks()?;
        let (before, mut levels) = (self.stats.indexes.blocks, 0);
        while self.index.len() > threshold {
            let below = mem::take(&mut self.index);
            if !self.index_would_shrink(&below)? {
                break;
            }
            root = self.next;
            levels += 1;
            self.section = Some(BlockKind::Index);
            for entry in &below {
                let view = IndexView { last_key: &entry.last_key, block: entry.offset };
                self.blocks.add_ordered::<IndexRecord>(&entry.last_key, &view)?;
                self.delegation()?;
            }
            self.finish_blocks()?;
        }
        self.index.clear();
        self.section = None;
        let index_blocks = self.stats.indexes.blocks - before;
        let section = self.stats.of(of);
        (section.index_blocks, section.index_levels, section.index_offset) = (index_blocks, levels, root);
        Ok(root)
    }

    fn finish_blocks(&mut self) -> Result<()> {
        let piece = self.blocks.finish()?;
        self.put(piece)
    }

    /// Whether an index over these blocks takes fewer blocks than they are. With names of half a
    /// block and more it may not; an index is optional, so the level below then stays the topmost.
    fn index_would_shrink(&self, below: &[IndexEntry]) -> Result<bool> {
        let longest = below.iter().map(|entry| entry.last_key.len()).max().unwrap_or(0);
        if 2 * (longest + INDEX_ENTRY_OVERHEAD) < self.options.block_size as usize {
            return Ok(true);
        }
        let cx = self.blocks.context();
        let mut trial = self.options.block_writer();
        let mut blocks = 1;
        trial.start(BlockKind::Index, &[]);
        for entry in below {
            let view = IndexView { last_key: &entry.last_key, block: entry.offset };
            if trial.add::<IndexRecord>(&entry.last_key, &view, &cx)? == Added::Full {
                trial.start(BlockKind::Index, &[]);
                blocks += 1;
                if trial.add::<IndexRecord>(&entry.last_key, &view, &cx)? == Added::Full {
                    return Ok(false);
                }
            }
        }
        Ok(blocks < below.len())
    }

    /// Writes the object section; by several threads, in parts that any may make: each ends its
    /// last block.
    fn write_objects(&mut self, objects: Vec<u128>) -> Result<()> {
        let budget = self.budget.clone().unwrap_or_else(ThreadBudget::single);
        let (blocks, out, is_watched) = (mem::take(&mut self.ref_blocks), &mut self.out, self.budget.is_some());
        // Nothing is written meanwhile, so it is asked like this.
        let ask = || if is_watched { out.flush().map_err(unwritten) } else { Ok(()) };
        let index = Arc::new(ObjectIndex::new(objects, blocks, &budget, ask)?);
        if index.is_empty() {
            return Ok(());
        }
        self.footer.obj = self.next;
        self.footer.obj_id_len = index.prefix_len();
        self.stats.object_id_len = index.prefix_len();
        self.begin(BlockKind::Obj)?;
        let parts = index.parts();
        if parts.len() == 1 || self.budget.is_none() {
            for range in parts {
                index.write(range, &mut self.blocks)?;
                self.delegation()?;
            }
        } else {
            let mut pool = Pool::new(&budget, budget.jobs_of(PART_BYTES), |(): &mut (), part: IdRange| part.write());
            for range in parts {
                let out = self.piece_writer(BlockKind::Obj, false, PART_BYTES);
                if let Some(piece) = pool.put(IdRange { index: Arc::clone(&index), range, out })? {
                    self.put(piece?)?;
                }
            }
            while let Some(piece) = pool.take()? {
                self.put(piece?)?;
            }
        }
        self.footer.obj_index = self.finish_section()?;
        Ok(())
    }
}

fn write_all(out: &mut impl Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).map_err(unwritten)
}

fn unwritten(source: io::Error) -> Error {
    Error::io_somewhere("cannot write the table", source)
}
