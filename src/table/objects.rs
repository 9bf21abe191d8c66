//! Finding the references that point at an object, through the object section or by looking at all of them.

use super::Table;
use crate::error::Result;
use crate::format::BlockKind;
use crate::oid::ObjectId;
use crate::record::{ObjectRecord, Record, RefRecord, RefRecordView};

/// Calls `found` with each reference in `table` that points at `id`, in order.
pub(crate) fn refs_pointing_at(table: &Table, id: &ObjectId, found: &mut dyn FnMut(&RefRecordView<'_>)) -> Result<()> {
    let Some(section) = table.section(BlockKind::Ref).filter(|_| table.hash() == id.kind()) else { return Ok(()) };
    if let Some(blocks) = blocks_with(table, id)? {
        return blocks.into_iter().try_for_each(|offset| select(table, offset, id, found).map(drop));
    }
    let mut next = section.offset;
    while table.kind_at(next)? == Some(BlockKind::Ref) {
        next = select(table, next, id, found)?;
    }
    Ok(())
}

/// Looks through one reference block and returns where the next one starts.
fn select(table: &Table, offset: u64, id: &ObjectId, found: &mut dyn FnMut(&RefRecordView<'_>)) -> Result<u64> {
    let block = table.data_block(BlockKind::Ref, offset, &mut Vec::new())?;
    let (data, cx) = (table.bytes_of(&block), table.context());
    let selected = block.shape.select::<RefRecord>(
        data,
        &cx,
        |span| span.points_at(data, id.as_bytes()),
        |key, span| found(&RefRecord::view(key, data, span, &cx)),
    );
    selected.map_err(|error| table.locate(error, &block))?;
    Ok(offset + block.stride)
}

/// The reference blocks in which `id` may appear; `None` when the table cannot tell.
fn blocks_with(table: &Table, id: &ObjectId) -> Result<Option<Vec<u64>>> {
    if table.section(BlockKind::Obj).is_none() {
        return Ok(None);
    }
    let prefix = id.as_bytes().get(..usize::from(table.footer().obj_id_len)).unwrap_or(id.as_bytes());
    let found = table.seek::<ObjectRecord>(prefix, &mut Vec::new())?;
    let Some(found) = found.filter(|found| found.hit.is_equal) else { return Ok(Some(Vec::new())) };
    let record = ObjectRecord::view(prefix, table.bytes_of(&found.block), &found.hit.span, &table.context());
    let blocks = record.blocks.to_vec();
    // A record without offsets means that they did not fit into a block.
    Ok((!blocks.is_empty()).then_some(blocks))
}
