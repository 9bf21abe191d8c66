//! Blocks: sorted records after a type and a length, with a table of restarts at the end.

mod inflate;
mod reader;
mod writer;

pub(crate) use inflate::inflate;
pub(crate) use reader::{Hit, Shape, kind_and_len};
pub(crate) use writer::{Added, BlockWriter};
