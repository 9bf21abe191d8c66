//! The file of a table: from its bytes to validated blocks. Both wings stand on it.

use std::path::PathBuf;

use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::format::block::{Shape, inflate};
use crate::format::header::{BlockKind, Footer, Header, footer_len, header_len};
use crate::format::record::{Context, Record};
use crate::format::varint::Reader;

/// Bytes whose header and footer were read, with the places of what lies between them. Blocks are
/// validated when they are read.
#[derive(Debug)]
pub(crate) struct TableFile {
    /// For messages only.
    pub(crate) path: PathBuf,
    pub(crate) bytes: Bytes,
    pub(crate) header: Header,
    pub(crate) footer: Footer,
    /// Bytes of the file header, with which the block at offset 0 starts.
    lead: usize,
    /// Where the first block starts: at 0, with the file header in it, or after that.
    pub(crate) first: u64,
    /// What the first block holds; `None` if there is none.
    first_kind: Option<BlockKind>,
    /// Where blocks end and the footer begins.
    pub(crate) end: u64,
    /// Whether it was read from the directory of a store, where a damage can be repaired.
    is_in_store: bool,
}

/// Where a section starts and where the root of its index is (0: no index).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Section {
    pub(crate) offset: u64,
    pub(crate) index: u64,
}

/// A block that was found, validated, and, for logs, inflated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    pub(crate) offset: u64,
    pub(crate) shape: Shape,
    /// Bytes from this block to the next, padding included.
    pub(crate) stride: u64,
}

impl Section {
    /// The block that a look-up starts with.
    pub(crate) fn start(&self) -> u64 {
        if self.index == 0 { self.offset } else { self.index }
    }
}

impl TableFile {
    /// Reads header and footer.
    pub(crate) fn open(path: PathBuf, bytes: Bytes) -> Result<TableFile> {
        match Self::parse(&bytes) {
            Ok((header, footer, end)) => {
                let lead = header_len(header.version);
                Ok(TableFile::new(path, bytes, header, footer, lead, end))
            }
            Err(error) => Err(error.in_file(&path)),
        }
    }

    /// The same for a table of a store: errors about damage in it say what can be done.
    pub(crate) fn open_in_store(path: PathBuf, bytes: Bytes) -> Result<TableFile> {
        match TableFile::open(path.clone(), bytes) {
            Ok(file) => Ok(TableFile { is_in_store: true, ..file }),
            Err(error) => Err(error.in_store_file(&path)),
        }
    }

    pub(crate) fn new(path: PathBuf, bytes: Bytes, header: Header, footer: Footer, lead: usize, end: u64) -> TableFile {
        let first_kind = bytes.get(lead).filter(|_| (lead as u64) < end).copied().and_then(BlockKind::from_letter);
        // A table of logs alone may begin with a block like all others, as the text of the format
        // has it and JGit writes it; or with one that has the file header in it, as git writes it.
        // The footer tells.
        let is_apart = first_kind == Some(BlockKind::Log) && footer.log == lead as u64;
        let first = if is_apart { footer.log } else { 0 };
        TableFile { path, bytes, header, footer, lead, first, first_kind, end, is_in_store: false }
    }

    fn parse(bytes: &[u8]) -> Result<(Header, Footer, u64)> {
        if bytes.is_empty() {
            return Err(Error::corrupt("the table is empty").at(0));
        }
        Self::ends(bytes, bytes, bytes.len())
    }

    /// What the two ends of a table of `len` bytes say: the header, the footer, and where that
    /// begins. `first` reaches beyond the header if anything is there, `last` has all of the
    /// footer.
    pub(crate) fn ends(first: &[u8], last: &[u8], len: usize) -> Result<(Header, Footer, u64)> {
        let header = Header::decode(&mut Reader::new(first, 0))?;
        let lead = header_len(header.version);
        let end = len
            .checked_sub(footer_len(header.version))
            .filter(|&end| end >= lead)
            .ok_or_else(|| Error::corrupt("the table is cut off").at(len as u64))?;
        let footer = last.len().checked_sub(len - end).and_then(|start| last.get(start..)).unwrap_or_default();
        let footer = Footer::decode(footer, &header).map_err(|error| error.shifted(end as u64))?;
        check_first(first.get(lead).filter(|_| lead < end), &header, &footer)?;
        let end = end as u64;
        for offset in [footer.ref_index, footer.obj, footer.obj_index, footer.log, footer.log_index] {
            if offset >= end {
                let message = format!("the footer names offset {offset}, past the last block");
                return Err(Error::corrupt(message).at(end));
            }
        }
        if footer.obj > 0 && footer.obj_id_len == 0 {
            return Err(Error::corrupt("the footer has an object section without ids").at(end));
        }
        Ok((header, footer, end))
    }

    #[inline]
    pub(crate) fn context(&self) -> Context {
        Context { hash: self.header.hash, min_update_index: self.header.min_update_index }
    }

    /// Where the records of `kind` are, if the table has any.
    pub(crate) fn section(&self, kind: BlockKind) -> Option<Section> {
        let (is_first, footer) = (self.first_kind == Some(kind), &self.footer);
        match kind {
            BlockKind::Ref => is_first.then_some(Section { offset: 0, index: footer.ref_index }),
            BlockKind::Log => {
                (footer.log > 0 || is_first).then_some(Section { offset: footer.log, index: footer.log_index })
            }
            BlockKind::Obj => (footer.obj > 0).then_some(Section { offset: footer.obj, index: footer.obj_index }),
            BlockKind::Index => None,
        }
    }

    /// About how many bytes the records of `kind` take in the file.
    pub(crate) fn section_len(&self, kind: BlockKind) -> u64 {
        let Some(start) = self.section(kind).map(|section| section.offset) else { return 0 };
        let Footer { ref_index, obj, obj_index, log, log_index, .. } = self.footer;
        let later = [ref_index, obj, obj_index, log, log_index].into_iter().filter(|offset| *offset > start);
        later.min().unwrap_or(self.end) - start
    }

    /// Bytes of the file header that belong to the block at `offset`.
    pub(crate) fn header_off(&self, offset: u64) -> usize {
        if offset == 0 { self.lead } else { 0 }
    }

    /// Everything from `offset` to the footer.
    pub(crate) fn from(&self, offset: u64) -> &[u8] {
        let range = usize::try_from(offset).ok().zip(usize::try_from(self.end).ok());
        range.and_then(|(start, end)| self.bytes.get(start..end)).unwrap_or_default()
    }

    /// The kind of the block at `offset`; `None` after the last block.
    pub(crate) fn kind_at(&self, offset: u64) -> Result<Option<BlockKind>> {
        if offset >= self.end {
            return Ok(None);
        }
        match self.from(offset).get(self.header_off(offset)) {
            None => Ok(None),
            Some(&letter) => BlockKind::from_letter(letter).map(Some).ok_or_else(|| {
                let message = format!("a block has the unknown type {letter:#04x}");
                self.in_file(Error::corrupt(message).at(offset + self.header_off(offset) as u64))
            }),
        }
    }

    /// Finds and validates the block at `offset`. A log block is inflated into `inflated`.
    pub(crate) fn read_block(&self, offset: u64, inflated: &mut Vec<u8>) -> Result<Block> {
        match self.kind_at(offset)? {
            Some(kind) => self.read(kind, offset, inflated),
            None => Err(self.in_file(Error::corrupt("there is no block").at(offset))),
        }
    }

    pub(crate) fn index_block(&self, offset: u64) -> Result<Block> {
        match self.kind_at(offset)? {
            Some(BlockKind::Index) => self.read(BlockKind::Index, offset, &mut Vec::new()),
            found => Err(self.unexpected(found, BlockKind::Index, offset)),
        }
    }

    /// The block at `offset`, which must hold records of `kind`.
    pub(crate) fn data_block(&self, kind: BlockKind, offset: u64, inflated: &mut Vec<u8>) -> Result<Block> {
        match self.kind_at(offset)? {
            Some(found) if found == kind => self.read(kind, offset, inflated),
            found => Err(self.unexpected(found, kind, offset)),
        }
    }

    #[cold]
    fn unexpected(&self, found: Option<BlockKind>, expected: BlockKind, offset: u64) -> Error {
        let found = found.map_or("no", BlockKind::name);
        let message = format!("found a {found} block where a {} block was expected", expected.name());
        self.in_file(Error::corrupt(message).at(offset))
    }

    /// The block after `block`, unless the section of `R` ends there. Where it ends its index
    /// begins, or what the footer names next.
    #[cold]
    pub(crate) fn following<R: Record>(&self, block: &Block, inflated: &mut Vec<u8>) -> Result<Option<Block>> {
        self.check_padding(block)?;
        let next = block.offset + block.stride;
        let section = self.section(R::KIND);
        // What the footer names next begins there.
        let ends = section.is_none_or(|section| next >= section.offset.saturating_add(self.section_len(R::KIND)));
        match self.kind_at(next)? {
            Some(kind) if kind == R::KIND => self.read(kind, next, inflated).map(Some),
            _ if ends => Ok(None),
            // Its index does, which a scan in order does not need.
            Some(BlockKind::Index) if section.is_some_and(|section| next <= section.index) => {
                self.check_is_index::<R>(block, inflated, next).map(|()| None)
            }
            found => Err(self.unexpected(found, R::KIND, next)),
        }
    }

    /// Validates the block at `offset`, which is of this kind.
    fn read(&self, kind: BlockKind, offset: u64, inflated: &mut Vec<u8>) -> Result<Block> {
        self.read_inner(kind, offset, inflated).map_err(|error| self.in_file(error.shifted(offset)))
    }

    fn read_inner(&self, kind: BlockKind, offset: u64, inflated: &mut Vec<u8>) -> Result<Block> {
        let data = self.from(offset);
        let header_off = self.header_off(offset);
        if kind == BlockKind::Log {
            let stride = inflate(data, header_off, inflated)? as u64;
            let shape = Shape::parse(inflated, header_off).map_err(|error| error.inflated_at(0))?;
            return Ok(Block { offset, shape, stride });
        }
        let shape = Shape::parse(data, header_off)?;
        let stride = self.stride(offset, shape.len(), data);
        Ok(Block { offset, shape, stride })
    }

    /// Bytes from the block at `offset`, which begins `data` and states the length `len`, to the
    /// next.
    ///
    /// Padding is recognised by the zero after the block, as git does: unpadded neighbours start
    /// with a letter. It fills up a multiple of the block size: an index block may be longer than
    /// one.
    #[inline]
    fn stride(&self, offset: u64, len: usize, data: &[u8]) -> u64 {
        let padded = u64::from(self.header.block_size);
        let is_padded = padded > 0 && data.get(len).is_none_or(|&byte| byte == 0);
        match is_padded {
            false => len as u64,
            true if len as u64 <= padded && offset.is_multiple_of(padded) => padded,
            true => self.padded_stride(offset, len as u64, data),
        }
    }

    /// The same for a padded block that is long, or lies after log blocks, which are not aligned.
    /// git pads to a multiple of the block size from the start of the block, JGit from the start of
    /// the file: zeros reach to where the next block is, or to the end.
    #[cold]
    fn padded_stride(&self, offset: u64, len: u64, data: &[u8]) -> u64 {
        let padded = u64::from(self.header.block_size).max(1);
        let from_block = len.next_multiple_of(padded);
        let from_file = offset.saturating_add(len).next_multiple_of(padded).saturating_sub(offset);
        let is_next = |stride: u64| {
            let later = data.get(len as usize..).unwrap_or_default();
            let padding = later.get(..stride.saturating_sub(len) as usize).unwrap_or(later);
            padding.iter().all(|byte| *byte == 0) && data.get(stride as usize).is_none_or(|byte| *byte != 0)
        };
        let (nearer, farther) = (from_block.min(from_file), from_block.max(from_file));
        if !is_next(nearer) && is_next(farther) { farther } else { nearer }
    }

    /// What the positions in `block.shape` count in.
    #[inline]
    pub(crate) fn data_of<'a>(&'a self, block: &Block, inflated: &'a [u8]) -> &'a [u8] {
        if block.shape.kind == BlockKind::Log {
            return inflated;
        }
        self.bytes_of(block)
    }

    /// The same for a block of `R` records.
    #[inline(always)]
    pub(crate) fn records_of<'a, R: Record>(&'a self, block: &Block, inflated: &'a [u8]) -> &'a [u8] {
        if matches!(R::KIND, BlockKind::Log) { inflated } else { self.bytes_of(block) }
    }

    /// The records of `block` from `pos` on.
    #[inline(always)]
    pub(crate) fn reader<'a, R: Record>(&'a self, block: &Block, inflated: &'a [u8], pos: usize) -> Reader<'a> {
        let end = block.shape.restart_table();
        let rest = if matches!(R::KIND, BlockKind::Log) {
            inflated.get(pos..end)
        } else {
            let start = block.offset as usize;
            self.bytes.get(start.saturating_add(pos)..start.saturating_add(end))
        };
        Reader::ending_at(rest.unwrap_or_default(), end)
    }

    /// The same for a block that is no log block.
    #[inline(always)]
    pub(crate) fn bytes_of(&self, block: &Block) -> &[u8] {
        self.bytes.get(block.offset as usize..).and_then(|rest| rest.get(..block.shape.len())).unwrap_or_default()
    }

    /// Adds file and place to an error that happened while decoding records of `block`.
    #[cold]
    pub(crate) fn locate(&self, error: Error, block: &Block) -> Error {
        self.in_file(match block.shape.kind {
            BlockKind::Log => error.inflated_at(block.offset),
            _ => error.shifted(block.offset),
        })
    }

    /// Names this file, and the way out if there is one.
    #[cold]
    pub(crate) fn in_file(&self, error: Error) -> Error {
        if self.is_in_store { error.in_store_file(&self.path) } else { error.in_file(&self.path) }
    }
}

/// Between header and footer there is nothing, or blocks that begin with references or with logs.
/// Where the first byte of them is damaged, the table would pass for one without records.
fn check_first(letter: Option<&u8>, header: &Header, footer: &Footer) -> Result<()> {
    let Some(&letter) = letter else { return Ok(()) };
    let lead = header_len(header.version) as u64;
    let message = match BlockKind::from_letter(letter) {
        Some(BlockKind::Ref) => return Ok(()),
        Some(BlockKind::Log) if [0, lead].contains(&footer.log) => return Ok(()),
        Some(BlockKind::Log) => "the table begins with a log block, and the footer has the logs elsewhere".to_owned(),
        Some(kind) => format!("the table begins with an {} block", kind.name()),
        None => format!("a block has the unknown type {letter:#04x}"),
    };
    Err(Error::corrupt(message).at(lead))
}
