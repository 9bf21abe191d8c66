//! Transactions of a host: tables written by its callbacks, added together.

use std::cell::RefCell;
use std::ffi::{c_int, c_uint, c_void};
use std::ptr::null_mut;

use reftable::addition::Addition;

use crate::abi::{NEW_ADDITION_RELOAD, reftable_write_options};
use crate::error::{API, Code, OK, OUTDATED, Result, guard, guard_or};
use crate::stack::{StackHandle, stack_of};
use crate::writer::WriterHandle;

pub(crate) type WriteTable = unsafe extern "C" fn(*mut WriterHandle, *mut c_void) -> c_int;

/// What a `reftable_addition *` points to.
pub(crate) struct AdditionHandle {
    stack: *const StackHandle,
    options: reftable_write_options,
    /// Gone once it was committed. Boxed, because writers point to it.
    addition: RefCell<Option<Box<Addition>>>,
}

impl AdditionHandle {
    /// Takes the lock, and checks that the stack is what its user believes it to be.
    fn new(stack: &StackHandle, options: reftable_write_options, flags: c_uint) -> Result<AdditionHandle> {
        let auto_compact = !options.disable_auto_compact();
        let addition = stack.configured(&options, auto_compact)?.addition()?;
        if !stack.is_current(addition.snapshot()) {
            if flags & NEW_ADDITION_RELOAD == 0 {
                return Err(Code(OUTDATED));
            }
            stack.replace(addition.snapshot().clone());
        }
        Ok(AdditionHandle { stack, options, addition: RefCell::new(Some(Box::new(addition))) })
    }

    fn stack(&self) -> Result<&StackHandle> {
        // SAFETY: the caller that has an addition keeps its stack.
        unsafe { self.stack.as_ref() }.ok_or(Code(API))
    }

    /// Writes a table by a callback, which may read the stack meanwhile.
    ///
    /// # Safety
    /// The callback does what it is for.
    unsafe fn add(&self, write: WriteTable, arg: *mut c_void) -> Result<()> {
        let hash = self.stack()?.hash();
        // Out of the cell, so that nothing is borrowed during the callback.
        let mut addition = self.addition.borrow_mut().take().ok_or(Code(API))?;
        // SAFETY: the box stays where it is until the writer is finished, below.
        let mut writer = unsafe { WriterHandle::of_addition(&addition, hash, &self.options) };
        // SAFETY: as promised to us.
        let code = unsafe { write(&mut writer, arg) };
        let table = if code < 0 { Err(Code(code)) } else { writer.finish() };
        let added = table.and_then(|table| match table {
            Some(table) => Ok(addition.add(table).map(|_| ())?),
            None => Ok(()),
        });
        *self.addition.borrow_mut() = Some(addition);
        added
    }

    /// Publishes the tables.
    fn commit(&self) -> Result<()> {
        let addition = self.addition.borrow_mut().take().ok_or(Code(API))?;
        let commit = addition.commit()?;
        let stack = self.stack()?;
        if let Some(compaction) = &commit.compaction {
            // It does not touch the commit: the next one tries again.
            stack.count(compaction.as_ref());
        }
        stack.reload()
    }
}

unsafe fn addition_of<'a>(addition: *mut AdditionHandle) -> Result<&'a AdditionHandle> {
    // SAFETY: as promised to the callers.
    unsafe { addition.as_ref() }.ok_or(Code(API))
}

/// Starts a transaction: takes the lock on the list. On errors `*out` is null.
///
/// # Safety
/// `out` is not null; `stack` is null or a stack, which stays until the addition is destroyed.
pub(crate) unsafe fn start(
    out: *mut *mut AdditionHandle,
    stack: *mut StackHandle,
    options: &reftable_write_options,
    flags: c_uint,
) -> Result<c_int> {
    // SAFETY: as promised to us.
    let out = unsafe { out.as_mut() }.ok_or(Code(API))?;
    *out = null_mut();
    // SAFETY: as promised to us.
    let stack = unsafe { stack_of(stack) }?;
    *out = Box::into_raw(Box::new(AdditionHandle::new(stack, *options, flags)?));
    Ok(OK)
}

/// A transaction of one table. An outdated stack is reloaded, so that the next attempt may succeed.
///
/// # Safety
/// `stack` is null or a stack; the callback does what it is for.
pub(crate) unsafe fn of_one(
    stack: *mut StackHandle,
    write_table: Option<WriteTable>,
    arg: *mut c_void,
    options: &reftable_write_options,
    flags: c_uint,
) -> Result<c_int> {
    let write_table = write_table.ok_or(Code(API))?;
    // SAFETY: as promised to us.
    let stack = unsafe { stack_of(stack) }?;
    let added = AdditionHandle::new(stack, *options, flags).and_then(|addition| {
        // SAFETY: as promised to us.
        unsafe { addition.add(write_table, arg) }?;
        addition.commit()
    });
    if added == Err(Code(OUTDATED)) {
        // What counts is that it was outdated.
        let _ = stack.reload();
    }
    added.map(|()| OK)
}

/// Writes a table with `write_table`, to be published by [`reftable_addition_commit`].
///
/// # Safety
/// `addition` is null or an addition; the callback does what it is for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_addition_add(
    addition: *mut AdditionHandle,
    write_table: Option<WriteTable>,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { addition_of(addition)?.add(write_table.ok_or(Code(API))?, arg) }.map(|()| OK))
}

/// Publishes the tables and lets the lock go. The addition must still be destroyed.
///
/// # Safety
/// `addition` is null or an addition.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_addition_commit(addition: *mut AdditionHandle) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { addition_of(addition) }?.commit().map(|()| OK))
}

/// Frees an addition, and rolls it back if it was not committed.
///
/// # Safety
/// `addition` is null or an addition.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_addition_destroy(addition: *mut AdditionHandle) {
    if !addition.is_null() {
        // SAFETY: made by `Box::into_raw`.
        guard_or((), || drop(unsafe { Box::from_raw(addition) }));
    }
}
