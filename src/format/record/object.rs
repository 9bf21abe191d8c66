//! Object records: an abbreviated id and the reference blocks in which it appears.

use super::{Context, Record};
use crate::error::{Error, Result};
use crate::format::header::BlockKind;
use crate::format::varint::{Reader, put_varint};

/// An object record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ObjectView<'a> {
    /// The first bytes of the id.
    pub(crate) prefix: &'a [u8],
    /// Offsets of reference blocks, ascending. None at all means "look everywhere".
    pub(crate) blocks: Offsets<'a>,
}

/// A list of offsets: plain when it is to be written, encoded when it was read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Offsets<'a> {
    Plain(&'a [u64]),
    /// The first offset, then differences; `count` of them.
    Encoded {
        bytes: &'a [u8],
        count: usize,
    },
}

impl Offsets<'_> {
    pub(crate) fn to_vec(self) -> Vec<u64> {
        let (bytes, count) = match self {
            Offsets::Plain(offsets) => return offsets.to_vec(),
            Offsets::Encoded { bytes, count } => (bytes, count),
        };
        let mut r = Reader::new(bytes, 0);
        let mut last = 0u64;
        // `decode` has walked over them all: none is missing, and none too large.
        let mut next = || {
            last = last.wrapping_add(r.varint().ok()?);
            Some(last)
        };
        (0..count).map_while(|_| next()).collect()
    }
}

/// The kind of record in `o` blocks.
#[derive(Debug)]
pub(crate) enum ObjectRecord {}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ObjectSpan {
    start: u32,
    end: u32,
    count: u32,
}

impl Record for ObjectRecord {
    const KIND: BlockKind = BlockKind::Obj;
    type Span = ObjectSpan;
    type View<'a> = ObjectView<'a>;

    fn decode(r: &mut Reader<'_>, value_type: u8, _cx: &Context) -> Result<ObjectSpan> {
        let count = match value_type {
            0 => r.varint()?,
            count => u64::from(count),
        };
        let start = r.pos() as u32;
        // Each turn consumes a byte of the block or ends in an error, so a huge count cannot loop
        // for long.
        let mut last = 0u64;
        for turn in 0..count {
            let at = r.pos() as u64;
            let step = r.varint()?;
            if turn > 0 && step == 0 {
                // It would make readers walk over one block any number of times.
                return Err(Error::corrupt("an object record names a block twice").at(at));
            }
            last = last.checked_add(step).ok_or_else(|| Error::corrupt("an offset exceeds 64 bits").at(at))?;
        }
        Ok(ObjectSpan { start, end: r.pos() as u32, count: count as u32 })
    }

    fn view<'a>(key: &'a [u8], block: &'a [u8], span: &ObjectSpan, _cx: &Context) -> ObjectView<'a> {
        let bytes = block.get(span.start as usize..span.end as usize).unwrap_or_default();
        ObjectView { prefix: key, blocks: Offsets::Encoded { bytes, count: span.count as usize } }
    }

    fn key(view: &ObjectView<'_>, key: &mut Vec<u8>) {
        key.clear();
        key.extend_from_slice(view.prefix);
    }

    fn value_type(view: &ObjectView<'_>) -> u8 {
        match view.blocks {
            Offsets::Plain(offsets) if (1..=7).contains(&offsets.len()) => offsets.len() as u8,
            _ => 0,
        }
    }

    fn encode(view: &ObjectView<'_>, _cx: &Context, out: &mut Vec<u8>) -> Result<()> {
        let decoded;
        let offsets = match view.blocks {
            Offsets::Plain(offsets) => offsets,
            encoded @ Offsets::Encoded { .. } => {
                decoded = encoded.to_vec();
                decoded.as_slice()
            }
        };
        if Self::value_type(view) == 0 {
            put_varint(out, offsets.len() as u64);
        }
        let mut last = 0;
        for &offset in offsets {
            put_varint(out, offset.wrapping_sub(last));
            last = offset;
        }
        Ok(())
    }
}
