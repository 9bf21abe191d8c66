//! The primitive calls on one open file.

use std::fmt::Debug;
use std::io;

use super::FileStat;
use crate::bytes::{Bytes, Reading};

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

    /// Makes what was written survive a power failure; its name needs [`super::Dir::sync`].
    ///
    /// # Errors
    /// See above.
    fn sync(&self) -> io::Result<()>;

    /// Hands what was written to the disk, without making it durable; with `waits` returns when the
    /// disk has it. Several files that are written out before the first of them is synced share one
    /// commit of the file system's journal. By default nothing is done, which is as right, and
    /// slower.
    ///
    /// # Errors
    /// See above. A file of which this fails must be taken for one that could not be synced: the
    /// system tells an error once.
    fn write_out(&self, waits: bool) -> io::Result<()> {
        let _ = waits;
        Ok(())
    }

    /// What the system tells of it.
    ///
    /// # Errors
    /// See above.
    fn stat(&self) -> io::Result<FileStat>;

    /// The number of the user that owns it. By default not known.
    ///
    /// # Errors
    /// See above.
    fn owner(&self) -> io::Result<Option<u32>> {
        Ok(None)
    }

    /// Tries to take the kernel's exclusive lock on it, which ends when the process does.
    ///
    /// # Errors
    /// See above; being refused is `Ok(false)`.
    fn try_lock(&self) -> io::Result<bool>;

    /// Leaves an extended attribute of a few bytes beside the contents, in the place of an earlier
    /// one. It belongs to the file, whatever its name, is durable after the next [`DirFile::sync`],
    /// and may be lost without.
    ///
    /// # Errors
    /// See above; where files have no attributes, which is what an implementation need not change,
    /// `Unsupported`.
    fn set_attribute(&self, attribute: &[u8]) -> io::Result<()> {
        let _ = attribute;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The attribute that was left, if there is one of at most 1,024 bytes.
    ///
    /// # Errors
    /// See above; where files have no attributes, there is none.
    fn attribute(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}
