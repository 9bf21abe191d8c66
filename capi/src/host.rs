//! What the program that links us provides: its lock files, temporary files, clock, randomness,
//! mapping and sync policy.
//!
//! git and libgit2 define these functions in their glue. The references are weak: in a program
//! without them they are null, and the library goes by its own ways ([`host`] is `None`). A weak
//! reference does not pull a member out of a static archive; `README.md` has the linker option that
//! does.

use std::ffi::{c_char, c_int, c_long};
use std::mem::transmute;
use std::time::Duration;

use crate::abi::{reftable_flock, reftable_mmap, reftable_tmpfile};

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
}

#[cfg(target_os = "linux")]
mod weak {
    use std::arch::global_asm;

    /// An address of a function, or 0.
    pub(super) type Slot = usize;

    // The only references to these names in the library: a strong one elsewhere would undo the
    // weakness of these.
    global_asm!(
        ".weak flock_acquire, flock_close, flock_release",
        ".weak tmpfile_from_pattern, tmpfile_close, tmpfile_delete, tmpfile_rename",
        ".weak reftable_rand, reftable_time_ms, reftable_mmap, reftable_munmap, reftable_fsync",
        ".pushsection .data.rel.ro.reftable_host_slots, \"aw\", @progbits",
        ".p2align 3",
        ".globl reftable_host_slots",
        ".hidden reftable_host_slots",
        ".type reftable_host_slots, @object",
        ".size reftable_host_slots, 96",
        "reftable_host_slots:",
        ".8byte flock_acquire, flock_close, flock_release",
        ".8byte tmpfile_from_pattern, tmpfile_close, tmpfile_delete, tmpfile_rename",
        ".8byte reftable_rand, reftable_time_ms, reftable_mmap, reftable_munmap, reftable_fsync",
        ".popsection",
    );

    unsafe extern "C" {
        #[link_name = "reftable_host_slots"]
        static SLOTS: [Slot; 12];
    }

    pub(super) fn slots() -> [Slot; 12] {
        // SAFETY: defined above, filled by the linker before anything runs, never written
        // afterwards.
        unsafe { SLOTS }
    }
}

#[cfg(not(target_os = "linux"))]
mod weak {
    pub(super) fn slots() -> [usize; 12] {
        [0; 12]
    }
}

/// The host; `None` unless all its functions are there, but for `reftable_fsync`, which is inline
/// in libgit2.
pub(crate) fn host() -> Option<Host> {
    let slots = weak::slots();
    let [.., fsync] = slots;
    if slots.iter().take(11).any(|slot| *slot == 0) {
        return None;
    }
    let [acquire, close, release, pattern, close_file, delete, rename, rand, time, map, unmap, _] = slots;
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
        })
    }
}

impl Host {
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
