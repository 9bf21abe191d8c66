//! Which trees may be found after a crash.
//!
//! What is modelled, behind any given change:
//!
//! * [`Model::Kill`]: everything written so far is there. Power stays on, the kernel goes on,
//!   processes are dead.
//! * [`Model::OnlySynced`]: power is lost. Each *name* has, independently of all other names, the
//!   value it had at the last sync of the directory or any value it was given since; a rename gives
//!   a value to two names, so both or neither may be there. A file is there if a name that survived
//!   stands for it. Each *file* has the bytes of its last sync, and of what was appended since:
//!   nothing; all up to the end of some write, or to some multiple of 512; or its full length with
//!   any subset of the 512-byte sectors, the others being zero. (Of more than four sectors not all
//!   subsets are tried, but: none, all, each missing alone, each alone.) Or sectors that were never
//!   synced have what was there before: of the table, or the list, that was the last to lose its
//!   name when this file was made. Syncing a file says nothing about its names.
//! * [`Model::Ordered`]: power is lost on a file system like ext4 with `data=ordered`. Changes of
//!   names survive as a prefix of the order in which they were made, each rename whole; not shorter
//!   than at the last sync of the directory. (Real ones also write the journal when a file is
//!   synced: that leaves fewer states, so we do not count on it.) A file's unsynced bytes are
//!   there, up to the end of some write, or missing, or zero; if it was renamed over another file
//!   they are there, which ext4 calls `auto_da_alloc`.
//!
//! A sync of a file that fails loses what it should have made durable: the kernel takes it for
//! written, and later syncs have nothing to do. Nothing that the file has then is durable any more.
//!
//! A file's note is the newest one, or that of its last sync. Its bytes say nothing about it.
//!
//! A symbolic link leads where it was made to lead, if its name survives.
//!
//! The times of a file's birth and last change, and its inode number, are always what they were
//! when it was written.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::world::{File, FileId, Name, Note, Op, Tree};

const SECTOR: usize = 512;
/// Of up to so many unsynced sectors every subset is tried.
const ALL_SUBSETS: usize = 4;

/// What a crash may destroy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Model {
    Kill,
    OnlySynced,
    Ordered,
}

/// How much of a file is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The first so many bytes.
    Prefix(usize),
    /// Its full length, but of the unsynced sectors only those with a bit here; the others are
    /// zero.
    Sectors(u64),
    /// Its full length, but behind what was synced the contents of the file that was there before.
    Old,
    All,
}

/// The bytes of a file, and how many of them were synced.
#[derive(Debug, Clone)]
pub(crate) struct Data {
    pub(crate) file: File,
    pub(crate) synced: usize,
    /// How long it was after each write since.
    ends: Vec<usize>,
    /// The note it had then.
    synced_note: Option<Note>,
    /// What was on the disk where this is to be.
    old: Arc<Vec<u8>>,
    /// A sync has failed: no later one makes a difference.
    is_lost: bool,
    /// It has taken the place of another file since the directory was synced.
    replaced: bool,
}

/// A value of a name, and the number of the change that gave it; `None` for the one that is
/// durable.
type Version = (Option<FileId>, Option<usize>);

/// What is written and what is synced at some instant.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    /// The values of each name since the directory was synced, that of the sync first.
    names: BTreeMap<Name, Vec<Version>>,
    files: BTreeMap<FileId, Data>,
    /// The changes of names since the directory was synced.
    order: Vec<usize>,
    /// What the last table and the last list had that lost their names.
    freed: [Arc<Vec<u8>>; 2],
}

impl Disk {
    /// A tree that is durable as a whole.
    pub(crate) fn synced(tree: &Tree) -> Disk {
        let names = tree.names.iter().map(|(name, file)| (Arc::clone(name), vec![(Some(*file), None)])).collect();
        let files = tree.files.iter().map(|(id, file)| (*id, Data::synced(file.clone()))).collect();
        Disk { names, files, ..Disk::default() }
    }

    /// The same, with the inode numbers that the files of `tree` have there: those who find it see
    /// these.
    pub(crate) fn numbered_as(&self, tree: &Tree) -> Disk {
        let mut disk = self.clone();
        for (id, file) in &tree.files {
            if let Some(data) = disk.files.get_mut(id) {
                data.file.number = file.number;
            }
        }
        disk
    }

    /// A number that no file on it has ever had.
    pub(crate) fn next_file(&self) -> FileId {
        self.files.keys().next_back().map_or(1, |last| last + 1)
    }

    /// Follows the log.
    pub(crate) fn apply(&mut self, number: usize, op: &Op) {
        match op {
            Op::Create { name, file, number: inode, created } => {
                let empty = File { number: *inode, created: *created, changed: *created, ..File::default() };
                let old = Arc::clone(&self.freed[usize::from(is_table(name))]);
                self.files.insert(*file, Data { old, ..Data::synced(empty) });
                self.set(number, name, Some(*file));
            }
            // Whole or not at all: where it leads is written with its name, or before.
            Op::Symlink { name, file, target } => {
                let link = File { bytes: Arc::clone(target), number: *file, is_link: true, ..File::default() };
                self.files.insert(*file, Data::synced(link));
                self.set(number, name, Some(*file));
            }
            Op::Write { file, bytes, .. } => {
                let data = self.files.get_mut(file).unwrap();
                data.file.bytes = Arc::clone(bytes);
                data.ends.push(bytes.len());
            }
            Op::SetNote { file, note, .. } => self.files.get_mut(file).unwrap().file.note = Some(Arc::clone(note)),
            Op::SyncFile { file, .. } => {
                let data = self.files.get_mut(file).unwrap();
                if data.is_lost {
                    return;
                }
                (data.synced, data.synced_note) = (data.file.bytes.len(), data.file.note.clone());
                data.ends.clear();
            }
            Op::SyncFailed { file, .. } => self.files.get_mut(file).unwrap().is_lost = true,
            Op::Link { new, file, .. } => self.set(number, new, Some(*file)),
            Op::Rename { from, to, file } => {
                let there = self.names.get(to).and_then(|versions| versions.last());
                let replaces = there.is_some_and(|(value, _)| value.is_some());
                self.files.get_mut(file).unwrap().replaced |= replaces;
                self.set(number, from, None);
                self.set(number, to, Some(*file));
            }
            Op::Remove { name } => self.set(number, name, None),
            Op::SyncDir => {
                for versions in self.names.values_mut() {
                    let (newest, _) = *versions.last().unwrap();
                    *versions = vec![(newest, None)];
                }
                self.names.retain(|_, versions| versions[0].0.is_some());
                self.order.clear();
            }
            Op::Acknowledge { .. } | Op::Killed => {}
        }
    }

    fn set(&mut self, number: usize, name: &Name, value: Option<FileId>) {
        let versions = self.names.entry(Arc::clone(name)).or_insert_with(|| vec![(None, None)]);
        let before = versions.last().and_then(|(before, _)| *before);
        versions.push((value, Some(number)));
        if let Some(freed) = before.filter(|before| value != Some(*before)) {
            self.freed[usize::from(is_table(name))] = Arc::clone(&self.files[&freed].file.bytes);
        }
        if self.order.last() != Some(&number) {
            self.order.push(number);
        }
    }

    /// What distinguishes this disk from others, whatever the files' numbers are.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (name, versions) in &self.names {
            name.hash(&mut hasher);
            for (value, number) in versions {
                number.map(|number| self.order.iter().position(|other| *other == number)).hash(&mut hasher);
                let data = value.map(|file| &self.files[&file]);
                data.map(|data| (&data.file.bytes, data.synced, &data.ends, data.replaced)).hash(&mut hasher);
                data.map(|data| (&data.old, data.is_lost)).hash(&mut hasher);
                data.map(|data| (data.file.note.is_some(), data.synced_note.is_some())).hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    /// The choices that a crash has under a model.
    pub(crate) fn choices(&self, model: Model) -> Choices<'_> {
        let mut choices =
            Choices { disk: self, names: Vec::new(), prefix: None, files: Vec::new(), whole: BTreeMap::new() };
        match model {
            Model::Kill => {}
            Model::OnlySynced => {
                let open = self.names.iter().filter(|(_, versions)| versions.len() > 1);
                choices.names = open.map(|(name, versions)| (name, versions.len())).collect();
            }
            Model::Ordered => choices.prefix = Some(self.order.len() + 1),
        }
        for (id, data) in &self.files {
            let used = self.names.values().flatten().any(|(value, _)| *value == Some(*id));
            let is_at_risk = used && model != Model::Kill;
            let parts = if is_at_risk { data.parts(model) } else { vec![Part::All] };
            let notes = if is_at_risk { data.notes() } else { vec![&data.file.note] };
            let contents = parts.iter().flat_map(|part| notes.iter().map(|note| Content::new(*part, note, data)));
            let contents = contents.collect::<Vec<_>>();
            if contents.len() > 1 {
                choices.files.push((*id, contents));
            } else {
                choices.whole.insert(*id, contents.into_iter().next().unwrap());
            }
        }
        choices
    }
}

fn is_table(name: &str) -> bool {
    name.ends_with(".ref")
}

impl Data {
    /// A file that is durable as it is.
    fn synced(file: File) -> Data {
        let (synced, synced_note, ends) = (file.bytes.len(), file.note.clone(), Vec::new());
        Data { synced, ends, synced_note, old: Arc::default(), is_lost: false, replaced: false, file }
    }

    /// What its note may be, the newest last.
    fn notes(&self) -> Vec<&Option<Note>> {
        let (before, now) = (&self.synced_note, &self.file.note);
        if before == now { vec![now] } else { vec![before, now] }
    }

    /// What may be left of it, everything last.
    fn parts(&self, model: Model) -> Vec<Part> {
        let (synced, len) = (self.synced, self.file.bytes.len());
        if synced == len || (model == Model::Ordered && self.replaced) {
            return vec![Part::All];
        }
        let mut parts = vec![Part::Prefix(synced), Part::Sectors(0)];
        let before_the_last = self.ends.split_last().map_or(&[][..], |(_, ends)| ends);
        parts.extend(before_the_last.iter().map(|end| Part::Prefix(*end)));
        if model == Model::OnlySynced {
            let cuts = (synced / SECTOR + 1..len.div_ceil(SECTOR)).map(|sector| Part::Prefix(sector * SECTOR));
            parts.extend(cuts);
            let sectors = (len.div_ceil(SECTOR) - synced / SECTOR).min(63);
            let all = (1u64 << sectors) - 1;
            if sectors <= ALL_SUBSETS {
                parts.extend((1..all).map(Part::Sectors));
            } else {
                let single = (0..sectors).map(|sector| 1 << sector);
                parts.extend(single.flat_map(|bit: u64| [Part::Sectors(bit), Part::Sectors(all & !bit)]));
            }
        }
        if model == Model::OnlySynced && !self.old.is_empty() {
            parts.push(Part::Old);
        }
        parts.push(Part::All);
        parts
    }

    fn bytes(&self, part: Part) -> Arc<Vec<u8>> {
        let whole = &self.file.bytes;
        match part {
            Part::All => Arc::clone(whole),
            Part::Prefix(len) => Arc::new(whole[..len].to_vec()),
            Part::Old => {
                let first = self.synced.next_multiple_of(SECTOR);
                let old = |at: usize| self.old.get(at).copied().filter(|_| at >= first).unwrap_or(0);
                let bytes = whole.iter().enumerate();
                Arc::new(bytes.map(|(at, byte)| if at < self.synced { *byte } else { old(at) }).collect())
            }
            Part::Sectors(mask) => {
                let first = self.synced / SECTOR;
                let kept = |at: usize| at < self.synced || mask >> (at / SECTOR - first).min(63) & 1 == 1;
                Arc::new(whole.iter().enumerate().map(|(at, byte)| if kept(at) { *byte } else { 0 }).collect())
            }
        }
    }
}

/// A part of a file, with its bytes.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) part: Part,
    bytes: Arc<Vec<u8>>,
    pub(crate) note: Option<Note>,
    hash: u64,
}

impl Content {
    fn new(part: Part, note: &Option<Note>, data: &Data) -> Content {
        let bytes = data.bytes(part);
        let mut hasher = DefaultHasher::new();
        (&bytes, data.file.is_link, note.is_some()).hash(&mut hasher);
        Content { part, bytes, note: note.clone(), hash: hasher.finish() }
    }
}

/// All that a crash may choose. A *choice* is one digit for each position; the largest digits mean
/// that all survives.
#[derive(Debug)]
pub(crate) struct Choices<'a> {
    disk: &'a Disk,
    names: Vec<(&'a Name, usize)>,
    prefix: Option<usize>,
    files: Vec<(FileId, Vec<Content>)>,
    whole: BTreeMap<FileId, Content>,
}

impl Choices<'_> {
    /// How many values each digit has.
    pub(crate) fn radices(&self) -> Vec<usize> {
        let names = self.names.iter().map(|(_, versions)| *versions).chain(self.prefix);
        names.chain(self.files.iter().map(|(_, contents)| contents.len())).collect()
    }

    /// The version that a name has under a choice.
    fn version(&self, name: &Name, versions: &[Version], digits: &[usize]) -> usize {
        if let Some(position) = self.names.iter().position(|(other, _)| *other == name) {
            return digits[position];
        }
        let Some(_) = self.prefix else { return versions.len() - 1 };
        let survives = |number: usize| self.disk.order[..digits[0]].contains(&number);
        versions.iter().rposition(|(_, number)| number.is_none_or(survives)).unwrap_or(0)
    }

    /// Which change of a name is the last that survives; `None` for the state of the last sync.
    pub(crate) fn last_change(&self, name: &str, digits: &[usize]) -> Option<usize> {
        let (name, versions) = self.disk.names.get_key_value(name)?;
        versions[self.version(name, versions, digits)].1
    }

    /// Whether the name's changes up to this one were made durable by a sync of the directory.
    pub(crate) fn is_durable(&self, number: usize) -> bool {
        !self.disk.order.contains(&number)
    }

    /// How much of a file survives.
    pub(crate) fn content(&self, file: FileId, digits: &[usize]) -> &Content {
        let first = digits.len() - self.files.len();
        match self.files.iter().position(|(other, _)| *other == file) {
            Some(position) => &self.files[position].1[digits[first + position]],
            None => &self.whole[&file],
        }
    }

    pub(crate) fn synced(&self, file: FileId) -> usize {
        self.disk.files[&file].synced
    }

    fn survivors<'s>(&'s self, digits: &'s [usize]) -> impl Iterator<Item = (&'s Name, FileId)> + 's {
        let value = |(name, versions): (&'s Name, &'s Vec<Version>)| {
            Some((name, versions[self.version(name, versions, digits)].0?))
        };
        self.disk.names.iter().filter_map(value)
    }

    /// Tells trees apart by names, links among them, and contents.
    pub(crate) fn hash(&self, digits: &[usize]) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut met: Vec<FileId> = Vec::with_capacity(16);
        for (name, file) in self.survivors(digits) {
            name.hash(&mut hasher);
            let first = met.iter().position(|other| *other == file);
            first.hash(&mut hasher);
            if first.is_none() {
                self.content(file, digits).hash.hash(&mut hasher);
            }
            met.push(file);
        }
        hasher.finish()
    }

    /// The tree that is found.
    pub(crate) fn tree(&self, digits: &[usize]) -> Tree {
        let mut tree = Tree::default();
        for (name, file) in self.survivors(digits) {
            tree.names.insert(Arc::clone(name), file);
            if tree.files.contains_key(&file) {
                continue;
            }
            let Content { bytes, note, .. } = self.content(file, digits);
            let mut found = self.disk.files[&file].file.clone();
            (found.bytes, found.note) = (Arc::clone(bytes), note.clone());
            // Of two files that had one number, one after the other, both may be there: a disk
            // would have kept one.
            if let Some((other, there)) = tree.files.iter_mut().find(|(_, other)| other.number == found.number) {
                let younger = if *other > file { (&mut there.number, *other) } else { (&mut found.number, file) };
                *younger.0 = 1 << 32 | younger.1;
            }
            tree.files.insert(file, found);
        }
        tree
    }
}
