//! Parts of files of one kernel's own disk, with as few calls as that takes.

use std::fs::File;
use std::io;
use std::path::Path;

use super::OsDir;
#[cfg(target_os = "linux")]
use super::file_system;

/// An open regular file.
#[derive(Debug)]
pub(crate) struct LocalFile {
    file: File,
    /// Bytes.
    pub(crate) len: u64,
    device: u64,
    /// Whether the file system says when files were made.
    tells_birth: bool,
}

impl LocalFile {
    /// Opens a file, wherever it is.
    ///
    /// # Errors
    /// What the system says; `Unsupported` for what is no regular file, and where nobody knows
    /// which files belong to one kernel.
    #[cfg(target_os = "linux")]
    pub(crate) fn open(path: &Path) -> io::Result<LocalFile> {
        use std::os::unix::fs::MetadataExt;
        let file = OsDir::open_file(path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(LocalFile { len: about.len(), device: about.dev(), tells_birth: about.created().is_ok(), file })
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn open(path: &Path) -> io::Result<LocalFile> {
        let _nobody_knows = OsDir::open_file(path)?;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether one kernel alone writes to its file system, so that what was read is what is there.
    pub(crate) fn is_local(&self) -> bool {
        #[cfg(target_os = "linux")]
        return file_system::is_file_local(&self.file, self.device, self.tells_birth);
        #[cfg(not(target_os = "linux"))]
        return false;
    }

    /// Whether both are on one file system.
    pub(crate) fn is_beside(&self, other: &LocalFile) -> bool {
        self.device == other.device
    }

    /// `len` bytes from `start` on, or as many as there are.
    ///
    /// # Errors
    /// What the system says, with the offset.
    pub(crate) fn part(&self, start: u64, len: usize) -> io::Result<Vec<u8>> {
        crate::bytes::part(&self.file, start, len)
    }
}
