//! The processes that wait for the list lock of a directory, in the order in which they came, as
//! the kernel keeps it.
//!
//! Each has the directory open, and a lock of its own on one byte "of it": that of the millisecond
//! at which it came. These bytes need not exist, the locks are shared, so that none excludes
//! another, and the kernel drops them with the process. Whether another process came earlier is one
//! question: is there a lock below that byte?

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use reftable::lock::Queued;

use crate::dir::c_path;

/// A place in the queue, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    directory: File,
    /// Milliseconds since the kernel started.
    since: libc::off_t,
}

impl Place {
    /// The last one.
    pub(crate) fn last(directory: &Path) -> io::Result<Place> {
        let path = c_path(directory)?;
        // SAFETY: a string that ends.
        let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and nobody else's.
        let directory = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        let place = Place { directory, since: milliseconds()? };
        place.call(libc::F_OFD_SETLK, libc::F_RDLCK as _, place.since, 1)?;
        Ok(place)
    }

    /// Sets or asks for locks of a range of bytes; returns the kind of lock that the system names.
    fn call(
        &self,
        command: libc::c_int,
        kind: libc::c_short,
        start: libc::off_t,
        len: libc::off_t,
    ) -> io::Result<libc::c_int> {
        // SAFETY: a structure of numbers.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = kind;
        lock.l_whence = libc::SEEK_SET as _;
        lock.l_start = start;
        lock.l_len = len;
        // SAFETY: an open descriptor, and what the command wants.
        match unsafe { libc::fcntl(self.directory.as_raw_fd(), command, &raw mut lock) } {
            0 => Ok(lock.l_type.into()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Queued for Place {
    fn is_behind(&self) -> bool {
        // A length of 0 would mean all that there is.
        self.since > 0
            && self.call(libc::F_OFD_GETLK, libc::F_WRLCK as _, 0, self.since).is_ok_and(|kind| kind != libc::F_UNLCK)
    }
}

fn milliseconds() -> io::Result<libc::off_t> {
    // SAFETY: a structure of numbers.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: a place for the answer.
    if unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000))
}
