//! Compaction on demand, and cleaning.

use std::ffi::c_int;

use reftable::compact::{Compact, Expiry};

use crate::abi::{reftable_log_expiry_config, reftable_write_options};
use crate::error::{API, Code, OK, Result, guard};
use crate::stack::{StackHandle, stack_of};

impl StackHandle {
    fn compact(&self, options: &reftable_write_options, what: Compact) -> Result<()> {
        let done = self.configured(options, true)?.compact(what);
        match &done {
            Ok(Some(compaction)) => self.count(Ok(compaction)),
            Ok(None) => {}
            Err(error) => self.count(Err(error)),
        }
        let reloaded = self.reload();
        done?;
        reloaded
    }
}

/// Merges all tables into one, leaving out what `config` says. A single table is rewritten only for
/// that.
///
/// # Safety
/// `stack` is null or a stack; `config` is null or points to a configuration.
pub(crate) unsafe fn all(
    stack: *mut StackHandle,
    options: &reftable_write_options,
    config: *const reftable_log_expiry_config,
) -> Result<c_int> {
    // SAFETY: as promised to us.
    let (stack, config) = unsafe { (stack_of(stack)?, config.as_ref()) };
    let expiry = Expiry::default()
        .before_time(config.map(|config| config.time).filter(|time| *time > 0))
        .before_update_index(config.map(|config| config.min_update_index).filter(|index| *index > 0))
        .keeping_nothing();
    // Also where nothing is to be done: cleaning goes by these options.
    stack.configured(options, true)?;
    if stack.state().tables().len() < 2 && !expiry.is_set() {
        return Ok(OK);
    }
    let what = if stack.makes_gits_tables() { Compact::Rewrite { expiry } } else { Compact::All { expiry } };
    stack.compact(options, what).map(|()| OK)
}

/// Merges what the rule asks for.
///
/// # Safety
/// `stack` is null or a stack.
pub(crate) unsafe fn by_rule(stack: *mut StackHandle, options: &reftable_write_options) -> Result<c_int> {
    // SAFETY: as promised to us.
    let stack = unsafe { stack_of(stack) }?;
    if stack.configured(options, true)?.compaction_due(&stack.state()).is_none() {
        return Ok(OK);
    }
    stack.compact(options, Compact::Auto).map(|()| OK)
}

/// Tells whether there is something to merge: by the rule, or at all. Reads nothing.
///
/// # Safety
/// `stack` is null or a stack; `required` is not null.
pub(crate) unsafe fn is_due(
    stack: *mut StackHandle,
    options: &reftable_write_options,
    use_heuristics: bool,
    required: *mut bool,
) -> Result<c_int> {
    // SAFETY: as promised to us.
    let (stack, required) = unsafe { (stack_of(stack)?, required.as_mut().ok_or(Code(API))?) };
    let state = stack.state();
    *required = match (state.tables().len(), use_heuristics) {
        (0 | 1, _) => false,
        (_, false) => true,
        (_, true) => stack.configured(options, true)?.compaction_due(&state).is_some(),
    };
    Ok(OK)
}

/// Removes tables that nothing lists, and shows readers the newest state. Nobody says here how long
/// to wait for the lock: as long as was said last. git cleans after it has compacted, and a crowd
/// has taken the lock again by then.
///
/// # Safety
/// `stack` is null or a stack.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_clean(stack: *mut StackHandle) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let stack = unsafe { stack_of(stack) }?;
        stack.configured_last()?.clean()?;
        stack.reload().map(|()| OK)
    })
}
