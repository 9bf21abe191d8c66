//! Several tables read as one.

use std::ffi::{c_int, c_uint};
use std::sync::Arc;

use reftable::merge::Merged;
use reftable::table::Table;
use reftable::{HashKind, Snapshot};

use crate::abi::{reftable_iterator, reftable_table};
use crate::error::{API, Code, FORMAT, OK, Result, guard, guard_or};
use crate::iterator::Walk;
use crate::table::{hash_kind, hash_number, table_of};

/// What a `reftable_merged_table *` points to.
pub(crate) struct MergedHandle {
    merged: Merged,
    hash: HashKind,
    update_indexes: (u64, u64),
    suppress_deletions: bool,
}

impl MergedHandle {
    fn new(tables: Vec<Arc<Table>>, hash: HashKind, suppress_deletions: bool) -> MergedHandle {
        let min = tables.iter().map(|table| table.header().min_update_index).min().unwrap_or(0);
        let max = tables.iter().map(|table| table.header().max_update_index).max().unwrap_or(0);
        MergedHandle { merged: Merged::new(tables), hash, update_indexes: (min, max), suppress_deletions }
    }

    /// The tables of a state of a stack.
    pub(crate) fn of_stack(state: &Snapshot, hash: HashKind, suppress_deletions: bool) -> MergedHandle {
        MergedHandle::new(state.tables().to_vec(), hash, suppress_deletions)
    }

    pub(crate) fn ref_walk(&self) -> Walk {
        Walk::refs(&self.merged, self.suppress_deletions)
    }

    pub(crate) fn log_walk(&self) -> Walk {
        Walk::logs(&self.merged, self.suppress_deletions)
    }
}

unsafe fn merged_of<'a>(merged: *mut MergedHandle) -> Result<&'a MergedHandle> {
    // SAFETY: as promised to the callers.
    unsafe { merged.as_ref() }.ok_or(Code(API))
}

/// Makes one of `count` tables, oldest first, which must stay as long as it.
///
/// # Safety
/// `out` is not null; `tables` has that many tables.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_merged_table_new(
    out: *mut *mut MergedHandle,
    tables: *mut *mut reftable_table,
    count: usize,
    hash: c_uint,
) -> c_int {
    guard(|| {
        let hash = hash_kind(hash)?;
        if out.is_null() || (tables.is_null() && count > 0) {
            return Err(Code(API));
        }
        let mut all = Vec::new();
        for index in 0..count {
            // SAFETY: as promised to us.
            let table = unsafe { table_of(*tables.add(index)) }?;
            if table.hash() != hash {
                return Err(Code(FORMAT));
            }
            all.push(Arc::clone(table));
        }
        let handle = Box::new(MergedHandle::new(all, hash, false));
        // SAFETY: as promised to us.
        unsafe { out.write(Box::into_raw(handle)) };
        Ok(OK)
    })
}

/// Frees a merged table made by [`reftable_merged_table_new`]. Iterators over it go on.
///
/// # Safety
/// `merged` is null or such a table, and not a stack's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_merged_table_free(merged: *mut MergedHandle) {
    if !merged.is_null() {
        // SAFETY: made by `Box::into_raw`, as promised to us.
        guard_or((), || drop(unsafe { Box::from_raw(merged) }));
    }
}

/// An iterator over the references.
///
/// # Safety
/// `merged` is null or a merged table; `it` is not in use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_merged_table_init_ref_iterator(
    merged: *mut MergedHandle,
    it: *mut reftable_iterator,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { merged_of(merged)?.ref_walk().put(it) })
}

/// An iterator over the reflog records.
///
/// # Safety
/// `merged` is null or a merged table; `it` is not in use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_merged_table_init_log_iterator(
    merged: *mut MergedHandle,
    it: *mut reftable_iterator,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { merged_of(merged)?.log_walk().put(it) })
}

/// The hash function of the ids.
///
/// # Safety
/// `merged` is null or a merged table.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_merged_table_hash_id(merged: *mut MergedHandle) -> c_uint {
    // SAFETY: as promised to us.
    unsafe { merged.as_ref() }.map_or(0, |merged| hash_number(merged.hash))
}

/// The largest update index of all tables.
///
/// # Safety
/// `merged` is null or a merged table.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_merged_table_max_update_index(merged: *mut MergedHandle) -> u64 {
    // SAFETY: as promised to us.
    unsafe { merged.as_ref() }.map_or(0, |merged| merged.update_indexes.1)
}

/// The smallest update index of all tables.
///
/// # Safety
/// `merged` is null or a merged table.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_merged_table_min_update_index(merged: *mut MergedHandle) -> u64 {
    // SAFETY: as promised to us.
    unsafe { merged.as_ref() }.map_or(0, |merged| merged.update_indexes.0)
}
