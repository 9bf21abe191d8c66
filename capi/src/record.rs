//! References and reflog entries as C holds them: filled, read, compared, freed.

use std::cmp::Ordering;
use std::ffi::{c_char, c_int};
use std::mem;
use std::ptr::{self, null_mut};
use std::slice;

use reftable::table::{LogRecordView, RefRecordView};
use reftable::{HashKind, IdView, LogEntryView, ObjectId, TargetView};

use crate::abi::{
    HASH_MAX, LOG_DELETION, LOG_UPDATE, LogUpdate, REF_DELETION, REF_SYMREF, REF_VAL1, REF_VAL2, RefValue, Val2,
    reftable_log_record, reftable_ref_record,
};
use crate::alloc::{clear_string, new_string, set_string};
use crate::bytes_of;
use crate::error::{API, Code, Result};
use crate::table::hash_of_size;

/// The id in an array of C's.
fn id_of(bytes: &[u8; HASH_MAX], hash: HashKind) -> Result<ObjectId> {
    bytes.get(..hash.len()).and_then(ObjectId::from_bytes).ok_or(Code(API))
}

fn view_of(bytes: &[u8; HASH_MAX], hash: HashKind) -> Result<IdView<'_>> {
    bytes.get(..hash.len()).and_then(IdView::from_bytes).ok_or(Code(API))
}

fn put_id(to: &mut [u8; HASH_MAX], id: IdView<'_>) {
    for (to, from) in to.iter_mut().zip(id.as_bytes()) {
        *to = *from;
    }
}

impl reftable_ref_record {
    /// Overwrites the record. Its name keeps its memory if there is enough.
    ///
    /// # Safety
    /// The strings in the record are null or of the allocator's family.
    pub(crate) unsafe fn put(&mut self, record: &RefRecordView<'_>) -> Result<()> {
        // SAFETY: as promised to us.
        unsafe {
            set_string(&mut self.refname, &mut self.refname_cap, record.name)?;
            self.clear_value();
        }
        self.update_index = record.update_index;
        match record.target {
            None => {}
            Some(TargetView::Id(id)) => {
                let mut val1 = [0; HASH_MAX];
                put_id(&mut val1, id);
                self.set_value(REF_VAL1, RefValue { val1 });
            }
            Some(TargetView::Tag { id, peeled }) => {
                let mut val2 = Val2 { value: [0; HASH_MAX], target_value: [0; HASH_MAX] };
                put_id(&mut val2.value, id);
                put_id(&mut val2.target_value, peeled);
                self.set_value(REF_VAL2, RefValue { val2 });
            }
            Some(TargetView::Symbolic(name)) => {
                let symref = new_string(name)?;
                self.set_value(REF_SYMREF, RefValue { symref });
            }
            // A kind of target that this interface has no word for.
            Some(_) => return Err(Code(crate::error::FORMAT)),
        }
        Ok(())
    }

    fn set_value(&mut self, value_type: u32, value: RefValue) {
        self.value_type = value_type;
        self.value = value;
    }

    /// Makes the record a deletion.
    ///
    /// # Safety
    /// A symbolic target is null or of the allocator's family.
    unsafe fn clear_value(&mut self) {
        if mem::replace(&mut self.value_type, REF_DELETION) == REF_SYMREF {
            // SAFETY: the type says that the union holds a pointer.
            unsafe { clear_string(&mut self.value.symref) };
        }
    }

    pub(crate) fn name(&self) -> Option<&[u8]> {
        // SAFETY: a record's name is null or a string that ends: what the interface asks of those
        // who fill one.
        unsafe { bytes_of(self.refname) }
    }

    /// The record as the library writes it, borrowing from C.
    ///
    /// # Safety
    /// The strings are null or end, and stay as they are while the result is in use.
    pub(crate) unsafe fn view(&self, hash: HashKind) -> Result<RefRecordView<'_>> {
        let name = self.name().ok_or(Code(API))?;
        let target = match self.value_type {
            REF_DELETION => None,
            // SAFETY: the type says what the union holds.
            REF_VAL1 => Some(TargetView::Id(view_of(unsafe { &self.value.val1 }, hash)?)),
            REF_VAL2 => {
                // SAFETY: the type says what the union holds.
                let Val2 { value, target_value } = unsafe { &self.value.val2 };
                Some(TargetView::Tag { id: view_of(value, hash)?, peeled: view_of(target_value, hash)? })
            }
            REF_SYMREF => {
                // SAFETY: the type says what the union holds; the string as promised to us.
                let symref = unsafe { bytes_of(self.value.symref) };
                Some(TargetView::Symbolic(symref.ok_or(Code(API))?))
            }
            _ => return Err(Code(API)),
        };
        Ok(RefRecordView { name, update_index: self.update_index, target })
    }
}

impl reftable_log_record {
    /// Overwrites the record. Its name and message keep their memory if there is enough.
    ///
    /// # Safety
    /// The strings in the record are null or of the allocator's family.
    pub(crate) unsafe fn put(&mut self, record: &LogRecordView<'_>) -> Result<()> {
        // SAFETY: as promised to us.
        unsafe { set_string(&mut self.refname, &mut self.refname_cap, record.refname) }?;
        self.update_index = record.update_index;
        let Some(entry) = record.entry else {
            // SAFETY: as promised to us.
            unsafe { self.clear_value() };
            return Ok(());
        };
        if self.value_type != LOG_UPDATE {
            // What a deletion has here means nothing.
            self.update = LogUpdate::EMPTY;
            self.value_type = LOG_UPDATE;
        }
        let update = &mut self.update;
        put_id(&mut update.new_hash, entry.new.as_view());
        put_id(&mut update.old_hash, entry.old.as_view());
        update.time = entry.time;
        update.tz_offset = entry.time_zone;
        // SAFETY: as promised to us, or null; a capacity of 0 makes them grow.
        unsafe {
            set_string(&mut update.name, &mut 0, entry.name)?;
            set_string(&mut update.email, &mut 0, entry.email)?;
            if entry.message.is_empty() && entry.old.is_null() && entry.new.is_null() {
                // What marks an empty reflog has no message: libgit2 would free an empty one and
                // not forget it.
                update.message_cap = 0;
                clear_string(&mut update.message);
                return Ok(());
            }
            set_string(&mut update.message, &mut update.message_cap, entry.message)
        }
    }

    /// Makes the record a deletion.
    ///
    /// # Safety
    /// The strings of an entry are null or of the allocator's family.
    unsafe fn clear_value(&mut self) {
        if mem::replace(&mut self.value_type, LOG_DELETION) == LOG_UPDATE {
            let mut update = mem::replace(&mut self.update, LogUpdate::EMPTY);
            // SAFETY: as promised to us.
            unsafe {
                clear_string(&mut update.name);
                clear_string(&mut update.email);
                clear_string(&mut update.message);
            }
        }
    }

    pub(crate) fn name(&self) -> Option<&[u8]> {
        // SAFETY: a record's name is null or a string that ends: what the interface asks of those
        // who fill one.
        unsafe { bytes_of(self.refname) }
    }

    /// The record as the library writes it, borrowing from C, its message as it is.
    ///
    /// # Safety
    /// The strings are null or end, and stay as they are while the result is in use.
    pub(crate) unsafe fn view(&self, hash: HashKind) -> Result<LogRecordView<'_>> {
        let refname = self.name().ok_or(Code(API))?;
        let entry = match self.value_type {
            LOG_DELETION => None,
            LOG_UPDATE => {
                let update = &self.update;
                // SAFETY: as promised to us.
                let text = |string: *mut c_char| unsafe { bytes_of(string) }.unwrap_or_default();
                Some(LogEntryView {
                    old: id_of(&update.old_hash, hash)?,
                    new: id_of(&update.new_hash, hash)?,
                    name: text(update.name),
                    email: text(update.email),
                    time: update.time,
                    time_zone: update.tz_offset,
                    message: text(update.message),
                })
            }
            _ => return Err(Code(API)),
        };
        Ok(LogRecordView { refname, update_index: self.update_index, entry })
    }
}

impl LogUpdate {
    const EMPTY: LogUpdate = LogUpdate {
        new_hash: [0; HASH_MAX],
        old_hash: [0; HASH_MAX],
        name: null_mut(),
        email: null_mut(),
        time: 0,
        tz_offset: 0,
        message: null_mut(),
        message_cap: 0,
    };
}

/// Sorts by name. A null name comes first, and is refused later.
///
/// # Safety
/// `records` is null with `count` 0, or an array of that many, which nobody else uses now.
pub(crate) unsafe fn sort_refs<'a>(
    records: *mut reftable_ref_record,
    count: usize,
) -> Result<&'a [reftable_ref_record]> {
    // SAFETY: as promised to us.
    let records = unsafe { array(records, count) }?;
    records.sort_unstable_by(|a, b| a.name().cmp(&b.name()));
    Ok(records)
}

/// Sorts by name, then newest first.
///
/// # Safety
/// As for [`sort_refs`].
pub(crate) unsafe fn sort_logs<'a>(
    records: *mut reftable_log_record,
    count: usize,
) -> Result<&'a [reftable_log_record]> {
    // SAFETY: as promised to us.
    let records = unsafe { array(records, count) }?;
    records.sort_unstable_by(|a, b| match a.name().cmp(&b.name()) {
        Ordering::Equal => b.update_index.cmp(&a.update_index),
        order => order,
    });
    Ok(records)
}

unsafe fn array<'a, T>(first: *mut T, count: usize) -> Result<&'a mut [T]> {
    match (first.is_null(), count) {
        (_, 0) => Ok(&mut []),
        (true, _) => Err(Code(API)),
        // SAFETY: as promised to the callers.
        (false, count) => Ok(unsafe { slice::from_raw_parts_mut(first, count) }),
    }
}

/// The id of a reference that has one; otherwise null. Belongs to the record.
///
/// # Safety
/// `record` is null or a record.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_ref_record_val1(record: *const reftable_ref_record) -> *const u8 {
    // SAFETY: as promised to us.
    match unsafe { record.as_ref() } {
        // SAFETY: both begin with the id.
        Some(record) if matches!(record.value_type, REF_VAL1 | REF_VAL2) => unsafe { record.value.val1.as_ptr() },
        _ => ptr::null(),
    }
}

/// The peeled id of a reference that has one; otherwise null. Belongs to the record.
///
/// # Safety
/// `record` is null or a record.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_ref_record_val2(record: *const reftable_ref_record) -> *const u8 {
    // SAFETY: as promised to us.
    match unsafe { record.as_ref() } {
        // SAFETY: the type says what the union holds.
        Some(record) if record.value_type == REF_VAL2 => unsafe { record.value.val2.target_value.as_ptr() },
        _ => ptr::null(),
    }
}

/// # Safety
/// `record` is null or a record.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_ref_record_is_deletion(record: *const reftable_ref_record) -> c_int {
    // SAFETY: as promised to us.
    c_int::from(unsafe { record.as_ref() }.is_some_and(|record| record.value_type == REF_DELETION))
}

/// # Safety
/// `record` is null or a record.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_log_record_is_deletion(record: *const reftable_log_record) -> c_int {
    // SAFETY: as promised to us.
    c_int::from(unsafe { record.as_ref() }.is_some_and(|record| record.value_type == LOG_DELETION))
}

/// Frees what the record holds, and zeroes it.
///
/// # Safety
/// `record` is null or a record whose strings are of the allocator's family.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_ref_record_release(record: *mut reftable_ref_record) {
    // SAFETY: as promised to us.
    let Some(record) = (unsafe { record.as_mut() }) else { return };
    // SAFETY: as promised to us; all zero bytes are a record.
    unsafe {
        clear_string(&mut record.refname);
        record.clear_value();
        ptr::write_bytes(record, 0, 1);
    }
}

/// Frees what the record holds, and zeroes it.
///
/// # Safety
/// `record` is null or a record whose strings are of the allocator's family.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_log_record_release(record: *mut reftable_log_record) {
    // SAFETY: as promised to us.
    let Some(record) = (unsafe { record.as_mut() }) else { return };
    // SAFETY: as promised to us; all zero bytes are a record.
    unsafe {
        clear_string(&mut record.refname);
        record.clear_value();
        ptr::write_bytes(record, 0, 1);
    }
}

/// Whether two records are the same, with ids of `hash_size` bytes.
///
/// # Safety
/// Both are null or records.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_ref_record_equal(
    a: *const reftable_ref_record,
    b: *const reftable_ref_record,
    hash_size: u32,
) -> c_int {
    // SAFETY: as promised to us.
    let (a, b) = unsafe { (a.as_ref(), b.as_ref()) };
    let views = |a: &reftable_ref_record, b: &reftable_ref_record, hash| {
        // SAFETY: as promised to us.
        let (a_view, b_view) = unsafe { (a.view(hash), b.view(hash)) };
        match (a_view, b_view) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        }
    };
    c_int::from(match (a, b, hash_of_size(hash_size)) {
        (Some(a), Some(b), Some(hash)) => views(a, b, hash),
        _ => false,
    })
}

/// Whether two records are the same, with ids of `hash_size` bytes.
///
/// # Safety
/// Both are null or records.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_log_record_equal(
    a: *const reftable_log_record,
    b: *const reftable_log_record,
    hash_size: u32,
) -> c_int {
    // SAFETY: as promised to us.
    let (a, b) = unsafe { (a.as_ref(), b.as_ref()) };
    let views = |a: &reftable_log_record, b: &reftable_log_record, hash| {
        // SAFETY: as promised to us.
        let (a_view, b_view) = unsafe { (a.view(hash), b.view(hash)) };
        match (a_view, b_view) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        }
    };
    c_int::from(match (a, b, hash_of_size(hash_size)) {
        (Some(a), Some(b), Some(hash)) => views(a, b, hash),
        _ => false,
    })
}
