//! The check that git's `refs verify` runs.

use std::ffi::{CString, c_char, c_int, c_void};

use crate::abi::{FSCK_TABLE_NAME, reftable_fsck_info};
use crate::error::{API, Code, guard};
use crate::stack::{StackHandle, stack_of};

type Report = unsafe extern "C" fn(*mut reftable_fsck_info, *mut c_void) -> c_int;
type Verbose = unsafe extern "C" fn(*const c_char, *mut c_void);

/// Reports tables whose names are not as git names them. Answers what the reports answered,
/// combined by `or`.
///
/// # Safety
/// `stack` is null or a stack; the functions do what they are for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_fsck_check(
    stack: *mut StackHandle,
    report: Option<Report>,
    verbose: Option<Verbose>,
    arg: *mut c_void,
) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let stack = unsafe { stack_of(stack) }?;
        let mut answer = 0;
        for table in stack.state().tables() {
            let text = |text: String| CString::new(text).map_err(|_| Code(API));
            let (name, message) = (text(table.name().to_owned())?, text(format!("Checking table: {}", table.name()))?);
            if let Some(verbose) = verbose {
                // SAFETY: the caller's function and argument, a string that ends.
                unsafe { verbose(message.as_ptr(), arg) };
            }
            if let (Some(report), false) = (report, is_table_name(table.name())) {
                let mut info = reftable_fsck_info {
                    error: FSCK_TABLE_NAME,
                    msg: c"invalid reftable table name".as_ptr(),
                    path: name.as_ptr(),
                };
                // SAFETY: the caller's function and argument, strings that end and outlive the
                // call.
                answer |= unsafe { report(&mut info, arg) };
            }
        }
        Ok(answer)
    })
}

/// `MIN-MAX-RANDOM.ref`, in hexadecimal numbers with or without `0x`. JGit ends some with `.log`.
fn is_table_name(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".ref").or_else(|| name.strip_suffix(".log")) else { return false };
    let is_number = |part: &str| u64::from_str_radix(part.strip_prefix("0x").unwrap_or(part), 16).is_ok();
    stem.split('-').count() == 3 && stem.split('-').all(is_number)
}
