//! How tables are written.

use crate::error::{Error, Result};
use crate::format::block::BlockWriter;
use crate::format::header::MAX_BLOCK_SIZE;

/// The smallest block that is allowed: header, `HEAD` and its id, a restart.
const MIN_BLOCK_SIZE: u32 = 64;

/// How tables are written. The defaults are git's, but for the deflation of logs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct WriteOptions {
    pub(crate) block_size: u32,
    pub(crate) restart_interval: u16,
    pub(crate) padding: bool,
    pub(crate) object_index: bool,
    pub(crate) deflate_level: u8,
    pub(crate) max_table_size: u64,
}

impl Default for WriteOptions {
    fn default() -> Self {
        WriteOptions {
            block_size: 4096,
            restart_interval: 16,
            padding: true,
            object_index: true,
            deflate_level: 1,
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

    /// Records from one uncompressed key to the next, at least 1. Default 16. Mirrors
    /// `reftable.restartInterval`.
    pub fn restart_interval(mut self, records: u16) -> Self {
        self.restart_interval = records;
        self
    }

    /// Whether blocks other than logs are filled up to the block size. Default true. git has no
    /// setting for it.
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

    /// How hard log blocks are deflated, from 1 (fast) to 9 (small). Default 1; git writes with 9,
    /// and all programs read both.
    ///
    /// 9 makes logs some 3 % smaller. They take four times as long to write then, and twice as long
    /// to read. Blocks of up to 1,024 bytes are stored, whatever the level.
    pub fn deflate_level(mut self, level: u8) -> Self {
        self.deflate_level = level;
        self
    }

    /// The largest file to write. Default 4 GiB - 1, because git keeps offsets in 32 bits and
    /// misreads what lies beyond.
    pub fn max_table_size(mut self, bytes: u64) -> Self {
        self.max_table_size = bytes;
        self
    }

    /// Appends what tells these options from others, in a form that stays.
    pub(crate) fn put_key(&self, key: &mut Vec<u8>) {
        let WriteOptions { block_size, restart_interval, padding, object_index, deflate_level, max_table_size } = self;
        key.extend_from_slice(&block_size.to_be_bytes());
        key.extend_from_slice(&restart_interval.to_be_bytes());
        key.extend([u8::from(*padding), u8::from(*object_index), *deflate_level]);
        key.extend_from_slice(&max_table_size.to_be_bytes());
    }

    /// The same with blocks twice as large as these, and as blocks of `block_size`.
    pub(crate) fn with_room_for(mut self, block_size: u32) -> Self {
        self.block_size = self.block_size.max(block_size).saturating_mul(2).min(MAX_BLOCK_SIZE);
        self
    }

    pub(crate) fn block_writer(&self) -> BlockWriter {
        BlockWriter::new(self.block_size, self.restart_interval, self.deflate_level)
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
        if !(1..=9).contains(&self.deflate_level) {
            return Err(Error::invalid(format!("the deflate level {} is not between 1 and 9", self.deflate_level)));
        }
        if self.restart_interval == 0 {
            return Err(Error::invalid("the restart interval must be at least 1"));
        }
        Ok(())
    }
}
