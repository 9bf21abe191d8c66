//! Blocks: sorted records behind a type and a length, with a table of restarts at the end.

mod reader;
mod writer;

pub(crate) use reader::{Shape, inflate};
pub(crate) use writer::{Added, BlockWriter};
