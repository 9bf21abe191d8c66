//! Index records: the last key of a block and where the block is.

use super::{Context, Record, unknown_type};
use crate::error::Result;
use crate::format::header::BlockKind;
use crate::format::varint::{Reader, put_varint};

/// An index record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IndexView<'a> {
    pub(crate) last_key: &'a [u8],
    pub(crate) block: u64,
}

/// The kind of record in `i` blocks.
#[derive(Debug)]
pub(crate) enum IndexRecord {}

impl Record for IndexRecord {
    const KIND: BlockKind = BlockKind::Index;
    /// The offset itself.
    type Span = u64;
    type View<'a> = IndexView<'a>;

    #[inline]
    fn decode(r: &mut Reader<'_>, value_type: u8, _cx: &Context) -> Result<u64> {
        if value_type != 0 {
            return Err(unknown_type("index", value_type, r.pos()));
        }
        r.varint()
    }

    fn view<'a>(key: &'a [u8], _block: &'a [u8], span: &u64, _cx: &Context) -> IndexView<'a> {
        IndexView { last_key: key, block: *span }
    }

    fn key(view: &IndexView<'_>, key: &mut Vec<u8>) {
        key.clear();
        key.extend_from_slice(view.last_key);
    }

    fn value_type(_view: &IndexView<'_>) -> u8 {
        0
    }

    fn encode(view: &IndexView<'_>, _cx: &Context, out: &mut Vec<u8>) -> Result<()> {
        put_varint(out, view.block);
        Ok(())
    }
}
