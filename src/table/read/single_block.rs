//! One block seen as a table, for programs that have a block and no file.

use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::format::block::kind_and_len;
use crate::format::header::{BLOCK_HEADER_LEN, Footer, Header, header_len, version_for};
use crate::oid::HashKind;
use crate::table::{BlockDump, Table, TableFile};

impl Table {
    /// A table of the one block that `read` gives, so that it can be walked like any other.
    /// References in it have update indexes that count from 0, as blocks state them: what they are
    /// relative to, only the file's header knows.
    ///
    /// `read` is asked twice for a number of bytes from the start of the block on; it gives fewer
    /// if there are not so many. The first block of a file starts with the file's header, of `lead`
    /// bytes; for all others `lead` is 0. Blocks are padded to `block_size` bytes, or not at all if
    /// that is 0.
    ///
    /// # Errors
    /// Those of `read`; `Invalid` for a `lead` that no file has; `Corrupt`.
    pub fn of_block<E: From<Error>>(
        lead: usize,
        block_size: u32,
        hash: HashKind,
        mut read: impl FnMut(usize) -> std::result::Result<Bytes, E>,
    ) -> std::result::Result<Table, E> {
        if ![0, header_len(1), header_len(2)].contains(&lead) {
            return Err(Error::invalid(format!("no table has a header of {lead} bytes")).into());
        }
        let (_, len) = kind_and_len(&read(lead + BLOCK_HEADER_LEN)?, lead)?;
        // Padded or not; or deflated, which may make it a little longer. And the byte after, which
        // tells padding.
        let at_most = len.max(block_size as usize) + len / 1024 + 64;
        Ok(Table::alone(lead, block_size, hash, read(at_most)?)?)
    }

    fn alone(lead: usize, block_size: u32, hash: HashKind, bytes: Bytes) -> Result<Table> {
        let version = version_for(hash);
        let header = Header { version, block_size, min_update_index: 0, max_update_index: u64::MAX, hash };
        let end = bytes.len() as u64;
        let mut file = TableFile::new("a block".into(), bytes, header, Footer::default(), lead, end);
        let block = file.read_block(0, &mut Vec::new())?;
        file.end = block.stride.min(end);
        Ok(Table::of(file))
    }
}

impl BlockDump<'_> {
    /// The block as a table of its own: see [`Table::of_block`]. Costs a copy of its bytes.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn alone(&self) -> Result<Table> {
        let bytes = self.table.file.from(self.offset()).get(..self.file_len() as usize).unwrap_or_default();
        let header = self.table.header();
        Table::alone(self.header_len(), header.block_size, header.hash, bytes.to_vec().into())
    }
}
