//! The file system as processes see it: paths, resolved, become operations.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::Arc;

use crate::disk::LONGEST;
use crate::op::{Op, Place};
use crate::tree::{Bytes, File, FileId, Kind, Name, Tree, parent};

/// How many symbolic links are followed.
const MOST_LINKS: usize = 40;

/// A file system that is in use. Each change is made at once, and returned as an [`Op`] for the log
/// that a [`Disk`](crate::Disk) follows.
///
/// Paths begin in the root, without `/`, and have no `.` or `..` in them. Only the last part of a
/// path may be a symbolic link.
#[derive(Debug, Clone, Default)]
pub struct Volume {
    tree: Tree,
    next_file: FileId,
    /// Open descriptions of each file.
    open: BTreeMap<FileId, usize>,
    /// Nanoseconds.
    time: u128,
}

impl Volume {
    /// A file system on which this tree is found.
    #[must_use]
    pub fn new(tree: Tree) -> Volume {
        Volume { next_file: tree.next_file(), tree, open: BTreeMap::new(), time: 0 }
    }

    /// What is there.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The time that changes are made at, in nanoseconds.
    #[must_use]
    pub fn time(&self) -> u128 {
        self.time
    }

    /// Sets the time that changes are made at from now on.
    pub fn set_time(&mut self, time: u128) {
        self.time = time;
    }

    /// New files get ids from this one on, or higher ones.
    pub fn number_files_from(&mut self, first: FileId) {
        self.next_file = self.next_file.max(first);
    }

    /// The file that a path stands for. A symbolic link stands for itself.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn find(&self, path: &str) -> io::Result<FileId> {
        self.tree.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// What is opened at a path: symbolic links are followed, relative to the directory they are
    /// in.
    ///
    /// # Errors
    ///
    /// If there is nothing, or too many links.
    pub fn follow(&self, path: &str) -> io::Result<FileId> {
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            let id = self.find(&path)?;
            let file = self.file(id)?;
            if !file.is_link() {
                return Ok(id);
            }
            let target = String::from_utf8_lossy(&file.bytes).into_owned();
            path = match parent(&path) {
                "" => target,
                directory => format!("{directory}/{target}"),
            };
        }
        Err(io::Error::other("too many symbolic links"))
    }

    /// A file by its id.
    ///
    /// # Errors
    ///
    /// If there is none any more.
    pub fn file(&self, id: FileId) -> io::Result<&File> {
        self.tree.files.get(&id).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn file_mut(&mut self, id: FileId) -> io::Result<&mut File> {
        self.tree.files.get_mut(&id).ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// Makes an empty file.
    ///
    /// # Errors
    ///
    /// If there is something, or no such directory.
    pub fn create(&mut self, path: &str) -> io::Result<(FileId, Op)> {
        let at = self.free_place(path)?;
        let (file, number, created) = self.add(File::default());
        self.tree.names.insert(Arc::clone(&at.path), file);
        Ok((file, Op::Create { at, file, number, created }))
    }

    /// Makes an empty file without a name, and [holds](Self::hold) it.
    pub fn create_unnamed(&mut self) -> (FileId, Op) {
        let (file, number, created) = self.add(File::default());
        self.hold(file);
        (file, Op::CreateUnnamed { file, number, created })
    }

    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// If there is something, or no such directory above.
    pub fn make_dir(&mut self, path: &str) -> io::Result<Op> {
        let at = self.free_place(path)?;
        let (file, ..) = self.add(File { kind: Kind::Directory, ..File::default() });
        self.tree.names.insert(Arc::clone(&at.path), file);
        Ok(Op::MakeDir { at, file })
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    ///
    /// If there is something, or no such directory.
    pub fn symlink(&mut self, target: &str, path: &str) -> io::Result<Op> {
        let at = self.free_place(path)?;
        let target: Bytes = Arc::new(target.as_bytes().to_vec());
        let (file, ..) = self.add(File { kind: Kind::Symlink, bytes: Arc::clone(&target), ..File::default() });
        self.tree.names.insert(Arc::clone(&at.path), file);
        Ok(Op::Symlink { at, file, target })
    }

    /// Gives a file one more name.
    ///
    /// # Errors
    ///
    /// If there is none, it is a directory, or the name is taken.
    pub fn link(&mut self, existing: &str, new: &str) -> io::Result<Op> {
        let file = self.find(existing)?;
        self.link_file(file, existing, new)
    }

    /// The same for a file that is open, which may have no name.
    ///
    /// # Errors
    ///
    /// If it is a directory, or the name is taken.
    pub fn link_file(&mut self, file: FileId, existing: &str, new: &str) -> io::Result<Op> {
        if self.file(file)?.is_directory() {
            return Err(ErrorKind::PermissionDenied.into());
        }
        let new = self.free_place(new)?;
        self.tree.names.insert(Arc::clone(&new.path), file);
        self.touch(file);
        Ok(Op::Link { existing: existing.into(), new, file })
    }

    /// Gives something another name, in the place of what had it; `None` if both are names of one
    /// file, which then keeps both (as POSIX says).
    ///
    /// # Errors
    ///
    /// If there is nothing, or it does not fit what it would replace.
    pub fn rename(&mut self, from: &str, to: &str) -> io::Result<Option<Op>> {
        let file = self.find(from)?;
        let is_directory = self.file(file)?.is_directory();
        let (from, to) = (self.place(from)?, self.place(to)?);
        if let Ok(there) = self.find(&to.path) {
            if there == file {
                return Ok(None);
            }
            match (is_directory, self.file(there)?.is_directory()) {
                (true, false) => return Err(ErrorKind::NotADirectory.into()),
                (false, true) => return Err(ErrorKind::IsADirectory.into()),
                (true, true) if self.tree.children(&to.path).next().is_some() => {
                    return Err(ErrorKind::DirectoryNotEmpty.into());
                }
                _ => {}
            }
        }
        if is_directory {
            self.move_below(&from.path, &to.path)?;
        }
        self.tree.names.remove(&from.path);
        self.tree.names.insert(Arc::clone(&to.path), file);
        self.touch(file);
        self.collect();
        Ok(Some(Op::Rename { from, to, file }))
    }

    /// Moves what is in a directory along with it.
    fn move_below(&mut self, from: &str, to: &str) -> io::Result<()> {
        let prefix = format!("{from}/");
        if to.starts_with(&prefix) {
            return Err(ErrorKind::InvalidInput.into());
        }
        let inside =
            self.tree.names.range::<str, _>((std::ops::Bound::Included(prefix.as_str()), std::ops::Bound::Unbounded));
        let inside = inside.take_while(|(path, _)| path.starts_with(&prefix));
        let moved: Vec<(Name, FileId)> = inside.map(|(path, file)| (Arc::clone(path), *file)).collect();
        for (path, file) in moved {
            self.tree.names.remove(&path);
            let rest = path.strip_prefix(&prefix).unwrap_or(&path);
            self.tree.names.insert(format!("{to}/{rest}").into(), file);
        }
        Ok(())
    }

    /// Takes a name of a file away.
    ///
    /// # Errors
    ///
    /// If there is none, or it is a directory.
    pub fn remove(&mut self, path: &str) -> io::Result<Op> {
        let file = self.find(path)?;
        if self.file(file)?.is_directory() {
            return Err(ErrorKind::IsADirectory.into());
        }
        self.take_away(path, file)
    }

    /// Takes an empty directory away.
    ///
    /// # Errors
    ///
    /// If there is none, or something in it.
    pub fn remove_dir(&mut self, path: &str) -> io::Result<Op> {
        let file = self.find(path)?;
        if !self.file(file)?.is_directory() {
            return Err(ErrorKind::NotADirectory.into());
        }
        if self.tree.children(path).next().is_some() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        self.take_away(path, file)
    }

    fn take_away(&mut self, path: &str, file: FileId) -> io::Result<Op> {
        let at = self.place(path)?;
        self.tree.names.remove(path);
        self.touch(file);
        self.collect();
        Ok(Op::Remove { at })
    }

    /// Puts bytes into a file. `path` is what it was opened by.
    ///
    /// # Errors
    ///
    /// If it is gone, or would become longer than a gibibyte.
    pub fn write(&mut self, file: FileId, path: &str, offset: u64, bytes: &[u8]) -> io::Result<Op> {
        let end = u64::try_from(bytes.len()).ok().and_then(|len| offset.checked_add(len));
        let end = end.filter(|end| *end <= LONGEST).ok_or(ErrorKind::FileTooLarge)?;
        let (from, to) = (to_usize(offset)?, to_usize(end)?);
        let (time, there) = (self.time, self.file_mut(file)?);
        if there.kind != Kind::File {
            return Err(ErrorKind::IsADirectory.into());
        }
        let contents = Arc::make_mut(&mut there.bytes);
        if !bytes.is_empty() && contents.len() < to {
            contents.resize(to, 0);
        }
        if let Some(place) = contents.get_mut(from..to) {
            place.copy_from_slice(bytes);
        }
        (there.modified, there.changed) = (time, time);
        Ok(Op::Write { path: path.into(), file, offset, bytes: Arc::new(bytes.to_vec()) })
    }

    /// Puts bytes at the end of a file.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn append(&mut self, file: FileId, path: &str, bytes: &[u8]) -> io::Result<Op> {
        let len = self.file(file)?.bytes.len();
        self.write(file, path, u64::try_from(len).map_err(io::Error::other)?, bytes)
    }

    /// Gives a file another length.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn truncate(&mut self, file: FileId, path: &str, len: u64) -> io::Result<Op> {
        if len > LONGEST {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let (new, time, there) = (to_usize(len)?, self.time, self.file_mut(file)?);
        Arc::make_mut(&mut there.bytes).resize(new, 0);
        (there.modified, there.changed) = (time, time);
        Ok(Op::Truncate { path: path.into(), file, len })
    }

    /// Sets the extended attribute of a file.
    ///
    /// # Errors
    ///
    /// If it is gone.
    pub fn set_note(&mut self, file: FileId, path: &str, note: &[u8]) -> io::Result<Op> {
        let note: Bytes = Arc::new(note.to_vec());
        self.file_mut(file)?.note = Some(Arc::clone(&note));
        Ok(Op::SetNote { path: path.into(), file, note })
    }

    /// Sets the permission bits of a file, which are taken for durable: there is no operation.
    ///
    /// # Errors
    ///
    /// If it is gone.
    pub fn set_mode(&mut self, file: FileId, mode: u32) -> io::Result<()> {
        self.file_mut(file)?.mode = Some(mode);
        Ok(())
    }

    /// The operation that makes the names in a directory durable; its path is empty for the root.
    ///
    /// # Errors
    ///
    /// If there is no such directory.
    pub fn sync_dir(&self, path: &str) -> io::Result<Op> {
        let dir = self.tree.directory(path).ok_or(ErrorKind::NotADirectory)?;
        Ok(Op::SyncDir { path: path.into(), dir })
    }

    /// Keeps a file while it is open, also without a name. Each call needs a
    /// [release](Self::release).
    pub fn hold(&mut self, file: FileId) {
        let count = self.open.entry(file).or_default();
        *count = count.saturating_add(1);
    }

    /// Lets a file go that was held.
    pub fn release(&mut self, file: FileId) {
        let Some(count) = self.open.get_mut(&file) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.open.remove(&file);
            self.collect();
        }
    }

    /// Whether a process holds it.
    #[must_use]
    pub fn is_held(&self, file: FileId) -> bool {
        self.open.contains_key(&file)
    }

    /// Forgets files that nothing refers to.
    fn collect(&mut self) {
        let named: BTreeSet<FileId> = self.tree.names.values().copied().collect();
        let open = &self.open;
        self.tree.files.retain(|id, _| named.contains(id) || open.contains_key(id));
    }

    fn add(&mut self, file: File) -> (FileId, u64, u128) {
        let (id, number, time) = (self.next_file, self.tree.free_number(), self.time);
        self.next_file = id.saturating_add(1);
        let file = File { number, modified: time, created: time, changed: time, ..file };
        self.tree.files.insert(id, file);
        (id, number, time)
    }

    /// A name came or went.
    fn touch(&mut self, file: FileId) {
        let time = self.time;
        if let Some(file) = self.tree.files.get_mut(&file) {
            file.changed = time;
        }
    }

    fn free_place(&self, path: &str) -> io::Result<Place> {
        if self.tree.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.place(path)
    }

    fn place(&self, path: &str) -> io::Result<Place> {
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(ErrorKind::InvalidInput.into());
        }
        let dir = self.tree.directory(parent(path)).ok_or(ErrorKind::NotFound)?;
        Ok(Place { dir, path: path.into() })
    }
}

fn to_usize(number: u64) -> io::Result<usize> {
    usize::try_from(number).map_err(|_| ErrorKind::FileTooLarge.into())
}
