//! Where a writer's records go.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io::{self, Write};
use std::rc::Rc;

use reftable::addition::{AddedTable, Addition};
use reftable::table::{LogRecordView, RefRecordView};
use reftable::table::{SectionStats, TableStats, TableWriter, WriteOptions};

use crate::abi::{reftable_block_stats, reftable_stats};
use crate::error::IO;

pub(crate) type WriteFn = unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> isize;
pub(crate) type FlushFn = unsafe extern "C" fn(*mut c_void) -> c_int;

pub(crate) enum Destination {
    /// A table of an addition that is open, and stays so while there is a writer for it.
    Addition(*const Addition, Option<AddedTable>),
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

    /// What was written so far; `None` before the first record and after the last.
    pub(crate) fn stats(&self) -> Option<TableStats> {
        match self {
            Destination::Addition(_, table) => table.as_ref().map(AddedTable::stats),
            Destination::Caller(_, _, table) => table.as_ref().map(TableWriter::stats),
        }
    }
}

fn number(count: u64) -> c_int {
    c_int::try_from(count).unwrap_or(c_int::MAX)
}

impl reftable_stats {
    pub(crate) fn of(stats: &TableStats) -> reftable_stats {
        reftable_stats {
            blocks: number(stats.blocks),
            ref_stats: reftable_block_stats::of(&stats.ref_section),
            obj_stats: reftable_block_stats::of(&stats.object_section),
            idx_stats: reftable_block_stats::of(&stats.indexes),
            log_stats: reftable_block_stats::of(&stats.log_section),
            object_id_len: stats.object_id_len.into(),
        }
    }
}

impl reftable_block_stats {
    fn of(section: &SectionStats) -> reftable_block_stats {
        reftable_block_stats {
            entries: number(section.entries),
            restarts: u32::try_from(section.restarts).unwrap_or(u32::MAX),
            blocks: number(section.blocks),
            index_blocks: number(section.index_blocks),
            max_index_level: number(section.index_levels),
            offset: section.offset,
            index_offset: section.index_offset,
        }
    }
}
