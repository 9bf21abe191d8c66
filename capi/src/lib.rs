//! The C interface of git's reftable library, over the `reftable` crate.
//!
//! One file a topic. Each function turns what C says into the crate's words and back; how stores
//! work is the crate's business alone. `README.md` tells who owns what, and what a host must
//! provide.
//!
//! The `unsafe` of this package is of three kinds: pointers that C gives us, whose rules each
//! function states; functions that C gives us; and this library's handles that come back as
//! pointers.

#![allow(non_camel_case_types, reason = "structs have the names that C knows them by")]
#![allow(unreachable_pub, reason = "exported by name to C, not by path to Rust")]

mod abi;
mod addition;
mod alloc;
mod ancestors;
mod block_source;
mod blocks;
mod compact;
mod destination;
mod dir;
mod dir_file;
mod entry;
mod error;
mod fsck;
mod host;
mod iterator;
mod lock;
mod map;
mod merged;
mod options;
mod own_file;
mod policy;
mod record;
mod stack;
mod table;
mod wait_queue;
mod writer;

use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The bytes of a string of C's, without the zero; `None` for null.
///
/// # Safety
/// `string` is null or ends with a zero, and stays as it is while the result is in use.
unsafe fn bytes_of<'a>(string: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: as promised to us.
    (!string.is_null()).then(|| unsafe { CStr::from_ptr(string) }.to_bytes())
}

/// A path of C's.
fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
