//! What changes a disk, one operation after the other, as plain values.

use crate::tree::{Bytes, FileId, Name, last_part};

/// A process, by its number.
pub type Pid = u32;

/// A path, and the directory that its last part is a name in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The directory.
    pub dir: FileId,
    /// The whole path, for its last part and for stories.
    pub path: Name,
}

impl Place {
    /// The name in the directory.
    #[must_use]
    pub fn name(&self) -> &str {
        last_part(&self.path)
    }
}

/// One change of a file system, or of what is durable of it.
///
/// Operations name files by [`FileId`]s, as system calls do by descriptors: a file keeps its id
/// when it is renamed. `path` in an operation on a file is the path it was opened by; it is for
/// stories. [`Volume`](crate::Volume) makes operations out of paths.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// A new, empty file.
    Create {
        /// Where.
        at: Place,
        /// Its id, which nothing else has had.
        file: FileId,
        /// Its inode number.
        number: u64,
        /// The time.
        created: u128,
    },
    /// A new, empty file without a name (`O_TMPFILE`).
    CreateUnnamed {
        /// Its id, which nothing else has had.
        file: FileId,
        /// Its inode number.
        number: u64,
        /// The time.
        created: u128,
    },
    /// A new, empty directory.
    MakeDir {
        /// Where.
        at: Place,
        /// Its id, which nothing else has had.
        file: FileId,
    },
    /// A new symbolic link.
    Symlink {
        /// Where.
        at: Place,
        /// Its id, which nothing else has had.
        file: FileId,
        /// Where it leads.
        target: Bytes,
    },
    /// Bytes that are appended, or put in the place of others. A gap before them is zeros.
    Write {
        /// The path it was opened by.
        path: Name,
        /// Which file.
        file: FileId,
        /// Where in the file, in bytes.
        offset: u64,
        /// What.
        bytes: Bytes,
    },
    /// A new length: the rest is cut off, or what comes in addition is zeros.
    Truncate {
        /// The path it was opened by.
        path: Name,
        /// Which file.
        file: FileId,
        /// In bytes.
        len: u64,
    },
    /// A new value of the extended attribute.
    SetNote {
        /// The path it was opened by.
        path: Name,
        /// Which file.
        file: FileId,
        /// The value.
        note: Bytes,
    },
    /// One more name of a file.
    Link {
        /// The path of another name.
        existing: Name,
        /// The new one.
        new: Place,
        /// Which file.
        file: FileId,
    },
    /// A file, directory or symbolic link gets another name, in the place of what had it.
    Rename {
        /// The old name.
        from: Place,
        /// The new one.
        to: Place,
        /// Which file.
        file: FileId,
    },
    /// A name of a file goes, or an empty directory.
    Remove {
        /// Which name.
        at: Place,
    },
    /// The contents of a file become durable, and its attribute (`fsync`, `fdatasync`). Its names
    /// do not.
    SyncFile {
        /// The path it was opened by.
        path: Name,
        /// Which file.
        file: FileId,
    },
    /// It was to be synced, and the disk has failed: the kernel has told it once, and takes what
    /// was lost for written. No later sync makes a difference.
    SyncFailed {
        /// The path it was opened by.
        path: Name,
        /// Which file.
        file: FileId,
    },
    /// The names in one directory become durable (`fsync` of the directory).
    SyncDir {
        /// Its path, empty for the root.
        path: Name,
        /// Which directory.
        dir: FileId,
    },
    /// Everything becomes durable (`sync`, `syncfs`).
    SyncAll,
    /// Something has returned: what it did counts from now on. Nothing happens to the disk.
    Acknowledge {
        /// What.
        what: String,
    },
    /// Nothing happens to the disk; it is a line of the story.
    Say {
        /// What.
        what: String,
    },
    /// A process was killed.
    Killed,
}

/// An operation of a process, with what may be relied upon after it.
///
/// A protocol numbers the states that it publishes, 0 being what a run begins with.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Who did it.
    pub process: Pid,
    /// What.
    pub op: Op,
    /// The newest state that was acknowledged as durable.
    pub acknowledged: usize,
    /// The newest state that readers may see.
    pub published: usize,
}
