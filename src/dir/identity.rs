//! The identity of a file: what tells it from others that had its name.

use std::fs;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Dir;

/// What the system tells of a file (POSIX `stat`), as far as it tells one file from another that
/// had its name. While a file is held open no other has its device and inode.
///
/// Two are equal if all but [`FileStat::changed`] is: that changes with every name that a file is
/// given or loses.
#[derive(Debug, Clone, Copy, Eq, Default)]
#[non_exhaustive]
pub struct FileStat {
    /// The file system that it is on (POSIX `st_dev`).
    pub device: u64,
    /// Its number there (POSIX `st_ino`), used again once it is gone; 0 where there are none.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// When the contents were changed last, in nanoseconds since 1970.
    pub modified: u128,
    /// When the file was made, in nanoseconds since 1970; 0 where that is not known. Unlike the
    /// time above it cannot be set.
    pub created: u128,
    /// When anything about the file was changed last, its names included, in nanoseconds since
    /// 1970; 0 where that is not known. It cannot be set either.
    pub changed: u128,
    /// Whether it is a regular file, not a directory, a link, a pipe.
    pub is_file: bool,
}

impl FileStat {
    /// A regular file. When it was made and when anything about it was changed is not known, until
    /// those fields are set.
    #[must_use]
    pub fn new(device: u64, inode: u64, size: u64, modified: u128) -> FileStat {
        FileStat { device, inode, size, modified, created: 0, changed: 0, is_file: true }
    }
}

impl PartialEq for FileStat {
    fn eq(&self, other: &FileStat) -> bool {
        let without_change = |stat: &FileStat| {
            let FileStat { device, inode, size, modified, created, changed: _, is_file } = *stat;
            (device, inode, size, modified, created, is_file)
        };
        without_change(self) == without_change(other)
    }
}

impl FileStat {
    /// The stat of a file of the operating system. Where files have no numbers, device and inode
    /// are 0.
    #[cfg(unix)]
    #[must_use]
    pub fn of(metadata: &fs::Metadata) -> FileStat {
        use std::os::unix::fs::MetadataExt;
        let nanoseconds = |seconds, rest| (i128::from(seconds) * 1_000_000_000 + i128::from(rest)) as u128;
        FileStat {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            created: since_1970(metadata.created()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            is_file: metadata.is_file(),
        }
    }

    /// The stat of a file of the operating system. Where files have no numbers, device and inode
    /// are 0.
    #[cfg(not(unix))]
    #[must_use]
    pub fn of(metadata: &fs::Metadata) -> FileStat {
        FileStat {
            device: 0,
            inode: 0,
            size: metadata.len(),
            modified: since_1970(metadata.modified()),
            created: since_1970(metadata.created()),
            changed: 0,
            is_file: metadata.is_file(),
        }
    }

    /// Whether both are of one file, changed or not.
    pub(crate) fn is_same_file(&self, other: &FileStat) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether an equal stat means the same file, unchanged. Where files have no numbers it does
    /// not: two lists of one size may be made within one tick of the clock.
    pub(crate) fn is_unique(&self) -> bool {
        self.inode != 0
    }
}

/// What the name stands for now. Where other kernels write to the directory (not `is_local`) what
/// `stat` says may be seconds old, and only an open asks the server.
pub(crate) fn stat_now(dir: &dyn Dir, name: &str, is_local: bool) -> io::Result<FileStat> {
    if is_local { dir.stat(name) } else { dir.open(name)?.stat() }
}

/// Looks at a file again, by its name, when a network file system says that the one it had looked
/// at was replaced. Three times, without waiting: for processes that look at a store once.
pub(crate) fn again_if_stale<T>(mut look: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..2 {
        match look() {
            Err(error) if error.kind() == io::ErrorKind::StaleNetworkFileHandle => {}
            seen => return seen,
        }
    }
    look()
}

/// In nanoseconds; 0 if it is not known.
fn since_1970(time: io::Result<SystemTime>) -> u128 {
    time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default().as_nanos()
}
