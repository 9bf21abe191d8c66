//! An open file of the operating system.

use std::fs::File;
use std::io::{self, Write};

use fs4::FileExt;

#[cfg(target_os = "linux")]
#[cfg(target_os = "linux")]
use super::file_system;
use super::{DirFile, FileStat};
use crate::bytes::{Bytes, Reading};

#[derive(Debug)]
pub(super) struct OsFile {
    pub(super) file: File,
    /// Whether the system knows how the file is, without asking a server.
    pub(super) is_local: bool,
}

/// The extended attribute that holds the attribute of a file.
#[cfg(target_os = "linux")]
const ATTRIBUTE: &str = "user.reftable";

impl DirFile for OsFile {
    fn contents(&self) -> io::Result<Bytes> {
        Bytes::of_file(&self.file, Reading::Copied)
    }

    fn contents_by(&self, reading: Reading) -> io::Result<Bytes> {
        Bytes::of_file(&self.file, reading)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    #[cfg(target_os = "linux")]
    fn write_out(&self, waits: bool) -> io::Result<()> {
        // Elsewhere it is not known what this would do, and what it would cost.
        if self.is_local { crate::bytes::write_out(&self.file, waits) } else { Ok(()) }
    }

    fn stat(&self) -> io::Result<FileStat> {
        #[cfg(target_os = "linux")]
        if !self.is_local {
            return file_system::stat_of_open_now(&self.file);
        }
        let _elsewhere_there_is_one_way = self.is_local;
        self.file.metadata().map(|metadata| FileStat::of(&metadata))
    }

    fn try_lock(&self) -> io::Result<bool> {
        match FileExt::try_lock(&self.file) {
            Ok(()) => Ok(true),
            Err(fs4::TryLockError::WouldBlock) => Ok(false),
            Err(fs4::TryLockError::Error(error)) => Err(error),
        }
    }

    #[cfg(unix)]
    fn owner(&self) -> io::Result<Option<u32>> {
        use std::os::unix::fs::MetadataExt;
        self.file.metadata().map(|metadata| Some(metadata.uid()))
    }

    #[cfg(target_os = "linux")]
    fn set_attribute(&self, attribute: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::fsetxattr(&self.file, ATTRIBUTE, attribute, rustix::fs::XattrFlags::empty())?)
    }

    #[cfg(target_os = "linux")]
    fn attribute(&self) -> io::Result<Option<Vec<u8>>> {
        use rustix::io::Errno;
        let mut attribute = [0; 1024];
        match rustix::fs::fgetxattr(&self.file, ATTRIBUTE, &mut attribute) {
            Ok(len) => Ok(attribute.get(..len).map(<[u8]>::to_vec)),
            Err(Errno::NODATA | Errno::RANGE | Errno::NOTSUP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
