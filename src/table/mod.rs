//! Tables: one immutable file of sorted records, with indexes over them.
//!
//! This layer knows bytes and [`std::io::Write`], no directory. A [`Table`] is opened from bytes,
//! read with [`crate::merge::Merged`] (which works for a single table, too) or block by block with
//! [`Blocks`], and written with a [`TableWriter`].

mod extent;
mod file;
mod read;
mod write;

pub use crate::value::{LogRecordView, RefRecordView};
pub(crate) use file::{Block, Section, TableFile};
pub use read::{BlockDump, Blocks, PointingAt, RecordView};
pub(crate) use read::{Cursor, IndexWalk, NameHash, PartialTable, Ran, WarmUp, WholeBlock, refs_pointing_at};
pub(crate) use write::{BlockRun, RunWriter};
pub use write::{SectionStats, TableStats, TableWriter, WriteOptions};

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::bytes::Bytes;
use crate::error::Result;
use crate::format::header::{BlockKind, Footer, Header, header_len};
use crate::oid::HashKind;
use read::IndexCache;

/// An open table. Immutable, cheap to share, and independent of the file it came from.
#[derive(Debug)]
pub struct Table {
    pub(crate) file: TableFile,
    refs: Option<IndexCache>,
    objects: Option<IndexCache>,
    logs: Option<IndexCache>,
    /// Whether no log record is above the header's range, once that is known.
    logs_in_range: OnceLock<bool>,
}

impl Table {
    /// Opens a table from its bytes. `path` is for messages only.
    ///
    /// Reads header and footer; blocks are validated when they are read. Cost: a checksum over 68
    /// bytes.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are too few, or header, footer or checksum are wrong; `Unsupported`
    /// for versions and hashes that are not known.
    pub fn open(path: impl Into<PathBuf>, bytes: impl Into<Bytes>) -> Result<Table> {
        TableFile::open(path.into(), bytes.into()).map(Table::of)
    }

    /// The same for a table of a store: errors about damage in it say what can be done.
    pub(crate) fn open_in_store(path: PathBuf, bytes: Bytes) -> Result<Table> {
        TableFile::open_in_store(path, bytes).map(Table::of)
    }

    fn of(file: TableFile) -> Table {
        let index_cache = |kind| file.section(kind).map(|section| IndexCache::new(kind, section));
        let [refs, objects, logs] = [BlockKind::Ref, BlockKind::Obj, BlockKind::Log].map(index_cache);
        Table { file, refs, objects, logs, logs_in_range: OnceLock::new() }
    }

    /// The path given to [`Self::open`].
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Its file name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// The start of the file, decoded.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.file.header
    }

    /// The end of the file, decoded.
    #[must_use]
    pub fn footer(&self) -> &Footer {
        &self.file.footer
    }

    /// The hash function of its ids.
    #[must_use]
    pub fn hash(&self) -> HashKind {
        self.file.header.hash
    }

    /// The size of the file in bytes.
    #[must_use]
    pub fn file_size(&self) -> u64 {
        self.file.bytes.len() as u64
    }

    /// All bytes of the file, to be stored or sent elsewhere.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.file.bytes
    }

    /// Whether reading it needs nothing of the file any more.
    pub(crate) fn is_copy(&self) -> bool {
        self.file.bytes.is_copy()
    }

    /// The size that git's compaction rule goes by: blocks and one byte, without header and footer.
    pub(crate) fn weight(&self) -> u64 {
        self.file.end - (header_len(self.file.header.version) as u64 - 1)
    }

    /// All blocks in file order, for tools that show or check the format.
    #[must_use]
    pub fn blocks(&self) -> Blocks<'_> {
        Blocks::new(self)
    }

    /// Where the records of `kind` are, if the table has any.
    #[inline]
    pub(crate) fn section(&self, kind: BlockKind) -> Option<Section> {
        self.index_cache(kind).map(|index_cache| index_cache.section)
    }

    /// About how many bytes the records of `kind` take in the file.
    pub(crate) fn section_len(&self, kind: BlockKind) -> u64 {
        self.file.section_len(kind)
    }

    #[inline]
    pub(crate) fn index_cache(&self, kind: BlockKind) -> Option<&IndexCache> {
        match kind {
            BlockKind::Ref => self.refs.as_ref(),
            BlockKind::Obj => self.objects.as_ref(),
            BlockKind::Log => self.logs.as_ref(),
            BlockKind::Index => None,
        }
    }
}
