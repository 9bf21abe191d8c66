//! Block sources: where a table's bytes come from, in the words of C.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, null_mut};
use std::slice;

use reftable::bytes::{Bytes, Reading};
use reftable::dir::OsDir;

use crate::abi::{reftable_block_data, reftable_block_source, reftable_block_source_vtable, reftable_buf};
use crate::alloc::{reftable_calloc, reftable_free};
use crate::error::{API, Code, GENERAL, IO, NOT_EXIST, OK, Result, guard, guard_or};
use crate::host::host;
use crate::map::Mapping;

/// Opens a file as a block source.
///
/// # Safety
/// `source` points to a source that is zeroed or closed; `name` ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_block_source_from_file(
    source: *mut reftable_block_source,
    name: *const c_char,
) -> c_int {
    guard(|| {
        if source.is_null() || name.is_null() {
            return Err(Code(API));
        }
        // SAFETY: as promised to us.
        let name = OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes());
        let file = match OsDir::open_file(Path::new(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Code(NOT_EXIST)),
            Err(_) => return Err(Code(GENERAL)),
        };
        let bytes = contents(&file).map_err(|_| Code(IO))?;
        let arg = Box::into_raw(Box::new(bytes)).cast();
        // SAFETY: as promised to us.
        unsafe { source.write(reftable_block_source { ops: &raw const FILE, arg }) };
        Ok(OK)
    })
}

fn contents(file: &File) -> std::io::Result<Bytes> {
    const MAP_ABOVE: u64 = 64 * 1024;
    let len = file.metadata()?.len();
    match host() {
        Some(host) if len > MAP_ABOVE => {
            let len = usize::try_from(len).map_err(std::io::Error::other)?;
            Mapping::new(host, file.as_raw_fd(), len).map(Bytes::from_owner)
        }
        _ => Bytes::of_file(file, Reading::Mapped),
    }
}

pub(crate) const NO_DATA: reftable_block_data = reftable_block_data {
    data: null_mut(),
    len: 0,
    source: reftable_block_source { ops: ptr::null(), arg: null_mut() },
};

static FILE: reftable_block_source_vtable = reftable_block_source_vtable {
    size: Some(file_size),
    read_data: Some(file_read),
    release_data: Some(file_release),
    close: Some(file_close),
};

unsafe extern "C" fn file_size(arg: *mut c_void) -> u64 {
    // SAFETY: the argument of this table of functions is a `Bytes` of this library, not closed yet.
    unsafe { arg.cast::<Bytes>().as_ref() }.map_or(0, |bytes| bytes.len() as u64)
}

unsafe extern "C" fn file_read(arg: *mut c_void, to: *mut reftable_block_data, offset: u64, len: u32) -> isize {
    // SAFETY: as above.
    let Some(bytes) = (unsafe { arg.cast::<Bytes>().as_ref() }) else { return API as isize };
    let (Some(part), false) = (part_of(bytes, offset, len), to.is_null()) else { return IO as isize };
    // SAFETY: a struct to be filled. The data is constant: nobody writes through the pointer.
    unsafe {
        (*to).data = part.as_ptr().cast_mut();
        (*to).len = part.len();
    }
    part.len() as isize
}

fn part_of(bytes: &[u8], offset: u64, len: u32) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    bytes.get(start..start.checked_add(len as usize)?)
}

unsafe extern "C" fn file_release(_arg: *mut c_void, _data: *mut reftable_block_data) {}

unsafe extern "C" fn file_close(arg: *mut c_void) {
    // SAFETY: made by `Box::into_raw`, and closed once.
    guard_or((), || drop(unsafe { Box::from_raw(arg.cast::<Bytes>()) }));
}

/// Makes a block source of a buffer, which stays the caller's and must outlive it.
///
/// # Safety
/// Both are not null; `source` is zeroed or closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn block_source_from_buf(source: *mut reftable_block_source, buf: *mut reftable_buf) {
    if !source.is_null() {
        // SAFETY: as promised to us.
        unsafe { source.write(reftable_block_source { ops: &raw const BUFFER, arg: buf.cast() }) };
    }
}

static BUFFER: reftable_block_source_vtable = reftable_block_source_vtable {
    size: Some(buffer_size),
    read_data: Some(buffer_read),
    release_data: Some(buffer_release),
    close: Some(buffer_close),
};

unsafe extern "C" fn buffer_size(arg: *mut c_void) -> u64 {
    // SAFETY: the argument is a buffer, as promised to `block_source_from_buf`.
    unsafe { arg.cast::<reftable_buf>().as_ref() }.map_or(0, |buf| buf.len as u64)
}

/// Gives a copy: the buffer may change.
unsafe extern "C" fn buffer_read(arg: *mut c_void, to: *mut reftable_block_data, offset: u64, len: u32) -> isize {
    // SAFETY: as above.
    let Some(buf) = (unsafe { arg.cast::<reftable_buf>().as_ref() }) else { return API as isize };
    let all: &[u8] = match buf.buf.is_null() {
        true => &[],
        // SAFETY: a buffer has `len` bytes.
        false => unsafe { slice::from_raw_parts(buf.buf.cast::<u8>(), buf.len) },
    };
    let (Some(part), false) = (part_of(all, offset, len), to.is_null()) else { return IO as isize };
    let copy = reftable_calloc(part.len(), 1).cast::<u8>();
    if copy.is_null() && !part.is_empty() {
        return GENERAL as isize;
    }
    // SAFETY: `copy` has room for the part; `to` is to be filled.
    unsafe {
        if !part.is_empty() {
            ptr::copy_nonoverlapping(part.as_ptr(), copy, part.len());
        }
        (*to).data = copy;
        (*to).len = part.len();
    }
    part.len() as isize
}

unsafe extern "C" fn buffer_release(_arg: *mut c_void, data: *mut reftable_block_data) {
    // SAFETY: data that `buffer_read` has lent.
    if let Some(data) = unsafe { data.as_mut() } {
        // SAFETY: allocated there.
        unsafe { reftable_free(data.data.cast()) };
        data.data = null_mut();
    }
}

unsafe extern "C" fn buffer_close(_arg: *mut c_void) {}

/// A copy of `len` bytes of a source from `offset` on, or of as many as there are.
///
/// # Safety
/// `source` has functions that do what they are for.
pub(crate) unsafe fn read_part(source: &reftable_block_source, offset: u64, len: usize) -> Result<Vec<u8>> {
    // SAFETY: as promised to us.
    let ops = unsafe { source.ops.as_ref() }.ok_or(Code(API))?;
    let (size, read_data) = ops.size.zip(ops.read_data).ok_or(Code(API))?;
    // SAFETY: as promised to us.
    let left = unsafe { size(source.arg) }.saturating_sub(offset);
    let len = u32::try_from(left.min(len as u64)).map_err(|_| Code(crate::error::FORMAT))?;
    if len == 0 {
        return Ok(Vec::new());
    }
    let mut data = NO_DATA;
    // SAFETY: as promised to us; the part is within the source.
    let read = unsafe { read_data(source.arg, &mut data, offset, len) };
    if read < 0 {
        return Err(Code(c_int::try_from(read).unwrap_or(IO)));
    }
    let is_whole = usize::try_from(read) == Ok(len as usize) && data.len >= len as usize && !data.data.is_null();
    // SAFETY: the source has lent this many bytes.
    let copy = is_whole.then(|| unsafe { slice::from_raw_parts(data.data, len as usize) }.to_vec());
    if let Some(release) = ops.release_data {
        data.source = *source;
        // SAFETY: data of this source, not released before.
        unsafe { release(source.arg, &mut data) };
    }
    copy.ok_or(Code(IO))
}

/// A block source that a table has taken over, and its bytes.
pub(crate) struct Owned {
    source: reftable_block_source,
    data: reftable_block_data,
}

// SAFETY: the pointers are the caller's, who uses a table and what comes from it in one thread at a
// time.
unsafe impl Send for Owned {}
// SAFETY: as above; the bytes are only read.
unsafe impl Sync for Owned {}

impl Owned {
    /// Takes the source over, reads all of it, and closes it, on errors as well as when dropped.
    ///
    /// # Safety
    /// `source` has functions that do what they are for.
    pub(crate) unsafe fn new(source: &mut reftable_block_source) -> Result<Owned> {
        let mut owned = Owned { source: *source, data: NO_DATA };
        source.ops = ptr::null();
        // SAFETY: as promised to us.
        let ops = unsafe { owned.source.ops.as_ref() }.ok_or(Code(API))?;
        let (size, read_data) = ops.size.zip(ops.read_data).ok_or(Code(API))?;
        // SAFETY: as promised to us.
        let len = unsafe { size(owned.source.arg) };
        // Blocks are addressed by 32 bits in this interface.
        let len = u32::try_from(len).map_err(|_| Code(crate::error::FORMAT))?;
        // SAFETY: as promised to us; the whole of the source is within it.
        let read = unsafe { read_data(owned.source.arg, &mut owned.data, 0, len) };
        if read < 0 {
            return Err(Code(c_int::try_from(read).unwrap_or(IO)));
        }
        // From now on there is something to release.
        owned.data.source = owned.source;
        if usize::try_from(read) != Ok(len as usize) || owned.data.len < len as usize {
            return Err(Code(IO));
        }
        Ok(owned)
    }

    /// The source, for those who look at a table's fields.
    pub(crate) fn source(&self) -> reftable_block_source {
        self.source
    }
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        if self.data.data.is_null() {
            return &[];
        }
        // SAFETY: the source has lent this many bytes, and keeps them until they are
        // released.
        unsafe { slice::from_raw_parts(self.data.data, self.data.len) }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: as promised to `new`; used for the last time.
        let Some(ops) = (unsafe { self.source.ops.as_ref() }) else { return };
        if let (Some(release), false) = (ops.release_data, self.data.source.ops.is_null()) {
            // SAFETY: data of this source, not released before.
            unsafe { release(self.source.arg, &mut self.data) };
        }
        if let Some(close) = ops.close {
            // SAFETY: not closed before.
            unsafe { close(self.source.arg) };
        }
    }
}
