//! A file for a loop device that remembers each write and flush, served through FUSE.
//!
//! Requests are served one at a time. So a write that was answered before a flush came is older
//! than it, and nothing else is.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::mem;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo, LockOwner,
    MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyWrite, Request, WriteFlags,
};

use super::machine;
use super::recording::{Recording, Write};
use crate::history::now;

/// The only file.
const IMAGE: &str = "image";
const IMAGE_INODE: INodeNo = INodeNo(2);
/// How long the kernel may remember what never changes.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);
/// How long the device may be waited for.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(2);

/// The device that is recorded. Unmounted when it is dropped.
pub(super) struct Recorder {
    at: PathBuf,
    tape: Arc<Mutex<Tape>>,
    session: Option<BackgroundSession>,
}

/// What was recorded so far.
#[derive(Default)]
struct Tape {
    is_running: bool,
    recording: Recording,
}

impl Recorder {
    /// Serves `image` as a file in the directory `at`, which is made.
    pub(super) fn start(image: &Path, at: &Path) -> Result<Recorder> {
        fs::create_dir_all(at).with_context(|| format!("cannot create {}", at.display()))?;
        let opened = OpenOptions::new().read(true).write(true).open(image);
        let file = opened.with_context(|| format!("cannot open {}", image.display()))?;
        let size = file.metadata().context("cannot look at the image")?.len();
        let tape = Arc::<Mutex<Tape>>::default();
        let device = Device { file, size, tape: Arc::clone(&tape) };
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("reftable-stress".to_owned())];
        let session = fuser::spawn_mount(device, at, &config).context("cannot mount through FUSE")?;
        Ok(Recorder { at: at.to_owned(), tape, session: Some(session) })
    }

    /// What the loop device is to stand on.
    pub(super) fn file(&self) -> PathBuf {
        self.at.join(IMAGE)
    }

    /// Records from now on. `first` sees the image as it is before anything is recorded.
    pub(super) fn begin(&self, first: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut tape = lock(&self.tape);
        first()?;
        tape.is_running = true;
        Ok(())
    }

    /// Waits for so many writes, and takes what was recorded.
    pub(super) fn take(&self, writes: usize) -> Result<Recording> {
        let begun = Instant::now();
        loop {
            let mut tape = lock(&self.tape);
            if tape.recording.writes() >= writes {
                tape.is_running = false;
                tape.recording.end(now());
                return Ok(mem::take(&mut tape.recording));
            }
            drop(tape);
            if begun.elapsed() > PATIENCE {
                bail!("there are no {writes} writes in {} s", PATIENCE.as_secs());
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // The loop device lets go of it a moment after its file system has gone.
        let unmounted = machine::unmount(&self.at);
        if let Some(session) = self.session.take().filter(|_| unmounted.is_ok()) {
            let _ = session.join();
        }
    }
}

fn lock(tape: &Mutex<Tape>) -> MutexGuard<'_, Tape> {
    tape.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the kernel asks.
struct Device {
    file: File,
    size: u64,
    tape: Arc<Mutex<Tape>>,
}

impl Device {
    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let is_image = inode == IMAGE_INODE;
        FileAttr {
            ino: inode,
            size: if is_image { self.size } else { 0 },
            blocks: if is_image { self.size / 512 } else { 0 },
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_image { FileType::RegularFile } else { FileType::Directory },
            perm: if is_image { 0o600 } else { 0o700 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for Device {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == IMAGE {
            reply.entry(&FOR_EVER, &self.attributes(IMAGE_INODE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOR_EVER, &self.attributes(inode));
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut bytes = vec![0; u64::from(size).min(self.size.saturating_sub(offset)) as usize];
        match self.file.read_exact_at(&mut bytes, offset) {
            Ok(()) => reply.data(&bytes),
            Err(error) => reply.error(error.into()),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut tape = lock(&self.tape);
        let at = now();
        if let Err(error) = self.file.write_all_at(bytes, offset) {
            return reply.error(error.into());
        }
        if tape.is_running {
            tape.recording.write(Write { at, offset, bytes: bytes.to_vec() });
        }
        reply.written(bytes.len() as u32);
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let mut tape = lock(&self.tape);
        if tape.is_running {
            tape.recording.flush(now());
        }
        reply.ok();
    }
}
