//! Files that are being written, and are removed unless they come to something.

use std::io::{self, Write};
use std::sync::Arc;

use crate::bytes::{Bytes, Reading};
use crate::dir::{Dir, DirFile, FileStat};
use crate::error::{Error, ErrorKind, Result};
use crate::list::Temporary;

/// How often a cleaner may get in the way before we believe that something else is wrong.
const MAX_ATTEMPTS: usize = 16;

/// A file that we are writing. Dropping it removes the file, unless it was kept.
#[derive(Debug)]
pub(crate) struct TempFile {
    /// Its name goes before the kernel's lock on it does.
    place: OwnedName,
    file: Box<dyn DirFile>,
    /// Whether the kernel's lock is on it.
    locked: bool,
}

/// Where a file is. Dropping it takes the file away, unless it is to be kept.
#[derive(Debug)]
struct OwnedName {
    dir: Arc<dyn Dir>,
    name: String,
    keep: bool,
    /// The process that made it: a child that was forked since must not remove it.
    process: u32,
}

impl TempFile {
    /// Creates the file `name`.
    pub(crate) fn create(dir: &Arc<dyn Dir>, name: String) -> Result<TempFile> {
        Self::create_by(dir, name, |name| dir.create(name))
    }

    fn create_by(
        dir: &Arc<dyn Dir>,
        name: String,
        create: impl FnOnce(&str) -> io::Result<Box<dyn DirFile>>,
    ) -> Result<TempFile> {
        match create(&name) {
            Ok(file) => {
                let place = OwnedName { dir: Arc::clone(dir), name, keep: false, process: dir.process_id() };
                Ok(TempFile { place, file, locked: false })
            }
            Err(error) => Err(Error::io("cannot create the file", &dir.path().join(name), error)),
        }
    }

    /// Creates a temporary file for use under the list lock: cleaners hold that lock, so none is
    /// about.
    pub(crate) fn temporary(dir: &Arc<dyn Dir>) -> Result<TempFile> {
        Self::create(dir, Temporary::Output.name(dir.random()))
    }

    /// Creates a temporary file for use without the list lock. A kernel lock keeps cleaners away
    /// while we live.
    ///
    /// 1. We create the file.
    /// 2. A cleaner finds it not locked, locks it, removes it.
    /// 3. We lock a file that has no name any more. So look again, and start over.
    pub(crate) fn temporary_locked(dir: &Arc<dyn Dir>, kind: Temporary) -> Result<TempFile> {
        for _ in 0..MAX_ATTEMPTS {
            let mut temporary = Self::create_by(dir, kind.name(dir.random()), |name| match kind {
                // Any lock holder may have to answer it.
                Temporary::Request => dir.create_for_writers(name),
                Temporary::Output | Temporary::Owner => dir.create(name),
            })?;
            temporary.locked = match temporary.file.try_lock() {
                // No such locks here. Then cleaners cannot take it either, and leave it alone.
                Err(_) => return Ok(temporary),
                Ok(locked) => locked,
            };
            if temporary.locked && dir.stat(temporary.name()).is_ok_and(|there| temporary.is(&there)) {
                return Ok(temporary);
            }
            temporary.place.keep = true;
        }
        let message = "temporary files are removed as fast as they are created";
        Err(Error::new(ErrorKind::Locked, message).in_file(dir.path()))
    }

    /// A lock file that is to become what it protects. Until then it is the lock's, which removes
    /// it.
    pub(crate) fn of_lock(dir: &Arc<dyn Dir>, name: &str, file: Box<dyn DirFile>) -> TempFile {
        let place = OwnedName { dir: Arc::clone(dir), name: name.to_owned(), keep: true, process: dir.process_id() };
        TempFile { place, file, locked: false }
    }

    /// The name it has now.
    pub(crate) fn name(&self) -> &str {
        &self.place.name
    }

    /// Whether the kernel's lock is on it, for as long as it is open.
    pub(crate) fn is_locked(&self) -> bool {
        self.locked
    }

    /// Whether `there` is this file.
    pub(crate) fn is(&self, there: &FileStat) -> bool {
        self.file.stat().is_ok_and(|ours| ours.is_same_file(there))
    }

    /// Its identity.
    pub(crate) fn stat(&self) -> Result<FileStat> {
        self.file.stat().map_err(|error| self.failed("cannot examine the file", error))
    }

    /// What is in it by now.
    pub(crate) fn contents(&self) -> Result<Bytes> {
        self.file.contents().map_err(|error| self.failed("cannot read the file", error))
    }

    /// Makes its contents durable.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync().map_err(|error| self.failed("cannot sync the file", error))
    }

    /// Hands its contents to the disk, see [`DirFile::write_out`].
    pub(crate) fn write_out(&self, waits: bool) -> Result<()> {
        self.file.write_out(waits).map_err(|error| self.failed("cannot write the file out", error))
    }

    /// The attribute of the file, if it has one that can be read.
    pub(crate) fn attribute(&self) -> Option<Vec<u8>> {
        self.file.attribute().ok().flatten()
    }

    /// Leaves an attribute on the file, where files can have one.
    pub(crate) fn set_attribute(&self, attribute: &[u8]) {
        let _ = self.file.set_attribute(attribute);
    }

    pub(crate) fn failed(&self, what: &'static str, error: io::Error) -> Error {
        Error::io(what, &self.place.dir.path().join(self.name()), error)
    }

    /// Gives the file another name.
    pub(crate) fn renamed(mut self, to: &str) -> Result<TempFile> {
        self.place.dir.rename(self.name(), to).map_err(|error| self.not_renamed(to, error))?;
        to.clone_into(&mut self.place.name);
        Ok(self)
    }

    fn not_renamed(&self, to: &str, error: io::Error) -> Error {
        let is_refused = error.kind() == io::ErrorKind::PermissionDenied;
        let error = self.failed("cannot rename the file", error);
        if !is_refused {
            return error;
        }
        // A process that could create the file has the right to write to the directory.
        error.way_out(format!(
            "it was to become {to}, which in a sticky directory (mode 1777) only its owner may replace, or the owner of \
             the directory: users who share a store need a directory without that bit, see `core.sharedRepository`"
        ))
    }

    /// Leaves the file where it is, when this is dropped.
    pub(crate) fn stay(&mut self) {
        self.place.keep = true;
    }

    /// Leaves the file where it is, and open.
    pub(crate) fn kept(mut self) -> Box<dyn DirFile> {
        self.stay();
        self.file
    }
}

/// A file that is written in large pieces. What is small goes out in one, and need not be read
/// back.
#[derive(Debug)]
pub(crate) struct BufferedFile {
    file: TempFile,
    buffer: Vec<u8>,
    /// Whether a part of it is in the file already.
    is_begun: bool,
}

impl BufferedFile {
    /// How much is written at a time.
    const PIECE: usize = 64 * 1024;

    pub(crate) fn new(file: TempFile) -> BufferedFile {
        BufferedFile { file, buffer: Vec::new(), is_begun: false }
    }

    /// The file, all written, and its contents; what is large is read back as `reading` says.
    pub(crate) fn finish(mut self, reading: Reading) -> Result<(TempFile, Bytes)> {
        let written = self.file.write_all(&self.buffer);
        written.map_err(|error| self.file.failed("cannot write the file", error))?;
        let contents = if self.is_begun {
            let contents = self.file.file.contents_by(reading);
            contents.map_err(|error| self.file.failed("cannot read the file", error))?
        } else {
            self.buffer.into()
        };
        Ok((self.file, contents))
    }
}

impl Write for BufferedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > Self::PIECE {
            self.file.write_all(&self.buffer)?;
            self.buffer.clear();
            self.is_begun = true;
        }
        if bytes.len() > Self::PIECE {
            return self.file.write(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for TempFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for OwnedName {
    fn drop(&mut self) {
        if !self.keep && self.process == self.dir.process_id() {
            // The next compaction removes what is left here.
            let _ = self.dir.remove(&self.name);
        }
    }
}
