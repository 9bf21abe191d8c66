//! What is written and what is durable, kept apart: operations go in, crash states come out.

mod choices;
mod data;

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::op::{Op, Place};
use crate::tree::{Bytes, File, FileId, Kind, Name, ROOT, Tree, last_part, parent};
use data::Data;

pub use choices::{Bounds, Choices, Content, Looked};
pub(crate) use data::LONGEST;
pub use data::Part;

/// A value of a name, and the number of the operation that gave it; `None` for the one that is
/// durable.
type Version = (Option<FileId>, Option<usize>);

/// A name in a directory.
type Key = (FileId, Name);

/// Sorts files into kinds by their names. What a new file finds on the disk is what the last file
/// of its kind had.
pub type Kinds = fn(&str) -> u32;

/// An operation that does not fit the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It is about a file that was never made.
    NoSuchFile(FileId),
    /// A file would become longer than a gibibyte: all states are held in memory.
    TooLong,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoSuchFile(file) => write!(f, "an operation is about file {file}, which was never made"),
            Error::TooLong => f.write_str("a file would become longer than 1 GiB, and all states are held in memory"),
        }
    }
}

impl std::error::Error for Error {}

/// What is written and what is durable at some instant. [`Disk::choices`] tells what a crash may
/// leave of it.
///
/// ```
/// use reftable_crash::{Bounds, Disk, Model, Random, Tree, Volume};
///
/// let mut before = Tree::default();
/// before.put("config", "old");
/// let mut disk = Disk::synced(&before);
/// let mut volume = Volume::new(before);
/// let (file, op) = volume.create("config.new").unwrap();
/// disk.apply(&op).unwrap();
/// disk.apply(&volume.append(file, "config.new", b"new").unwrap()).unwrap();
/// disk.apply(&volume.rename("config.new", "config").unwrap().unwrap()).unwrap();
///
/// // Nothing was synced: the name may be there without the bytes.
/// let choices = disk.choices(Model::OnlySynced);
/// let mut found = Vec::new();
/// choices.each(Bounds::default(), &mut Random::new(1), &mut |choice| {
///     found.push(choices.tree(choice).read("config").map(<[u8]>::to_vec));
/// });
/// assert!(found.contains(&Some(b"old".to_vec())) && found.contains(&Some(Vec::new())));
/// ```
#[derive(Debug, Clone)]
pub struct Disk {
    /// The values of each name since its directory was synced, that of the sync first.
    names: BTreeMap<Key, Vec<Version>>,
    files: BTreeMap<FileId, Data>,
    /// The changes of names that no sync of a directory has made durable in order, and the
    /// directories they were in.
    order: Vec<(usize, [FileId; 2])>,
    /// What the last file of each kind had that lost its name.
    freed: BTreeMap<u32, Bytes>,
    kinds: Kinds,
    /// Operations so far.
    count: usize,
}

impl Disk {
    /// A tree that is durable as a whole.
    #[must_use]
    pub fn synced(tree: &Tree) -> Disk {
        let key = |path: &Name| (tree.directory(parent(path)).unwrap_or(ROOT), shorten(path));
        let names = tree.names.iter().map(|(path, file)| (key(path), vec![(Some(*file), None)])).collect();
        let files = tree.files.iter().map(|(id, file)| (*id, Data::synced(file.clone()))).collect();
        Disk { names, files, order: Vec::new(), freed: BTreeMap::new(), kinds: |_| 0, count: 0 }
    }

    /// The same, with files of several kinds: see [`Kinds`]. Without this all are of one kind.
    #[must_use]
    pub fn with_kinds(self, kinds: Kinds) -> Disk {
        Disk { kinds, ..self }
    }

    /// The same, with the inode numbers that the files of `tree` have there: those who find it see
    /// these.
    #[must_use]
    pub fn numbered_as(&self, tree: &Tree) -> Disk {
        let mut disk = self.clone();
        for (id, file) in &tree.files {
            if let Some(data) = disk.files.get_mut(id) {
                data.file.number = file.number;
            }
        }
        disk
    }

    /// A number that no file on it has ever had.
    #[must_use]
    pub fn next_file(&self) -> FileId {
        self.files.keys().next_back().map_or(ROOT, |last| *last).saturating_add(1)
    }

    /// How many operations it has followed.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.count
    }

    /// Follows an operation.
    ///
    /// # Errors
    ///
    /// If it does not fit what is there; nothing has changed then.
    pub fn apply(&mut self, op: &Op) -> Result<(), Error> {
        match op {
            Op::Create { at, file, number, created } => {
                self.add(*file, &at.path, number, created);
                self.set(at, Some(*file));
            }
            Op::CreateUnnamed { file, number, created } => self.add(*file, "", number, created),
            // Whole or not at all: where it leads is written with its name, or before.
            Op::Symlink { at, file, target } => {
                let link = File { bytes: Arc::clone(target), number: *file, kind: Kind::Symlink, ..File::default() };
                self.files.insert(*file, Data::synced(link));
                self.set(at, Some(*file));
            }
            Op::MakeDir { at, file } => {
                let directory = File { number: *file, kind: Kind::Directory, ..File::default() };
                self.files.insert(*file, Data::synced(directory));
                self.set(at, Some(*file));
            }
            Op::Write { file, offset, bytes, .. } => self.data(*file)?.write(*offset, bytes)?,
            Op::Truncate { file, len, .. } => self.data(*file)?.truncate(*len)?,
            Op::SetNote { file, note, .. } => {
                let number = self.count;
                self.data(*file)?.set_note(number, note);
            }
            Op::SyncFile { file, .. } => self.data(*file)?.sync(),
            Op::SyncFailed { file, .. } => self.data(*file)?.fail_sync(),
            Op::Link { new, file, .. } => {
                self.data(*file)?;
                self.set(new, Some(*file));
            }
            Op::Rename { from, to, file } => self.rename(from, to, *file)?,
            Op::Remove { at } => self.set(at, None),
            Op::SyncDir { dir, .. } => self.sync_directory(*dir),
            Op::SyncAll => {
                self.names.values_mut().for_each(forget_older);
                self.drop_removed();
                self.order.clear();
                self.files.values_mut().for_each(Data::sync);
            }
            Op::Acknowledge { .. } | Op::Say { .. } | Op::Killed => {}
        }
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    fn data(&mut self, file: FileId) -> Result<&mut Data, Error> {
        self.files.get_mut(&file).ok_or(Error::NoSuchFile(file))
    }

    fn add(&mut self, file: FileId, path: &str, number: &u64, created: &u128) {
        let empty = File { number: *number, created: *created, changed: *created, ..File::default() };
        let old = self.freed.get(&(self.kinds)(last_part(path))).cloned().unwrap_or_default();
        self.files.insert(file, Data::synced(empty).over(old));
    }

    fn rename(&mut self, from: &Place, to: &Place, file: FileId) -> Result<(), Error> {
        let there = self.names.get(&key_of(to)).and_then(|versions| versions.last());
        let replaces = there.is_some_and(|(value, _)| value.is_some());
        let data = self.data(file)?;
        if replaces {
            data.land();
        }
        self.set(from, None);
        self.set(to, Some(file));
        Ok(())
    }

    fn set(&mut self, at: &Place, value: Option<FileId>) {
        let (number, dir) = (self.count, at.dir);
        let versions = self.names.entry(key_of(at)).or_insert_with(|| vec![(None, None)]);
        let before = versions.last().and_then(|(before, _)| *before);
        versions.push((value, Some(number)));
        let freed = before.filter(|before| value != Some(*before)).and_then(|freed| self.files.get(&freed));
        if let Some(freed) = freed {
            self.freed.insert((self.kinds)(at.name()), Arc::clone(&freed.file.bytes));
        }
        match self.order.last_mut().filter(|(last, _)| *last == number) {
            Some((_, dirs)) => dirs[1] = dir,
            None => self.order.push((number, [dir; 2])),
        }
    }

    fn sync_directory(&mut self, dir: FileId) {
        for (_, versions) in self.names.iter_mut().filter(|((there, _), _)| *there == dir) {
            forget_older(versions);
        }
        self.drop_removed();
        // In order: what was done before in other directories, too.
        let durable = self.order.iter().rposition(|(_, dirs)| dirs.contains(&dir));
        let end = durable.and_then(|last| self.order.get(last)).map_or(0, |(number, _)| *number);
        self.files.values_mut().for_each(|data| data.journal(end));
        self.order.drain(..durable.map_or(0, |last| last.saturating_add(1)));
    }

    fn drop_removed(&mut self) {
        self.names.retain(|_, versions| versions.len() > 1 || versions.iter().any(|(value, _)| value.is_some()));
    }

    /// What distinguishes this disk from others, whatever the files' numbers are.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (name, versions) in &self.names {
            name.hash(&mut hasher);
            for (value, number) in versions {
                number.map(|number| self.place_in_order(number)).hash(&mut hasher);
                match value.and_then(|file| self.files.get(&file)) {
                    Some(data) => data.fingerprint(&mut hasher),
                    None => hasher.write_u8(0),
                }
            }
        }
        hasher.finish()
    }

    fn place_in_order(&self, number: usize) -> Option<usize> {
        self.order.iter().position(|(other, _)| *other == number)
    }
}

/// The newest value is the durable one.
fn forget_older(versions: &mut Vec<Version>) {
    let newest = versions.last().and_then(|(newest, _)| *newest);
    *versions = vec![(newest, None)];
}

fn key_of(at: &Place) -> Key {
    (at.dir, shorten(&at.path))
}

/// The last part of a path, without copying one that has no other.
fn shorten(path: &Name) -> Name {
    match last_part(path) {
        last if last.len() == path.len() => Arc::clone(path),
        last => last.into(),
    }
}
