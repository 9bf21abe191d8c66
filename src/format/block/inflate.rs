//! Inflating log blocks.

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};

use super::reader::kind_and_len;
use crate::error::{Error, Result};
use crate::format::header::BLOCK_HEADER_LEN;

/// The most that deflate can expand: a block that claims more than this cannot be honest.
const MAX_INFLATION: usize = 1032;

thread_local! {
    /// Making a stream costs more than inflating a block: its tables and window are large. It keeps
    /// nothing from one block to the next.
    static STREAM: RefCell<Decompress> = RefCell::new(Decompress::new(true));
}

/// Inflates the log block at the start of `data` into `out`, laid out as if it had never been
/// deflated. Returns the bytes that the deflated block takes in the file.
pub(crate) fn inflate(data: &[u8], header_off: usize, out: &mut Vec<u8>) -> Result<usize> {
    let (_, len) = kind_and_len(data, header_off)?;
    let skip = header_off + BLOCK_HEADER_LEN;
    let (head, deflated) = data.split_at_checked(skip).unwrap_or((data, &[]));
    if len - skip > deflated.len().saturating_mul(MAX_INFLATION) {
        let message = format!("a log block claims {len} bytes, more than its {} can hold", deflated.len());
        return Err(Error::corrupt(message).at(header_off as u64 + 1));
    }
    // What was there before is written over: only growth costs.
    out.resize(len, 0);
    let Some((to_head, to)) = out.split_at_mut_checked(skip) else { return Err(wrong(len, skip)) };
    to_head.copy_from_slice(head);
    let taken = STREAM.with_borrow_mut(|stream| {
        stream.reset(true);
        let status = stream.decompress(deflated, to, FlushDecompress::Finish);
        let is_whole = matches!(status, Ok(Status::StreamEnd)) && stream.total_out() == to.len() as u64;
        is_whole.then(|| stream.total_in() as usize)
    });
    taken.map(|taken| skip + taken).ok_or_else(|| wrong(len, skip))
}

#[cold]
fn wrong(len: usize, skip: usize) -> Error {
    Error::corrupt(format!("a log block does not inflate to the {len} bytes it claims")).at(skip as u64)
}
