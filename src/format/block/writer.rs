//! Writing a block: prefix compression, restarts, and deflation for logs.

use flate2::{Compress, Compression, FlushCompress, Status};

use crate::error::{Error, Result};
use crate::format::header::{BLOCK_HEADER_LEN, BlockKind, MAX_RESTARTS};
use crate::format::record::{Context, Record, encode_key};
use crate::format::varint::be24;
use crate::invariant::violated;

/// The deflate level that makes blocks smallest: git's.
const HARDEST: u8 = 9;

/// Deflate looks no farther back than this many bytes less than its window is long.
const LOOKAHEAD: usize = 262;

/// The longest body that is stored as it is: a stream zeroes 200 KiB, in pages that a process which
/// commits once has to be given first, and saves a few hundred bytes of a file that takes a block
/// of the file system anyway. A compaction that makes more of it deflates it.
const LONGEST_STORED: usize = 1024;

/// Whether a record went in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    Yes,
    /// The block is as it was before.
    Full,
}

/// Collects the records of one block. Reused for all blocks of a table.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    kind: BlockKind,
    /// The block so far, from the start of the file header where there is one.
    buf: Vec<u8>,
    header_off: usize,
    block_size: usize,
    restart_interval: usize,
    deflate_level: u8,
    restarts: Vec<u32>,
    last_key: Vec<u8>,
    entries: usize,
    deflated: Vec<u8>,
    /// For the level that was asked for, and for the hardest. Made for the first log block that
    /// needs them, then used again: their tables are large.
    streams: [Option<Compress>; 2],
}

impl BlockWriter {
    /// A writer of blocks of up to `block_size` bytes, with a restart at every `restart_interval`th
    /// record at least.
    pub(crate) fn new(block_size: u32, restart_interval: u16, deflate_level: u8) -> Self {
        BlockWriter {
            kind: BlockKind::Ref,
            buf: Vec::new(),
            header_off: 0,
            block_size: block_size as usize,
            restart_interval: usize::from(restart_interval.max(1)),
            deflate_level,
            restarts: Vec::new(),
            last_key: Vec::new(),
            entries: 0,
            deflated: Vec::new(),
            streams: [None, None],
        }
    }

    /// Starts a block of `kind`, leaving room for the file header if it is to hold one.
    pub(crate) fn start(&mut self, kind: BlockKind, file_header: &[u8]) {
        self.kind = kind;
        self.buf.clear();
        self.buf.extend_from_slice(file_header);
        self.header_off = file_header.len();
        self.buf.push(kind.letter());
        self.buf.extend_from_slice(&[0; 3]);
        self.restarts.clear();
        self.last_key.clear();
        self.entries = 0;
    }

    pub(crate) fn kind(&self) -> BlockKind {
        self.kind
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    pub(crate) fn entries(&self) -> usize {
        self.entries
    }

    pub(crate) fn restarts(&self) -> usize {
        self.restarts.len()
    }

    /// Bytes that are free, if a block has been started.
    pub(crate) fn room(&self) -> usize {
        self.block_size.saturating_sub(self.buf.len() + 3 * self.restarts.len() + 2)
    }

    pub(crate) fn last_key(&self) -> &[u8] {
        &self.last_key
    }

    /// Adds a record whose key is `key`, if the block stays within its size.
    pub(crate) fn add<R: Record>(&mut self, key: &[u8], view: &R::View<'_>, cx: &Context) -> Result<Added> {
        let start = self.buf.len();
        let before: &[u8] = if self.entries.is_multiple_of(self.restart_interval) { &[] } else { &self.last_key };
        let unshared = encode_key(&mut self.buf, before, key, R::value_type(view));
        if let Err(error) = R::encode(view, cx, &mut self.buf) {
            self.buf.truncate(start);
            return Err(error);
        }
        let is_restart = unshared && self.restarts.len() < MAX_RESTARTS;
        let restarts = self.restarts.len() + usize::from(is_restart);
        if self.buf.len() + 3 * restarts + 2 > self.block_size {
            self.buf.truncate(start);
            return Ok(Added::Full);
        }
        if is_restart {
            self.restarts.push(start as u32);
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.entries += 1;
        Ok(Added::Yes)
    }

    /// Ends the block and returns its bytes as they go into the file, unpadded.
    pub(crate) fn finish(&mut self) -> Result<&[u8]> {
        for restart in &self.restarts {
            self.buf.extend_from_slice(&be24(*restart));
        }
        self.buf.extend_from_slice(&(self.restarts.len() as u16).to_be_bytes());
        let len = be24(self.buf.len() as u32);
        if let Some(field) = self.buf.get_mut(self.header_off + 1..self.header_off + BLOCK_HEADER_LEN) {
            field.copy_from_slice(&len);
        }
        match self.kind {
            BlockKind::Log => self.deflate(),
            _ => Ok(&self.buf),
        }
    }

    /// Everything after the block header goes through deflate, or becomes a stored block of it.
    ///
    /// Fast deflation makes longer what does not repeat, such as a long message in Chinese. git
    /// reads as many bytes of a block as it has inflated, and at least the size of blocks: what
    /// would be longer is deflated as git does it.
    fn deflate(&mut self) -> Result<&[u8]> {
        let split = self.buf.split_at_checked(self.header_off + BLOCK_HEADER_LEN);
        let (head, body) = split.ok_or_else(|| violated("a block of logs is shorter than its header"))?;
        let most = self.buf.len().max(self.block_size);
        self.deflated.clear();
        self.deflated.extend_from_slice(head);
        if body.len() <= LONGEST_STORED && self.buf.len() + STORED_FRAME <= most {
            store(body, &mut self.deflated);
            return Ok(&self.deflated);
        }
        let mut is_done = false;
        for (stream, level) in self.streams.iter_mut().zip([self.deflate_level, HARDEST]) {
            self.deflated.truncate(head.len());
            // Nine bits a byte, or stored blocks of 16 KiB, and the frame.
            self.deflated.reserve(body.len() + body.len() / 8 + 64);
            let bits = window_bits(self.block_size);
            let stream = stream
                .get_or_insert_with(|| Compress::new_with_window_bits(Compression::new(level.into()), true, bits));
            stream.reset();
            let status = stream.compress_vec(body, &mut self.deflated, FlushCompress::Finish);
            is_done = matches!(status, Ok(Status::StreamEnd));
            if is_done && self.deflated.len() <= most {
                break;
            }
        }
        if is_done { Ok(&self.deflated) } else { Err(Error::invalid("a log block could not be deflated")) }
    }
}

/// Bytes that [`store`] adds.
const STORED_FRAME: usize = 11;

/// Appends `body` as a zlib stream of one stored block (RFC 1950 and 1951, 3.2.4).
fn store(body: &[u8], out: &mut Vec<u8>) {
    let len = body.len() as u16;
    // A window of 32 KiB, level 0; then the last block, stored.
    out.extend_from_slice(&[0x78, 0x01, 0x01]);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&(!len).to_le_bytes());
    out.extend_from_slice(body);
    out.extend_from_slice(&adler2::adler32_slice(body).to_be_bytes());
}

/// The smallest window, as a power of two, from whose end deflate sees the whole of a block: a
/// larger one finds nothing more, and all of it is zeroed before the first byte goes in.
fn window_bits(block_size: usize) -> u8 {
    let bytes = block_size.saturating_add(LOOKAHEAD).checked_next_power_of_two();
    bytes.map_or(15, |bytes| bytes.trailing_zeros().clamp(9, 15) as u8)
}

#[cfg(test)]
mod tests {
    use super::window_bits;

    #[test]
    fn a_window_is_as_large_as_a_block() {
        let sizes = [0, 250, 251, 4096, 8192 - 262, 8192, 32768, 1 << 24, usize::MAX];
        assert_eq!(sizes.map(window_bits), [9, 9, 10, 13, 13, 14, 15, 15, 15]);
    }
}
