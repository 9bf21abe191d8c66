//! The seam to the operating system: a dozen primitive calls on one directory.
//!
//! Everything above speaks to [`Dir`], so that crash, fault and interleaving checkers can stand in for the
//! file system. Nothing here knows what the files mean.

#[cfg(target_os = "linux")]
mod file_system;
#[cfg(target_os = "linux")]
mod host;
#[cfg(target_os = "linux")]
mod journal;
#[cfg(target_os = "linux")]
mod processes;

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fs4::FileExt;

use crate::bytes::{Bytes, Reading};

#[cfg(unix)]
mod access;
#[cfg(unix)]
use access::Access;

/// One directory, as a list of primitive operations. Names are plain file names.
pub trait Dir: Debug + Send + Sync {
    /// Where it is, for messages.
    fn path(&self) -> &Path;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// `NotFound`, and what else the system says; so for all calls below.
    fn open(&self, name: &str) -> io::Result<Box<dyn DirFile>>;

    /// Opens a file for reading, and for writing behind what is there: of several that write, nobody overwrites what another one
    /// has written, and each finds what it has written in one piece.
    ///
    /// # Errors
    /// See above; `Unsupported` where that cannot be promised, which is what an implementation need not change.
    fn open_to_append(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        let _ = name;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Creates a file for writing. Fails with `AlreadyExists` if anything has the name, whatever it is.
    ///
    /// # Errors
    /// See above.
    fn create(&self, name: &str) -> io::Result<Box<dyn DirFile>>;

    /// The same for a file that everybody may open for appending who may write to the directory, and nobody else may open. By default
    /// [`Dir::create`].
    ///
    /// # Errors
    /// See above; `Unsupported` where it cannot be had, so also in a sticky directory, where others could not remove it.
    fn create_for_writers(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.create(name)
    }

    /// Who may write to the directory. By default not known.
    ///
    /// # Errors
    /// See above; `Unsupported` in a sticky directory, where nobody may replace what others have made.
    fn writers(&self) -> io::Result<Option<Writers>> {
        Ok(None)
    }

    /// The identity of what the name stands for now.
    ///
    /// # Errors
    /// See above.
    fn stamp(&self, name: &str) -> io::Result<Stamp>;

    /// The identity of what opening the name would open: where it is a symbolic link, of what that leads to. By default
    /// as [`Dir::stamp`].
    ///
    /// # Errors
    /// See above.
    fn target(&self, name: &str) -> io::Result<Stamp> {
        self.stamp(name)
    }

    /// Puts `from` in the place of `to`, atomically.
    ///
    /// # Errors
    /// See above.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Gives the file `existing` a second name. Fails with `AlreadyExists` if anything has the name `new`.
    ///
    /// # Errors
    /// See above; where hard links do not exist, which is what an implementation need not change, `Unsupported`.
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

    /// Whether [`DirFile::naming`] of an open file changes at once when its name is given to another one. By default not known. Then
    /// readers that look often ask the file that they have open, which takes a third of the time of asking for its name.
    fn tells_renames(&self) -> bool {
        false
    }

    /// Whether one kernel alone writes to this directory, as far as the file system tells. By default not
    /// known. Elsewhere tables are copied instead of mapped, and who holds the list lock reads the list
    /// again instead of examining it.
    fn is_local(&self) -> bool {
        false
    }

    /// A number for the kind of the file system, such as `statfs` tells; 0, the default, where that is not known. A lock that
    /// was left by an earlier run of the kernel is inherited only if it was taken on a local one of the same kind.
    fn file_system(&self) -> u64 {
        0
    }

    /// Whether the file system has a journal, or something as good, so that what was synced survives a power failure. Without one
    /// a name that was synced may be lost all the same. By default not known.
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

    /// Nanoseconds since 1970, by the clock that [`Stamp::modified`] is taken from. By default not known.
    fn wall_clock(&self) -> Option<u128> {
        None
    }

    /// The processes that have the file open, or use the directory otherwise: whoever has closed a lock may hold it still. An empty
    /// answer says that there is none on any machine; what cannot be seen is not known. By default not known.
    fn openers(&self, name: &str) -> Option<Vec<u32>> {
        let _ = name;
        None
    }

    /// Whether there is a process of this number; `Some(false)` only if all processes can be seen. By default not known.
    fn process_lives(&self, process: u32) -> Option<bool> {
        let _ = process;
        None
    }

    /// When the process of this number started, in any unit: it tells processes that had one number from each other. `None` if there is
    /// no such process, and by default.
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
pub struct Room {
    /// How many more files it may open.
    pub descriptors: Option<u64>,
    /// How many bytes a file may have that it writes; whoever writes more is killed.
    pub file_size: Option<u64>,
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
pub struct Host {
    /// The run of the kernel: no two have the same, on any machine. At most 64 bytes, without spaces.
    pub boot: Option<String>,
    /// When the kernel started, in nanoseconds since 1970, by the clock of [`Stamp::changed`].
    pub booted: Option<u128>,
}

/// An open file.
pub trait DirFile: Debug + Send + Sync {
    /// All of it, from the start, read with read calls: what cannot be read is an error.
    ///
    /// # Errors
    /// What the system says; so for all calls below.
    fn contents(&self) -> io::Result<Bytes>;

    /// The same, read as `reading` says: for tables. By default with read calls.
    ///
    /// # Errors
    /// See above.
    fn contents_by(&self, reading: Reading) -> io::Result<Bytes> {
        let _ = reading;
        self.contents()
    }

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

    /// The number of the user that owns it. By default not known.
    ///
    /// # Errors
    /// See above.
    fn owner(&self) -> io::Result<Option<u32>> {
        Ok(None)
    }

    /// How it is named now, if the file system says; see [`Dir::tells_renames`].
    ///
    /// # Errors
    /// See above; `Unsupported`, which is what an implementation need not change.
    fn naming(&self) -> io::Result<Naming> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Tries to take the kernel's exclusive lock on it, which ends when the process does.
    ///
    /// # Errors
    /// See above; being refused is `Ok(false)`.
    fn try_lock(&self) -> io::Result<bool>;

    /// Leaves a note of a few bytes beside the contents, in the place of an earlier one. It belongs to the file, whatever its
    /// name, is durable after the next [`DirFile::sync`], and may be lost without.
    ///
    /// # Errors
    /// See above; where files have no notes, which is what an implementation need not change, `Unsupported`.
    fn set_note(&self, note: &[u8]) -> io::Result<()> {
        let _ = note;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The note that was left, if there is one of at most 1,024 bytes.
    ///
    /// # Errors
    /// See above; where files have no notes, there is none.
    fn note(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

/// How many names a file has, and when that or anything else about it changed last, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Naming {
    /// Names: hard links.
    pub links: u64,
    /// The time of the last change.
    pub changed: u128,
}

/// What tells one file from another that had its name. While a file is held open no other has its stamp.
///
/// Two are equal if all but [`Stamp::changed`] is: that changes with every name that a file is given or loses.
#[derive(Debug, Clone, Copy, Eq, Default)]
pub struct Stamp {
    /// The device.
    pub device: u64,
    /// The inode.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// When the contents were changed last, in nanoseconds since 1970.
    pub modified: u128,
    /// When the file was made, in nanoseconds since 1970; 0 where that is not known. Unlike the time above it cannot be set.
    pub created: u128,
    /// When anything about the file was changed last, its names included, in nanoseconds since 1970; 0 where that is not known. It
    /// cannot be set either.
    pub changed: u128,
    /// Whether it is a regular file, not a directory, a link, a pipe.
    pub is_file: bool,
}

impl PartialEq for Stamp {
    fn eq(&self, other: &Stamp) -> bool {
        let without_change = |stamp: &Stamp| {
            let Stamp { device, inode, size, modified, created, changed: _, is_file } = *stamp;
            (device, inode, size, modified, created, is_file)
        };
        without_change(self) == without_change(other)
    }
}

impl Stamp {
    /// The stamp of a file of the operating system. Where files have no numbers, device and inode are 0.
    #[cfg(unix)]
    #[must_use]
    pub fn of(metadata: &fs::Metadata) -> Stamp {
        use std::os::unix::fs::MetadataExt;
        let nanoseconds = |seconds, rest| (i128::from(seconds) * 1_000_000_000 + i128::from(rest)) as u128;
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            created: since_1970(metadata.created()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            is_file: metadata.is_file(),
        }
    }

    /// The stamp of a file of the operating system. Where files have no numbers, device and inode are 0.
    #[cfg(not(unix))]
    #[must_use]
    pub fn of(metadata: &fs::Metadata) -> Stamp {
        Stamp {
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
    pub(crate) fn is_same_file(&self, other: &Stamp) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether an equal stamp means the same file, unchanged. Where files have no numbers it does not: two lists of
    /// one size may be made within one tick of the clock.
    pub(crate) fn is_unique(&self) -> bool {
        self.inode != 0
    }
}

/// What the name stands for now. Where other kernels write to the directory (not `is_local`) what `stat`
/// says may be seconds old, and only an open asks the server.
pub(crate) fn stamp_now(dir: &dyn Dir, name: &str, is_local: bool) -> io::Result<Stamp> {
    if is_local { dir.stamp(name) } else { dir.open(name)?.stamp() }
}

/// Looks at a file again, by its name, when a network file system says that the one it had looked at was
/// replaced. Three times, without waiting: for those who look at a store once.
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

#[cfg(target_os = "linux")]
fn open_at_once(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let without_waiting = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    match OpenOptions::new().read(true).custom_flags(without_waiting).open(path) {
        // Another program has a lease on a regular file (see F_SETLEASE in fcntl(2)); the kernel asks for it, and soon takes it.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && fs::metadata(path)?.is_file() => File::open(path),
        opened => opened,
    }
}

#[cfg(not(target_os = "linux"))]
fn open_at_once(path: &Path) -> io::Result<File> {
    let there = fs::metadata(path)?;
    // A directory gets the system's own answer here.
    if there.is_file() || there.is_dir() { File::open(path) } else { Err(crate::bytes::not_regular(&there)) }
}

/// A directory of the operating system.
#[derive(Debug)]
pub struct OsDir {
    /// As it was given, for messages.
    path: PathBuf,
    /// From the root: whoever changes the working directory means other files by relative paths, and not another store.
    place: PathBuf,
    epoch: Instant,
    permissions: Option<u32>,
    host: OnceLock<Host>,
    /// The kind of the file system, once it is known.
    file_system: OnceLock<u64>,
}

impl OsDir {
    /// The directory at `path`. Nothing is opened yet. A relative path counts from the working directory of this
    /// moment, also when that changes.
    ///
    /// `permissions` are the mode bits of the files it creates. With `None` new files take the mode of
    /// `tables.list`, and its owner and group as far as the system lets us, so that whoever could read
    /// the store still can. Without a list the newest table stands in for it; without tables they take the
    /// mode of a directory with the setgid bit, else what the umask leaves. Not used on Windows.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, permissions: Option<u32>) -> Self {
        let path = path.into();
        let place = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        let (host, file_system) = (OnceLock::new(), OnceLock::new());
        OsDir { path, place, epoch: Instant::now(), permissions, host, file_system }
    }

    /// Opens the file at `path` for reading, without waiting for anybody: opening a pipe otherwise takes until somebody writes
    /// to it. What is no regular file may be opened; [`Bytes::of_file`] says of it what it is.
    ///
    /// # Errors
    /// What the system says.
    pub fn open_file(path: &Path) -> io::Result<File> {
        open_at_once(path)
    }

    fn file(&self, file: File) -> Box<dyn DirFile> {
        Box::new(OsFile { file, is_local: self.is_local() })
    }

    #[cfg(unix)]
    fn create_file(&self, path: &Path) -> io::Result<File> {
        self.permissions.map_or_else(|| Access::of_dir(&self.place), Access::with_mode).create(path)
    }

    #[cfg(not(unix))]
    fn create_file(&self, path: &Path) -> io::Result<File> {
        let _no_mode_bits_here = self.permissions;
        OpenOptions::new().read(true).append(true).create_new(true).open(path)
    }
}

impl Dir for OsDir {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        let file = Self::open_file(&self.place.join(name))?;
        #[cfg(target_os = "linux")]
        file_system::bypass_cache(&file, self.file_system());
        Ok(self.file(file))
    }

    fn open_to_append(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        Ok(self.file(OpenOptions::new().read(true).append(true).open(self.place.join(name))?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        Ok(self.file(self.create_file(&self.place.join(name))?))
    }

    #[cfg(unix)]
    fn create_for_writers(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        let access = self.permissions.map_or_else(|| Access::of_dir(&self.place), Access::with_mode);
        Ok(self.file(access.for_writers(&self.place)?.create(&self.place.join(name))?))
    }

    #[cfg(unix)]
    fn writers(&self) -> io::Result<Option<Writers>> {
        access::writers(&self.place).map(Some)
    }

    fn stamp(&self, name: &str) -> io::Result<Stamp> {
        let path = self.place.join(name);
        #[cfg(target_os = "linux")]
        if !self.is_local() {
            return file_system::stamp_now(&path);
        }
        fs::symlink_metadata(path).map(|metadata| Stamp::of(&metadata))
    }

    fn target(&self, name: &str) -> io::Result<Stamp> {
        fs::metadata(self.place.join(name)).map(|metadata| Stamp::of(&metadata))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.place.join(from), self.place.join(to))
    }

    fn link(&self, existing: &str, new: &str) -> io::Result<()> {
        fs::hard_link(self.place.join(existing), self.place.join(new))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.place.join(name))
    }

    fn remove_empty_dir(&self, name: &str) -> io::Result<()> {
        fs::remove_dir(self.place.join(name))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.place)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    #[cfg(unix)]
    fn sync(&self) -> io::Result<()> {
        File::open(&self.place)?.sync_all()
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

    fn host(&self) -> Host {
        #[cfg(target_os = "linux")]
        return self.host.get_or_init(host::this_host).clone();
        // Elsewhere nothing is known, and locks of dead processes are left to people.
        #[cfg(not(target_os = "linux"))]
        self.host.get_or_init(Host::default).clone()
    }

    fn wall_clock(&self) -> Option<u128> {
        SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|time| time.as_nanos())
    }

    #[cfg(target_os = "linux")]
    fn openers(&self, name: &str) -> Option<Vec<u32>> {
        // Processes of other machines cannot be seen.
        self.is_local().then(|| processes::users_of(&self.place, name))?
    }

    #[cfg(target_os = "linux")]
    fn process_lives(&self, process: u32) -> Option<bool> {
        processes::lives(process)
    }

    #[cfg(target_os = "linux")]
    fn tells_renames(&self) -> bool {
        // ext2 to 4, XFS, Btrfs, F2FS, tmpfs. Not overlay, where an open file may be one below that keeps its name.
        const TELLING: [u64; 5] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0x0102_1994];
        TELLING.contains(&self.file_system())
    }

    #[cfg(target_os = "linux")]
    fn is_local(&self) -> bool {
        file_system::is_local(self.file_system())
    }

    #[cfg(target_os = "linux")]
    fn file_system(&self) -> u64 {
        if let Some(kind) = self.file_system.get() {
            return *kind;
        }
        file_system::kind_of(&self.place).map_or(0, |kind| *self.file_system.get_or_init(|| kind))
    }

    #[cfg(target_os = "linux")]
    fn room(&self) -> Room {
        host::room()
    }

    #[cfg(target_os = "linux")]
    fn has_journal(&self) -> Option<bool> {
        journal::is_kept(&self.place, self.file_system())
    }

    #[cfg(target_os = "linux")]
    fn process_started(&self, process: u32) -> Option<u64> {
        host::process_started(process)
    }
}

#[derive(Debug)]
struct OsFile {
    file: File,
    /// Whether the system knows how the file is, without asking a server.
    is_local: bool,
}

/// The extended attribute that holds the note of a file.
#[cfg(target_os = "linux")]
const NOTE: &str = "user.reftable";

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

    fn stamp(&self) -> io::Result<Stamp> {
        #[cfg(target_os = "linux")]
        if !self.is_local {
            return file_system::stamp_of_open_now(&self.file);
        }
        let _elsewhere_there_is_one_way = self.is_local;
        self.file.metadata().map(|metadata| Stamp::of(&metadata))
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
    fn naming(&self) -> io::Result<Naming> {
        let about = rustix::fs::fstat(&self.file)?;
        let changed = i128::from(about.st_ctime) * 1_000_000_000 + i128::from(about.st_ctime_nsec);
        #[allow(clippy::useless_conversion, reason = "on other processors it has 32 bits")]
        let links = u64::from(about.st_nlink);
        Ok(Naming { links, changed: changed as u128 })
    }

    #[cfg(target_os = "linux")]
    fn set_note(&self, note: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::fsetxattr(&self.file, NOTE, note, rustix::fs::XattrFlags::empty())?)
    }

    #[cfg(target_os = "linux")]
    fn note(&self) -> io::Result<Option<Vec<u8>>> {
        use rustix::io::Errno;
        let mut note = [0; 1024];
        match rustix::fs::fgetxattr(&self.file, NOTE, &mut note) {
            Ok(len) => Ok(note.get(..len).map(<[u8]>::to_vec)),
            Err(Errno::NODATA | Errno::RANGE | Errno::NOTSUP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
