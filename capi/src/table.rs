//! One table: opened from a block source, counted, read.

use std::ffi::{c_char, c_int, c_uint};
use std::slice;
use std::sync::Arc;

use reftable::bytes::Bytes;
use reftable::format::BlockKind;
use reftable::merge::Merged;
use reftable::table::{PointingAt, Table};
use reftable::{HashKind, ObjectId};

use crate::abi::{
    HASH_SHA1, HASH_SHA256, reftable_block_source, reftable_iterator, reftable_table, reftable_table_offsets,
};
use crate::alloc::{clear_string, new_string};
use crate::block_source::Owned;
use crate::error::{API, Code, FORMAT, OK, Result, guard, guard_or};
use crate::iterator::Walk;
use crate::{bytes_of, path_of};

/// What a `reftable_table *` points to: the fields that C sees, and ours after them.
#[repr(C)]
pub(crate) struct TableHandle {
    visible: reftable_table,
    table: Arc<Table>,
}

/// The number that C has for a hash.
pub(crate) fn hash_number(hash: HashKind) -> c_uint {
    match hash {
        HashKind::Sha256 => HASH_SHA256,
        _ => HASH_SHA1,
    }
}

/// The hash of a number; 0 stands for SHA-1.
pub(crate) fn hash_kind(number: c_uint) -> Result<HashKind> {
    match number {
        0 | HASH_SHA1 => Ok(HashKind::Sha1),
        HASH_SHA256 => Ok(HashKind::Sha256),
        _ => Err(Code(API)),
    }
}

/// The hash whose ids have this many bytes.
pub(crate) fn hash_of_size(size: u32) -> Option<HashKind> {
    [HashKind::Sha1, HashKind::Sha256].into_iter().find(|hash| hash.len() == size as usize)
}

/// The table that a pointer of C's stands for.
///
/// # Safety
/// `table` is null or from [`reftable_table_new`], and counted.
pub(crate) unsafe fn table_of<'a>(table: *const reftable_table) -> Result<&'a Arc<Table>> {
    // SAFETY: as promised to us; the visible part is the first field.
    unsafe { table.cast::<TableHandle>().as_ref() }.map(|handle| &handle.table).ok_or(Code(API))
}

/// Opens a table. The source is the table's from now on, also when this fails.
///
/// # Safety
/// `out` and `source` are not null, the source's functions do what they are for, `name` ends with a
/// zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_table_new(
    out: *mut *mut reftable_table,
    source: *mut reftable_block_source,
    name: *const c_char,
) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let source = unsafe { source.as_mut() }.ok_or(Code(API))?;
        // SAFETY: as promised to us.
        let owned = unsafe { Owned::new(source) }?;
        // SAFETY: as promised to us.
        let name = unsafe { bytes_of(name) }.unwrap_or_default();
        if out.is_null() {
            return Err(Code(API));
        }
        let source = owned.source();
        let table = Table::open(path_of(name), Bytes::from_owner(owned))?;
        let visible = visible(&table, name, source)?;
        let handle = Box::new(TableHandle { visible, table: Arc::new(table) });
        // SAFETY: as promised to us.
        unsafe { out.write(Box::into_raw(handle).cast()) };
        Ok(OK)
    })
}

fn visible(table: &Table, name: &[u8], source: reftable_block_source) -> Result<reftable_table> {
    let (header, footer) = (table.header(), table.footer());
    let footer_len = if header.version == 1 { 68 } else { 72 };
    let first = table.block_at(0).ok().flatten().map(|block| block.kind());
    let section = |kind: BlockKind, offset: u64, index_offset: u64| {
        let is_present = c_int::from(offset > 0 || first == Some(kind));
        reftable_table_offsets { is_present, offset, index_offset }
    };
    Ok(reftable_table {
        name: new_string(name)?,
        source,
        size: table.file_size().checked_sub(footer_len).ok_or(Code(FORMAT))?,
        hash_id: hash_number(table.hash()),
        block_size: header.block_size,
        min_update_index: header.min_update_index,
        max_update_index: header.max_update_index,
        object_id_len: footer.obj_id_len.into(),
        version: header.version.into(),
        ref_offsets: section(BlockKind::Ref, 0, footer.ref_index),
        obj_offsets: section(BlockKind::Obj, footer.obj, footer.obj_index),
        log_offsets: section(BlockKind::Log, footer.log, footer.log_index),
        refcount: 1,
    })
}

/// One more holder.
///
/// # Safety
/// `table` is null or a table.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_table_incref(table: *mut reftable_table) {
    // SAFETY: as promised to us.
    if let Some(table) = unsafe { table.as_mut() } {
        table.refcount = table.refcount.saturating_add(1);
    }
}

/// One holder less; the last one frees the table. Iterators over it go on.
///
/// # Safety
/// `table` is null or a table that the caller holds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_table_decref(table: *mut reftable_table) {
    // SAFETY: as promised to us.
    let Some(visible) = (unsafe { table.as_mut() }) else { return };
    visible.refcount = visible.refcount.saturating_sub(1);
    if visible.refcount > 0 {
        return;
    }
    guard_or((), || {
        // SAFETY: made by `Box::into_raw`, and nobody holds it any more.
        let mut handle = unsafe { Box::from_raw(table.cast::<TableHandle>()) };
        // SAFETY: allocated by `new_string`.
        unsafe { clear_string(&mut handle.visible.name) };
    });
}

/// An iterator over the references, tombstones included.
///
/// # Safety
/// `table` is null or a table; `it` is not in use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_table_init_ref_iterator(
    table: *mut reftable_table,
    it: *mut reftable_iterator,
) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let merged = Merged::new(vec![Arc::clone(unsafe { table_of(table) }?)]);
        // SAFETY: as promised to us.
        unsafe { Walk::refs(&merged, false).put(it) }
    })
}

/// An iterator over the reflog records, tombstones included.
///
/// # Safety
/// `table` is null or a table; `it` is not in use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_table_init_log_iterator(
    table: *mut reftable_table,
    it: *mut reftable_iterator,
) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let merged = Merged::new(vec![Arc::clone(unsafe { table_of(table) }?)]);
        // SAFETY: as promised to us.
        unsafe { Walk::logs(&merged, false).put(it) }
    })
}

/// An iterator over the references whose id, or peeled id, is `oid`; before the first of them.
///
/// # Safety
/// `table` is null or a table; `it` is not in use; `oid` is null or has as many bytes as the
/// table's ids.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_table_refs_for(
    table: *mut reftable_table,
    it: *mut reftable_iterator,
    oid: *mut u8,
) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let table = unsafe { table_of(table) }?;
        if oid.is_null() {
            return Err(Code(API));
        }
        // SAFETY: as promised to us.
        let id = unsafe { slice::from_raw_parts(oid, table.hash().len()) };
        let id = ObjectId::from_bytes(id).ok_or(Code(API))?;
        let walk = Walk::Pointing(PointingAt::new(Arc::clone(table), id)?);
        // SAFETY: as promised to us.
        unsafe { walk.put(it) }
    })
}

/// The hash function of the ids.
///
/// # Safety
/// `table` is null or a table.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_table_hash_id(table: *mut reftable_table) -> c_uint {
    // SAFETY: as promised to us.
    unsafe { table.as_ref() }.map_or(0, |table| table.hash_id)
}

/// The largest update index.
///
/// # Safety
/// `table` is null or a table.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_table_max_update_index(table: *mut reftable_table) -> u64 {
    // SAFETY: as promised to us.
    unsafe { table.as_ref() }.map_or(0, |table| table.max_update_index)
}

/// The smallest update index.
///
/// # Safety
/// `table` is null or a table.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_table_min_update_index(table: *mut reftable_table) -> u64 {
    // SAFETY: as promised to us.
    unsafe { table.as_ref() }.map_or(0, |table| table.min_update_index)
}
