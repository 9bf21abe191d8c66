//! Plain lock files, for directories in which nothing better works.

use std::io;
use std::sync::Arc;

use super::{Attempt, Holder, Lock, Locker};
use crate::dir::{Dir, DirFile, FileStat};
use crate::error::{Error, Result};
use crate::list::LIST_LOCK;

/// Lock files as git makes them: an empty file, created with `O_EXCL`. An owner that dies leaves
/// it.
#[derive(Debug, Default)]
pub struct ExclusiveFile;

impl Locker for ExclusiveFile {
    fn try_lock(&self, dir: &Arc<dyn Dir>, name: &str) -> Result<Attempt> {
        match create(dir, name) {
            Ok(file) => {
                let stat = file.stat().ok();
                // A compaction locks any number of tables, but there are only so many descriptors.
                let file = (name == LIST_LOCK).then_some(file);
                // Where a server makes up the numbers of files, one that is not open may get
                // another.
                let stat = stat.filter(|_| file.is_some() || dir.is_local());
                Ok(Attempt::Taken(Box::new(ExclusiveLock {
                    dir: Arc::clone(dir),
                    name: name.to_owned(),
                    stat,
                    _file: file,
                })))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Attempt::Busy(Holder::Foreign)),
            Err(error) => Err(Error::io("cannot create the lock file", &dir.path().join(name), error)),
        }
    }
}

/// How often a failure is looked into that may mean that the name was there.
const MAX_ATTEMPTS: u32 = 3;

/// As [`Dir::create`]. An sftp server says only "failure" if the name is there, which becomes
/// EPERM. Then whether it is there tells; and if it is gone already, another try.
fn create(dir: &Arc<dyn Dir>, name: &str) -> io::Result<Box<dyn DirFile>> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match dir.create(name) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => match dir.stat(name) {
                Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) if attempts < MAX_ATTEMPTS => {}
                Err(_) => return Err(error),
            },
            created => return created,
        }
    }
}

#[derive(Debug)]
struct ExclusiveLock {
    dir: Arc<dyn Dir>,
    name: String,
    /// Identity of the file, which is never written to; `None` if the system did not tell.
    stat: Option<FileStat>,
    /// Keeps the inode from being used again, where it matters most.
    _file: Option<Box<dyn DirFile>>,
}

impl Lock for ExclusiveLock {
    fn is_ours(&self) -> Result<bool> {
        is_file(&self.dir, &self.name, self.stat.as_ref())
    }
}

impl Drop for ExclusiveLock {
    fn drop(&mut self) {
        // If our file was removed and another process has taken the lock since, theirs must stay.
        if self.is_ours().unwrap_or(true) {
            // A failure leaves the lock; the next process that meets it is told its name.
            let _ = self.dir.remove(&self.name);
        }
    }
}

/// Whether `name` stands for the file of this stat; an unknown stat counts as equal.
pub(super) fn is_file(dir: &Arc<dyn Dir>, name: &str, stat: Option<&FileStat>) -> Result<bool> {
    match dir.stat(name) {
        Ok(there) => Ok(stat.is_none_or(|ours| ours.is_same_file(&there))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("cannot examine the lock file", &dir.path().join(name), error)),
    }
}
