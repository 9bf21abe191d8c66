//! Reading a block: its shape is validated once, then records are searched and walked in place.

use std::cmp::Ordering;

use flate2::{Decompress, FlushDecompress, Status};

use crate::error::{Error, Result};
use crate::format::{BLOCK_HEADER_LEN, BlockKind};
use crate::record::{Context, Record, decode_key};
use crate::varint::Reader;

/// The most that deflate can expand: a block that claims more than this cannot be honest.
const MAX_INFLATION: usize = 1032;

/// The validated outline of a block. All positions count from the start of the block, which for the first
/// block of a table is the start of the file: its header belongs to the block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) kind: BlockKind,
    /// Where the first record starts.
    pub(crate) first: usize,
    /// Where the restart table starts, which is where records end.
    pub(crate) restart_table: usize,
    pub(crate) restarts: usize,
    /// The length that the block states: inflated, without padding.
    pub(crate) len: usize,
}

/// Type and stated length of the block at the start of `data`, whose file header takes `header_off` bytes.
pub(crate) fn kind_and_len(data: &[u8], header_off: usize) -> Result<(BlockKind, usize)> {
    let mut r = Reader::new(data, header_off);
    let letter = r.u8()?;
    let Some(kind) = BlockKind::from_letter(letter) else {
        return Err(Error::corrupt(format!("a block has the unknown type {letter:#04x}")).at(header_off as u64));
    };
    let len = r.be24()? as usize;
    if len < header_off + BLOCK_HEADER_LEN + 2 {
        return Err(Error::corrupt(format!("a block claims a length of only {len}")).at(r.pos() as u64 - 3));
    }
    Ok((kind, len))
}

impl Shape {
    /// Validates the block that `data` starts with. For log blocks `data` is inflated already.
    pub(crate) fn parse(data: &[u8], header_off: usize) -> Result<Shape> {
        let (kind, len) = kind_and_len(data, header_off)?;
        let first = header_off + BLOCK_HEADER_LEN;
        if len > data.len() {
            let message = format!("a block claims {len} bytes, {} are left", data.len());
            return Err(Error::corrupt(message).at(header_off as u64 + 1));
        }
        let restarts = usize::from(Reader::new(data, len - 2).be16()?);
        let restart_table = (len - 2).checked_sub(3 * restarts).filter(|&table| table >= first).ok_or_else(|| {
            Error::corrupt(format!("{restarts} restarts do not fit into the block")).at(len as u64 - 2)
        })?;
        if restarts == 0 && restart_table > first {
            return Err(Error::corrupt("a block with records has no restarts").at(len as u64 - 2));
        }
        let shape = Shape { kind, first, restart_table, restarts, len };
        let mut last = None;
        for index in 0..restarts {
            let offset = shape.restart(data, index)?;
            let in_order = last.map_or(offset == first, |last| offset > last);
            if !in_order || offset >= restart_table {
                let place = restart_table + 3 * index;
                return Err(
                    Error::corrupt(format!("restart {index} points to {offset}, outside its turn")).at(place as u64)
                );
            }
            last = Some(offset);
        }
        Ok(shape)
    }

    /// Where restart number `index` points.
    fn restart(&self, data: &[u8], index: usize) -> Result<usize> {
        Ok(Reader::new(data, self.restart_table + 3 * index).be24()? as usize)
    }

    /// The records of the block, without the restart table.
    fn records<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        data.get(..self.restart_table).unwrap_or_default()
    }

    /// The whole key at restart number `index`, in place.
    fn restart_key<'a>(&self, data: &'a [u8], index: usize) -> Result<&'a [u8]> {
        let start = self.restart(data, index)?;
        let mut r = Reader::new(self.records(data), start);
        if r.varint()? != 0 {
            return Err(Error::corrupt("a restart shares bytes with the record before it").at(start as u64));
        }
        let len = usize::try_from(r.varint()? >> 3)
            .map_err(|_| Error::corrupt("a length exceeds the address space").at(start as u64))?;
        r.bytes(len)
    }

    /// Checks that each restart is at a record, as `is_record` knows, and that its key stands alone.
    pub(crate) fn check_restarts(&self, data: &[u8], is_record: impl Fn(u64) -> bool) -> Result<()> {
        for index in 0..self.restarts {
            self.restart_key(data, index)?;
            let start = self.restart(data, index)? as u64;
            if !is_record(start) {
                return Err(Error::corrupt("a restart points into the middle of a record").at(start));
            }
        }
        Ok(())
    }

    /// The last restart whose key is below `key`, or the first: scanning from there finds `key`.
    fn restart_before(&self, data: &[u8], key: &[u8]) -> Result<usize> {
        let (mut low, mut high) = (0, self.restarts);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.restart_key(data, middle)?.cmp(key) == Ordering::Less {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        match low.checked_sub(1) {
            Some(index) => self.restart(data, index),
            None => Ok(self.first),
        }
    }

    /// Decodes the record at `pos`: leaves its key in `key` and `pos` behind it. `None` at the end.
    #[inline]
    pub(crate) fn next<R: Record>(
        &self,
        data: &[u8],
        pos: &mut usize,
        key: &mut Vec<u8>,
        cx: &Context,
    ) -> Result<Option<R::Span>> {
        if *pos >= self.restart_table {
            return Ok(None);
        }
        let mut r = Reader::new(self.records(data), *pos);
        let value_type = decode_key(&mut r, key)?;
        let span = R::decode(&mut r, key, value_type, cx)?;
        *pos = r.pos();
        Ok(Some(span))
    }

    /// Decodes the first record whose key is not below `target`. `None` when all are.
    pub(crate) fn seek<R: Record>(
        &self,
        data: &[u8],
        target: &[u8],
        pos: &mut usize,
        key: &mut Vec<u8>,
        cx: &Context,
    ) -> Result<Option<R::Span>> {
        *pos = self.restart_before(data, target)?;
        key.clear();
        while let Some(span) = self.next::<R>(data, pos, key, cx)? {
            if key.as_slice() >= target {
                return Ok(Some(span));
            }
        }
        Ok(None)
    }
}

/// Inflates the log block at the start of `data` into `out`, laid out as if it had never been deflated.
/// Returns the bytes that the deflated block takes in the file.
pub(crate) fn inflate(data: &[u8], header_off: usize, out: &mut Vec<u8>) -> Result<usize> {
    let (_, len) = kind_and_len(data, header_off)?;
    let skip = header_off + BLOCK_HEADER_LEN;
    let (head, deflated) = data.split_at_checked(skip).unwrap_or((data, &[]));
    if len - skip > deflated.len().saturating_mul(MAX_INFLATION) {
        let message = format!("a log block claims {len} bytes, more than its {} can hold", deflated.len());
        return Err(Error::corrupt(message).at(header_off as u64 + 1));
    }
    out.clear();
    out.extend_from_slice(head);
    out.resize(len, 0);
    let mut stream = Decompress::new(true);
    let status = stream.decompress(deflated, out.get_mut(skip..).unwrap_or_default(), FlushDecompress::Finish);
    if !matches!(status, Ok(Status::StreamEnd)) || stream.total_out() != (len - skip) as u64 {
        return Err(
            Error::corrupt(format!("a log block does not inflate to the {len} bytes it claims")).at(skip as u64)
        );
    }
    Ok(skip + stream.total_in() as usize)
}
