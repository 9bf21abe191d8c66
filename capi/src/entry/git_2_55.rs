//! git 2.55: all options are said once, when a stack is opened.

use std::ffi::{c_char, c_int, c_long, c_uint, c_void};
use std::mem::{offset_of, size_of};
use std::ptr::null_mut;

use crate::abi::{reftable_log_expiry_config, reftable_stack_options, reftable_write_options};
use crate::addition::{self, AdditionHandle, WriteTable};
use crate::compact;
use crate::destination::{FlushFn, WriteFn};
use crate::error::guard;
use crate::stack::{self, StackHandle, stack_of};
use crate::writer::{self, WriterHandle};

/// git's `reftable_write_options` of that time. Bit fields are bytes, as in those of master.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct AllOptions {
    unpadded: u8,
    block_size: u32,
    skip_index_objects: u8,
    restart_interval: u16,
    hash_id: c_uint,
    default_permissions: c_uint,
    exact_and_disable: u8,
    auto_compaction_factor: u8,
    lock_timeout_ms: c_long,
    on_reload: Option<unsafe extern "C" fn(*mut c_void)>,
    on_reload_payload: *mut c_void,
}

#[cfg(all(target_pointer_width = "64", unix))]
const _: () = {
    assert!(size_of::<AllOptions>() == 48);
    assert!(offset_of!(AllOptions, restart_interval) == 10);
    assert!(offset_of!(AllOptions, hash_id) == 12);
    assert!(offset_of!(AllOptions, exact_and_disable) == 20);
    assert!(offset_of!(AllOptions, auto_compaction_factor) == 21);
    assert!(offset_of!(AllOptions, lock_timeout_ms) == 24);
    assert!(offset_of!(AllOptions, on_reload_payload) == 40);
};

impl AllOptions {
    const ZERO: AllOptions = AllOptions {
        unpadded: 0,
        block_size: 0,
        skip_index_objects: 0,
        restart_interval: 0,
        hash_id: 0,
        default_permissions: 0,
        exact_and_disable: 0,
        auto_compaction_factor: 0,
        lock_timeout_ms: 0,
        on_reload: None,
        on_reload_payload: null_mut(),
    };

    /// What a pointer of C's says; null says the defaults.
    ///
    /// # Safety
    /// `options` is null or points to options.
    unsafe fn read(options: *const AllOptions) -> AllOptions {
        // SAFETY: as promised to us.
        unsafe { options.as_ref() }.copied().unwrap_or(Self::ZERO)
    }

    /// Those of reading, as master has them. Iterators of this git's stacks hide tombstones.
    fn reading(&self) -> reftable_stack_options {
        reftable_stack_options {
            hash_id: self.hash_id,
            on_reload: self.on_reload,
            on_reload_payload: self.on_reload_payload,
            suppress_deletions: 1,
        }
    }

    /// Those of writing, as master has them.
    fn writing(&self) -> reftable_write_options {
        reftable_write_options {
            unpadded: self.unpadded,
            block_size: self.block_size,
            skip_index_objects: self.skip_index_objects,
            restart_interval: self.restart_interval,
            default_permissions: self.default_permissions,
            exact_and_disable: self.exact_and_disable,
            auto_compaction_factor: self.auto_compaction_factor,
            lock_timeout_ms: self.lock_timeout_ms,
        }
    }
}

/// Opens the store in the directory `dir`.
///
/// # Safety
/// `out` is not null; `dir` ends with a zero; `options` is null or points to options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_new_stack(
    out: *mut *mut StackHandle,
    dir: *const c_char,
    options: *const AllOptions,
) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let options = unsafe { AllOptions::read(options) };
        // SAFETY: as promised to us.
        unsafe { stack::open(out, dir, options.reading(), options.writing()) }
    })
}

/// Starts a transaction: takes the lock on the list. On errors `*out` is null.
///
/// # Safety
/// `out` is not null; `stack` is null or a stack, which stays until the addition is destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_new_addition(
    out: *mut *mut AdditionHandle,
    stack: *mut StackHandle,
    flags: c_uint,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { addition::start(out, stack, &said_to(stack), flags) })
}

/// A transaction of one table. An outdated stack is reloaded, so that the next attempt may succeed.
///
/// # Safety
/// `stack` is null or a stack; the callback does what it is for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_add(
    stack: *mut StackHandle,
    write_table: Option<WriteTable>,
    arg: *mut c_void,
    flags: c_uint,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { addition::of_one(stack, write_table, arg, &said_to(stack), flags) })
}

/// Merges all tables into one, leaving out what `config` says. A single table is rewritten only for
/// that.
///
/// # Safety
/// `stack` is null or a stack; `config` is null or points to a configuration.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_compact_all(
    stack: *mut StackHandle,
    config: *const reftable_log_expiry_config,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { compact::all(stack, &said_to(stack), config) })
}

/// Merges what the rule asks for.
///
/// # Safety
/// `stack` is null or a stack.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_auto_compact(stack: *mut StackHandle) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { compact::by_rule(stack, &said_to(stack)) })
}

/// Tells whether there is something to merge: by the rule, or at all. Reads nothing.
///
/// # Safety
/// `stack` is null or a stack; `required` is not null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_compaction_required(
    stack: *mut StackHandle,
    use_heuristics: bool,
    required: *mut bool,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { compact::is_due(stack, &said_to(stack), use_heuristics, required) })
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
    options: *const AllOptions,
) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let options = unsafe { AllOptions::read(options) };
        // SAFETY: as promised to us.
        unsafe { writer::over(out, (write, flush, arg), options.hash_id, &options.writing()) }
    })
}

/// How to write, as it was said when the stack was opened.
///
/// # Safety
/// `stack` is null or a stack.
unsafe fn said_to(stack: *mut StackHandle) -> reftable_write_options {
    // SAFETY: as promised to us.
    unsafe { stack_of(stack) }.map_or(reftable_write_options::ZERO, StackHandle::writing)
}
