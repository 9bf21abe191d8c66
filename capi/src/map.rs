//! Files mapped by the host.

use std::ffi::c_int;
use std::io;
use std::ptr::null_mut;
use std::slice;

use crate::abi::reftable_mmap;
use crate::host::Host;

/// A read-only mapping, given back to the host when dropped.
pub(crate) struct Mapping {
    raw: reftable_mmap,
    host: Host,
}

// SAFETY: the memory is only read, by any thread; the host's unmapping needs no particular one.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes, not none, of an open file, which may be closed afterwards.
    pub(crate) fn new(host: Host, fd: c_int, len: usize) -> io::Result<Mapping> {
        let mut raw = reftable_mmap { data: null_mut(), size: 0, private: null_mut() };
        // SAFETY: a zeroed struct for the host to fill, an open descriptor.
        let code = unsafe { (host.mmap)(&mut raw, fd, len) };
        if code < 0 || raw.data.is_null() || raw.size < len {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapping { raw, host })
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the host has mapped this many bytes, and they stay until we unmap them. Tables
        // are never written to after they have got their names; who does it all the same can make
        // us read odd bytes, which are checked.
        unsafe { slice::from_raw_parts(self.raw.data.cast::<u8>(), self.raw.size) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by the host, and not used any more. An error leaves it mapped: nothing can
        // be done.
        let _ = unsafe { (self.host.munmap)(&mut self.raw) };
    }
}
