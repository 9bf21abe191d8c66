//! The bytes of the format: integers, header and footer, records, blocks. Nothing here knows a
//! file.
//!
//! Later ones in this list import earlier ones only: varint, header, record, block.

pub(crate) mod block;
pub(crate) mod header;
pub(crate) mod record;
pub(crate) mod varint;

pub use header::{BlockKind, Footer, Header, MAX_BLOCK_SIZE};
