//! Opening files for reading, without waiting for other processes.

#[cfg(target_os = "linux")]
use std::fs::OpenOptions;
use std::fs::{self, File};
use std::io;
use std::path::Path;

#[cfg(target_os = "linux")]
pub(super) fn open_at_once(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let without_waiting = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    match OpenOptions::new().read(true).custom_flags(without_waiting).open(path) {
        // Another program has a lease on a regular file (see F_SETLEASE in fcntl(2)); the kernel
        // asks for it, and soon takes it.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && fs::metadata(path)?.is_file() => File::open(path),
        opened => opened,
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn open_at_once(path: &Path) -> io::Result<File> {
    let there = fs::metadata(path)?;
    // A directory gets the system's own answer here.
    if there.is_file() || there.is_dir() { File::open(path) } else { Err(crate::bytes::not_regular(&there)) }
}
