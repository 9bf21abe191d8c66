//! Writing a table record by record.

use std::cell::Cell;
use std::ffi::{c_int, c_uint, c_void};
use std::ops::RangeInclusive;
use std::rc::Rc;

use reftable::HashKind;
use reftable::addition::{AddedTable, Addition};
use reftable::table::LogRecordView;
use reftable::table::TableWriter;

use crate::abi::{LOG_DELETION, reftable_log_record, reftable_ref_record, reftable_stats, reftable_write_options};
use crate::destination::{Destination, FlushFn, Sink, WriteFn};
use crate::error::{API, Code, EMPTY_TABLE, IO, OK, Result, guard, guard_or};
use crate::record::{sort_logs, sort_refs};
use crate::table::hash_kind;

/// What a `reftable_writer *` points to.
///
/// Nothing is created before the first record: only then is the range of update indexes known for
/// sure.
pub(crate) struct WriterHandle {
    to: Destination,
    hash: HashKind,
    exact_log_message: bool,
    limits: (u64, u64),
    section: Section,
    /// The key of the last record: a record that does not fit after it is refused, and changes
    /// nothing.
    last: (Vec<u8>, u64),
    message: Vec<u8>,
    /// What went wrong: from then on nothing can be written.
    failed: Option<Code>,
    stats: reftable_stats,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Section {
    Nothing,
    Refs,
    Logs,
    Closed,
}

impl WriterHandle {
    fn new(to: Destination, hash: HashKind, options: &reftable_write_options) -> WriterHandle {
        WriterHandle {
            to,
            hash,
            exact_log_message: options.exact_log_message(),
            limits: (0, 0),
            section: Section::Nothing,
            last: (Vec::new(), 0),
            message: Vec::new(),
            failed: None,
            stats: reftable_stats::default(),
        }
    }

    /// A writer of the next table of an addition.
    ///
    /// # Safety
    /// The addition stays where it is until the writer is closed or dropped.
    pub(crate) unsafe fn of_addition(addition: &Addition, hash: HashKind, options: &reftable_write_options) -> Self {
        WriterHandle::new(Destination::Addition(addition, None), hash, options)
    }

    /// Ends a table of an addition; `None` when nothing was written.
    pub(crate) fn finish(self) -> Result<Option<AddedTable>> {
        match (self.failed, self.to) {
            (Some(code), _) => Err(code),
            (None, Destination::Addition(_, table)) => Ok(table),
            (None, Destination::Caller(..)) => Err(Code(API)),
        }
    }

    /// Creates the table, if that was not done yet.
    fn open(&mut self) -> Result<()> {
        match &mut self.to {
            Destination::Addition(addition, table @ None) => {
                // SAFETY: as promised to `of_addition`.
                let addition = unsafe { addition.as_ref() }.ok_or(Code(API))?;
                *table = Some(addition.table(range_of(self.limits, addition.update_index()))?);
            }
            Destination::Caller(sink, options, table @ None) => {
                let range = range_of(self.limits, self.limits.1);
                *table = Some(TableWriter::new(sink.clone(), self.hash, range, options)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks that a record may come now, and opens the section it belongs to.
    fn enter(&mut self, section: Section) -> Result<()> {
        if let Some(code) = self.failed {
            return Err(code);
        }
        if self.section > section {
            return Err(Code(API));
        }
        if self.section < section {
            self.open()?;
            self.section = section;
            self.last.0.clear();
            self.last.1 = u64::MAX;
        }
        Ok(())
    }

    /// Remembers a code that nothing can follow.
    fn note(&mut self, result: reftable::Result<()>) -> Result<()> {
        result.map_err(|error| {
            let code = match &self.to {
                Destination::Caller(sink, ..) if sink.code.get() < 0 => Code(sink.code.get()),
                _ => error.into(),
            };
            self.failed = Some(code);
            code
        })
    }

    /// # Safety
    /// The record's strings are null or end.
    unsafe fn add_ref(&mut self, record: &reftable_ref_record) -> Result<()> {
        let (min, max) = self.limits;
        // SAFETY: as promised to us.
        let view = unsafe { record.view(self.hash) }?;
        if !(min..=max).contains(&view.update_index) || self.section > Section::Refs {
            return Err(Code(API));
        }
        // An empty name is never above the one before.
        let before: &[u8] = if self.section == Section::Refs { &self.last.0 } else { &[] };
        if view.name <= before {
            return Err(Code(API));
        }
        self.enter(Section::Refs)?;
        self.last.0.clear();
        self.last.0.extend_from_slice(view.name);
        let added = self.to.add_ref(&view);
        self.note(added)
    }

    /// # Safety
    /// The record's strings are null or end.
    unsafe fn add_log(&mut self, record: &reftable_log_record) -> Result<()> {
        // SAFETY: as promised to us.
        let mut view = unsafe { record.view(self.hash) }?;
        // Below the range is fine: an entry may be written again under its old number, to take its
        // place.
        if record.value_type != LOG_DELETION && view.update_index > self.limits.1 {
            return Err(Code(API));
        }
        let mut message = std::mem::take(&mut self.message);
        if let Some(entry) = &mut view.entry
            && !self.exact_log_message
        {
            one_line(entry.message, &mut message)?;
            entry.message = &message;
        }
        let added = self.add_log_view(&view);
        self.message = message;
        added
    }

    fn add_log_view(&mut self, view: &LogRecordView<'_>) -> Result<()> {
        if view.refname.is_empty() || self.section > Section::Logs {
            return Err(Code(API));
        }
        let (name, index) = &self.last;
        let follows = match view.refname.cmp(name) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => view.update_index < *index,
            std::cmp::Ordering::Less => false,
        };
        if self.section == Section::Logs && !follows {
            return Err(Code(API));
        }
        self.enter(Section::Logs)?;
        self.last.0.clear();
        self.last.0.extend_from_slice(view.refname);
        self.last.1 = view.update_index;
        let added = self.to.add_log(view);
        self.note(added)
    }

    /// Ends the table. Only the caller's own tables are closed by hand.
    fn close(&mut self) -> Result<()> {
        if self.section == Section::Closed {
            return Err(Code(API));
        }
        if let Some(code) = self.failed {
            return Err(code);
        }
        let is_empty = self.section == Section::Nothing;
        self.open()?;
        self.section = Section::Closed;
        let Destination::Caller(sink, _, table) = &mut self.to else { return Err(Code(API)) };
        let (sink, table) = (sink.clone(), table.take().ok_or(Code(API))?);
        let written = table.finish().map(|(_, stats)| self.stats = reftable_stats::of(&stats));
        self.note(written)?;
        if let Some(flush) = sink.flush {
            // SAFETY: the caller's function and argument.
            if unsafe { flush(sink.arg) } < 0 {
                return Err(Code(IO));
            }
        }
        if is_empty { Err(Code(EMPTY_TABLE)) } else { Ok(()) }
    }
}

/// The limits as a range. libgit2 rewrites reflogs with a smallest index that is larger than the
/// largest: then the range begins at the next one.
fn range_of((min, max): (u64, u64), next: u64) -> RangeInclusive<u64> {
    if min <= max { min..=max } else { next..=max.max(next) }
}

/// A message as git stores it: one line, ended by one newline.
fn one_line(message: &[u8], line: &mut Vec<u8>) -> Result<()> {
    let len = message.iter().rposition(|byte| *byte != b'\n').map_or(0, |last| last + 1);
    let text = message.get(..len).unwrap_or_default();
    if text.contains(&b'\n') {
        return Err(Code(API));
    }
    line.clear();
    line.extend_from_slice(text);
    line.push(b'\n');
    Ok(())
}

unsafe fn writer_of<'a>(writer: *mut WriterHandle) -> Result<&'a mut WriterHandle> {
    // SAFETY: as promised to the callers.
    unsafe { writer.as_mut() }.ok_or(Code(API))
}

/// Makes a writer over the caller's functions: the first writes all it is given or answers a code
/// below 0; the second is called once, at the end, and may be null; both are given the third.
///
/// # Safety
/// `out` is not null; the functions do what they are for.
pub(crate) unsafe fn over(
    out: *mut *mut WriterHandle,
    (write, flush, arg): (Option<WriteFn>, Option<FlushFn>, *mut c_void),
    hash: c_uint,
    options: &reftable_write_options,
) -> Result<c_int> {
    let write = write.filter(|_| !out.is_null()).ok_or(Code(API))?;
    let sink = Sink { write, flush, arg, code: Rc::new(Cell::new(0)) };
    let to = Destination::Caller(sink, options.table()?, None);
    let writer = WriterHandle::new(to, hash_kind(hash)?, options);
    // SAFETY: as promised to us.
    unsafe { out.write(Box::into_raw(Box::new(writer))) };
    Ok(OK)
}

/// Sets the range of update indexes. Only before the first record.
///
/// # Safety
/// `writer` is null or a writer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_writer_set_limits(writer: *mut WriterHandle, min: u64, max: u64) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let writer = unsafe { writer_of(writer) }?;
        if writer.section != Section::Nothing {
            return Err(Code(API));
        }
        writer.limits = (min, max);
        Ok(OK)
    })
}

/// Adds a reference. Names ascend bytewise; the update index is within the limits.
///
/// # Safety
/// `writer` is null or a writer; `record` is null or a record whose strings are null or end. It is
/// only borrowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_writer_add_ref(
    writer: *mut WriterHandle,
    record: *const reftable_ref_record,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { writer_of(writer)?.add_ref(record.as_ref().ok_or(Code(API))?) }.map(|()| OK))
}

/// Sorts `count` references in place and adds them.
///
/// # Safety
/// `writer` is null or a writer; `records` has that many records whose strings are null or end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_writer_add_refs(
    writer: *mut WriterHandle,
    records: *mut reftable_ref_record,
    count: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let (writer, records) = unsafe { (writer_of(writer)?, sort_refs(records, count)?) };
        // SAFETY: as promised to us.
        records.iter().try_for_each(|record| unsafe { writer.add_ref(record) }).map(|()| OK)
    })
}

/// Adds a reflog record. Names ascend bytewise, the records of a name are newest first, and all
/// come after references.
///
/// # Safety
/// `writer` is null or a writer; `record` is null or a record whose strings are null or end. It is
/// only borrowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_writer_add_log(
    writer: *mut WriterHandle,
    record: *const reftable_log_record,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { writer_of(writer)?.add_log(record.as_ref().ok_or(Code(API))?) }.map(|()| OK))
}

/// Sorts `count` reflog records in place and adds them.
///
/// # Safety
/// `writer` is null or a writer; `records` has that many records whose strings are null or end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_writer_add_logs(
    writer: *mut WriterHandle,
    records: *mut reftable_log_record,
    count: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let (writer, records) = unsafe { (writer_of(writer)?, sort_logs(records, count)?) };
        // SAFETY: as promised to us.
        records.iter().try_for_each(|record| unsafe { writer.add_log(record) }).map(|()| OK)
    })
}

/// Writes what is left, and the footer. The writer stays for its statistics.
///
/// # Safety
/// `writer` is null or a writer of [`reftable_writer_new`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_writer_close(writer: *mut WriterHandle) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { writer_of(writer) }?.close().map(|()| OK))
}

/// What was written so far, in whole blocks. Valid until the writer is freed; brought up to date by
/// each call.
///
/// # Safety
/// `writer` is null or a writer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_writer_stats(writer: *mut WriterHandle) -> *const reftable_stats {
    // SAFETY: as promised to us.
    let Some(writer) = (unsafe { writer.as_mut() }) else { return std::ptr::null() };
    if let Some(stats) = writer.to.stats() {
        writer.stats = reftable_stats::of(&stats);
    }
    &raw const writer.stats
}

/// Frees a writer.
///
/// # Safety
/// `writer` is null or a writer of [`reftable_writer_new`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_writer_free(writer: *mut WriterHandle) {
    if !writer.is_null() {
        // SAFETY: made by `Box::into_raw`.
        guard_or((), || drop(unsafe { Box::from_raw(writer) }));
    }
}
