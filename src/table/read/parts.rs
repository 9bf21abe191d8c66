//! A look-up in a table of which only parts are read: its ends, and a block a level of its index.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::format::block::{Shape, kind_and_len};
use crate::format::header::{BlockKind, Footer, Header, header_len};
use crate::format::record::{Context, IndexRecord, Record, RefRecord};
use crate::table::TableFile;
use crate::value::{Ref, RefRecordView};

/// Bytes of the longest footer.
const LONGEST_FOOTER: usize = 72;
/// The least that is read at a time, and as much of the start.
const PART: usize = 4096;
const START: usize = 2 * PART;
/// More blocks are not read one by one: writers make an index for four.
const MOST_BLOCKS: usize = 8;
/// No index has more levels: each halves what is left, and there are fewer blocks than bytes.
const MOST_LEVELS: usize = 64;

/// Gives as many bytes of a file from an offset on, or all that there are.
pub(crate) trait ReadPart: Fn(u64, usize) -> Result<Vec<u8>> {}

impl<F: Fn(u64, usize) -> Result<Vec<u8>>> ReadPart for F {}

/// A table of which the first bytes and the footer were read.
pub(crate) struct PartialTable<F> {
    read: F,
    header: Header,
    footer: Footer,
    /// Where blocks end.
    end: u64,
    /// The bytes that the file begins with.
    first: Vec<u8>,
}

impl<F: ReadPart> PartialTable<F> {
    /// Reads the two ends of a file of `len` bytes.
    ///
    /// # Errors
    /// As [`crate::table::Table::open`], and those of `read`.
    pub(crate) fn open(len: u64, read: F) -> Result<PartialTable<F>> {
        let first = read(0, usize::try_from(len).unwrap_or(START).min(START))?;
        let start = len.saturating_sub(LONGEST_FOOTER as u64);
        let last = match usize::try_from(start).ok().and_then(|start| first.get(start..)) {
            Some(last) => last.to_vec(),
            None => read(start, LONGEST_FOOTER)?,
        };
        let len = usize::try_from(len).map_err(|_| Error::invalid("the table is too large"))?;
        let (header, footer, end) = TableFile::ends(&first, &last, len)?;
        Ok(PartialTable { read, header, footer, end, first })
    }

    /// The reference `name`; `Some(None)` if the table says that it is deleted, `None` if it says
    /// nothing.
    ///
    /// # Errors
    /// If a part cannot be read or is damaged, and for tables without an index that have many
    /// blocks.
    pub(crate) fn get(&self, name: &[u8]) -> Result<Option<Option<Ref>>> {
        let lead = header_len(self.header.version);
        let letter = self.first.get(lead).filter(|_| (lead as u64) < self.end);
        if letter.copied().and_then(BlockKind::from_letter) != Some(BlockKind::Ref) {
            return Ok(None);
        }
        // Names such as HEAD come before all others, in the block that is there already. That a
        // name is not there is said where the index says that it would be.
        let block = self.block(0)?;
        match (self.in_block(&block, name)?, self.footer.ref_index) {
            (Some(found @ Some(_)), _) => Ok(found),
            (Some(None), 0) => Ok(None),
            (None, 0) => self.in_turn(block, name),
            (_, root) => self.by_index(root, name),
        }
    }

    /// The same by the index, whose topmost level may have several blocks, from `root` on.
    fn by_index(&self, root: u64, name: &[u8]) -> Result<Option<Option<Ref>>> {
        let (mut offset, mut is_root) = (root, true);
        for _ in 0..MOST_LEVELS {
            let block = self.block(offset)?;
            if block.shape.kind == BlockKind::Ref && !is_root {
                let answer = self.in_block(&block, name)?;
                return answer.ok_or_else(|| Error::corrupt("the index names a block whose names come before"));
            }
            if block.shape.kind != BlockKind::Index {
                break;
            }
            match block.shape.seek::<IndexRecord>(&block.data, name, &self.context())? {
                Some(hit) if hit.span < offset => (offset, is_root) = (hit.span, false),
                None if is_root => {
                    offset = offset.saturating_add(self.stride(&block));
                    if !self.is_index(offset)? {
                        return Ok(None);
                    }
                }
                _ => break,
            }
        }
        Err(Error::corrupt("the index of references leads to none"))
    }

    /// Whether an index block begins at `offset`.
    fn is_index(&self, offset: u64) -> Result<bool> {
        let letter = if offset < self.end { self.part(offset, 1)?.first().copied() } else { None };
        Ok(letter.and_then(BlockKind::from_letter) == Some(BlockKind::Index))
    }

    /// The same without an index, after the first block.
    fn in_turn(&self, first: Part<'_>, name: &[u8]) -> Result<Option<Option<Ref>>> {
        let others = [self.footer.obj, self.footer.log].into_iter().filter(|offset| *offset > 0);
        let end = others.fold(self.end, u64::min);
        let mut block = first;
        for _ in 0..MOST_BLOCKS {
            let next = block.offset.saturating_add(self.stride(&block));
            if next >= end {
                return Ok(None);
            }
            block = self.block(next)?;
            if block.shape.kind != BlockKind::Ref {
                return Err(Error::corrupt("a block of references was expected"));
            }
            if let Some(answer) = self.in_block(&block, name)? {
                return Ok(answer);
            }
        }
        Err(Error::invalid("a table of many blocks without an index"))
    }

    /// Bytes to the next block: padding fills up the size of a block.
    fn stride(&self, block: &Part<'_>) -> u64 {
        let (len, padded) = (block.shape.len(), u64::from(self.header.block_size));
        let is_padded = padded > 0 && block.data.get(len).is_none_or(|byte| *byte == 0);
        if is_padded { (len as u64).next_multiple_of(padded) } else { len as u64 }
    }

    /// What `block` says of `name`; `None` if all of its names come before.
    fn in_block(&self, block: &Part<'_>, name: &[u8]) -> Result<Option<Option<Option<Ref>>>> {
        let context = self.context();
        let Some(hit) = block.shape.seek::<RefRecord>(&block.data, name, &context)? else { return Ok(None) };
        if !hit.is_equal {
            return Ok(Some(None));
        }
        let RefRecordView { update_index, target, .. } = RefRecord::view(name, &block.data, &hit.span, &context);
        let found = target.map(|target| Ref { name: name.to_vec(), update_index, target: target.to_target() });
        Ok(Some(Some(found)))
    }

    fn context(&self) -> Context {
        Context { hash: self.header.hash, min_update_index: self.header.min_update_index }
    }

    /// The block at `offset`, validated; with a byte of what is after it, if there is one.
    fn block(&self, offset: u64) -> Result<Part<'_>> {
        let header_off = if offset == 0 { header_len(self.header.version) } else { 0 };
        let left = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut data = self.part(offset, PART.max(self.header.block_size as usize).saturating_add(1).min(left))?;
        let (_, len) = kind_and_len(&data, header_off)?;
        if len >= data.len() {
            data = self.part(offset, len.saturating_add(1).min(left))?;
        }
        let shape = Shape::parse(&data, header_off)?;
        Ok(Part { offset, data, shape })
    }

    fn part(&self, offset: u64, len: usize) -> Result<Cow<'_, [u8]>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        match self.first.get(start..start.saturating_add(len)) {
            Some(part) => Ok(Cow::Borrowed(part)),
            None => (self.read)(offset, len).map(Cow::Owned),
        }
    }
}

/// A block, and its bytes.
struct Part<'a> {
    offset: u64,
    data: Cow<'a, [u8]>,
    shape: Shape,
}
