//! What the program that links us provides: its lock files, temporary files, clock, randomness,
//! mapping and sync policy.
//!
//! git and libgit2 define these functions in their glue. The references are weak: in a program
//! without them they are null, and the library goes by its own ways ([`host`] is `None`). A weak
//! reference does not pull a member out of a static archive; `README.md` has the linker option that
//! does.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::mem::transmute;
use std::path::Path;
use std::time::Duration;

use crate::abi::{reftable_flock, reftable_mmap, reftable_tmpfile};
use crate::dir::c_path;

/// The functions of a host. All of them answer 0 or an error code, but for the clock and the random
/// number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host {
    pub(crate) flock_acquire: unsafe extern "C" fn(*mut reftable_flock, *const c_char, c_long) -> c_int,
    pub(crate) flock_close: unsafe extern "C" fn(*mut reftable_flock) -> c_int,
    pub(crate) flock_release: unsafe extern "C" fn(*mut reftable_flock) -> c_int,
    pub(crate) tmpfile_from_pattern: unsafe extern "C" fn(*mut reftable_tmpfile, *const c_char) -> c_int,
    pub(crate) tmpfile_close: unsafe extern "C" fn(*mut reftable_tmpfile) -> c_int,
    pub(crate) tmpfile_delete: unsafe extern "C" fn(*mut reftable_tmpfile) -> c_int,
    pub(crate) tmpfile_rename: unsafe extern "C" fn(*mut reftable_tmpfile, *const c_char) -> c_int,
    rand: unsafe extern "C" fn() -> u32,
    time_ms: unsafe extern "C" fn() -> u64,
    pub(crate) mmap: unsafe extern "C" fn(*mut reftable_mmap, c_int, usize) -> c_int,
    pub(crate) munmap: unsafe extern "C" fn(*mut reftable_mmap) -> c_int,
    fsync: Option<unsafe extern "C" fn(c_int) -> c_int>,
    signals: Option<Signals>,
}

/// Where the host's signal handlers are told which files to remove. git's, beside its reftable
/// glue; libgit2 has none.
#[derive(Debug, Clone, Copy)]
struct Signals {
    register: unsafe extern "C" fn(*const c_char) -> *mut c_void,
    rename: unsafe extern "C" fn(*mut *mut c_void, *const c_char) -> c_int,
    delete: unsafe extern "C" fn(*mut *mut c_void) -> c_int,
}

/// A name that the host's signal handlers remove.
#[derive(Debug)]
pub(crate) struct Registered {
    signals: Signals,
    file: *mut c_void,
}

// SAFETY: the pointer is the host's, and only handed back to it, by whichever thread has the stack
// at that time.
unsafe impl Send for Registered {}

impl Registered {
    /// Renames the file, and forgets it.
    pub(crate) fn rename(mut self, to: &Path) -> std::io::Result<()> {
        let to = c_path(to)?;
        // SAFETY: a file that was registered and is neither renamed nor deleted yet; a string that
        // ends.
        let answer = unsafe { (self.signals.rename)(&raw mut self.file, to.as_ptr()) };
        if answer < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Removes the file, and forgets it.
    pub(crate) fn delete(mut self) {
        // SAFETY: as above. What it cannot remove stays, and is taken over when we are gone.
        let _ = unsafe { (self.signals.delete)(&raw mut self.file) };
    }

    /// Forgets the file, which is at `path` and is another owner's by now: to rename a file to
    /// itself does nothing.
    pub(crate) fn forget(self, path: &Path) {
        let _ = self.rename(path);
    }
}

/// The functions that a host may have, and must have for it to count.
const SLOTS: usize = 15;
const NEEDED: usize = 11;

#[cfg(target_os = "linux")]
mod weak {
    use std::arch::global_asm;

    use super::SLOTS;

    /// An address of a function, or 0.
    pub(super) type Slot = usize;

    // The only references to these names in the library: a strong one elsewhere would undo the
    // weakness of these.
    global_asm!(
        ".weak flock_acquire, flock_close, flock_release",
        ".weak tmpfile_from_pattern, tmpfile_close, tmpfile_delete, tmpfile_rename",
        ".weak reftable_rand, reftable_time_ms, reftable_mmap, reftable_munmap, reftable_fsync",
        ".weak register_tempfile, rename_tempfile, delete_tempfile",
        ".pushsection .data.rel.ro.reftable_host_slots, \"aw\", @progbits",
        ".p2align 3",
        ".globl reftable_host_slots",
        ".hidden reftable_host_slots",
        ".type reftable_host_slots, @object",
        ".size reftable_host_slots, 120",
        "reftable_host_slots:",
        ".8byte flock_acquire, flock_close, flock_release",
        ".8byte tmpfile_from_pattern, tmpfile_close, tmpfile_delete, tmpfile_rename",
        ".8byte reftable_rand, reftable_time_ms, reftable_mmap, reftable_munmap, reftable_fsync",
        ".8byte register_tempfile, rename_tempfile, delete_tempfile",
        ".popsection",
    );

    unsafe extern "C" {
        #[link_name = "reftable_host_slots"]
        static ADDRESSES: [Slot; SLOTS];
    }

    pub(super) fn slots() -> [Slot; SLOTS] {
        // SAFETY: defined above, filled by the linker before anything runs, never written
        // afterwards.
        unsafe { ADDRESSES }
    }
}

#[cfg(not(target_os = "linux"))]
mod weak {
    pub(super) fn slots() -> [usize; super::SLOTS] {
        [0; super::SLOTS]
    }
}

/// The host; `None` unless all its functions are there, but for `reftable_fsync`, which is inline
/// in libgit2.
pub(crate) fn host() -> Option<Host> {
    let slots = weak::slots();
    if slots.iter().take(NEEDED).any(|slot| *slot == 0) {
        return None;
    }
    let [acquire, close, release, pattern, close_file, delete, rename, rand, time, map, unmap, fsync, signals @ ..] =
        slots;
    // SAFETY: the linker put the addresses of these functions there, whose types are part of the
    // interface; none is 0, but for the last, where `Option` stands for it.
    unsafe {
        Some(Host {
            flock_acquire: transmute::<usize, unsafe extern "C" fn(*mut reftable_flock, *const c_char, c_long) -> c_int>(
                acquire,
            ),
            flock_close: transmute::<usize, unsafe extern "C" fn(*mut reftable_flock) -> c_int>(close),
            flock_release: transmute::<usize, unsafe extern "C" fn(*mut reftable_flock) -> c_int>(release),
            tmpfile_from_pattern: transmute::<usize, unsafe extern "C" fn(*mut reftable_tmpfile, *const c_char) -> c_int>(
                pattern,
            ),
            tmpfile_close: transmute::<usize, unsafe extern "C" fn(*mut reftable_tmpfile) -> c_int>(close_file),
            tmpfile_delete: transmute::<usize, unsafe extern "C" fn(*mut reftable_tmpfile) -> c_int>(delete),
            tmpfile_rename: transmute::<usize, unsafe extern "C" fn(*mut reftable_tmpfile, *const c_char) -> c_int>(
                rename,
            ),
            rand: transmute::<usize, unsafe extern "C" fn() -> u32>(rand),
            time_ms: transmute::<usize, unsafe extern "C" fn() -> u64>(time),
            mmap: transmute::<usize, unsafe extern "C" fn(*mut reftable_mmap, c_int, usize) -> c_int>(map),
            munmap: transmute::<usize, unsafe extern "C" fn(*mut reftable_mmap) -> c_int>(unmap),
            fsync: transmute::<usize, Option<unsafe extern "C" fn(c_int) -> c_int>>(fsync),
            signals: signals_of(signals),
        })
    }
}

/// The functions about signals; `None` unless all of them are there.
///
/// # Safety
/// Each address is 0 or that of its function.
unsafe fn signals_of(addresses: [usize; 3]) -> Option<Signals> {
    let [register, rename, delete] = addresses;
    if addresses.contains(&0) {
        return None;
    }
    // SAFETY: as promised to us; the types are those of git's `tempfile.h`.
    unsafe {
        Some(Signals {
            register: transmute::<usize, unsafe extern "C" fn(*const c_char) -> *mut c_void>(register),
            rename: transmute::<usize, unsafe extern "C" fn(*mut *mut c_void, *const c_char) -> c_int>(rename),
            delete: transmute::<usize, unsafe extern "C" fn(*mut *mut c_void) -> c_int>(delete),
        })
    }
}

impl Host {
    /// Has the host's signal handlers remove `path`; `None` where it has no such thing.
    pub(crate) fn register(&self, path: &Path) -> Option<Registered> {
        let signals = self.signals?;
        let path = c_path(path).ok()?;
        // SAFETY: a string that ends.
        let file = unsafe { (signals.register)(path.as_ptr()) };
        (!file.is_null()).then_some(Registered { signals, file })
    }

    /// The same host, without a word on what is synced.
    pub(crate) fn syncing_all(self) -> Host {
        Host { fsync: None, ..self }
    }

    /// Whether a sync is one, for certain: what the host does with its own is not told.
    pub(crate) fn syncs_all(&self) -> bool {
        self.fsync.is_none()
    }

    /// 32 random bits.
    pub(crate) fn random(&self) -> u32 {
        // SAFETY: takes nothing, and may be called at any time.
        unsafe { (self.rand)() }
    }

    /// The host's clock.
    pub(crate) fn now(&self) -> Duration {
        // SAFETY: takes nothing, and may be called at any time.
        Duration::from_millis(unsafe { (self.time_ms)() })
    }

    /// Syncs by the host's policy, which may be not to.
    pub(crate) fn sync(&self, fd: c_int) -> std::io::Result<()> {
        let answer = match self.fsync {
            // SAFETY: an open descriptor.
            Some(fsync) => unsafe { fsync(fd) },
            // SAFETY: as above.
            None => unsafe { libc::fsync(fd) },
        };
        if answer < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// Whether the host's functions were found: 1, or 0 when the library goes by its own ways. No
/// function of git's.
#[unsafe(no_mangle)]
pub extern "C" fn reftable_has_host() -> c_int {
    c_int::from(host().is_some())
}
