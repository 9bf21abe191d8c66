//! Walking a table block by block, as tools that show or check the format do.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::format::header::BlockKind;
use crate::format::record::{IndexRecord, KeyBuf, LogRecord, ObjectRecord, Record, RefRecord, next_record};
use crate::table::{Block, Table};
use crate::value::{LogRecordView, RefRecordView};

/// All blocks of a table in file order.
#[derive(Debug)]
pub struct Blocks<'a> {
    table: &'a Table,
    next: u64,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(table: &'a Table) -> Self {
        Blocks { table, next: table.file.first }
    }

    /// The next block; `None` after the last. After an error nothing follows.
    ///
    /// # Errors
    /// `Corrupt`, with the offset.
    #[expect(clippy::should_implement_trait, reason = "fallible and driven by hand, as all cursors here")]
    pub fn next(&mut self) -> Result<Option<BlockDump<'a>>> {
        let offset = self.next;
        self.next = self.table.file.end;
        let block = self.table.block_at(offset)?;
        if let Some(block) = &block {
            self.next = block.end();
        }
        Ok(block)
    }
}

impl Table {
    /// The most bytes that a block of references or of logs has, inflated. Log blocks may be longer
    /// than the header says, and of blocks that are not aligned it says nothing. Cost: a look at
    /// every block.
    ///
    /// # Errors
    /// `Corrupt`, with the offset.
    pub(crate) fn longest_block(&self) -> Result<u64> {
        let (mut blocks, mut longest) = (self.blocks(), 0);
        while let Some(block) = blocks.next()? {
            if matches!(block.kind(), BlockKind::Ref | BlockKind::Log) {
                longest = longest.max(block.len());
            }
        }
        Ok(longest)
    }

    /// The block at `offset`; `None` after the last. Offset 0 means the first, wherever it is;
    /// [`BlockDump::end`] leads on.
    ///
    /// # Errors
    /// `Corrupt`, with the offset.
    pub fn block_at(&self, offset: u64) -> Result<Option<BlockDump<'_>>> {
        let offset = if offset == 0 { self.file.first } else { offset };
        if self.file.kind_at(offset)?.is_none() {
            return Ok(None);
        }
        let mut inflated = Vec::new();
        let block = self.file.read_block(offset, &mut inflated)?;
        Ok(Some(BlockDump { table: self, block, inflated }))
    }
}

/// One block: its outline and its records.
#[derive(Debug)]
pub struct BlockDump<'a> {
    pub(crate) table: &'a Table,
    block: Block,
    inflated: Vec<u8>,
}

impl BlockDump<'_> {
    /// What it holds.
    #[must_use]
    pub fn kind(&self) -> BlockKind {
        self.block.shape.kind
    }

    /// Where it starts in the file. The first block starts at 0, with the file header; that of a
    /// table of logs alone may start after the header instead.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.block.offset
    }

    /// Where the next block starts, if there is one.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.block.offset.saturating_add(self.block.stride)
    }

    /// Bytes of the file header that it starts with: none but for a block at offset 0.
    #[must_use]
    pub fn header_len(&self) -> usize {
        self.table.file.header_off(self.block.offset)
    }

    /// The length that it states: without padding and, for logs, inflated.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.block.shape.len() as u64
    }

    /// Whether it holds no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.block.shape.is_empty()
    }

    /// The bytes it takes in the file, padding included, cut at the footer.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        self.block.stride.min(self.table.file.end - self.block.offset)
    }

    /// The zero bytes after it.
    #[must_use]
    pub fn padding(&self) -> u64 {
        match self.kind() {
            BlockKind::Log => 0,
            _ => self.file_len().saturating_sub(self.len()),
        }
    }

    /// Its bytes as far as it states: from the start of the file header where it has one, inflated,
    /// without padding.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.table.file.data_of(&self.block, &self.inflated)
    }

    /// Whether the padding has bytes other than zero.
    pub(crate) fn has_dirty_padding(&self) -> bool {
        let after = self.table.file.from(self.block.offset + self.len());
        let padding = after.get(..self.padding() as usize).unwrap_or_default();
        self.padding() > 0 && padding.iter().any(|byte| *byte != 0)
    }

    /// Checks that it has no other block in its padding.
    pub(crate) fn check_padding(&self) -> Result<()> {
        self.table.file.check_padding(&self.block)
    }

    /// Checks that every restart is the start of a record with an uncompressed key.
    pub(crate) fn check_restarts(&self) -> Result<()> {
        let data = self.table.file.data_of(&self.block, &self.inflated);
        let mut starts = HashSet::new();
        self.records(|pos, _| {
            starts.insert(pos);
        })?;
        self.block
            .shape
            .check_restarts(data, |pos| starts.contains(&pos))
            .map_err(|error| self.table.file.locate(error, &self.block))
    }

    /// The number of restarts.
    #[must_use]
    pub fn restarts(&self) -> usize {
        self.block.shape.restarts()
    }

    /// Where its records end and the restarts start, in the (inflated) block.
    #[must_use]
    pub fn restart_table(&self) -> u64 {
        self.block.shape.restart_table() as u64
    }

    /// The key of its first record: a name, for logs with the update index after it; the start of
    /// an id; or the last key of another block.
    ///
    /// # Errors
    /// `Corrupt`, with the offset; also when there is no record.
    pub fn first_key(&self) -> Result<&[u8]> {
        let shape = &self.block.shape;
        let key = shape.restart_key(self.bytes(), shape.first()).and_then(|key| match key {
            [] => Err(Error::corrupt("a block begins with an empty key").at(shape.first() as u64)),
            key => Ok(key),
        });
        key.map_err(|error| self.table.file.locate(error, &self.block))
    }

    /// Calls `each` with every record and its position in the (inflated) block.
    ///
    /// # Errors
    /// `Corrupt`, with the offset; the records before it have been yielded.
    pub fn records(&self, mut each: impl FnMut(u64, RecordView<'_>)) -> Result<()> {
        match self.kind() {
            BlockKind::Ref => self.walk::<RefRecord>(|pos, record| each(pos, RecordView::Ref(record))),
            BlockKind::Log => self.walk::<LogRecord>(|pos, record| each(pos, RecordView::Log(record))),
            BlockKind::Index => self.walk::<IndexRecord>(|pos, record| {
                each(pos, RecordView::Index { last_key: record.last_key, block: record.block });
            }),
            BlockKind::Obj => self.walk::<ObjectRecord>(|pos, record| {
                each(pos, RecordView::Object { prefix: record.prefix, blocks: record.blocks.to_vec() });
            }),
        }
    }

    fn walk<R: Record>(&self, mut each: impl FnMut(u64, R::View<'_>)) -> Result<()> {
        let data = self.table.file.data_of(&self.block, &self.inflated);
        let cx = self.table.file.context();
        let mut key = KeyBuf::default();
        let mut r = self.block.shape.reader(data, self.block.shape.first());
        loop {
            let start = r.pos() as u64;
            match next_record::<R>(&mut r, &mut key, &cx) {
                Ok(None) => return Ok(()),
                Ok(Some(span)) => each(start, R::view(key.as_slice(), data, &span, &cx)),
                Err(error) => return Err(self.table.file.locate(error, &self.block)),
            }
        }
    }
}

/// Any record.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RecordView<'a> {
    /// In a `r` block.
    Ref(RefRecordView<'a>),
    /// In a `g` block.
    Log(LogRecordView<'a>),
    /// In an `o` block.
    Object {
        /// The first bytes of an object id.
        prefix: &'a [u8],
        /// Offsets of the reference blocks it appears in; none means "anywhere".
        blocks: Vec<u64>,
    },
    /// In an `i` block.
    Index {
        /// The last key in the block.
        last_key: &'a [u8],
        /// The offset of the block.
        block: u64,
    },
}
