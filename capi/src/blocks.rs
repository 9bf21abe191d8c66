//! Walking a table block by block.

use std::ffi::c_int;
use std::ptr::{self, null_mut};
use std::sync::Arc;

use reftable::table::{BlockDump, Table};

use crate::abi::{reftable_block, reftable_block_data, reftable_block_source, reftable_table, reftable_table_iterator};
use crate::error::{API, Code, END, FORMAT, OK, Result, guard, guard_or};
use crate::table::table_of;

/// What a `reftable_table_iterator` that is in use points to.
struct BlockWalk {
    table: Arc<Table>,
    next: u64,
    /// The bytes of the block at hand, as C sees them.
    bytes: Vec<u8>,
    block: reftable_block,
}

const NO_BLOCK: reftable_block = reftable_block {
    header_off: 0,
    block_data: reftable_block_data {
        data: null_mut(),
        len: 0,
        source: reftable_block_source { ops: ptr::null(), arg: null_mut() },
    },
    hash_size: 0,
    zstream: null_mut(),
    uncompressed_data: null_mut(),
    uncompressed_cap: 0,
    restart_count: 0,
    restart_off: 0,
    full_block_size: 0,
    block_type: 0,
};

impl BlockWalk {
    fn next(&mut self) -> Result<Option<*const reftable_block>> {
        let Some(block) = self.table.block_at(self.next)? else { return Ok(None) };
        self.next = block.end();
        self.bytes.clear();
        self.bytes.extend_from_slice(block.bytes());
        self.block = described(&self.table, &block)?;
        self.block.block_data.data = self.bytes.as_mut_ptr();
        self.block.block_data.len = self.bytes.len();
        Ok(Some(&raw const self.block))
    }
}

/// The outline of a block in the words of C, without its bytes.
fn described(table: &Table, block: &BlockDump<'_>) -> Result<reftable_block> {
    let header_len = if table.header().version == 1 { 24 } else { 28 };
    let number = |length: u64| u32::try_from(length).map_err(|_| Code(FORMAT));
    let behind_records = 3 * block.restarts() as u64 + 2;
    Ok(reftable_block {
        header_off: if block.offset() == 0 { header_len } else { 0 },
        hash_size: number(table.hash().len() as u64)?,
        restart_count: u16::try_from(block.restarts()).map_err(|_| Code(FORMAT))?,
        restart_off: number(block.len().saturating_sub(behind_records))?,
        full_block_size: number(block.file_len())?,
        block_type: block.kind().letter(),
        ..NO_BLOCK
    })
}

/// Starts a walk over the blocks of a table, which may be let go meanwhile.
///
/// # Safety
/// `it` is null or not in use; `table` is null or a table.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_table_iterator_init(
    it: *mut reftable_table_iterator,
    table: *mut reftable_table,
) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let (it, table) = unsafe { (it.as_mut().ok_or(Code(API))?, table_of(table)?) };
        let walk = BlockWalk { table: Arc::clone(table), next: 0, bytes: Vec::new(), block: NO_BLOCK };
        it.iter_arg = Box::into_raw(Box::new(walk)).cast();
        Ok(OK)
    })
}

/// The next block, valid until the next call. 1 at the end.
///
/// # Safety
/// `it` is null or an iterator; `out` is null or to be filled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_table_iterator_next(
    it: *mut reftable_table_iterator,
    out: *mut *const reftable_block,
) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let (it, out) = unsafe { (it.as_ref().ok_or(Code(API))?, out.as_mut().ok_or(Code(API))?) };
        // SAFETY: made by the function above.
        let walk = unsafe { it.iter_arg.cast::<BlockWalk>().as_mut() }.ok_or(Code(API))?;
        Ok(match walk.next()? {
            Some(block) => {
                *out = block;
                OK
            }
            None => END,
        })
    })
}

/// Frees the walk. Nothing happens to one that is not in use.
///
/// # Safety
/// `it` is null, zeroed, or an iterator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_table_iterator_release(it: *mut reftable_table_iterator) {
    // SAFETY: as promised to us.
    let Some(it) = (unsafe { it.as_mut() }) else { return };
    let walk = std::mem::replace(&mut it.iter_arg, null_mut()).cast::<BlockWalk>();
    if !walk.is_null() {
        // SAFETY: made by `Box::into_raw`.
        guard_or((), || drop(unsafe { Box::from_raw(walk) }));
    }
}
