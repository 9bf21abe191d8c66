//! The allocator family of everything that crosses the boundary, and the buffer that git's glue and
//! fuzz target use.
//!
//! What C may free, or has allocated, comes from here: libc's malloc unless the host names others.
//! Handles that only this library frees live on Rust's heap.

use std::ffi::{c_char, c_int, c_void};
use std::mem::transmute;
use std::ptr::{self, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::abi::reftable_buf;
use crate::error::{Code, OK, OUT_OF_MEMORY, Result, guard};

type Malloc = unsafe extern "C" fn(usize) -> *mut c_void;
type Realloc = unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void);

static MALLOC: AtomicPtr<()> = AtomicPtr::new(null_mut());
static REALLOC: AtomicPtr<()> = AtomicPtr::new(null_mut());
static FREE: AtomicPtr<()> = AtomicPtr::new(null_mut());

/// Names the functions to use from now on; null stands for libc's. To be called before anything
/// else, as there is no way to tell which family an older allocation is of.
#[unsafe(no_mangle)]
pub extern "C" fn reftable_set_alloc(malloc: Option<Malloc>, realloc: Option<Realloc>, free: Option<Free>) {
    MALLOC.store(malloc.map_or(null_mut(), |f| f as *mut ()), Ordering::Release);
    REALLOC.store(realloc.map_or(null_mut(), |f| f as *mut ()), Ordering::Release);
    FREE.store(free.map_or(null_mut(), |f| f as *mut ()), Ordering::Release);
}

/// Null for no bytes.
#[unsafe(no_mangle)]
pub extern "C" fn reftable_malloc(size: usize) -> *mut c_void {
    if size == 0 {
        return null_mut();
    }
    let custom = MALLOC.load(Ordering::Acquire);
    // SAFETY: only `reftable_set_alloc` stores here, functions of this type or null, which `Option`
    // is for.
    match unsafe { transmute::<*mut (), Option<Malloc>>(custom) } {
        // SAFETY: a malloc can be called with any size.
        Some(malloc) => unsafe { malloc(size) },
        // SAFETY: as above.
        None => unsafe { libc::malloc(size) },
    }
}

/// # Safety
/// `memory` is null or of this family, and not used afterwards.
unsafe fn reallocate(memory: *mut c_void, size: usize) -> *mut c_void {
    if size == 0 {
        // SAFETY: as promised to us.
        unsafe { reftable_free(memory) };
        return null_mut();
    }
    let custom = REALLOC.load(Ordering::Acquire);
    // SAFETY: only `reftable_set_alloc` stores here, functions of this type or null.
    match unsafe { transmute::<*mut (), Option<Realloc>>(custom) } {
        // SAFETY: as promised to us.
        Some(realloc) => unsafe { realloc(memory, size) },
        // SAFETY: as promised to us.
        None => unsafe { libc::realloc(memory, size) },
    }
}

/// Frees, and leaves `errno` alone: callers report errors after they have cleaned up.
///
/// # Safety
/// `memory` is null or of this family, and not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_free(memory: *mut c_void) {
    if memory.is_null() {
        return;
    }
    // SAFETY: always there.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: errno can be read.
    let saved = unsafe { *errno };
    let custom = FREE.load(Ordering::Acquire);
    // SAFETY: only `reftable_set_alloc` stores here, functions of this type or null.
    match unsafe { transmute::<*mut (), Option<Free>>(custom) } {
        // SAFETY: as promised to us.
        Some(free) => unsafe { free(memory) },
        // SAFETY: as promised to us.
        None => unsafe { libc::free(memory) },
    }
    // SAFETY: errno can be written.
    unsafe { *errno = saved };
}

/// Zeroed memory; null when the product overflows.
#[unsafe(no_mangle)]
pub extern "C" fn reftable_calloc(count: usize, size: usize) -> *mut c_void {
    let Some(bytes) = count.checked_mul(size) else { return null_mut() };
    let memory = reftable_malloc(bytes);
    if !memory.is_null() {
        // SAFETY: that many bytes were just allocated.
        unsafe { ptr::write_bytes(memory.cast::<u8>(), 0, bytes) };
    }
    memory
}

/// # Safety
/// `string` is null or ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_strdup(string: *const c_char) -> *mut c_char {
    // SAFETY: as promised to us.
    unsafe { crate::bytes_of(string) }.and_then(|bytes| new_string(bytes).ok()).unwrap_or(null_mut())
}

/// A copy of `bytes` with a zero after it, of the family.
pub(crate) fn new_string(bytes: &[u8]) -> Result<*mut c_char> {
    let (mut string, mut capacity) = (null_mut(), 0);
    // SAFETY: null can be reallocated.
    unsafe { set_string(&mut string, &mut capacity, bytes) }?;
    Ok(string)
}

/// Puts `bytes` and a zero into a string of the family, which grows if `capacity` bytes are too
/// few.
///
/// # Safety
/// `string` is null or of the family, and `capacity` not more than it has. Zero is fine for any.
pub(crate) unsafe fn set_string(string: &mut *mut c_char, capacity: &mut usize, bytes: &[u8]) -> Result<()> {
    let needed = bytes.len().checked_add(1).ok_or(Code(OUT_OF_MEMORY))?;
    // SAFETY: a string of this family ends with a zero.
    if let (0, Some(before)) = (*capacity, unsafe { crate::bytes_of(*string) }) {
        // Nobody has kept its size, but this much it has: names of committers repeat.
        *capacity = before.len() + 1;
    }
    if string.is_null() || *capacity < needed {
        // SAFETY: as promised to us.
        let grown = unsafe { reallocate(string.cast(), needed) };
        if grown.is_null() {
            return Err(Code(OUT_OF_MEMORY));
        }
        *string = grown.cast();
        *capacity = needed;
    }
    // SAFETY: there is room for `needed` bytes, in memory that nothing borrows.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr(), string.cast::<u8>(), bytes.len());
        string.add(bytes.len()).write(0);
    }
    Ok(())
}

/// Frees a string and forgets it.
///
/// # Safety
/// `string` is null or of the family.
pub(crate) unsafe fn clear_string(string: &mut *mut c_char) {
    // SAFETY: as promised to us; it is null afterwards.
    unsafe { reftable_free(std::mem::replace(string, null_mut()).cast()) };
}

/// Appends bytes; a zero always follows the last.
///
/// # Safety
/// `buf` is a zeroed buffer or one that this function has grown; `data` has `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_buf_add(buf: *mut reftable_buf, data: *const c_void, len: usize) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { append(buf.as_mut().ok_or(Code(crate::error::API))?, data, len) }.map(|()| OK))
}

/// Puts `bytes` into a buffer, in place of what was there.
///
/// # Safety
/// `buf` is a zeroed buffer or one that was filled here.
pub(crate) unsafe fn set_buf(buf: &mut reftable_buf, bytes: &[u8]) -> Result<()> {
    buf.len = 0;
    // SAFETY: as promised to us.
    unsafe { append(buf, bytes.as_ptr().cast(), bytes.len()) }
}

/// # Safety
/// `buf` is a zeroed buffer or one that was filled here; `data` has `len` bytes.
unsafe fn append(buf: &mut reftable_buf, data: *const c_void, len: usize) -> Result<()> {
    let needed = buf.len.checked_add(len).and_then(|sum| sum.checked_add(1)).ok_or(Code(OUT_OF_MEMORY))?;
    if buf.alloc < needed {
        let capacity = needed.max(buf.alloc.saturating_mul(2));
        // SAFETY: `buf.buf` is null or was allocated here.
        let grown = unsafe { reallocate(buf.buf.cast(), capacity) };
        if grown.is_null() {
            return Err(Code(OUT_OF_MEMORY));
        }
        buf.buf = grown.cast();
        buf.alloc = capacity;
    }
    // SAFETY: there is room for `needed` bytes; `data` has `len`, and may be null only if that
    // is 0.
    unsafe {
        if len > 0 {
            ptr::copy_nonoverlapping(data.cast::<u8>(), buf.buf.cast::<u8>().add(buf.len), len);
        }
        buf.buf.add(buf.len + len).write(0);
    }
    buf.len += len;
    Ok(())
}

/// Frees what the buffer holds; it is empty afterwards.
///
/// # Safety
/// `buf` is null or a buffer of [`reftable_buf_add`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_buf_release(buf: *mut reftable_buf) {
    // SAFETY: as promised to us.
    if let Some(buf) = unsafe { buf.as_mut() } {
        // SAFETY: as promised to us.
        unsafe { clear_string(&mut buf.buf) };
        buf.alloc = 0;
        buf.len = 0;
    }
}
