//! Where a merge is cut, so that its parts can be done one by one, or by several threads.

use std::sync::Arc;

use crate::error::Result;
use crate::format::header::BlockKind;
use crate::table::{IndexWalk, Table};

/// Bytes of blocks, not deflated, that make a range: some milliseconds of work, and little memory
/// for each that is under way.
const RANGE: u64 = 512 * 1024;
/// Bytes of blocks to one key that is considered for a cut.
const SAMPLE: u64 = 64 * 1024;
/// What blocks are taken for where a table does not say: those of JGit, which need not be padded.
const USUAL_BLOCK: u64 = 4096;
/// Deflated logs are taken to inflate to so many times their size.
const INFLATION: u64 = 4;

/// Keys from the first, `to` the second, which is not one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: Vec<u8>,
    /// `None`: to the end.
    pub(super) to: Option<Vec<u8>>,
}

/// About as many bytes as the blocks of a range take.
pub(super) fn bytes_of_range(tables: &[Arc<Table>], kind: BlockKind) -> usize {
    let bytes: u64 = tables.iter().map(|table| table.section_len(kind)).sum();
    let most = if kind == BlockKind::Log { RANGE / INFLATION } else { RANGE };
    (bytes + bytes / 8).min(most + most / 8) as usize
}

/// The ranges in which the records of `kind` are merged: consecutive, and together all keys there
/// are. They depend on the tables alone, so that the merged table does. What is small is one range.
///
/// # Errors
/// `Corrupt`, with file and offset, when an index cannot be read.
pub(super) fn ranges(tables: &[Arc<Table>], kind: BlockKind) -> Result<Vec<Range>> {
    let inflation = if kind == BlockKind::Log { INFLATION } else { 1 };
    let bytes: u64 = tables.iter().map(|table| table.section_len(kind)).sum();
    let mut ranges = vec![Range::default()];
    if bytes.saturating_mul(inflation) < 2 * RANGE {
        return Ok(ranges);
    }
    let mut samples = Vec::new();
    for table in tables {
        sample(table, kind, &mut samples)?;
    }
    samples.sort();
    let mut len = 0;
    for (key, bytes) in samples {
        len += bytes;
        if len >= RANGE
            && let Some(last) = ranges.last_mut()
        {
            len = 0;
            last.to = Some(key.clone());
            ranges.push(Range { from: key, to: None });
        }
    }
    Ok(ranges)
}

/// Adds a key for every few blocks of a table: the first one after the last of them, and the bytes
/// of those blocks.
fn sample(table: &Arc<Table>, kind: BlockKind, samples: &mut Vec<(Vec<u8>, u64)>) -> Result<()> {
    // Without an index a table has no more than a few blocks.
    let Some(mut leaves) = IndexWalk::seek(&table.file, kind, b"")? else { return Ok(()) };
    let block = match u64::from(table.header().block_size) {
        0 => USUAL_BLOCK,
        bytes => bytes,
    };
    let mut len = 0;
    while let Some((last_key, _)) = leaves.block() {
        len += block;
        if len >= SAMPLE {
            samples.push(([last_key, b"\0"].concat(), len));
            len = 0;
        }
        leaves.advance()?;
    }
    Ok(())
}
