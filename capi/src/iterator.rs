//! Iterators: they own what they walk over, so they outlive stacks, reloads and tables.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::{self, null_mut};

use reftable::merge::{LogRecords, Merged, RefRecords, Tombstones};
use reftable::table::PointingAt;
use reftable::table::RefRecordView;

use crate::abi::{reftable_iterator, reftable_log_record, reftable_ref_record};
use crate::bytes_of;
use crate::error::{API, Code, END, OK, Result, guard, guard_or};

/// What an iterator that is in use points to.
pub(crate) enum Walk {
    Refs(RefRecords),
    Logs(LogRecords),
    Pointing(PointingAt),
    /// Records that C has no words for.
    Nothing,
}

/// Its address tells iterators in use from zeroed ones, and ours from others.
static IN_USE: u8 = 0;

fn tombstones(suppressed: bool) -> Tombstones {
    if suppressed { Tombstones::Hide } else { Tombstones::Show }
}

impl Walk {
    pub(crate) fn refs(merged: &Merged, suppress_deletions: bool) -> Walk {
        Walk::Refs(RefRecords::new(merged, tombstones(suppress_deletions)))
    }

    pub(crate) fn logs(merged: &Merged, suppress_deletions: bool) -> Walk {
        Walk::Logs(LogRecords::new(merged, tombstones(suppress_deletions)))
    }

    /// The walk before its first record.
    pub(crate) fn at_the_start(mut self) -> Result<Walk> {
        match &mut self {
            Walk::Refs(refs) => refs.seek(b"")?,
            Walk::Logs(logs) => logs.seek(b"", u64::MAX)?,
            Walk::Pointing(_) | Walk::Nothing => {}
        }
        Ok(self)
    }

    fn seek_ref(&mut self, name: &[u8]) -> Result<()> {
        match self {
            Walk::Refs(refs) => refs.seek(name)?,
            Walk::Pointing(pointing) => pointing.seek(name)?,
            Walk::Logs(_) | Walk::Nothing => return Err(Code(API)),
        }
        Ok(())
    }

    fn next_ref(&mut self) -> Result<Option<RefRecordView<'_>>> {
        match self {
            Walk::Refs(refs) => Ok(refs.next()?),
            Walk::Pointing(pointing) => Ok(pointing.next()?),
            Walk::Logs(_) | Walk::Nothing => Err(Code(API)),
        }
    }

    /// Puts the walk into an iterator of C's.
    ///
    /// # Safety
    /// `it` is null or an iterator that is not in use.
    pub(crate) unsafe fn put(self, it: *mut reftable_iterator) -> Result<c_int> {
        if it.is_null() {
            return Err(Code(API));
        }
        let iter_arg = Box::into_raw(Box::new(self)).cast();
        // SAFETY: as promised to us.
        unsafe { it.write(reftable_iterator { ops: (&raw const IN_USE).cast::<c_void>(), iter_arg }) };
        Ok(OK)
    }
}

/// The walk of an iterator; an error for one that is not in use.
///
/// # Safety
/// `it` is null or an iterator; nobody else uses it now.
unsafe fn walk<'a>(it: *mut reftable_iterator) -> Result<&'a mut Walk> {
    // SAFETY: as promised to us.
    let it = unsafe { it.as_ref() }.ok_or(Code(API))?;
    if !ptr::eq(it.ops, (&raw const IN_USE).cast()) {
        return Err(Code(API));
    }
    // SAFETY: made by `put`.
    unsafe { it.iter_arg.cast::<Walk>().as_mut() }.ok_or(Code(API))
}

/// Moves before the first reference whose name is at least `name`.
///
/// # Safety
/// `it` is null or an iterator; `name` is null or ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_iterator_seek_ref(it: *mut reftable_iterator, name: *const c_char) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { walk(it)?.seek_ref(bytes_of(name).ok_or(Code(API))?) }.map(|()| OK))
}

/// Reads the next reference into `record`. 1 at the end.
///
/// # Safety
/// `it` is null or an iterator; `record` is null or a record whose strings are of the allocator's
/// family.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_iterator_next_ref(
    it: *mut reftable_iterator,
    record: *mut reftable_ref_record,
) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let (walk, record) = unsafe { (walk(it)?, record.as_mut().ok_or(Code(API))?) };
        match walk.next_ref()? {
            // SAFETY: as promised to us.
            Some(found) => unsafe { record.put(&found) }.map(|()| OK),
            None => Ok(END),
        }
    })
}

/// Moves before the newest entry of `name`'s reflog.
///
/// # Safety
/// `it` is null or an iterator; `name` is null or ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_iterator_seek_log(it: *mut reftable_iterator, name: *const c_char) -> c_int {
    // SAFETY: as promised to us.
    unsafe { reftable_iterator_seek_log_at(it, name, u64::MAX) }
}

/// Moves before the newest entry of `name`'s reflog that is not newer than `update_index`.
///
/// # Safety
/// `it` is null or an iterator; `name` is null or ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_iterator_seek_log_at(
    it: *mut reftable_iterator,
    name: *const c_char,
    update_index: u64,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| match unsafe { (walk(it)?, bytes_of(name)) } {
        (Walk::Logs(logs), Some(name)) => Ok(logs.seek(name, update_index).map(|()| OK)?),
        _ => Err(Code(API)),
    })
}

/// Reads the next reflog record into `record`. 1 at the end.
///
/// # Safety
/// `it` is null or an iterator; `record` is null or a record whose strings are of the allocator's
/// family.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_iterator_next_log(
    it: *mut reftable_iterator,
    record: *mut reftable_log_record,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| match unsafe { (walk(it)?, record.as_mut()) } {
        (Walk::Logs(logs), Some(record)) => match logs.next()? {
            // SAFETY: as promised to us.
            Some(found) => unsafe { record.put(&found) }.map(|()| OK),
            None => Ok(END),
        },
        _ => Err(Code(API)),
    })
}

/// Frees what the iterator points to; it can be initialised again. Nothing happens to one that is
/// not in use.
///
/// # Safety
/// `it` is null, zeroed, or an iterator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_iterator_destroy(it: *mut reftable_iterator) {
    // SAFETY: as promised to us.
    let Some(it) = (unsafe { it.as_mut() }) else { return };
    if ptr::eq(it.ops, (&raw const IN_USE).cast()) {
        let walk = it.iter_arg.cast::<Walk>();
        it.ops = ptr::null();
        it.iter_arg = null_mut();
        // SAFETY: made by `put`, and forgotten by the iterator.
        guard_or((), || drop(unsafe { Box::from_raw(walk) }));
    }
}
