//! Where a writer's records go.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io::{self, Write};
use std::rc::Rc;

use reftable::table::{TableWriter, WriteOptions};
use reftable::{Addition, LogRecordView, NewTable, RefRecordView};

use crate::error::IO;

pub(crate) type WriteFn = unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> isize;
pub(crate) type FlushFn = unsafe extern "C" fn(*mut c_void) -> c_int;

pub(crate) enum Destination {
    /// A table of an addition that is open, and stays so while there is a writer for it.
    Addition(*const Addition, Option<NewTable>),
    /// Functions of the caller's.
    Caller(Sink, WriteOptions, Option<TableWriter<Sink>>),
}

/// The caller's function to write with.
#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) write: WriteFn,
    pub(crate) flush: Option<FlushFn>,
    pub(crate) arg: *mut c_void,
    /// The last code below 0 that it answered.
    pub(crate) code: Rc<Cell<c_int>>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        // SAFETY: the caller's function and argument, bytes that are there.
        match unsafe { (self.write)(self.arg, bytes.as_ptr().cast(), bytes.len()) } {
            code @ ..0 => {
                self.code.set(c_int::try_from(code).unwrap_or(IO));
                Err(io::Error::other("the caller's write function failed"))
            }
            // Some answer 0, or anything, for success: the function is to write all of it.
            _ => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Destination {
    pub(crate) fn add_ref(&mut self, view: &RefRecordView<'_>) -> reftable::Result<()> {
        match self {
            Destination::Addition(_, Some(table)) => table.add_ref(view),
            Destination::Caller(_, _, Some(table)) => table.add_ref(view),
            _ => Ok(()),
        }
    }

    pub(crate) fn add_log(&mut self, view: &LogRecordView<'_>) -> reftable::Result<()> {
        match self {
            Destination::Addition(_, Some(table)) => table.add_log(view),
            Destination::Caller(_, _, Some(table)) => table.add_log(view),
            _ => Ok(()),
        }
    }
}
