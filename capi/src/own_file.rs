//! Files of this library in a host's process: made without a name, so that neither a kill nor a
//! signal leaves one behind, and linked when they are ready.

use std::ffi::{CString, c_int};
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use reftable::bytes::{Bytes, Reading};
use reftable::dir::{DirFile, FileStat};

use crate::dir::c_path;
use crate::dir_file::contents_of;
use crate::host::Host;

/// The extended attribute that the crate keeps attributes in.
const ATTRIBUTE: &std::ffi::CStr = c"user.reftable";

/// The mode of a file of which nobody has said another one.
const ANY_MODE: u32 = 0o666;

/// An open file. Clones are the same one, which is closed with the last of them.
#[derive(Debug, Clone)]
pub(crate) struct OwnFile {
    file: Arc<File>,
    host: Host,
    /// What `fstat` said when it was made.
    stat: FileStat,
    /// The mode bits that were asked for.
    mode: u32,
}

impl OwnFile {
    /// A file without a name in `directory`. `mode` 0 leaves the mode to the system.
    pub(crate) fn unnamed(directory: &Path, mode: u32, host: Host) -> io::Result<OwnFile> {
        let (file, stat) = open(directory, libc::O_TMPFILE | libc::O_RDWR, mode)?;
        Ok(OwnFile { file: Arc::new(file), host, stat, mode })
    }

    /// A file with a name that nothing has.
    pub(crate) fn create(path: &Path, mode: u32, host: Host) -> io::Result<OwnFile> {
        let (file, stat) = open(path, libc::O_CREAT | libc::O_EXCL | libc::O_RDWR, mode)?;
        Ok(OwnFile { file: Arc::new(file), host, stat, mode })
    }

    /// A copy of a descriptor of the host's, which stays open when the host closes its own.
    pub(crate) fn copy_of(fd: c_int, host: Host) -> io::Result<OwnFile> {
        // SAFETY: a number; if it is no descriptor's there is no copy either.
        let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
        if copy < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just made, and nobody else's.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(copy) });
        let stat = FileStat::of(&file.metadata()?);
        Ok(OwnFile { file: Arc::new(file), host, stat, mode: 0 })
    }

    /// Gives a file without a name this one. Fails with `AlreadyExists` if anything has it.
    pub(crate) fn link(&self, path: &Path) -> io::Result<()> {
        let (from, to) = (self.itself(), c_path(path)?);
        // SAFETY: two strings that end.
        let answer = unsafe {
            libc::linkat(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::AT_SYMLINK_FOLLOW)
        };
        if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// What it was when it was made.
    pub(crate) fn made(&self) -> &FileStat {
        &self.stat
    }

    /// The mode bits that were asked for.
    pub(crate) fn mode(&self) -> u32 {
        self.mode
    }

    /// What leads to the open file. A system that lets itself be asked for its run has this, too.
    fn itself(&self) -> CString {
        CString::new(format!("/proc/self/fd/{}", self.file.as_raw_fd())).unwrap_or_default()
    }

    /// Takes the kernel's lock on it, which ends when nobody has it open any more.
    pub(crate) fn lock(&self) -> io::Result<bool> {
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

/// Opens or makes a file with exactly these mode bits, whatever the umask.
fn open(path: &Path, flags: c_int, mode: u32) -> io::Result<(File, FileStat)> {
    let path = c_path(path)?;
    let asked = if mode == 0 { ANY_MODE } else { mode };
    // SAFETY: a string that ends.
    let fd = unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, asked) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and nobody else's.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    let about = file.metadata()?;
    if mode != 0 && about.mode() & 0o7777 != mode {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok((file, FileStat::of(&about)))
}

/// Reads the attribute on an open file.
pub(crate) fn attribute_of(file: &File) -> io::Result<Option<Vec<u8>>> {
    let mut attribute = vec![0u8; 1024];
    // SAFETY: an open descriptor, a string that ends, and a buffer of that length.
    let len = unsafe {
        libc::fgetxattr(file.as_raw_fd(), ATTRIBUTE.as_ptr(), attribute.as_mut_ptr().cast(), attribute.len())
    };
    match usize::try_from(len) {
        Ok(len) => {
            attribute.truncate(len);
            Ok(Some(attribute))
        }
        Err(_) => match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::ENODATA | libc::ERANGE | libc::ENOTSUP)) => Ok(None),
            error => Err(error),
        },
    }
}

impl DirFile for OwnFile {
    fn contents(&self) -> io::Result<Bytes> {
        Bytes::of_file(&self.file, Reading::Copied)
    }

    fn contents_by(&self, reading: Reading) -> io::Result<Bytes> {
        contents_of(&self.file, self.host, reading)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        (&*self.file).write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.host.sync(self.file.as_raw_fd())
    }

    fn write_out(&self, waits: bool) -> io::Result<()> {
        // Files of this library are on local file systems only.
        if self.host.syncs_all() { reftable::bytes::write_out(&self.file, waits) } else { Ok(()) }
    }

    fn stat(&self) -> io::Result<FileStat> {
        self.file.metadata().map(|metadata| FileStat::of(&metadata))
    }

    fn try_lock(&self) -> io::Result<bool> {
        // It has no name that cleaners could find until it is ready.
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_attribute(&self, attribute: &[u8]) -> io::Result<()> {
        // SAFETY: an open descriptor, a string that ends, and bytes of that length.
        let answer = unsafe {
            libc::fsetxattr(self.file.as_raw_fd(), ATTRIBUTE.as_ptr(), attribute.as_ptr().cast(), attribute.len(), 0)
        };
        if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn attribute(&self) -> io::Result<Option<Vec<u8>>> {
        attribute_of(&self.file)
    }
}
