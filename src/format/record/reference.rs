//! Reference records: a name and where it points, or a tombstone.

use super::{Context, Record, put_id, unknown_type};
use crate::error::{Error, Result};
use crate::format::header::BlockKind;
use crate::format::varint::{Reader, put_string, put_varint};
use crate::value::{RefRecordView, TargetView};

/// The kind of record in `r` blocks.
#[derive(Debug)]
pub(crate) enum RefRecord {}

const DELETION: u8 = 0;
const ID: u8 = 1;
const TAG: u8 = 2;
const SYMBOLIC: u8 = 3;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RefSpan {
    update_index: u64,
    /// Where the value starts, and its bytes: one id, two ids, or a name.
    value: u32,
    len: u32,
    value_type: u8,
}

impl RefSpan {
    #[inline(always)]
    fn value<'a>(&self, block: &'a [u8]) -> &'a [u8] {
        self.rest(block).get(..self.len as usize).unwrap_or_default()
    }

    /// The value and all after it.
    #[inline(always)]
    fn rest<'a>(&self, block: &'a [u8]) -> &'a [u8] {
        block.get(self.value as usize..).unwrap_or_default()
    }

    pub(crate) fn update_index(&self) -> u64 {
        self.update_index
    }

    /// The value, which is one id, or two; nothing of other types of record.
    #[inline(always)]
    pub(crate) fn ids<'a>(&self, block: &'a [u8]) -> &'a [u8] {
        if matches!(self.value_type, ID | TAG) { self.value(block) } else { &[] }
    }

    /// Whether the record's id or peeled id is this one.
    #[inline(always)]
    pub(crate) fn points_at(&self, block: &[u8], id: &[u8]) -> bool {
        let value = self.rest(block);
        match self.value_type {
            // Most differ in the first byte.
            ID => value.first() == id.first() && value.starts_with(id),
            TAG => value.starts_with(id) || value.get(id.len()..).is_some_and(|peeled| peeled.starts_with(id)),
            _ => false,
        }
    }
}

impl Record for RefRecord {
    const KIND: BlockKind = BlockKind::Ref;
    type Span = RefSpan;
    type View<'a> = RefRecordView<'a>;

    #[inline(always)]
    fn decode(r: &mut Reader<'_>, value_type: u8, cx: &Context) -> Result<RefSpan> {
        let start = r.pos();
        let Some(update_index) = r.varint()?.checked_add(cx.min_update_index) else {
            return Err(Error::corrupt("an update index exceeds 64 bits").at(start as u64));
        };
        let len = if value_type == ID {
            cx.hash.len()
        } else {
            match value_type {
                TAG => 2 * cx.hash.len(),
                DELETION => 0,
                SYMBOLIC => r.varint_len()?,
                other => return Err(unknown_type("reference", other, r.pos())),
            }
        };
        let value = r.pos() as u32;
        r.bytes(len)?;
        Ok(RefSpan { update_index, value, len: len as u32, value_type })
    }

    #[inline(always)]
    fn view<'a>(key: &'a [u8], block: &'a [u8], span: &RefSpan, cx: &Context) -> RefRecordView<'a> {
        let target = if span.value_type == ID {
            Some(TargetView::Id(cx.hash.leading_id(span.rest(block))))
        } else {
            match span.value_type {
                TAG => {
                    let (id, peeled) = span.value(block).split_at_checked(cx.hash.len()).unwrap_or_default();
                    Some(TargetView::Tag { id: cx.hash.leading_id(id), peeled: cx.hash.leading_id(peeled) })
                }
                DELETION => None,
                _ => Some(TargetView::Symbolic(span.value(block))),
            }
        };
        RefRecordView { name: key, update_index: span.update_index, target }
    }

    #[inline]
    fn is_tombstone(span: &RefSpan) -> bool {
        span.value_type == DELETION
    }

    fn key(view: &RefRecordView<'_>, key: &mut Vec<u8>) {
        key.clear();
        key.extend_from_slice(view.name);
    }

    fn value_type(view: &RefRecordView<'_>) -> u8 {
        match view.target {
            None => DELETION,
            Some(TargetView::Id(_)) => ID,
            Some(TargetView::Tag { .. }) => TAG,
            Some(TargetView::Symbolic(_)) => SYMBOLIC,
        }
    }

    fn encode(view: &RefRecordView<'_>, cx: &Context, out: &mut Vec<u8>) -> Result<()> {
        let Some(delta) = view.update_index.checked_sub(cx.min_update_index) else {
            return Err(Error::invalid("an update index lies below the table's range"));
        };
        put_varint(out, delta);
        match view.target {
            None => {}
            Some(TargetView::Id(id)) => put_id(out, id, cx)?,
            Some(TargetView::Tag { id, peeled }) => {
                put_id(out, id, cx)?;
                put_id(out, peeled, cx)?;
            }
            Some(TargetView::Symbolic(target)) => put_string(out, target),
        }
        Ok(())
    }
}
