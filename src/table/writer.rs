//! Writing a table in one pass: references, their index, objects, their index, logs, their index, footer.

use std::io::Write;
use std::mem;
use std::ops::RangeInclusive;

use super::stats::TableStats;
use crate::block::{Added, BlockWriter};
use crate::error::{Error, ErrorKind, Result};
use crate::format::{BlockKind, Footer, Header, MAX_BLOCK_SIZE, MIN_OBJECT_ID_LEN, header_len, version_for};
use crate::oid::{HashKind, IdView};
use crate::record::{
    Context, IndexRecord, IndexView, LogRecord, LogRecordView, ObjectRecord, ObjectView, Offsets, Record, RefRecord,
    RefRecordView, TargetView,
};

/// The smallest block that is allowed: header, `HEAD` and its id, a restart.
const MIN_BLOCK_SIZE: u32 = 64;
/// Bytes of an id that the object index sorts by. Ids that agree in all of them share a record.
const OBJECT_KEY_LEN: usize = 12;

/// Blocks are handed to the writer below in pieces of at least this many bytes.
const CHUNK: usize = 128 * 1024;

/// The most that an index entry takes besides its key: three integers, a restart, a share of the block's frame.
const INDEX_ENTRY_OVERHEAD: usize = 32;

/// How tables are written. Each setting mirrors one of git's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct WriteOptions {
    block_size: u32,
    restart_interval: u16,
    padding: bool,
    object_index: bool,
    max_table_size: u64,
}

impl Default for WriteOptions {
    fn default() -> Self {
        WriteOptions {
            block_size: 4096,
            restart_interval: 16,
            padding: true,
            object_index: true,
            max_table_size: u64::from(u32::MAX),
        }
    }
}

impl WriteOptions {
    /// Bytes a block, 64 to 16777215. Default 4096. Mirrors `reftable.blockSize`.
    ///
    /// A name together with its ids, and a log message, must fit into one block.
    pub fn block_size(mut self, bytes: u32) -> Self {
        self.block_size = bytes;
        self
    }

    /// Records from one uncompressed key to the next, at least 1. Default 16. Mirrors `reftable.restartInterval`.
    pub fn restart_interval(mut self, records: u16) -> Self {
        self.restart_interval = records;
        self
    }

    /// Whether blocks other than logs are filled up to the block size. Default true. git has no setting for it.
    pub fn padding(mut self, padding: bool) -> Self {
        self.padding = padding;
        self
    }

    /// Whether tables with many references say which ones point at an object. Default true. Mirrors
    /// `reftable.indexObjects`.
    pub fn object_index(mut self, object_index: bool) -> Self {
        self.object_index = object_index;
        self
    }

    /// The largest file to write. Default 4 GiB - 1, because git keeps offsets in 32 bits and misreads what
    /// lies beyond.
    pub fn max_table_size(mut self, bytes: u64) -> Self {
        self.max_table_size = bytes;
        self
    }

    /// The same with blocks twice as large as these, and as blocks of `block_size`.
    pub(crate) fn with_room_for(mut self, block_size: u32) -> Self {
        self.block_size = self.block_size.max(block_size).saturating_mul(2).min(MAX_BLOCK_SIZE);
        self
    }

    /// The limit of [`Self::max_table_size`].
    pub(crate) fn largest_table(&self) -> u64 {
        self.max_table_size
    }

    pub(crate) fn check(&self) -> Result<()> {
        if !(MIN_BLOCK_SIZE..=MAX_BLOCK_SIZE).contains(&self.block_size) {
            let message =
                format!("the block size {} is not between {MIN_BLOCK_SIZE} and {MAX_BLOCK_SIZE}", self.block_size);
            return Err(Error::invalid(message));
        }
        if self.restart_interval == 0 {
            return Err(Error::invalid("the restart interval must be at least 1"));
        }
        Ok(())
    }
}

/// A block that is written, as the next index level will describe it.
#[derive(Debug)]
struct IndexEntry {
    last_key: Vec<u8>,
    offset: u64,
}

/// Writes one table to any [`Write`]. Records are added in order, references before logs.
///
/// Memory: 128 KiB and a block on their way out, one index entry a block, and with the object index 16 bytes for each
/// id.
#[derive(Debug)]
pub struct TableWriter<W: Write> {
    out: W,
    /// Bytes that are on their way to `out`.
    unwritten: Vec<u8>,
    options: WriteOptions,
    header: Header,
    footer: Footer,
    /// The offset of the block that is being filled.
    next: u64,
    /// Padding behind the last block: written only if another padded block follows.
    pending_padding: usize,
    block: BlockWriter,
    /// The section that is being written.
    section: Option<BlockKind>,
    index: Vec<IndexEntry>,
    last_key: Vec<u8>,
    scratch: Vec<u8>,
    /// For each id of a reference: its first 12 bytes, then the number of its block.
    objects: Vec<u128>,
    /// Offsets of the reference blocks by number.
    ref_blocks: Vec<u64>,
    stats: TableStats,
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
        Ok(TableWriter {
            out,
            unwritten: Vec::new(),
            header: Header { version, block_size: options.block_size, min_update_index, max_update_index, hash },
            footer: Footer::default(),
            next: 0,
            pending_padding: 0,
            block: BlockWriter::new(options.block_size, options.restart_interval),
            section: None,
            index: Vec::new(),
            last_key: Vec::new(),
            scratch: Vec::new(),
            objects: Vec::new(),
            ref_blocks: Vec::new(),
            stats: TableStats::default(),
            options: options.clone(),
        })
    }

    /// Adds a reference or its tombstone. Names must ascend bytewise.
    ///
    /// # Errors
    /// `Invalid` when out of order or range, `TooLarge` when the record does not fit into a block, `Io`.
    /// After an error the table is not usable.
    pub fn add_ref(&mut self, record: &RefRecordView<'_>) -> Result<()> {
        self.check_update_index(record.update_index)?;
        match self.section {
            None => self.begin(BlockKind::Ref)?,
            Some(BlockKind::Ref) => {}
            Some(_) => return Err(Error::invalid("references must be written before logs")),
        }
        self.add::<RefRecord>(record)?;
        self.stats.refs += 1;
        if let (true, Some(target)) = (self.options.object_index, record.target) {
            match target {
                TargetView::Id(id) => self.note_object(id),
                TargetView::Tag { id, peeled } => {
                    self.note_object(id);
                    self.note_object(peeled);
                }
                TargetView::Symbolic(_) => {}
            }
        }
        Ok(())
    }

    /// Adds a log entry or its tombstone. Names must ascend bytewise; the entries of a name, newest first.
    ///
    /// Update indexes may lie outside of the table's range: a tombstone repeats that of the entry it hides.
    ///
    /// # Errors
    /// As for [`Self::add_ref`], but for ranges.
    pub fn add_log(&mut self, record: &LogRecordView<'_>) -> Result<()> {
        if record.refname.is_empty() || record.refname.contains(&0) {
            return Err(Error::invalid("the name of a log must not be empty or have zero bytes"));
        }
        if self.section != Some(BlockKind::Log) {
            self.finish_refs()?;
            // Logs follow the last block directly.
            self.next -= mem::take(&mut self.pending_padding) as u64;
            self.footer.log = self.next;
            self.begin(BlockKind::Log)?;
        }
        self.add::<LogRecord>(record)?;
        self.stats.logs += 1;
        Ok(())
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
    pub fn stats(&self) -> &TableStats {
        &self.stats
    }

    fn write_out(&mut self) -> Result<()> {
        self.out.write_all(&self.unwritten).map_err(|source| Error::io_somewhere("cannot write the table", source))?;
        self.unwritten.clear();
        Ok(())
    }

    fn check_update_index(&self, update_index: u64) -> Result<()> {
        let range = self.header.min_update_index..=self.header.max_update_index;
        if range.contains(&update_index) {
            return Ok(());
        }
        let message = format!("update index {update_index} lies outside of the table's range {range:?}");
        Err(Error::invalid(message))
    }

    fn check_size(&self, bytes: u64) -> Result<()> {
        if bytes <= self.options.max_table_size {
            return Ok(());
        }
        let message = format!("the table would exceed {} bytes", self.options.max_table_size);
        Err(Error::new(ErrorKind::TooLarge, message).way_out("git cannot read offsets beyond 4 GiB; split the change"))
    }

    fn context(&self) -> Context {
        Context { hash: self.header.hash, min_update_index: self.header.min_update_index }
    }

    fn begin(&mut self, section: BlockKind) -> Result<()> {
        self.section = Some(section);
        self.last_key.clear();
        self.start_block(section);
        Ok(())
    }

    fn start_block(&mut self, kind: BlockKind) {
        let mut header = Vec::new();
        if self.next == 0 {
            self.header.encode(&mut header);
        }
        debug_assert!(header.is_empty() || header.len() == header_len(self.header.version));
        self.block.start(kind, &header);
    }

    /// Adds a record to the section at hand, after checking its order.
    fn add<R: Record>(&mut self, view: &R::View<'_>) -> Result<()> {
        let mut key = mem::take(&mut self.scratch);
        R::key(view, &mut key);
        let result = if key.is_empty() || key.as_slice() <= self.last_key.as_slice() {
            let shown = String::from_utf8_lossy(&key).into_owned();
            Err(Error::invalid(format!("the key '{shown}' is empty or not above the one before it")))
        } else {
            self.add_ordered::<R>(&key, view)
        };
        self.scratch = mem::replace(&mut self.last_key, key);
        result
    }

    /// Adds a record to the current block, or to a new one when that is full.
    fn add_ordered<R: Record>(&mut self, key: &[u8], view: &R::View<'_>) -> Result<()> {
        if self.try_add::<R>(key, view)? == Added::Yes {
            return Ok(());
        }
        self.flush_block()?;
        self.start_block(R::KIND);
        if self.try_add::<R>(key, view)? == Added::Yes {
            return Ok(());
        }
        let name = key.split(|&byte| byte == 0).next().unwrap_or_default();
        let shown = String::from_utf8_lossy(name.get(..name.len().min(80)).unwrap_or_default());
        let message = format!(
            "the {} record of '{shown}' does not fit into a block of {} bytes",
            R::KIND.name(),
            self.options.block_size
        );
        Err(Error::new(ErrorKind::TooLarge, message))
    }

    fn try_add<R: Record>(&mut self, key: &[u8], view: &R::View<'_>) -> Result<Added> {
        let cx = self.context();
        self.block.add::<R>(key, view, &cx)
    }

    /// Remembers that the block at hand has a reference to `id`.
    fn note_object(&mut self, id: IdView<'_>) {
        if self.ref_blocks.last() != Some(&self.next) {
            self.ref_blocks.push(self.next);
        }
        let number = self.ref_blocks.len() as u128 - 1;
        let mut prefix = [0u8; 16];
        for (to, from) in prefix.iter_mut().zip(id.as_bytes()).take(OBJECT_KEY_LEN) {
            *to = *from;
        }
        self.objects.push(u128::from_be_bytes(prefix) | number);
    }

    /// Writes the block at hand, unless it is empty, and notes it for the index.
    fn flush_block(&mut self) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let kind = self.block.kind();
        self.stats.count(kind, self.next, self.block.entries(), self.block.restarts());
        let last_key = self.block.last_key().to_vec();
        self.unwritten.resize(self.unwritten.len() + mem::take(&mut self.pending_padding), 0);
        let bytes = self.block.finish()?;
        let written = bytes.len();
        self.unwritten.extend_from_slice(bytes);
        if self.options.padding && kind != BlockKind::Log {
            self.pending_padding = (self.options.block_size as usize).saturating_sub(written);
        }
        self.index.push(IndexEntry { last_key, offset: self.next });
        self.next += (written + self.pending_padding) as u64;
        self.check_size(self.next - self.pending_padding as u64)?;
        if self.unwritten.len() >= CHUNK { self.write_out() } else { Ok(()) }
    }

    /// Ends the reference section, and writes the object section if there is an index for it to speed up.
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
        let kind = self.block.kind();
        self.flush_block()?;
        let (before, mut levels) = (self.stats.indexes.blocks, 0);
        while self.index.len() > threshold {
            let below = mem::take(&mut self.index);
            if !self.index_would_shrink(&below)? {
                break;
            }
            root = self.next;
            levels += 1;
            self.start_block(BlockKind::Index);
            for entry in &below {
                let view = IndexView { last_key: &entry.last_key, block: entry.offset };
                self.add_ordered::<IndexRecord>(&entry.last_key, &view)?;
            }
            self.flush_block()?;
        }
        self.index.clear();
        self.section = None;
        let index_blocks = self.stats.indexes.blocks - before;
        let section = self.stats.of(kind);
        (section.index_blocks, section.index_levels, section.index_offset) = (index_blocks, levels, root);
        Ok(root)
    }

    /// Whether an index over these blocks takes fewer blocks than they are. With names of half a block and more
    /// it may not; an index is optional, so the level below then stays the topmost.
    fn index_would_shrink(&self, below: &[IndexEntry]) -> Result<bool> {
        let longest = below.iter().map(|entry| entry.last_key.len()).max().unwrap_or(0);
        if 2 * (longest + INDEX_ENTRY_OVERHEAD) < self.options.block_size as usize {
            return Ok(true);
        }
        let mut trial = BlockWriter::new(self.options.block_size, self.options.restart_interval);
        let mut blocks = 1;
        trial.start(BlockKind::Index, &[]);
        for entry in below {
            let view = IndexView { last_key: &entry.last_key, block: entry.offset };
            if trial.add::<IndexRecord>(&entry.last_key, &view, &self.context())? == Added::Full {
                trial.start(BlockKind::Index, &[]);
                blocks += 1;
                if trial.add::<IndexRecord>(&entry.last_key, &view, &self.context())? == Added::Full {
                    return Ok(false);
                }
            }
        }
        Ok(blocks < below.len())
    }

    fn write_objects(&mut self, mut objects: Vec<u128>) -> Result<()> {
        objects.sort_unstable();
        objects.dedup();
        let shared = objects
            .windows(2)
            .filter_map(|pair| match pair {
                [a, b] if a >> 32 != b >> 32 => Some((a ^ b).leading_zeros() as usize / 8),
                _ => None,
            })
            .max()
            .unwrap_or(0);
        let len = (shared + 1).clamp(MIN_OBJECT_ID_LEN, OBJECT_KEY_LEN);
        if objects.is_empty() {
            return Ok(());
        }
        self.footer.obj = self.next;
        self.footer.obj_id_len = len as u8;
        self.stats.object_id_len = len as u8;
        self.begin(BlockKind::Obj)?;
        let mut offsets = Vec::new();
        for same in objects.chunk_by(|a, b| a >> 32 == b >> 32) {
            let first = same.first().copied().unwrap_or_default().to_be_bytes();
            let prefix = first.get(..len).unwrap_or_default();
            offsets.clear();
            offsets.extend(same.iter().filter_map(|entry| self.ref_blocks.get(*entry as u32 as usize).copied()));
            self.add_object(prefix, &offsets)?;
        }
        self.footer.obj_index = self.finish_section()?;
        Ok(())
    }

    /// Adds an object record; without its offsets, which means "look everywhere", when they fit into no block.
    fn add_object(&mut self, prefix: &[u8], offsets: &[u64]) -> Result<()> {
        let whole = ObjectView { prefix, blocks: Offsets::Plain(offsets) };
        if self.try_add::<ObjectRecord>(prefix, &whole)? == Added::Yes {
            return Ok(());
        }
        self.flush_block()?;
        self.start_block(BlockKind::Obj);
        if self.try_add::<ObjectRecord>(prefix, &whole)? == Added::Yes {
            return Ok(());
        }
        self.add_ordered::<ObjectRecord>(prefix, &ObjectView { prefix, blocks: Offsets::Plain(&[]) })
    }
}
