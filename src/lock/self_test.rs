//! Whether a kernel lock belongs to the file here, by whatever name it was opened.
//!
//! Where a server knows files by their names (bindfs, sshfs), two hard links of one file are two
//! files to the kernel, each with locks of its own. Then a lock would look free to a process that
//! meets it, though its owner lives.

use std::io;
use std::sync::Arc;

use crate::dir::Dir;
use crate::error::Result;
use crate::list::Temporary;
use crate::mutant::{self, Mutant};
use crate::temp_file::TempFile;

/// Whether a lock on `owner`, which has one, keeps out others that open it by a second name. Costs
/// nothing on a file system that one kernel alone writes to, and else five calls: once in the life
/// of a handle.
///
/// # Errors
/// `Io`, if no file can be made here at all.
pub(super) fn passes(dir: &Arc<dyn Dir>, owner: &TempFile) -> Result<bool> {
    if dir.is_local() || mutant::is_on(Mutant::TrustLocksOfNames) {
        return Ok(true);
    }
    let name = Temporary::Owner.name(dir.random());
    if let Err(error) = dir.link(owner.name(), &name) {
        return if is_about_room(&error) { Err(owner.failed("cannot link the file", error)) } else { Ok(false) };
    }
    let is_refused = || {
        let file = dir.open(&name)?;
        Ok::<_, io::Error>(owner.is(&file.stat()?) && !file.try_lock()?)
    };
    // What goes wrong is an answer, too. A cleaner that can lock the second name removes it: that
    // is another.
    let is_shared = is_refused().unwrap_or(false);
    let _ = dir.remove(&name);
    Ok(is_shared)
}

/// Whether a lock file of any kind would fail for the same reason. All other failures of links mean
/// that there are none here, or none for us: ENOLCK, EINVAL, EBADF, EXDEV, EPERM, ENOTSUP, ENOTTY,
/// EIO, ENOSYS, EMLINK and what else servers say.
pub(super) fn is_about_room(error: &io::Error) -> bool {
    use io::ErrorKind::{OutOfMemory, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | OutOfMemory | ReadOnlyFilesystem)
}
