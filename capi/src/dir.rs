//! The directory of a stack inside a host's process: reading is ours, files to be written are the
//! host's.

use std::collections::BTreeMap;
use std::ffi::{CString, c_int};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use reftable::dir::{Dir, DirFile, FileStat, OsDir};
use reftable::lock::ReadyFiles;

use crate::abi::reftable_tmpfile;
use crate::dir_file::{Descriptor, HostFile, OpenFile};
use crate::error::NOT_EXIST;
use crate::host::{Host, Registered};
use crate::lock::LIST_LOCK;
use crate::own_file::OwnFile;

/// What readers look for.
const LIST: &str = "tables.list";

/// One directory, by the means of a host if there is one.
pub(crate) struct HostDir {
    os: OsDir,
    host: Option<Host>,
    /// The mode bits of new files; 0 leaves them to the host.
    mode: AtomicU32,
    /// Whether files of this library may be made here: on a disk of which this kernel knows all.
    /// Asked once.
    own_files: OnceLock<bool>,
    /// Whether that was tried, and cannot be done.
    has_no_own_files: AtomicBool,
    /// Files that have not got their final names, by the names we asked for.
    unfinished: Mutex<BTreeMap<String, Unfinished>>,
    /// What was drawn so far: a host gives 32 bits at a time, by a call to the system.
    drawn: AtomicU64,
}

/// A file that is not yet what it is to be.
enum Unfinished {
    /// Ours, without a name.
    Own(OwnFile),
    /// The list lock, which is ours and is removed by the host when a signal ends the process.
    Lock(Option<Registered>),
    /// A temporary file of the host.
    Host(HostTemporary),
}

struct HostTemporary {
    file: reftable_tmpfile,
    open: Arc<Descriptor>,
}

// SAFETY: the pointers are the host's, and only handed back to it, by whichever thread has the
// stack at that time.
unsafe impl Send for HostTemporary {}

impl HostDir {
    pub(crate) fn new(path: PathBuf, host: Option<Host>) -> HostDir {
        HostDir {
            os: OsDir::new(path, None),
            host,
            mode: AtomicU32::new(0),
            own_files: OnceLock::new(),
            has_no_own_files: AtomicBool::new(false),
            unfinished: Mutex::new(BTreeMap::new()),
            drawn: AtomicU64::new(0),
        }
    }

    /// The mode bits of files created from now on.
    pub(crate) fn set_mode(&self, mode: u32) {
        self.mode.store(mode, Ordering::Relaxed);
    }

    pub(crate) fn mode(&self) -> u32 {
        self.mode.load(Ordering::Relaxed)
    }

    /// Gives a file the mode bits that the stack's user asked for.
    pub(crate) fn apply_mode(&self, path: &Path) -> io::Result<()> {
        match self.mode() {
            0 => Ok(()),
            mode => fs::set_permissions(path, fs::Permissions::from_mode(mode)),
        }
    }

    /// Locked for look-ups only, never while the host is called.
    fn unfinished(&self) -> MutexGuard<'_, BTreeMap<String, Unfinished>> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether files of this library can be made here, as far as is known.
    pub(crate) fn makes_own_files(&self) -> bool {
        self.can_judge_locks() && !self.has_no_own_files.load(Ordering::Relaxed)
    }

    /// Whether a lock with a marker of this library can be judged: without a run of the kernel it
    /// could not, nor could a file be linked.
    pub(crate) fn can_judge_locks(&self) -> bool {
        let may = || self.host.is_some() && self.os.is_local() && self.os.boot().is_some();
        *self.own_files.get_or_init(may)
    }

    /// A file of this library without a name; `None` where there are none.
    fn create_unnamed(&self) -> io::Result<Option<OwnFile>> {
        let Some(host) = self.host.filter(|_| self.makes_own_files()) else { return Ok(None) };
        match OwnFile::unnamed(self.os.path(), self.mode(), host) {
            Ok(file) => Ok(Some(file)),
            // Kernels and file systems that do not know the flag see a directory to be written.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)) => {
                self.has_no_own_files.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives a file of this library its name.
    fn name(&self, file: &OwnFile, from: &str, to: &str) -> io::Result<()> {
        if to != LIST {
            return file.link(&self.os.path().join(to));
        }
        // Links replace nothing.
        file.link(&self.os.path().join(from))?;
        self.os.rename(from, to)
    }

    fn create_by(&self, host: Host, name: &str) -> io::Result<Box<dyn DirFile>> {
        let pattern = c_path(&self.os.path().join(format!("{name}.XXXXXX")))?;
        let mut file = reftable_tmpfile { path: std::ptr::null(), fd: -1, private: std::ptr::null_mut() };
        // SAFETY: a zeroed file and a string that ends; the host may do with them what its
        // interface says.
        check(unsafe { (host.tmpfile_from_pattern)(&mut file, pattern.as_ptr()) })?;
        let path = if file.path.is_null() {
            None
        } else {
            // SAFETY: the host has just set it to a string that ends, and keeps it as long as the
            // file.
            Some(PathBuf::from(std::ffi::OsStr::from_bytes(unsafe { std::ffi::CStr::from_ptr(file.path) }.to_bytes())))
        };
        let open = Arc::new(Descriptor { number: AtomicI32::new(file.fd), is_ours: AtomicBool::new(false) });
        let applied = path.map_or(Ok(()), |path| self.apply_mode(&path));
        let made = HostTemporary { file, open: Arc::clone(&open) };
        if let Err(error) = applied {
            let _ = made.delete(host);
            return Err(error);
        }
        let earlier = self.unfinished().insert(name.to_owned(), Unfinished::Host(made));
        debug_assert!(earlier.is_none(), "names have 64 random bits");
        Ok(Box::new(HostFile { open, host }))
    }
}

impl ReadyFiles for HostDir {
    type File = OwnFile;

    fn create(&self) -> io::Result<Option<OwnFile>> {
        self.create_unnamed()
    }

    fn is_current(&self, file: &OwnFile) -> bool {
        file.mode() == self.mode()
    }

    fn lock(&self, file: &OwnFile) -> io::Result<bool> {
        file.lock()
    }

    fn link(&self, file: &OwnFile) -> io::Result<()> {
        let path = self.os.path().join(LIST_LOCK);
        file.link(&path)?;
        // Now and not before: until then the name was another process's, whose lock a signal would
        // have removed.
        let registered = self.host.and_then(|host| host.register(&path));
        self.unfinished().insert(LIST_LOCK.to_owned(), Unfinished::Lock(registered));
        Ok(())
    }

    fn unlink(&self, is_ours: impl FnOnce() -> bool) {
        let unfinished = self.unfinished().remove(LIST_LOCK);
        let Some(Unfinished::Lock(registered)) = unfinished else { return };
        match (registered, is_ours()) {
            (Some(registered), true) => registered.delete(),
            (Some(registered), false) => registered.forget(&self.os.path().join(LIST_LOCK)),
            (None, true) => drop(self.os.remove(LIST_LOCK)),
            (None, false) => {}
        }
    }
}

impl HostTemporary {
    /// Removes the file.
    fn delete(mut self, host: Host) -> io::Result<()> {
        self.open.let_go();
        // SAFETY: a file that the host has made and has not yet deleted or renamed.
        check(unsafe { (host.tmpfile_delete)(&mut self.file) })
    }

    /// Closes the file and puts it at `path`.
    fn rename(mut self, host: Host, path: &Path) -> io::Result<()> {
        let path = c_path(path)?;
        self.open.keep();
        // SAFETY: a file that the host has made and has not yet closed, deleted or renamed.
        let closed = check(unsafe { (host.tmpfile_close)(&mut self.file) });
        if let Err(error) = closed {
            let _ = self.delete(host);
            return Err(error);
        }
        // SAFETY: as above; after this the host has forgotten it, whatever the answer.
        check(unsafe { (host.tmpfile_rename)(&mut self.file, path.as_ptr()) })
    }
}

/// Turns an answer of the host into one of the system; the host has left the reason in `errno`, if
/// there is one.
fn check(code: c_int) -> io::Result<()> {
    match code {
        0.. => Ok(()),
        NOT_EXIST => Err(io::ErrorKind::NotFound.into()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A path for C.
pub(crate) fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from)
}

impl Dir for HostDir {
    fn path(&self) -> &Path {
        self.os.path()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        match self.host {
            Some(host) => {
                let file = OsDir::open_file(&self.os.path().join(name))?;
                Ok(Box::new(OpenFile { file, host, small: AtomicU64::new(0) }))
            }
            None => self.os.open(name),
        }
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        let mode = self.mode();
        // A temporary name is free to be none, or another one; any other is meant.
        match (self.host, name.ends_with(".tmp")) {
            (Some(host), true) => {
                let Some(file) = self.create_unnamed()? else { return self.create_by(host, name) };
                self.unfinished().insert(name.to_owned(), Unfinished::Own(file.clone()));
                return Ok(Box::new(file));
            }
            (Some(host), false) if mode != 0 && name.ends_with(".ref") && self.makes_own_files() => {
                return Ok(Box::new(OwnFile::create(&self.os.path().join(name), mode, host)?));
            }
            _ => {}
        }
        let file = self.os.create(name)?;
        if let Err(error) = self.apply_mode(&self.os.path().join(name)) {
            let _ = self.os.remove(name);
            return Err(error);
        }
        Ok(file)
    }

    fn open_to_append(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.os.open_to_append(name)
    }

    fn create_for_writers(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.os.create_for_writers(name)
    }

    fn writers(&self) -> io::Result<Option<reftable::dir::Writers>> {
        self.os.writers()
    }

    fn stat(&self, name: &str) -> io::Result<FileStat> {
        self.os.stat(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let unfinished = self.unfinished().remove(from);
        match (unfinished, self.host) {
            (Some(Unfinished::Own(file)), _) => self.name(&file, from, to),
            (Some(Unfinished::Lock(Some(registered))), _) => registered.rename(&self.os.path().join(to)),
            (Some(Unfinished::Lock(None)), _) => self.os.rename(from, to).inspect_err(|_| {
                self.unfinished().insert(from.to_owned(), Unfinished::Lock(None));
            }),
            (Some(Unfinished::Host(file)), Some(host)) => file.rename(host, &self.os.path().join(to)),
            _ => self.os.rename(from, to),
        }
    }

    fn link(&self, existing: &str, new: &str) -> io::Result<()> {
        self.os.link(existing, new)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let unfinished = self.unfinished().remove(name);
        match (unfinished, self.host) {
            // It never had a name.
            (Some(Unfinished::Own(_)), _) => Ok(()),
            (Some(Unfinished::Host(file)), Some(host)) => file.delete(host),
            _ => self.os.remove(name),
        }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        match self.os.names() {
            // Hosts open stacks on directories that do not exist yet, and find them empty.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.host.is_some() => Ok(Vec::new()),
            names => names,
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.os.sync()
    }

    fn sleep(&self, time: Duration) {
        self.os.sleep(time);
    }

    fn now(&self) -> Duration {
        self.host.map_or_else(|| self.os.now(), |host| host.now())
    }

    fn random(&self) -> u64 {
        let Some(host) = self.host else { return self.os.random() };
        // The host is asked once; after that the clock, which costs no call, tells children and
        // parents from one another, and names are given to no file if another one has them.
        let before = match self.drawn.load(Ordering::Relaxed) {
            0 => u64::from(host.random()) << 32,
            before => before,
        };
        let drawn = mix(before ^ self.os.now().as_nanos() as u64) | 1 << 63;
        self.drawn.store(drawn, Ordering::Relaxed);
        drawn
    }

    fn is_local(&self) -> bool {
        self.os.is_local()
    }

    fn file_system(&self) -> u64 {
        self.os.file_system()
    }

    fn room(&self) -> reftable::dir::Room {
        self.os.room()
    }

    fn has_journal(&self) -> Option<bool> {
        self.os.has_journal()
    }

    fn host(&self) -> reftable::dir::Host {
        self.os.host()
    }

    fn boot(&self) -> Option<String> {
        self.os.boot()
    }

    fn wall_clock(&self) -> Option<u128> {
        self.os.wall_clock()
    }

    fn openers(&self, name: &str) -> Option<Vec<u32>> {
        self.os.openers(name)
    }

    fn process_lives(&self, process: u32) -> Option<bool> {
        self.os.process_lives(process)
    }

    fn process_started(&self, process: u32) -> Option<u64> {
        self.os.process_started(process)
    }
}

impl fmt::Debug for HostDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostDir").field("path", &self.os.path()).finish_non_exhaustive()
    }
}

/// Spreads the bits of a number over all of them.
fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (number ^ number >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ number >> 32
}
