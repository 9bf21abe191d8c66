//! The seam to the operating system: a dozen primitive calls on one directory.
//!
//! Everything above speaks to [`Dir`], so that crash, fault and interleaving checkers can stand in for the
//! file system. Nothing here knows what the files mean.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs4::FileExt;

use crate::bytes::Bytes;

/// One directory, as a list of primitive operations. Names are plain file names.
pub trait Dir: Debug + Send + Sync {
    /// Where it is, for messages.
    fn path(&self) -> &Path;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// `NotFound`, and what else the system says; so for all calls below.
    fn open(&self, name: &str) -> io::Result<Box<dyn DirFile>>;

    /// Creates a file for writing. Fails with `AlreadyExists` if anything has the name, whatever it is.
    ///
    /// # Errors
    /// See above.
    fn create(&self, name: &str) -> io::Result<Box<dyn DirFile>>;

    /// The identity of what the name stands for now.
    ///
    /// # Errors
    /// See above.
    fn stamp(&self, name: &str) -> io::Result<Stamp>;

    /// Puts `from` in the place of `to`, atomically.
    ///
    /// # Errors
    /// See above.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// See above.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The names in the directory, in any order. Names that are not UTF-8 are left out: none of ours are like that.
    ///
    /// # Errors
    /// See above.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Makes creations, renames and removals so far survive a loss of power.
    ///
    /// # Errors
    /// See above.
    fn sync(&self) -> io::Result<()>;

    /// Waits. A checker may use it to let others run.
    fn sleep(&self, time: Duration);

    /// The time since some fixed moment; never goes back.
    fn now(&self) -> Duration;

    /// Random bits, different in every process and after every fork.
    fn random(&self) -> u64;
}

/// An open file.
pub trait DirFile: Debug + Send + Sync {
    /// All of it, from the start.
    ///
    /// # Errors
    /// What the system says; so for all calls below.
    fn contents(&self) -> io::Result<Bytes>;

    /// Appends all of `bytes`.
    ///
    /// # Errors
    /// See above.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written survive a loss of power; its name needs [`Dir::sync`].
    ///
    /// # Errors
    /// See above.
    fn sync(&self) -> io::Result<()>;

    /// Its identity.
    ///
    /// # Errors
    /// See above.
    fn stamp(&self) -> io::Result<Stamp>;

    /// Tries to take the kernel's exclusive lock on it, which ends when the process does.
    ///
    /// # Errors
    /// See above; being refused is `Ok(false)`.
    fn try_lock(&self) -> io::Result<bool>;
}

/// What tells one file from another that had its name. While a file is held open no other has its stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stamp {
    /// The device.
    pub device: u64,
    /// The inode.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Nanoseconds of the last change of the contents.
    pub modified: u128,
}

/// A directory of the operating system.
#[derive(Debug)]
pub struct OsDir {
    path: PathBuf,
    epoch: Instant,
    permissions: Option<u32>,
}

impl OsDir {
    /// The directory at `path`. Nothing is opened yet.
    ///
    /// `permissions` are the mode bits of the files it creates; `None` leaves them to the process's umask.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, permissions: Option<u32>) -> Self {
        OsDir { path: path.into(), epoch: Instant::now(), permissions }
    }

    #[cfg(unix)]
    fn set_permissions(&self, file: &File) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        match self.permissions {
            Some(mode) => file.set_permissions(fs::Permissions::from_mode(mode)),
            None => Ok(()),
        }
    }

    #[cfg(not(unix))]
    fn set_permissions(&self, _file: &File) -> io::Result<()> {
        let _no_mode_bits_here = self.permissions;
        Ok(())
    }
}

impl Dir for OsDir {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        Ok(Box::new(OsFile(File::open(self.path.join(name))?)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(self.path.join(name))?;
        self.set_permissions(&file)?;
        Ok(Box::new(OsFile(file)))
    }

    fn stamp(&self, name: &str) -> io::Result<Stamp> {
        fs::symlink_metadata(self.path.join(name)).map(|metadata| stamp_of(&metadata))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    #[cfg(unix)]
    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    #[cfg(not(unix))]
    fn sync(&self) -> io::Result<()> {
        // Directories cannot be synced here; NTFS journals its metadata.
        Ok(())
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn random(&self) -> u64 {
        // Where the system has no randomness, the clock and the process id still differ between processes.
        getrandom::u64()
            .unwrap_or_else(|_| self.epoch.elapsed().as_nanos() as u64 ^ u64::from(std::process::id()) << 32)
    }
}

#[derive(Debug)]
struct OsFile(File);

impl DirFile for OsFile {
    fn contents(&self) -> io::Result<Bytes> {
        Bytes::of_file(&self.0)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn stamp(&self) -> io::Result<Stamp> {
        self.0.metadata().map(|metadata| stamp_of(&metadata))
    }

    fn try_lock(&self) -> io::Result<bool> {
        match FileExt::try_lock(&self.0) {
            Ok(()) => Ok(true),
            Err(fs4::TryLockError::WouldBlock) => Ok(false),
            Err(fs4::TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(unix)]
fn stamp_of(metadata: &fs::Metadata) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    let nanoseconds = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Stamp { device: metadata.dev(), inode: metadata.ino(), size: metadata.len(), modified: nanoseconds as u128 }
}

#[cfg(not(unix))]
fn stamp_of(metadata: &fs::Metadata) -> Stamp {
    let since_1970 = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    Stamp { device: 0, inode: 0, size: metadata.len(), modified: since_1970.unwrap_or_default().as_nanos() }
}
