//! The stack: a store, and the state of it that its user reads.

use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int, c_uint};
use std::ptr::{self, null_mut};
use std::sync::Arc;

use reftable::compact::Compaction;
use reftable::lock::{Locker, RobustLocks};
use reftable::{ErrorKind, HashKind, Snapshot, Stack};

use crate::abi::{
    reftable_compaction_stats, reftable_iterator, reftable_log_record, reftable_ref_record, reftable_stack_options,
    reftable_write_options,
};
use crate::dir::HostDir;
use crate::error::{API, Code, END, OK, Result, guard, guard_or};
use crate::host::host;
use crate::iterator::Walk;
use crate::lock::HostLocks;
use crate::merged::MergedHandle;
use crate::policy::Policy;
use crate::record::{reftable_log_record_release, reftable_ref_record_release};
use crate::table::{hash_kind, hash_number};
use crate::{bytes_of, path_of};

/// What a `reftable_stack *` points to.
///
/// Callbacks use a stack while it is in use: everything that changes is in a cell, and no cell is
/// borrowed while the host is called.
pub(crate) struct StackHandle {
    dir: Arc<HostDir>,
    has_host: bool,
    policy: Policy,
    /// The store, by the options that were used last.
    store: RefCell<Stack>,
    configured: Cell<Option<(reftable_write_options, bool)>>,
    /// What readers see until the next reload.
    state: RefCell<Snapshot>,
    /// The same, for those who ask for it. At one address as long as the state is the same.
    merged: RefCell<Box<MergedHandle>>,
    hash: HashKind,
    options: reftable_stack_options,
    /// How to write, where the host says it once; all zeros where it says it each time.
    writing: reftable_write_options,
    /// Where C reads it.
    stats: Box<Cell<reftable_compaction_stats>>,
}

impl StackHandle {
    fn open(path: &[u8], options: reftable_stack_options, writing: reftable_write_options) -> Result<StackHandle> {
        let hash = hash_kind(options.hash_id)?;
        let policy = Policy::of_process()?;
        // If everything is to be synced the host is not asked what is.
        let host = host().map(|host| if policy == Policy::Full { host.syncing_all() } else { host });
        let dir = Arc::new(HostDir::new(path_of(path), host));
        let locks: Box<dyn Locker> = match host {
            Some(host) => Box::new(HostLocks::new(host, Arc::clone(&dir))),
            None => Box::new(RobustLocks::new(true)),
        };
        let options_to_read = crate::options::reading(hash, host.is_some());
        let store = Stack::open_in(Arc::clone(&dir) as Arc<dyn reftable::dir::Dir>, locks, options_to_read);
        let store = store.map_err(read_failed)?;
        let state = store.snapshot().map_err(read_failed)?;
        let suppressed = options.suppress_deletions != 0;
        Ok(StackHandle {
            dir,
            has_host: host.is_some(),
            policy,
            store: RefCell::new(store),
            configured: Cell::new(None),
            merged: RefCell::new(Box::new(MergedHandle::of_stack(&state, hash, suppressed))),
            state: RefCell::new(state),
            hash,
            options,
            writing,
            stats: Box::default(),
        })
    }

    /// The store as these options want it.
    pub(crate) fn configured(&self, options: &reftable_write_options, auto_compact: bool) -> Result<Stack> {
        self.dir.set_mode(options.default_permissions);
        let wanted = Some((*options, auto_compact));
        if self.configured.get() != wanted {
            let options = options.stack(self.hash, self.has_host, auto_compact, self.policy)?;
            let store = self.store.borrow().with_options(options)?;
            self.store.replace(store);
            self.configured.set(wanted);
        }
        Ok(self.store())
    }

    /// The store as it was wanted last; as the stack was opened if nobody has said.
    pub(crate) fn configured_last(&self) -> Result<Stack> {
        match self.configured.get() {
            Some(_) => Ok(self.store()),
            None => self.configured(&self.writing, true),
        }
    }

    /// How to write, as far as it was said when the stack was opened.
    #[cfg(feature = "git-2-55")]
    pub(crate) fn writing(&self) -> reftable_write_options {
        self.writing
    }

    fn store(&self) -> Stack {
        self.store.borrow().clone()
    }

    pub(crate) fn hash(&self) -> HashKind {
        self.hash
    }

    pub(crate) fn state(&self) -> Snapshot {
        self.state.borrow().clone()
    }

    /// Whether tables are to be those that git makes, to the block.
    pub(crate) fn makes_gits_tables(&self) -> bool {
        self.has_host && self.policy == Policy::Git
    }

    /// Whether readers see this state.
    pub(crate) fn is_current(&self, state: &Snapshot) -> bool {
        let ours = self.state.borrow();
        let names = |state: &Snapshot| state.tables().iter().map(Arc::as_ptr).collect::<Vec<_>>();
        names(&ours) == names(state)
    }

    /// Shows readers this state, and says so.
    pub(crate) fn replace(&self, state: Snapshot) {
        let merged = MergedHandle::of_stack(&state, self.hash, self.options.suppress_deletions != 0);
        let before = (self.state.replace(state), self.merged.replace(Box::new(merged)));
        drop(before);
        notify(&self.options);
    }

    /// Shows readers the newest state.
    pub(crate) fn reload(&self) -> Result<()> {
        match self.store().snapshot() {
            Ok(state) => {
                if !self.is_current(&state) {
                    self.replace(state);
                }
                Ok(())
            }
            Err(error) => {
                notify(&self.options);
                Err(read_failed(error))
            }
        }
    }

    /// Counts a compaction.
    pub(crate) fn count(&self, done: std::result::Result<&Compaction, &reftable::Error>) {
        let mut stats = self.stats.get();
        stats.attempts = stats.attempts.saturating_add(1);
        match done {
            Ok(done) => {
                stats.bytes = stats.bytes.saturating_add(done.bytes_before);
                stats.entries_written = stats.entries_written.saturating_add(done.written.refs + done.written.logs);
            }
            Err(error) if error.kind() == ErrorKind::Locked => stats.failures = stats.failures.saturating_add(1),
            Err(_) => {}
        }
        self.stats.set(stats);
    }

    fn ref_walk(&self) -> Walk {
        self.merged.borrow().ref_walk()
    }

    fn log_walk(&self) -> Walk {
        self.merged.borrow().log_walk()
    }
}

/// When reading fails, it is the store that is wrong, not the caller.
fn read_failed(error: reftable::Error) -> Code {
    match error.kind() {
        ErrorKind::Invalid => Code(crate::error::FORMAT),
        _ => error.into(),
    }
}

/// Tells the user that what was read before may be old. It may use the stack in turn.
fn notify(options: &reftable_stack_options) {
    if let Some(on_reload) = options.on_reload {
        // SAFETY: the user's function and argument.
        unsafe { on_reload(options.on_reload_payload) };
    }
}

/// The stack that a pointer of C's stands for.
///
/// # Safety
/// `stack` is null or a stack.
pub(crate) unsafe fn stack_of<'a>(stack: *mut StackHandle) -> Result<&'a StackHandle> {
    // SAFETY: as promised to us. Shared: there may be more of these at a time.
    unsafe { stack.as_ref() }.ok_or(Code(API))
}

/// Opens the store in the directory `dir`. `writing` is how to write where the host says it once.
///
/// # Safety
/// `out` is not null; `dir` ends with a zero.
pub(crate) unsafe fn open(
    out: *mut *mut StackHandle,
    dir: *const c_char,
    options: reftable_stack_options,
    writing: reftable_write_options,
) -> Result<c_int> {
    // SAFETY: as promised to us.
    let (out, dir) = unsafe { (out.as_mut().ok_or(Code(API))?, bytes_of(dir).ok_or(Code(API))?) };
    *out = null_mut();
    let stack = StackHandle::open(dir, options, writing);
    // Whether or not there is something to read now: the user is told here first, and has no
    // stack yet.
    notify(&options);
    *out = Box::into_raw(Box::new(stack?));
    Ok(OK)
}

/// Frees a stack. Iterators over it go on.
///
/// # Safety
/// `stack` is null or a stack without additions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_destroy(stack: *mut StackHandle) {
    if !stack.is_null() {
        // SAFETY: made by `Box::into_raw`.
        guard_or((), || drop(unsafe { Box::from_raw(stack) }));
    }
}

/// Shows readers the newest state. Costs one `stat` if that is the one they see.
///
/// # Safety
/// `stack` is null or a stack.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_reload(stack: *mut StackHandle) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { stack_of(stack) }?.reload().map(|()| OK))
}

/// The update index that the next table is to have.
///
/// # Safety
/// `stack` is null or a stack.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_next_update_index(stack: *mut StackHandle) -> u64 {
    // SAFETY: as promised to us.
    let stack = unsafe { stack_of(stack) };
    guard_or(0, || stack.map_or(0, |stack| stack.state().update_index().saturating_add(1)))
}

/// The hash function of the ids.
///
/// # Safety
/// `stack` is null or a stack.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_hash_id(stack: *mut StackHandle) -> c_uint {
    // SAFETY: as promised to us.
    unsafe { stack_of(stack) }.map_or(0, |stack| hash_number(stack.hash))
}

/// The tables as one. Belongs to the stack, and is valid until it is reloaded or written to.
///
/// # Safety
/// `stack` is null or a stack.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_merged_table(stack: *mut StackHandle) -> *mut MergedHandle {
    // SAFETY: as promised to us.
    let stack = unsafe { stack_of(stack) };
    guard_or(null_mut(), || stack.map_or(null_mut(), |stack| &raw mut **stack.merged.borrow_mut()))
}

/// An iterator over the references.
///
/// # Safety
/// `stack` is null or a stack; `it` is not in use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_init_ref_iterator(
    stack: *mut StackHandle,
    it: *mut reftable_iterator,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { stack_of(stack)?.ref_walk().put(it) })
}

/// An iterator over the reflog records.
///
/// # Safety
/// `stack` is null or a stack; `it` is not in use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_init_log_iterator(
    stack: *mut StackHandle,
    it: *mut reftable_iterator,
) -> c_int {
    // SAFETY: as promised to us.
    guard(|| unsafe { stack_of(stack)?.log_walk().put(it) })
}

/// Looks up one reference. 1 when there is none; `record` is released then, as it is on errors.
///
/// # Safety
/// `stack` is null or a stack; `name` is null or ends with a zero; `record` is null or a record
/// whose strings are of the allocator's family.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_read_ref(
    stack: *mut StackHandle,
    name: *const c_char,
    record: *mut reftable_ref_record,
) -> c_int {
    let code = guard(|| {
        // SAFETY: as promised to us.
        let (stack, name, record) = unsafe { (stack_of(stack)?, bytes_of(name), record.as_mut()) };
        let (Some(name), Some(record)) = (name, record) else { return Err(Code(API)) };
        let Some(found) = stack.state().get(name)? else { return Ok(END) };
        let view = reftable::table::RefRecordView {
            name: &found.name,
            update_index: found.update_index,
            target: Some(found.target.as_view()),
        };
        // SAFETY: as promised to us.
        unsafe { record.put(&view) }.map(|()| OK)
    });
    if code != OK {
        // SAFETY: as promised to us.
        unsafe { reftable_ref_record_release(record) };
    }
    code
}

/// Reads the newest entry of a reflog. 1 when there is none; `record` is released then, as it is on
/// errors.
///
/// # Safety
/// `stack` is null or a stack; `name` is null or ends with a zero; `record` is null or a record
/// whose strings are of the allocator's family.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_read_log(
    stack: *mut StackHandle,
    name: *const c_char,
    record: *mut reftable_log_record,
) -> c_int {
    let code = guard(|| {
        // SAFETY: as promised to us.
        let (stack, name, record) = unsafe { (stack_of(stack)?, bytes_of(name), record.as_mut()) };
        let (Some(name), Some(record)) = (name, record) else { return Err(Code(API)) };
        let mut log = stack.state().log(name)?;
        let Some(found) = log.next()? else { return Ok(END) };
        let view = reftable::table::LogRecordView {
            refname: found.refname,
            update_index: found.update_index,
            entry: Some(found.entry),
        };
        // SAFETY: as promised to us.
        unsafe { record.put(&view) }.map(|()| OK)
    });
    if code != OK {
        // SAFETY: as promised to us.
        unsafe { reftable_log_record_release(record) };
    }
    code
}

/// What was compacted through this stack. Belongs to it.
///
/// # Safety
/// `stack` is null or a stack.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_stack_compaction_stats(stack: *mut StackHandle) -> *mut reftable_compaction_stats {
    // SAFETY: as promised to us.
    unsafe { stack_of(stack) }.map_or(ptr::null_mut(), |stack| stack.stats.as_ptr())
}
