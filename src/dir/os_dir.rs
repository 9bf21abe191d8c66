//! A directory of the operating system.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[cfg(target_os = "linux")]
use super::Room;
#[cfg(unix)]
use super::create::Access;
use super::open::open_at_once;
use super::os_file::OsFile;
#[cfg(target_os = "linux")]
use super::processes::Announcement;
use super::{Dir, DirFile, FileStat, Host, Writers};
#[cfg(target_os = "linux")]
use super::{file_system, host, journal, processes};

/// A directory of the operating system.
#[derive(Debug)]
pub struct OsDir {
    /// As it was given, for messages.
    path: PathBuf,
    /// From the root: a change of the working directory gives relative paths another meaning,
    /// and not another store.
    place: PathBuf,
    epoch: Instant,
    permissions: Option<u32>,
    host: OnceLock<Host>,
    #[cfg(target_os = "linux")]
    boot: OnceLock<Option<String>>,
    /// The kind of the file system, once it is known.
    file_system: OnceLock<u64>,
    /// What tells other processes about this one; see [`Dir::announce`].
    #[cfg(target_os = "linux")]
    announcement: OnceLock<Option<Announcement>>,
}

impl OsDir {
    /// The directory at `path`. Nothing is opened yet. A relative path counts from the working
    /// directory of this moment, also when that changes.
    ///
    /// `permissions` are the mode bits of the files it creates. With `None` new files take the mode
    /// of `tables.list`, and its owner and group as far as the system lets us, so that all who
    /// could read the store still can. Without a list the newest table stands in for it; without
    /// tables they take the mode of a directory with the setgid bit, else what the umask leaves.
    /// Not used on Windows.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, permissions: Option<u32>) -> Self {
        let path = path.into();
        let place = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        let (host, file_system) = (OnceLock::new(), OnceLock::new());
        OsDir {
            path,
            place,
            epoch: Instant::now(),
            permissions,
            host,
            #[cfg(target_os = "linux")]
            boot: OnceLock::new(),
            file_system,
            #[cfg(target_os = "linux")]
            announcement: OnceLock::new(),
        }
    }

    /// Opens the file at `path` for reading, without waiting for other processes: opening a pipe
    /// otherwise takes until one writes to it. What is no regular file may be opened;
    /// [`Bytes::of_file`](crate::bytes::Bytes::of_file) says of it what it is.
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
        super::create::writers(&self.place).map(Some)
    }

    fn stat(&self, name: &str) -> io::Result<FileStat> {
        let path = self.place.join(name);
        #[cfg(target_os = "linux")]
        if !self.is_local() {
            return file_system::stat_now(&path);
        }
        fs::symlink_metadata(path).map(|metadata| FileStat::of(&metadata))
    }

    fn target(&self, name: &str) -> io::Result<FileStat> {
        fs::metadata(self.place.join(name)).map(|metadata| FileStat::of(&metadata))
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

    fn names_not_utf8(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.place)? {
            names.extend(entry?.file_name().into_string().err());
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
        // Where the system has no randomness, the clock and the process id still differ between
        // processes.
        getrandom::u64()
            .unwrap_or_else(|_| self.epoch.elapsed().as_nanos() as u64 ^ u64::from(std::process::id()) << 32)
    }

    fn host(&self) -> Host {
        #[cfg(target_os = "linux")]
        return self.host.get_or_init(|| Host { boot: self.boot(), booted: host::booted() }).clone();
        // Elsewhere nothing is known, and locks of dead processes are left to people.
        #[cfg(not(target_os = "linux"))]
        self.host.get_or_init(Host::default).clone()
    }

    #[cfg(target_os = "linux")]
    fn boot(&self) -> Option<String> {
        self.boot.get_or_init(host::boot_id).clone()
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
    fn announce(&self) {
        // A process that cannot say it counts as one that may have a lock.
        self.announcement.get_or_init(|| Announcement::of(&self.place).ok());
    }

    #[cfg(target_os = "linux")]
    fn process_lives(&self, process: u32) -> Option<bool> {
        processes::lives(process)
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
