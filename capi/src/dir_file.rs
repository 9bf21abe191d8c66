//! Files of a stack inside a host's process: those that are read, and the host's temporary files.

use std::fs::File;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use reftable::bytes::{Bytes, Reading};
use reftable::dir::{DirFile, FileStat};

use crate::host::Host;
use crate::map::Mapping;
use crate::own_file::attribute_of;

/// Up to this many bytes a file is read, and above mapped by the host.
const MAP_ABOVE: u64 = 64 * 1024;

/// What is in a file, mapped by the host if it is to be mapped.
pub(crate) fn contents_of(file: &File, host: Host, reading: Reading) -> io::Result<Bytes> {
    let about = file.metadata()?;
    let len = about.len();
    if about.is_file() && len <= MAP_ABOVE {
        return copy(file, len);
    }
    if !about.is_file() || !matches!(reading, Reading::Mapped | Reading::Checked) {
        return Bytes::of_file(file, Reading::Copied);
    }
    if reading == Reading::Checked {
        drop(Bytes::of_file(file, reading)?);
    }
    let len = usize::try_from(len).map_err(io::Error::other)?;
    Mapping::new(host, file.as_raw_fd(), len).map(Bytes::from_owner)
}

/// The first `len` bytes of a small file, or all of it if it has become shorter.
fn copy(file: &File, len: u64) -> io::Result<Bytes> {
    let mut contents = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    let mut filled = 0;
    while let Some(rest) = contents.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    contents.truncate(filled);
    Ok(contents.into())
}

/// A file that we have opened to read.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) host: Host,
    /// How long it was when it was looked at last, if it is small: it need not be asked again to be
    /// read.
    pub(crate) small: AtomicU64,
}

impl DirFile for OpenFile {
    fn contents(&self) -> io::Result<Bytes> {
        match self.small.load(Ordering::Relaxed) {
            0 => Bytes::of_file(&self.file, Reading::Copied),
            len => copy(&self.file, len),
        }
    }

    fn contents_by(&self, reading: Reading) -> io::Result<Bytes> {
        contents_of(&self.file, self.host, reading)
    }

    fn write(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        self.host.sync(self.file.as_raw_fd())
    }

    fn stat(&self) -> io::Result<FileStat> {
        let about = self.file.metadata()?;
        let small = if about.is_file() && about.len() <= MAP_ABOVE { about.len() } else { 0 };
        self.small.store(small, Ordering::Relaxed);
        Ok(FileStat::of(&about))
    }

    fn attribute(&self) -> io::Result<Option<Vec<u8>>> {
        attribute_of(&self.file)
    }

    fn try_lock(&self) -> io::Result<bool> {
        // SAFETY: an open descriptor.
        match unsafe { libc::flock(self.file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } {
            0 => Ok(true),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
                error => Err(error),
            },
        }
    }
}

/// A temporary file of the host.
#[derive(Debug)]
pub(crate) struct HostFile {
    pub(crate) open: Arc<Descriptor>,
    pub(crate) host: Host,
}

/// The descriptor of such a file: the host's, until it closes it to give the file its final name;
/// then a copy of this library's. The file may still have to be synced, and while the list is open
/// nobody else gets its inode.
#[derive(Debug)]
pub(crate) struct Descriptor {
    /// -1 when there is none.
    pub(crate) number: AtomicI32,
    pub(crate) is_ours: AtomicBool,
}

impl Descriptor {
    /// Goes on with a copy.
    pub(crate) fn keep(&self) {
        // SAFETY: a number; if it is no descriptor's there is no copy either.
        let copy = unsafe { libc::fcntl(self.number.load(Ordering::Relaxed), libc::F_DUPFD_CLOEXEC, 0) };
        self.number.store(copy, Ordering::Relaxed);
        self.is_ours.store(copy >= 0, Ordering::Relaxed);
    }

    /// Ends the use of the file. Closes the copy, if there is one.
    pub(crate) fn let_go(&self) {
        let number = self.number.swap(-1, Ordering::Relaxed);
        if self.is_ours.swap(false, Ordering::Relaxed) {
            // SAFETY: our copy, used for the last time.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl HostFile {
    /// The file without owning it.
    pub(crate) fn borrow(&self) -> io::Result<ManuallyDrop<File>> {
        match self.open.number.load(Ordering::Relaxed) {
            ..0 => Err(io::Error::other("the file was closed")),
            // SAFETY: open until the file is deleted, which sets this to -1 first. It is not closed
            // here.
            fd => Ok(ManuallyDrop::new(unsafe { File::from_raw_fd(fd) })),
        }
    }
}

impl DirFile for HostFile {
    fn contents(&self) -> io::Result<Bytes> {
        let file = self.borrow()?;
        Bytes::of_file(&file, Reading::Copied)
    }

    fn contents_by(&self, reading: Reading) -> io::Result<Bytes> {
        let file = self.borrow()?;
        contents_of(&file, self.host, reading)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.borrow()?.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.host.sync(self.borrow()?.as_raw_fd())
    }

    fn stat(&self) -> io::Result<FileStat> {
        self.borrow()?.metadata().map(|metadata| FileStat::of(&metadata))
    }

    fn try_lock(&self) -> io::Result<bool> {
        // The host's signal handlers look after it, and its name is none that cleaners look for.
        Err(io::ErrorKind::Unsupported.into())
    }
}
