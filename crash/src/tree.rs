//! What is found on a disk: paths, and the files they stand for.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Identifies a file (or directory, or symbolic link) within one run and all crash states of it.
/// Unlike an inode number it is never used again.
pub type FileId = u64;

/// The directory that all paths begin in. It is always there, and not among [`Tree::files`].
pub const ROOT: FileId = 0;

/// A path below [`ROOT`], its parts separated by `/`, without one at either end; or one part of it.
pub type Name = Arc<str>;

/// Contents of a file, shared by all states that have them.
pub type Bytes = Arc<Vec<u8>>;

/// What a path stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Kind {
    /// A regular file.
    #[default]
    File,
    /// A directory. It has no contents of its own: the paths below it say what is in it.
    Directory,
    /// A symbolic link. Its contents are where it leads.
    Symlink,
}

/// A file, and what `stat` says of it.
#[derive(Debug, Clone, Default)]
pub struct File {
    /// Its contents.
    pub bytes: Bytes,
    /// What it is.
    pub kind: Kind,
    /// The inode number, which is used again once nothing refers to the file.
    pub number: u64,
    /// When it was last written, in nanoseconds of the simulated clock.
    pub modified: u128,
    /// When it was made.
    pub created: u128,
    /// When it was written, or got or lost a name.
    pub changed: u128,
    /// An extended attribute. One is modelled.
    pub note: Option<Bytes>,
    /// Permission bits, if they are known. They are taken for durable.
    pub mode: Option<u32>,
}

impl File {
    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// Whether it is a symbolic link.
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.kind == Kind::Symlink
    }
}

/// Paths and files as they would be found on a disk. Two paths may stand for one file: hard links.
///
/// It can be walked: `tree.names` is sorted, a directory before what is in it.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// All paths, directories included.
    pub names: BTreeMap<Name, FileId>,
    /// The files that they stand for; and, while processes run, those that are open without a name.
    pub files: BTreeMap<FileId, File>,
}

impl Tree {
    /// The file that a path stands for. Symbolic links are not followed.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&File> {
        self.files.get(self.names.get(path)?)
    }

    /// The contents of the file at a path.
    #[must_use]
    pub fn read(&self, path: &str) -> Option<&[u8]> {
        self.get(path).map(|file| file.bytes.as_slice())
    }

    /// The directory with this path, which is empty for [`ROOT`].
    #[must_use]
    pub fn directory(&self, path: &str) -> Option<FileId> {
        if path.is_empty() {
            return Some(ROOT);
        }
        let id = *self.names.get(path)?;
        self.files.get(&id).filter(|file| file.is_directory()).map(|_| id)
    }

    /// The paths of what is in a directory itself.
    pub fn children<'t>(&'t self, directory: &'t str) -> impl Iterator<Item = &'t Name> + 't {
        self.names.keys().filter(move |path| parent(path) == directory)
    }

    /// Puts a file with these contents at a path, and the directories above it where they miss. For
    /// what a run begins with.
    pub fn put(&mut self, path: &str, contents: impl Into<Vec<u8>>) -> FileId {
        self.put_directories(parent(path));
        self.insert(path, File { bytes: Arc::new(contents.into()), ..File::default() })
    }

    /// Puts a directory at a path, and those above it where they miss.
    pub fn put_directories(&mut self, path: &str) {
        if !path.is_empty() && !self.names.contains_key(path) {
            self.put_directories(parent(path));
            self.insert(path, File { kind: Kind::Directory, ..File::default() });
        }
    }

    fn insert(&mut self, path: &str, file: File) -> FileId {
        let id = self.next_file();
        self.files.insert(id, File { number: self.free_number(), ..file });
        self.names.insert(path.into(), id);
        id
    }

    /// An id that none of its files has.
    pub(crate) fn next_file(&self) -> FileId {
        self.files.keys().next_back().map_or(ROOT, |last| *last).saturating_add(1)
    }

    /// The smallest inode number that is free: as unfriendly as file systems come.
    pub(crate) fn free_number(&self) -> u64 {
        let used: std::collections::BTreeSet<u64> = self.files.values().map(|file| file.number).collect();
        (1..=u64::MAX).find(|number| !used.contains(number)).unwrap_or(u64::MAX)
    }
}

/// The path of the directory that a path is in.
#[must_use]
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The last part of a path.
#[must_use]
pub fn last_part(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, last)| last)
}
