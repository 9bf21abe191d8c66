//! git's master: a stack is told how to read, and each function that writes how to write.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::null_mut;

use crate::abi::{reftable_log_expiry_config, reftable_stack_options, reftable_write_options};
use crate::addition::{self, AdditionHandle, WriteTable};
use crate::compact;
use crate::destination::{FlushFn, WriteFn};
use crate::error::guard;
use crate::stack::{self, StackHandle};
use crate::writer::{self, WriterHandle};

/// The defaults: all zeros.
const DEFAULTS: reftable_stack_options =
    reftable_stack_options { hash_id: 0, on_reload: None, on_reload_payload: null_mut(), suppress_deletions: 0 };

/// How to write; null says the defaults.
///
/// # Safety
/// `options` is null or points to options.
unsafe fn read(options: *const reftable_write_options) -> reftable_write_options {
    // SAFETY: as promised to us.
    unsafe { options.as_ref() }.copied().unwrap_or(reftable_write_options::ZERO)
}

/// Opens the store in the directory `dir`.
///
/// # Safety
/// `out` is not null; `dir` ends with a zero; `options` is null or points to options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_new_stack(
    out: *mut *mut StackHandle,
    dir: *const c_char,
    options: *const reftable_stack_options,
) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let options = unsafe { options.as_ref() }.copied().unwrap_or(DEFAULTS);
        // SAFETY: as promised to us.
        unsafe { stack::open(out, dir, options, reftable_write_options::ZERO) }
    })
}

/// Starts a transaction: takes the lock on the list. On errors `*out` is null.
///
/// # Safety
/// `out` is not null; `stack` is null or a stack, which stays until the addition is destroyed;
/// `options` is null or points to options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_new_addition(
    out: *mut *mut AdditionHandle,
    stack: *mut StackHandle,
    options: *const reftable_write_options,
    flags: c_uint,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { addition::start(out, stack, &read(options), flags) })
}

/// A transaction of one table. An outdated stack is reloaded, so that the next attempt may succeed.
///
/// # Safety
/// `stack` is null or a stack; the callback does what it is for; `options` is null or points to
/// options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_add(
    stack: *mut StackHandle,
    write_table: Option<WriteTable>,
    arg: *mut c_void,
    options: *const reftable_write_options,
    flags: c_uint,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { addition::of_one(stack, write_table, arg, &read(options), flags) })
}

/// Merges all tables into one, leaving out what `config` says. A single table is rewritten only for
/// that.
///
/// # Safety
/// `stack` is null or a stack; `options` and `config` are null or point to theirs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_compact_all(
    stack: *mut StackHandle,
    options: *const reftable_write_options,
    config: *const reftable_log_expiry_config,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { compact::all(stack, &read(options), config) })
}

/// Merges what the rule asks for.
///
/// # Safety
/// `stack` is null or a stack; `options` is null or points to options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_auto_compact(
    stack: *mut StackHandle,
    options: *const reftable_write_options,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { compact::by_rule(stack, &read(options)) })
}

/// Tells whether there is something to merge: by the rule, or at all. Reads nothing.
///
/// # Safety
/// `stack` is null or a stack; `options` is null or points to options; `required` is not null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_compaction_required(
    stack: *mut StackHandle,
    options: *const reftable_write_options,
    use_heuristics: bool,
    required: *mut bool,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { compact::is_due(stack, &read(options), use_heuristics, required) })
}

/// Makes a writer over the caller's functions: `write` writes all it is given or answers a code
/// below 0; `flush` is called once, at the end, and may be null.
///
/// # Safety
/// `out` is not null; the functions do what they are for; `options` is null or points to options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_writer_new(
    out: *mut *mut WriterHandle,
    write: Option<WriteFn>,
    flush: Option<FlushFn>,
    arg: *mut c_void,
    hash: c_uint,
    options: *const reftable_write_options,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { writer::over(out, (write, flush, arg), hash, &read(options)) })
}
