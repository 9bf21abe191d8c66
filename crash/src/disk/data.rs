//! One file on the disk: what of it is durable, and what may be left of the rest.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::disk::Error;
use crate::model::{Model, SECTOR};
use crate::tree::{Bytes, File};

/// Of up to so many unsynced sectors every subset is tried.
const ALL_SUBSETS: usize = 4;
/// Of more sectors, runs of them count as one; of more places to cut, so many are tried.
const MOST_PIECES: usize = 63;
/// Longer files are refused: all states are held in memory.
pub(crate) const LONGEST: u64 = 1 << 30;

/// How much of a file is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// All of it.
    All,
    /// What it had after so many of the writes since the last sync.
    Writes(usize),
    /// What it had after so many of those writes, and of the next one what lies before this offset.
    Cut {
        /// Whole writes.
        writes: usize,
        /// In bytes of the file.
        at: usize,
    },
    /// Its full length, but of the sectors that were written only those with a bit here; the others
    /// are as they were, or zero.
    Sectors(u64),
    /// Its full length, but after what was synced the contents of another file, which was there
    /// before.
    Old,
    /// Its full length, and one sector half old and half new.
    Torn {
        /// The offset within this sector at which it tears, in bytes of the file.
        at: usize,
        /// Whether what lies before is the new half.
        new_first: bool,
        /// Whether all other sectors are new. Otherwise they are as they were.
        others: bool,
    },
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Bytes },
    Truncate { len: usize },
}

impl Change {
    /// Makes it, of a write only what lies before `end`.
    fn apply(&self, contents: &mut Vec<u8>, end: usize) {
        match self {
            Change::Truncate { len } => contents.resize(*len, 0),
            Change::Write { offset, bytes } => {
                let len = bytes.len().min(end.saturating_sub(*offset));
                let end = offset.saturating_add(len);
                if len > 0 && contents.len() < end {
                    contents.resize(end, 0);
                }
                if let (Some(to), Some(from)) = (contents.get_mut(*offset..end), bytes.get(..len)) {
                    to.copy_from_slice(from);
                }
            }
        }
    }

    fn end(&self) -> usize {
        match self {
            Change::Write { offset, bytes } => offset.saturating_add(bytes.len()),
            Change::Truncate { len } => *len,
        }
    }
}

/// The bytes of a file, and which of them were synced.
#[derive(Debug, Clone)]
pub(crate) struct Data {
    pub(crate) file: File,
    /// What the last sync has made durable, and the note that it had then.
    base: Bytes,
    base_note: Option<Bytes>,
    /// The notes that it got since, with the numbers of the operations, as far as no name that was
    /// given later is durable; and the one that it had before.
    notes: Vec<(usize, Bytes)>,
    journaled_note: Option<Bytes>,
    /// Since then.
    changes: Vec<Change>,
    /// How many of them it had when it took the place of another file.
    landed: usize,
    /// The shortest it was since then.
    shortest: usize,
    /// What was on the disk where this is to be.
    old: Bytes,
    /// A sync has failed: no later one makes a difference.
    is_lost: bool,
    hash: OnceCell<u64>,
}

impl Data {
    /// A file that is durable as it is.
    pub(crate) fn synced(file: File) -> Data {
        let (base, base_note) = (Arc::clone(&file.bytes), file.note.clone());
        let shortest = base.len();
        Data {
            file,
            base,
            notes: Vec::new(),
            journaled_note: base_note.clone(),
            base_note,
            changes: Vec::new(),
            landed: 0,
            shortest,
            old: Bytes::default(),
            is_lost: false,
            hash: OnceCell::new(),
        }
    }

    /// The same, where something else was before.
    pub(crate) fn over(self, old: Bytes) -> Data {
        Data { old, ..self }
    }

    pub(crate) fn write(&mut self, offset: u64, bytes: &Bytes) -> Result<(), Error> {
        let end = u64::try_from(bytes.len()).ok().and_then(|len| offset.checked_add(len));
        let offset = end.filter(|end| *end <= LONGEST).and_then(|_| usize::try_from(offset).ok());
        let offset = offset.ok_or(Error::TooLong)?;
        if !bytes.is_empty() {
            self.change(Change::Write { offset, bytes: Arc::clone(bytes) });
        }
        Ok(())
    }

    pub(crate) fn truncate(&mut self, len: u64) -> Result<(), Error> {
        let len = Some(len).filter(|len| *len <= LONGEST).and_then(|len| usize::try_from(len).ok());
        let len = len.ok_or(Error::TooLong)?;
        let before = self.file.bytes.len();
        if len < before {
            self.old = Arc::clone(&self.file.bytes);
        }
        if len != before {
            self.change(Change::Truncate { len });
        }
        Ok(())
    }

    fn change(&mut self, change: Change) {
        change.apply(Arc::make_mut(&mut self.file.bytes), usize::MAX);
        self.shortest = self.shortest.min(self.file.bytes.len());
        self.changes.push(change);
        self.hash.take();
    }

    pub(crate) fn sync(&mut self) {
        if self.is_lost {
            return;
        }
        (self.base, self.base_note) = (Arc::clone(&self.file.bytes), self.file.note.clone());
        self.changes.clear();
        self.journal(usize::MAX);
        (self.landed, self.shortest) = (0, self.base.len());
    }

    /// Its extended attribute has a new value.
    pub(crate) fn set_note(&mut self, number: usize, note: &Bytes) {
        self.file.note = Some(Arc::clone(note));
        self.notes.push((number, Arc::clone(note)));
    }

    /// Of names and attributes, what was done before this operation is in the journal.
    pub(crate) fn journal(&mut self, end: usize) {
        let durable = self.notes.iter().take_while(|(number, _)| *number < end).count();
        if let Some((_, note)) = self.notes.drain(..durable).next_back() {
            self.journaled_note = Some(note);
        }
    }

    /// The note that it has at least where the change of a name of this number survives; `None` for
    /// none since names were durable.
    pub(crate) fn note_at(&self, number: Option<usize>) -> Option<&Bytes> {
        let is_before = |set: usize| number.is_some_and(|number| set <= number);
        let since = self.notes.iter().rev().find(|(set, _)| is_before(*set));
        since.map(|(_, note)| note).or(self.journaled_note.as_ref())
    }

    pub(crate) fn fail_sync(&mut self) {
        self.is_lost = true;
    }

    /// It has taken the place of another file.
    pub(crate) fn land(&mut self) {
        self.landed = self.changes.len();
    }

    /// The file as a model sees it: where names survive in order, what it had when it took the
    /// place of another file is durable.
    pub(crate) fn under(&self, model: Model) -> Cow<'_, Data> {
        if !model.is_ordered() || self.landed == 0 {
            return Cow::Borrowed(self);
        }
        let base = Arc::new(self.after(self.landed));
        let mut data = Data { base: Arc::clone(&base), ..Data::synced(File { bytes: base, ..self.file.clone() }) };
        data.base_note.clone_from(&self.base_note);
        (data.notes, data.journaled_note) = (self.notes.clone(), self.journaled_note.clone());
        self.changes.iter().skip(self.landed).for_each(|change| data.change(change.clone()));
        Cow::Owned(data)
    }

    /// How many bytes were synced.
    pub(crate) fn synced_len(&self) -> usize {
        self.base.len()
    }

    /// What its note may be, the newest last.
    pub(crate) fn notes(&self) -> Vec<&Option<Bytes>> {
        let (before, now) = (&self.base_note, &self.file.note);
        if before == now { vec![now] } else { vec![before, now] }
    }

    /// A hash of its newest contents.
    pub(crate) fn whole_hash(&self) -> u64 {
        *self.hash.get_or_init(|| hash_of(&self.file.bytes))
    }

    /// What distinguishes it from other files.
    pub(crate) fn fingerprint(&self, hasher: &mut DefaultHasher) {
        (self.whole_hash(), &self.base, self.landed, &self.old, self.is_lost).hash(hasher);
        (self.file.kind, self.file.note.is_some(), self.base_note.is_some()).hash(hasher);
        (self.notes.len(), self.journaled_note.is_some()).hash(hasher);
        for change in &self.changes {
            match change {
                Change::Write { offset, bytes } => (offset, bytes).hash(hasher),
                Change::Truncate { len } => len.hash(hasher),
            }
        }
    }

    /// What may be left of it, everything last.
    pub(crate) fn parts(&self, model: Model) -> Vec<Part> {
        let is_appended = self.changes.iter().all(|change| matches!(change, Change::Write { .. }))
            && self.shortest >= self.base.len()
            && self.changes.iter().try_fold(self.base.len(), appends).is_some();
        if self.changes.is_empty() {
            return vec![Part::All];
        }
        let mut parts = vec![Part::Writes(0), Part::Sectors(0)];
        parts.extend(thin(1..self.changes.len()).map(Part::Writes));
        if !model.is_ordered() || !is_appended {
            self.cuts(&mut parts);
            self.subsets(&mut parts);
            if !self.old.is_empty() {
                parts.push(Part::Old);
            }
        }
        if model == Model::TornSectors {
            self.tears(&mut parts);
        }
        parts.push(Part::All);
        parts
    }

    /// Ends of sectors within each write.
    fn cuts(&self, parts: &mut Vec<Part>) {
        let mut cuts = Vec::new();
        for (writes, change) in self.changes.iter().enumerate() {
            let Change::Write { offset, .. } = change else { continue };
            let is_last = writes.saturating_add(1) == self.changes.len();
            let end = if is_last { change.end() } else { change.end().saturating_add(1) };
            let first = (offset / SECTOR).saturating_add(1).saturating_mul(SECTOR);
            cuts.extend((first..end).step_by(SECTOR).map(|at| Part::Cut { writes, at }));
        }
        parts.extend(thin(0..cuts.len()).filter_map(|number| cuts.get(number)));
    }

    /// Sectors that may be as they were.
    fn subsets(&self, parts: &mut Vec<Part>) {
        let pieces = self.touched().len().min(MOST_PIECES);
        let all = mask_of(pieces);
        if pieces <= ALL_SUBSETS {
            parts.extend((1..all).map(Part::Sectors));
        } else {
            let single = (0..pieces).map(|piece| 1u64.checked_shl(piece as u32).unwrap_or(0));
            parts.extend(single.flat_map(|bit| [Part::Sectors(bit), Part::Sectors(all & !bit)]));
        }
    }

    /// Halves of sectors, torn in the midst of what differs.
    fn tears(&self, parts: &mut Vec<Part>) {
        let touched: Vec<usize> = self.touched().into_iter().collect();
        let (old, new) = (self.sectors(0), &self.file.bytes);
        for sector in thin(0..touched.len()).filter_map(|number| touched.get(number)) {
            let first = sector.saturating_mul(SECTOR);
            let range = first..first.saturating_add(SECTOR).min(new.len());
            let mut differ = range.filter(|at| old.get(*at) != new.get(*at));
            let Some(from) = differ.next() else { continue };
            let Some(to) = differ.next_back() else { continue };
            let at = from.midpoint(to).saturating_add(1);
            for (new_first, others) in [(true, true), (true, false), (false, true), (false, false)] {
                parts.push(Part::Torn { at, new_first, others });
            }
        }
    }

    /// The sectors that were written since the last sync and are still part of the file.
    fn touched(&self) -> BTreeSet<usize> {
        let mut touched = BTreeSet::new();
        let len = self.file.bytes.len();
        let mut add = |from: usize, to: usize| touched.extend(from / SECTOR..to.min(len).div_ceil(SECTOR));
        for change in &self.changes {
            if let Change::Write { offset, .. } = change {
                add(*offset, change.end());
            }
        }
        // A gap before a write, and what a truncation took.
        let kept = self.shortest.min(self.base.len());
        if len > kept {
            add(kept, len);
        }
        touched
    }

    /// The newest length with the sectors of this mask, the others as they were.
    fn sectors(&self, mask: u64) -> Vec<u8> {
        let mut bytes = self.file.bytes.to_vec();
        let touched = self.touched();
        let most = touched.len().div_ceil(MOST_PIECES).max(1);
        for (number, sector) in touched.into_iter().enumerate() {
            let piece = u32::try_from(number / most).unwrap_or(u32::MAX);
            if mask.checked_shr(piece).unwrap_or(0) & 1 == 0 {
                self.revert(&mut bytes, sector, usize::MAX, |_| 0);
            }
        }
        bytes
    }

    /// Gives a sector of `bytes`, before `end`, what it had, or what `other` tells where it had
    /// nothing.
    fn revert(&self, bytes: &mut [u8], sector: usize, end: usize, other: impl Fn(usize) -> u8) {
        let first = sector.saturating_mul(SECTOR);
        let last = first.saturating_add(SECTOR).min(bytes.len()).min(end);
        let kept = self.base.get(..self.shortest.min(self.base.len())).unwrap_or_default();
        let Some(part) = bytes.get_mut(first..last) else { return };
        for (at, byte) in (first..).zip(part) {
            *byte = kept.get(at).copied().unwrap_or_else(|| other(at));
        }
    }

    /// What it had after some writes.
    fn after(&self, writes: usize) -> Vec<u8> {
        let mut bytes = self.base.to_vec();
        self.changes.iter().take(writes).for_each(|change| change.apply(&mut bytes, usize::MAX));
        bytes
    }

    pub(crate) fn bytes(&self, part: Part) -> Bytes {
        Arc::new(match part {
            Part::All => return Arc::clone(&self.file.bytes),
            Part::Writes(0) => return Arc::clone(&self.base),
            Part::Writes(writes) => self.after(writes),
            Part::Cut { writes, at } => {
                let mut bytes = self.after(writes);
                if let Some(change) = self.changes.get(writes) {
                    change.apply(&mut bytes, at);
                }
                bytes
            }
            Part::Sectors(mask) => self.sectors(mask),
            Part::Old => {
                let first = self.shortest.min(self.base.len()).next_multiple_of(SECTOR);
                let old = |at: usize| self.old.get(at).copied().filter(|_| at >= first).unwrap_or(0);
                let mut bytes = self.file.bytes.to_vec();
                self.touched().into_iter().for_each(|sector| self.revert(&mut bytes, sector, usize::MAX, old));
                bytes
            }
            Part::Torn { at, new_first, others } => self.torn(at, new_first, others),
        })
    }

    fn torn(&self, at: usize, new_first: bool, others: bool) -> Vec<u8> {
        let (old, new) = (self.sectors(0), self.file.bytes.as_slice());
        let (mut bytes, sector) = (if others { new.to_vec() } else { old.clone() }, at / SECTOR);
        let first = sector.saturating_mul(SECTOR);
        let range = first..first.saturating_add(SECTOR);
        for (place, byte) in bytes.iter_mut().enumerate().filter(|(place, _)| range.contains(place)) {
            let from = if (place < at) == new_first { new } else { old.as_slice() };
            *byte = from.get(place).copied().unwrap_or(0);
        }
        bytes
    }
}

/// The length after a change that begins where the file ends.
fn appends(len: usize, change: &Change) -> Option<usize> {
    match change {
        Change::Write { offset, .. } if *offset >= len => Some(change.end()),
        _ => None,
    }
}

fn mask_of(pieces: usize) -> u64 {
    let over = 64u32.saturating_sub(u32::try_from(pieces).unwrap_or(64));
    u64::MAX.checked_shr(over).unwrap_or(0)
}

/// Of many numbers some that are spread evenly; of few, all.
fn thin(all: std::ops::Range<usize>) -> impl Iterator<Item = usize> {
    let step = all.len().div_ceil(MOST_PIECES).max(1);
    all.step_by(step)
}

pub(crate) fn hash_of(bytes: &Bytes) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
