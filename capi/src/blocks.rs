//! Blocks: one read from a source, or one after the other of a table.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::Arc;

use reftable::bytes::Bytes;
use reftable::format::BlockKind;
use reftable::merge::Merged;
use reftable::table::{BlockDump, Table};

use crate::abi::{
    reftable_block, reftable_block_source, reftable_buf, reftable_iterator, reftable_table, reftable_table_iterator,
};
use crate::alloc::set_buf;
use crate::block_source::{NO_DATA, read_part};
use crate::error::{API, Code, END, FORMAT, OK, Result, guard, guard_or};
use crate::iterator::Walk;
use crate::table::{hash_of_size, table_of};

/// What a block stands for: a table of it alone.
struct Contents {
    table: Arc<Table>,
    /// The bytes as C sees them: inflated, without padding.
    _bytes: Vec<u8>,
}

const NO_BLOCK: reftable_block = reftable_block {
    header_off: 0,
    block_data: NO_DATA,
    hash_size: 0,
    contents: null_mut(),
    uncompressed_data: null_mut(),
    uncompressed_cap: 0,
    restart_count: 0,
    restart_off: 0,
    full_block_size: 0,
    block_type: 0,
};

impl reftable_block {
    fn of(alone: Table) -> Result<reftable_block> {
        let block = alone.block_at(0)?.ok_or(Code(FORMAT))?;
        let mut described = described(&alone, &block)?;
        let mut bytes = block.bytes().to_vec();
        drop(block);
        described.block_data.data = bytes.as_mut_ptr();
        described.block_data.len = bytes.len();
        let contents = Contents { table: Arc::new(alone), _bytes: bytes };
        described.contents = Box::into_raw(Box::new(contents)).cast::<c_void>();
        Ok(described)
    }

    /// Frees what the block stands for; the block is empty afterwards.
    ///
    /// # Safety
    /// Zeroed, or made by [`Self::of`].
    unsafe fn release(&mut self) {
        let contents = std::mem::replace(self, NO_BLOCK).contents.cast::<Contents>();
        if !contents.is_null() {
            // SAFETY: made by `Box::into_raw`, and forgotten by the block.
            drop(unsafe { Box::from_raw(contents) });
        }
    }

    /// # Safety
    /// Zeroed, or made by [`Self::of`].
    unsafe fn contents(&self) -> Result<&Contents> {
        // SAFETY: as promised to us.
        unsafe { self.contents.cast::<Contents>().as_ref() }.ok_or(Code(API))
    }
}

impl Contents {
    fn block(&self) -> Result<BlockDump<'_>> {
        self.table.block_at(0)?.ok_or(Code(FORMAT))
    }
}

/// The outline of a block in the words of C, without its bytes.
fn described(table: &Table, block: &BlockDump<'_>) -> Result<reftable_block> {
    let number = |length: u64| u32::try_from(length).map_err(|_| Code(FORMAT));
    Ok(reftable_block {
        header_off: number(block.header_len() as u64)?,
        hash_size: number(table.hash().len() as u64)?,
        restart_count: u16::try_from(block.restarts()).map_err(|_| Code(FORMAT))?,
        restart_off: number(block.restart_table())?,
        full_block_size: number(block.file_len())?,
        block_type: block.kind().letter(),
        ..NO_BLOCK
    })
}

/// Reads the block at `offset` of a source, which is not needed afterwards. 1, and no block, when
/// it is of another type than `want_type`, unless that is 0.
///
/// # Safety
/// `block` is null, zeroed, or a block, which is released; `source` is null or has functions that
/// do what they are for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_block_init(
    block: *mut reftable_block,
    source: *mut reftable_block_source,
    offset: u32,
    header_size: u32,
    table_block_size: u32,
    hash_size: u32,
    want_type: u8,
) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let (block, source) = unsafe { (block.as_mut().ok_or(Code(API))?, source.as_ref().ok_or(Code(API))?) };
        // SAFETY: as promised to us.
        unsafe { block.release() };
        let hash = hash_of_size(hash_size).ok_or(Code(API))?;
        // SAFETY: as promised to us.
        let read = |at: u32, len: usize| unsafe { read_part(source, u64::from(offset) + u64::from(at), len) };
        if want_type != 0 {
            let letter = read(header_size, 1)?.first().copied().and_then(BlockKind::from_letter);
            if letter.ok_or(Code(FORMAT))?.letter() != want_type {
                return Ok(END);
            }
        }
        let alone = Table::of_block(header_size as usize, table_block_size, hash, |len| read(0, len).map(Bytes::from))?;
        *block = reftable_block::of(alone)?;
        Ok(OK)
    })
}

/// Frees what a block holds, and zeroes it. Iterators over it go on.
///
/// # Safety
/// `block` is null, zeroed, or made by [`reftable_block_init`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_block_release(block: *mut reftable_block) {
    // SAFETY: as promised to us.
    if let Some(block) = unsafe { block.as_mut() } {
        // SAFETY: as promised to us.
        guard_or((), || unsafe { block.release() });
    }
}

/// The letter of a block; 0 for one that is not in use.
///
/// # Safety
/// `block` is null, zeroed, or a block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_block_type(block: *const reftable_block) -> u8 {
    // SAFETY: as promised to us.
    unsafe { block.as_ref() }.map_or(0, |block| block.block_type)
}

/// Puts the key of the first record into a buffer, in place of what was there.
///
/// # Safety
/// `block` is null, zeroed, or a block; `key` is null or a buffer of the library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_block_first_key(block: *const reftable_block, key: *mut reftable_buf) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let (block, key) = unsafe { (block.as_ref().ok_or(Code(API))?, key.as_mut().ok_or(Code(API))?) };
        // SAFETY: as promised to us.
        let block = unsafe { block.contents() }?.block()?;
        // SAFETY: as promised to us.
        unsafe { set_buf(key, block.first_key()?) }.map(|()| OK)
    })
}

/// An iterator over the records of a block, before the first. References have the update indexes
/// that the block states, which count from the smallest of their table. Blocks of other records
/// than references and entries have none for C.
///
/// # Safety
/// `block` is null, zeroed, or a block; `it` is null or not in use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_block_init_iterator(
    block: *const reftable_block,
    it: *mut reftable_iterator,
) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let block = unsafe { block.as_ref() }.ok_or(Code(API))?;
        // SAFETY: as promised to us.
        let Contents { table, .. } = unsafe { block.contents() }?;
        let alone = Merged::new(vec![Arc::clone(table)]);
        let walk = match table.block_at(0)?.map(|block| block.kind()) {
            Some(BlockKind::Ref) => Walk::refs(&alone, false),
            Some(BlockKind::Log) => Walk::logs(&alone, false),
            _ => Walk::Nothing,
        };
        // SAFETY: as promised to us.
        unsafe { walk.at_the_start()?.put(it) }
    })
}

/// What a `reftable_table_iterator` that is in use points to.
struct BlockWalk {
    table: Arc<Table>,
    next: u64,
    block: reftable_block,
}

impl BlockWalk {
    fn next(&mut self) -> Result<Option<*const reftable_block>> {
        let Some(block) = self.table.block_at(self.next)? else { return Ok(None) };
        let described = reftable_block::of(block.alone()?)?;
        self.next = block.end();
        // SAFETY: no block yet, or made here.
        unsafe { self.block.release() };
        self.block = described;
        Ok(Some(&raw const self.block))
    }
}

impl Drop for BlockWalk {
    fn drop(&mut self) {
        // SAFETY: no block yet, or made by `next`.
        unsafe { self.block.release() };
    }
}

/// Starts an iteration over the blocks of a table, which may be let go meanwhile.
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
        let walk = BlockWalk { table: Arc::clone(table), next: 0, block: NO_BLOCK };
        it.iter_arg = Box::into_raw(Box::new(walk)).cast();
        Ok(OK)
    })
}

/// The next block, valid until the next call; not to be released. 1 at the end.
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
