//! The seam to the operating system: a dozen primitive calls on one directory.
//!
//! Everything above speaks to [`Dir`], so that crash, fault and interleaving checkers can stand in
//! for the file system. Nothing here knows what the files mean.

#[cfg(unix)]
mod create;
mod file;
#[cfg(target_os = "linux")]
mod file_system;
#[cfg(target_os = "linux")]
mod host;
mod identity;
#[cfg(target_os = "linux")]
mod journal;
mod local_file;
mod open;
mod os_dir;
mod os_file;
#[cfg(target_os = "linux")]
mod processes;

pub use file::DirFile;
pub use identity::FileStat;
pub(crate) use identity::{again_if_stale, stat_now};
pub(crate) use local_file::LocalFile;
pub use os_dir::OsDir;

use std::ffi::OsString;
use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::time::Duration;

/// One directory, as a list of primitive operations. Names are plain file names.
pub trait Dir: Debug + Send + Sync {
    /// Where it is, for messages.
    fn path(&self) -> &Path;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// `NotFound`, and what else the system says; so for all calls below.
    fn open(&self, name: &str) -> io::Result<Box<dyn DirFile>>;

    /// Opens a file for reading and appending: of several writers none overwrites what another one
    /// has written, and each finds what it has written in one piece.
    ///
    /// # Errors
    /// See above; `Unsupported` where that cannot be promised, which is what an implementation need
    /// not change.
    fn open_to_append(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        let _ = name;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Creates a file for writing. Fails with `AlreadyExists` if anything has the name, whatever it
    /// is.
    ///
    /// # Errors
    /// See above.
    fn create(&self, name: &str) -> io::Result<Box<dyn DirFile>>;

    /// The same for a file that all may open for appending who may write to the directory, and no
    /// other user may open. By default [`Dir::create`].
    ///
    /// # Errors
    /// See above; `Unsupported` where it cannot be had, so also in a sticky directory, where others
    /// could not remove it.
    fn create_for_writers(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.create(name)
    }

    /// Who may write to the directory. By default not known.
    ///
    /// # Errors
    /// See above; `Unsupported` in a sticky directory, where nobody may replace what others have
    /// made.
    fn writers(&self) -> io::Result<Option<Writers>> {
        Ok(None)
    }

    /// What the name stands for now; of a symbolic link, the link itself.
    ///
    /// # Errors
    /// See above.
    fn stat(&self, name: &str) -> io::Result<FileStat>;

    /// What opening the name would open: where it is a symbolic link, what that leads to. By
    /// default as [`Dir::stat`].
    ///
    /// # Errors
    /// See above.
    fn target(&self, name: &str) -> io::Result<FileStat> {
        self.stat(name)
    }

    /// Puts `from` in the place of `to`, atomically.
    ///
    /// # Errors
    /// See above.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Gives the file `existing` a second name. Fails with `AlreadyExists` if anything has the name
    /// `new`.
    ///
    /// # Errors
    /// See above; where hard links do not exist, which is what an implementation need not change,
    /// `Unsupported`.
    fn link(&self, existing: &str, new: &str) -> io::Result<()> {
        let _ = (existing, new);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes a file.
    ///
    /// # Errors
    /// See above.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Removes a directory that is empty.
    ///
    /// # Errors
    /// See above; `Unsupported`, which is what an implementation need not change.
    fn remove_empty_dir(&self, name: &str) -> io::Result<()> {
        let _ = name;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The names in the directory, in any order. Names that are not UTF-8 are left out: this
    /// library makes none of them.
    ///
    /// # Errors
    /// See above.
    fn names(&self) -> io::Result<Vec<String>>;

    /// The names that [`Self::names`] leaves out, as the system has them. By default none.
    ///
    /// # Errors
    /// See above.
    fn names_not_utf8(&self) -> io::Result<Vec<OsString>> {
        Ok(Vec::new())
    }

    /// Makes creations, renames and removals so far survive a power failure.
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

    /// Whether one kernel alone writes to this directory, as far as the file system tells. By
    /// default not known. Elsewhere tables are copied instead of mapped, and the holder of the list
    /// lock reads the list again instead of examining it.
    fn is_local(&self) -> bool {
        false
    }

    /// A number for the kind of the file system, such as `statfs` tells; 0, the default, where that
    /// is not known. A lock that was left by an earlier run of the kernel is taken over only if it
    /// was taken on a local one of the same kind.
    fn file_system(&self) -> u64 {
        0
    }

    /// Whether the file system has a journal, or something as good, so that what was synced
    /// survives a power failure. Without one a name that was synced may be lost all the same. By
    /// default not known.
    fn has_journal(&self) -> Option<bool> {
        None
    }

    /// What this process may still use. By default not known.
    fn room(&self) -> Room {
        Room::default()
    }

    /// What is known about the machine we run on. By default nothing.
    fn host(&self) -> Host {
        Host::default()
    }

    /// [`Host::boot`] alone, for callers that do not need the rest.
    fn boot(&self) -> Option<String> {
        self.host().boot
    }

    /// Wall-clock time in nanoseconds since 1970, of the clock that [`FileStat::modified`] is taken
    /// from. By default not known.
    fn wall_clock(&self) -> Option<u128> {
        None
    }

    /// The processes that have the file open, or use the directory otherwise: a process that has
    /// closed a lock may hold it still. An empty answer says that there is none on any machine;
    /// what cannot be seen is not known. By default not known.
    fn openers(&self, name: &str) -> Option<Vec<u32>> {
        let _ = name;
        None
    }

    /// Says to [`Self::openers`] of other processes that this one has no lock of the directory that
    /// it has closed. They leave it out then unless it has the file itself open. By default nothing
    /// is said.
    fn announce(&self) {}

    /// Whether there is a process of this number; `Some(false)` only if all processes can be seen.
    /// By default not known.
    fn process_lives(&self, process: u32) -> Option<bool> {
        let _ = process;
        None
    }

    /// When the process of this number started, in any unit: it tells processes that had one number
    /// from each other. `None` if there is no such process, and by default.
    fn process_started(&self, process: u32) -> Option<u64> {
        let _ = process;
        None
    }

    /// The number of this process; another one after a fork.
    fn process_id(&self) -> u32 {
        std::process::id()
    }
}

/// What a process may still use. What is `None` is not known, or has no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Room {
    /// How many more files it may open.
    pub descriptors: Option<u64>,
    /// How many bytes a file may have that it writes; a process that writes more is killed.
    pub file_size: Option<u64>,
}

impl Room {
    /// So many more files, and so many bytes a file.
    #[must_use]
    pub fn new(descriptors: Option<u64>, file_size: Option<u64>) -> Room {
        Room { descriptors, file_size }
    }
}

/// The users that may write to a directory, as far as its owner and its mode tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Writers {
    /// These two: we ourselves, and the owner of the directory.
    Users(u32, u32),
    /// A group, or everybody: who of them is not known.
    Many,
}

impl Writers {
    /// Whether the user of this number may be one. The superuser is.
    #[must_use]
    pub fn include(self, user: u32) -> bool {
        match self {
            Writers::Users(we, owner) => [we, owner, 0].contains(&user),
            Writers::Many => true,
        }
    }
}

/// What tells this run of this machine's kernel from others. What is `None` is not known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Host {
    /// The run of the kernel: no two have the same, on any machine. At most 64 bytes, without
    /// spaces.
    pub boot: Option<String>,
    /// When the kernel started, in nanoseconds since 1970, of the clock of [`FileStat::changed`].
    pub booted: Option<u128>,
}

impl Host {
    /// A run of the kernel, and when it began.
    #[must_use]
    pub fn new(boot: Option<String>, booted: Option<u128>) -> Host {
        Host { boot, booted }
    }
}
