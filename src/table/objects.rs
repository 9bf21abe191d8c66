//! Finding the references that point at an object, through the object section or by looking at all of them.

use std::sync::Arc;

use super::{Cursor, Table};
use crate::error::Result;
use crate::format::BlockKind;
use crate::oid::ObjectId;
use crate::record::{ObjectRecord, RefRecord, RefRecordView};

/// Calls `found` with each reference in `table` that points at `id`, in order.
pub(crate) fn refs_pointing_at(
    table: &Arc<Table>,
    id: &ObjectId,
    found: &mut dyn FnMut(&RefRecordView<'_>),
) -> Result<()> {
    if table.hash() != id.kind() || table.section(BlockKind::Ref).is_none() {
        return Ok(());
    }
    let mut refs = Cursor::<RefRecord>::new(Arc::clone(table));
    match blocks_with(table, id)? {
        Some(blocks) => {
            for block in blocks {
                refs.seek_block(block)?;
                while refs.next()? && refs.block_offset() == Some(block) {
                    if refs.points_at(id) {
                        found(&refs.view());
                    }
                }
            }
        }
        None => {
            refs.seek(b"")?;
            while refs.next()? {
                if refs.points_at(id) {
                    found(&refs.view());
                }
            }
        }
    }
    Ok(())
}

/// The reference blocks in which `id` may appear; `None` when the table cannot tell.
fn blocks_with(table: &Arc<Table>, id: &ObjectId) -> Result<Option<Vec<u64>>> {
    if table.section(BlockKind::Obj).is_none() {
        return Ok(None);
    }
    let prefix = id.as_bytes().get(..usize::from(table.footer().obj_id_len)).unwrap_or(id.as_bytes());
    let mut objects = Cursor::<ObjectRecord>::new(Arc::clone(table));
    objects.seek(prefix)?;
    if !objects.next()? || objects.key() != prefix {
        return Ok(Some(Vec::new()));
    }
    let blocks = objects.view().blocks.to_vec();
    // A record without offsets means that they did not fit into a block.
    Ok((!blocks.is_empty()).then_some(blocks))
}
