//! What belongs to a section: where a type, a block size or an offset is wrong, readers would take
//! the rest of it for padding, an index or nothing, and a compaction would remove it for good.

use crate::error::{Error, Result};
use crate::format::block::{Shape, inflate};
use crate::format::header::BlockKind;
use crate::format::record::{IndexRecord, KeyBuf, Record, next_record};
use crate::table::file::{Block, TableFile};

impl TableFile {
    /// Checks that what is skipped after `block` has no other block: the block size of the table
    /// would be wrong. Whatever else is there hides no records.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    #[inline]
    pub(crate) fn check_padding(&self, block: &Block) -> Result<()> {
        let len = block.shape.len();
        if block.shape.kind == BlockKind::Log || block.stride <= len as u64 {
            return Ok(());
        }
        let skipped = self.from(block.offset);
        let padding = skipped.get(..block.stride as usize).unwrap_or(skipped).get(len..).unwrap_or_default();
        // Without a branch for each byte.
        match padding.iter().fold(0, |all, byte| all | byte) {
            0 => Ok(()),
            _ => self.check_skipped(padding, block.offset + len as u64),
        }
    }

    #[cold]
    fn check_skipped(&self, padding: &[u8], start: u64) -> Result<()> {
        let zeros = padding.iter().take_while(|byte| **byte == 0).count() as u64;
        match self.read_block(start + zeros, &mut Vec::new()) {
            Ok(hidden) => {
                let (kind, size) = (hidden.shape.kind.name(), self.header.block_size);
                let message = format!("the block size, {size}, makes padding of a {kind} block");
                Err(self.in_file(Error::corrupt(message).at(hidden.offset)))
            }
            Err(_) => Ok(()),
        }
    }

    /// Checks that the index block at `offset`, with which a section of `R` records seems to end
    /// after `block`, is none of its data blocks, whose type is damaged. An index begins with the
    /// last key of the first of them; a data block goes on where the one before it ends.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    #[cold]
    pub(super) fn check_is_index<R: Record>(&self, block: &Block, inflated: &[u8], offset: u64) -> Result<()> {
        let last = self.last_key::<R>(block, inflated);
        let goes_on = match R::KIND {
            BlockKind::Log => self.first_key_of_log(offset).is_some_and(|first| first > last),
            _ => {
                let there = self.index_block(offset).ok();
                let first = there.and_then(|there| {
                    let key = there.shape.restart_key(self.bytes_of(&there), there.shape.first()).ok()?;
                    (!self.lists_blocks(&there)).then(|| key.to_vec())
                });
                first.is_some_and(|first| first > last)
            }
        };
        if goes_on {
            let message = format!("a {} block has the type of an index block", R::KIND.name());
            return Err(self.in_file(Error::corrupt(message).at(offset)));
        }
        Ok(())
    }

    /// The last key of a block of `R` records, as far as it can be read.
    fn last_key<R: Record>(&self, block: &Block, inflated: &[u8]) -> Vec<u8> {
        let mut r = block.shape.reader(self.data_of(block, inflated), block.shape.first());
        let mut key = KeyBuf::default();
        while let Ok(Some(_)) = next_record::<R>(&mut r, &mut key, &self.context()) {}
        key.as_slice().to_vec()
    }

    /// The first key of what is at `offset`, if that is a log block but for its type.
    fn first_key_of_log(&self, offset: u64) -> Option<Vec<u8>> {
        let mut inflated = Vec::new();
        inflate(self.from(offset), self.header_off(offset), &mut inflated).ok()?;
        let shape = Shape::parse(&inflated, self.header_off(offset)).ok()?;
        shape.restart_key(&inflated, shape.first()).ok().map(<[u8]>::to_vec)
    }

    /// Whether a block says what an index block says: offsets that ascend, all before its own. A
    /// block of tombstones looks like one but for that.
    fn lists_blocks(&self, block: &Block) -> bool {
        let mut r = block.shape.reader(self.bytes_of(block), block.shape.first());
        let (mut key, mut least) = (KeyBuf::default(), 0);
        loop {
            match next_record::<IndexRecord>(&mut r, &mut key, &self.context()) {
                Ok(Some(child)) if least <= child && child < block.offset => least = child + 1,
                Ok(None) => return least > 1,
                Ok(Some(_)) | Err(_) => return false,
            }
        }
    }

    /// Checks that there are no references and logs outside of their sections, which have ended at
    /// these offsets. Objects and indexes that cannot be read hold nothing that is not in these.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub(crate) fn check_outside(&self, refs_end: u64, logs_end: u64) -> Result<()> {
        let logs = self.section(BlockKind::Log).map_or(self.end, |section| section.offset);
        self.check_between(refs_end, logs)?;
        self.check_between(logs_end, self.end)
    }

    fn check_between(&self, mut at: u64, end: u64) -> Result<()> {
        while at < end {
            at = match self.read_block(at, &mut Vec::new()) {
                Ok(block) if matches!(block.shape.kind, BlockKind::Ref | BlockKind::Log) => {
                    let kind = block.shape.kind.name();
                    let message = format!("a {kind} block is outside of the sections that the footer has");
                    return Err(self.in_file(Error::corrupt(message).at(at)));
                }
                Ok(block) => {
                    self.check_padding(&block)?;
                    at.saturating_add(block.stride.max(1))
                }
                Err(_) => self.named_behind(at),
            };
        }
        Ok(())
    }

    /// The next offset that the footer names; else the end.
    fn named_behind(&self, at: u64) -> u64 {
        let footer = &self.footer;
        let named = [footer.ref_index, footer.obj, footer.obj_index, footer.log, footer.log_index];
        named.into_iter().filter(|offset| *offset > at).min().unwrap_or(self.end)
    }
}
