//! Error codes, what stands for them, and the net below every entry point.

use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use reftable::{Error, ErrorKind};

pub(crate) const OK: c_int = 0;
/// The end of an iteration, or "not found".
pub(crate) const END: c_int = 1;
pub(crate) const GENERAL: c_int = -1;
pub(crate) const IO: c_int = -2;
pub(crate) const FORMAT: c_int = -3;
pub(crate) const NOT_EXIST: c_int = -4;
pub(crate) const LOCK: c_int = -5;
pub(crate) const API: c_int = -6;
pub(crate) const ZLIB: c_int = -7;
pub(crate) const EMPTY_TABLE: c_int = -8;
pub(crate) const REFNAME: c_int = -10;
pub(crate) const ENTRY_TOO_BIG: c_int = -11;
pub(crate) const OUTDATED: c_int = -12;
pub(crate) const OUT_OF_MEMORY: c_int = -13;

/// Failure by its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(pub(crate) c_int);

pub(crate) type Result<T> = std::result::Result<T, Code>;

impl From<Error> for Code {
    fn from(error: Error) -> Self {
        Code(match error.kind() {
            ErrorKind::Io => IO,
            ErrorKind::Corrupt | ErrorKind::Unsupported => FORMAT,
            ErrorKind::Missing => NOT_EXIST,
            ErrorKind::Locked => LOCK,
            ErrorKind::Invalid => API,
            ErrorKind::TooLarge => ENTRY_TOO_BIG,
            _ => GENERAL,
        })
    }
}

/// Runs an entry point that answers with a code. A panic ends here: unwinding into C is not
/// defined.
pub(crate) fn guard(body: impl FnOnce() -> Result<c_int>) -> c_int {
    guard_or(GENERAL, || body().unwrap_or_else(|Code(code)| code))
}

/// Runs an entry point that answers with something else.
pub(crate) fn guard_or<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    // State that a panic leaves half changed is ours alone and stays valid in the sense of the
    // language: the callbacks of a host do not unwind, and what we own is in cells.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

/// What a code means, in a few words. Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn reftable_error_str(code: c_int) -> *const c_char {
    text_of(code).as_ptr()
}

/// Scripts of git's tests compare some of these words.
fn text_of(code: c_int) -> &'static CStr {
    match code {
        OK => c"success",
        GENERAL => c"general error",
        IO => c"I/O error",
        FORMAT => c"corrupt reftable file",
        NOT_EXIST => c"file does not exist",
        LOCK => c"data is locked",
        API => c"misuse of the reftable API",
        ZLIB => c"zlib failure",
        EMPTY_TABLE => c"wrote empty table",
        REFNAME => c"invalid refname",
        ENTRY_TOO_BIG => c"entry too large",
        OUTDATED => c"data concurrently modified",
        OUT_OF_MEMORY => c"out of memory",
        _ => c"unknown error code",
    }
}
