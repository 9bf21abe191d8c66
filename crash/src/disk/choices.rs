//! What a crash may choose of a disk, and the tree that a choice leaves.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::disk::data::{Data, Part, hash_of};
use crate::disk::{Disk, Key, Version};
use crate::model::Model;
use crate::op::Place;
use crate::random::Random;
use crate::tree::{Bytes, File, FileId, Name, ROOT, Tree};

/// A part of a file, with its bytes.
#[derive(Debug)]
pub struct Content<'a> {
    part: Part,
    note: &'a Option<Bytes>,
    bytes: OnceCell<(Bytes, u64)>,
}

impl<'a> Content<'a> {
    fn new(part: Part, note: &'a Option<Bytes>) -> Content<'a> {
        Content { part, note, bytes: OnceCell::new() }
    }

    /// Which part it is.
    #[must_use]
    pub fn part(&self) -> Part {
        self.part
    }

    /// The extended attribute that is left.
    #[must_use]
    pub fn note(&self) -> Option<&Bytes> {
        self.note.as_ref()
    }
}

/// A file that may be left in more than one way, everything last.
#[derive(Debug)]
struct AtRisk<'a> {
    data: Cow<'a, Data>,
    contents: Vec<Content<'a>>,
}

impl AtRisk<'_> {
    fn bytes(&self, digit: usize) -> (Bytes, u64) {
        let Some(content) = self.contents.get(digit).or(self.contents.last()) else {
            return (Arc::clone(&self.data.file.bytes), self.data.whole_hash());
        };
        let (bytes, hash) = content.bytes.get_or_init(|| {
            let bytes = self.data.bytes(content.part);
            let hash = hash_of(&bytes);
            (bytes, hash)
        });
        (Arc::clone(bytes), *hash)
    }
}

/// All that a crash may choose. A *choice* is one digit for each position; the largest digits mean
/// that all survives. Digits that miss, or are too large, count as the largest.
#[derive(Debug)]
pub struct Choices<'a> {
    disk: &'a Disk,
    model: Model,
    names: Vec<(&'a Key, usize)>,
    prefix: Option<usize>,
    files: Vec<(FileId, AtRisk<'a>)>,
}

/// How many choices to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Up to so many choices are all tried.
    pub exhaustive: usize,
    /// How many to draw where there are more, besides everything, nothing, everything but one thing
    /// and nothing but one thing.
    pub samples: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { exhaustive: 1 << 12, samples: 400 }
    }
}

impl Bounds {
    /// Up to `exhaustive` choices are all tried, of more `samples` are drawn.
    #[must_use]
    pub fn new(exhaustive: usize, samples: usize) -> Bounds {
        Bounds { exhaustive, samples }
    }
}

/// Whether all choices were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// All were.
    Everywhere,
    /// There are too many: some were drawn.
    AtSome,
}

impl Disk {
    /// The choices that a crash has under a model.
    #[must_use]
    pub fn choices(&self, model: Model) -> Choices<'_> {
        let mut choices = Choices { disk: self, model, names: Vec::new(), prefix: None, files: Vec::new() };
        if !model.loses_power() {
            return choices;
        }
        if model.names_are_free() {
            let open = self.names.iter().filter(|(_, versions)| versions.len() > 1);
            choices.names = open.map(|(name, versions)| (name, versions.len())).collect();
        } else {
            choices.prefix = Some(self.order.len().saturating_add(1));
        }
        let used: BTreeSet<FileId> = self.names.values().flatten().filter_map(|(value, _)| *value).collect();
        for (id, whole) in self.files.iter().filter(|(id, _)| used.contains(id)) {
            let (data, notes) = (whole.under(model), whole.notes());
            let parts = data.parts(model);
            let contents: Vec<Content<'_>> =
                parts.iter().flat_map(|part| notes.iter().map(|note| Content::new(*part, note))).collect();
            if contents.len() > 1 {
                choices.files.push((*id, AtRisk { data, contents }));
            }
        }
        choices
    }
}

impl<'a> Choices<'a> {
    /// How many values each digit has.
    #[must_use]
    pub fn radices(&self) -> Vec<usize> {
        let names = self.names.iter().map(|(_, versions)| *versions).chain(self.prefix);
        names.chain(self.files.iter().map(|(_, at_risk)| at_risk.contents.len())).collect()
    }

    /// How many choices there are; `None` if they are too many to be counted.
    #[must_use]
    pub fn count(&self) -> Option<usize> {
        self.radices().iter().try_fold(1usize, |all, radix| all.checked_mul(*radix))
    }

    /// Visits choices: all of them, from everything to nothing, or some if there are more than
    /// `bounds` allow.
    pub fn each(&self, bounds: Bounds, random: &mut Random, visit: &mut dyn FnMut(&[usize])) -> Looked {
        let radices = self.radices();
        if self.count().is_some_and(|count| count <= bounds.exhaustive) {
            enumerate(&radices, visit);
            return Looked::Everywhere;
        }
        corners(&radices, visit);
        self.draw(bounds.samples, random, visit);
        Looked::AtSome
    }

    /// How many things a choice destroys, at least in part.
    #[must_use]
    pub fn lost(&self, choice: &[usize]) -> usize {
        choice.iter().zip(self.radices()).filter(|(digit, radix)| digit.saturating_add(1) < *radix).count()
    }

    /// Everything, and nothing.
    #[must_use]
    pub fn ends(&self) -> [Vec<usize>; 2] {
        ends(&self.radices())
    }

    /// Visits so many choices that are drawn, and may repeat.
    pub fn draw(&self, count: usize, random: &mut Random, visit: &mut dyn FnMut(&[usize])) {
        let radices = self.radices();
        for _ in 0..count {
            let digit = |radix: &usize| usize::try_from(random.below(u64::try_from(*radix).unwrap_or(1))).unwrap_or(0);
            let digits: Vec<usize> = radices.iter().map(digit).collect();
            visit(&digits);
        }
    }

    /// The version that a name has under a choice.
    fn version(&self, name: &Key, versions: &[Version], digits: &[usize]) -> usize {
        let last = versions.len().saturating_sub(1);
        let digit = |position: usize| digits.get(position).copied().unwrap_or(usize::MAX);
        if let Some(position) = self.names.iter().position(|(other, _)| *other == name) {
            return digit(position).min(last);
        }
        let Some(_) = self.prefix else { return last };
        let is_lost = |number: usize| self.disk.place_in_order(number).is_some_and(|place| place >= digit(0));
        versions.iter().rposition(|(_, number)| !number.is_some_and(is_lost)).unwrap_or(0)
    }

    fn versions(&self, at: &Place) -> Option<(&Key, &Vec<Version>)> {
        self.disk.names.get_key_value(&crate::disk::key_of(at))
    }

    /// Which operation on a name is the last that survives; `None` for the state of the last sync.
    #[must_use]
    pub fn last_change(&self, at: &Place, choice: &[usize]) -> Option<usize> {
        let (name, versions) = self.versions(at)?;
        versions.get(self.version(name, versions, choice))?.1
    }

    /// Whether what this operation did to a name is durable, or undone by what is.
    #[must_use]
    pub fn is_durable(&self, at: &Place, number: usize) -> bool {
        if self.prefix.is_some() {
            return self.disk.place_in_order(number).is_none();
        }
        self.versions(at).is_none_or(|(_, versions)| versions.iter().all(|(_, other)| *other != Some(number)))
    }

    /// How much of a file survives.
    #[must_use]
    pub fn content(&self, file: FileId, choice: &[usize]) -> Option<&Content<'a>> {
        let (position, at_risk) = self.at_risk(file)?;
        let digit = choice.get(position).copied().unwrap_or(usize::MAX);
        at_risk.contents.get(digit).or(at_risk.contents.last())
    }

    /// The position of a file that may be left in more than one way.
    fn at_risk(&self, file: FileId) -> Option<(usize, &AtRisk<'a>)> {
        let first = self.names.len().saturating_add(usize::from(self.prefix.is_some()));
        let position = self.files.binary_search_by_key(&file, |(other, _)| *other).ok()?;
        Some((first.saturating_add(position), &self.files.get(position)?.1))
    }

    /// How many bytes of a file were synced.
    #[must_use]
    pub fn synced_len(&self, file: FileId) -> usize {
        self.disk.files.get(&file).map_or(0, Data::synced_len)
    }

    /// The names that survive in each directory, in order.
    fn survivors(&self, digits: &[usize]) -> Vec<(&'a Key, FileId)> {
        let value = |(name, versions): (&'a Key, &'a Vec<Version>)| {
            Some((name, versions.get(self.version(name, versions, digits))?.0?))
        };
        self.disk.names.iter().filter_map(value).collect()
    }

    fn is_directory(&self, file: FileId) -> bool {
        self.disk.files.get(&file).is_some_and(|data| data.file.is_directory())
    }

    /// Visits what survives, a directory before what is in it: the path of the directory that a
    /// name is in, the name, the file.
    fn walk(&self, choice: &[usize], visit: &mut dyn FnMut(&str, &Name, FileId)) {
        let (survivors, mut entered) = (self.survivors(choice), BTreeSet::from([ROOT]));
        let inside = |dir: FileId| {
            let first = survivors.partition_point(|((there, _), _)| *there < dir);
            survivors.iter().skip(first).take_while(move |((there, _), _)| *there == dir)
        };
        let mut open = vec![(String::new(), inside(ROOT))];
        while let Some((path, names)) = open.last_mut() {
            let Some(((_, name), file)) = names.next() else {
                open.pop();
                continue;
            };
            let is_directory = self.is_directory(*file);
            // A directory has one name: the first.
            if is_directory && !entered.insert(*file) {
                continue;
            }
            visit(path, name, *file);
            if is_directory {
                let below = join(path, name);
                open.push((below, inside(*file)));
            }
        }
    }

    /// Tells the trees of choices apart by names, links among them, and contents.
    #[must_use]
    pub fn hash(&self, choice: &[usize]) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut met: Vec<FileId> = Vec::with_capacity(16);
        self.walk(choice, &mut |path, name, file| {
            (path, name).hash(&mut hasher);
            let first = met.iter().position(|other| *other == file);
            first.hash(&mut hasher);
            if first.is_none() {
                self.hash_file(file, choice, &mut hasher);
            }
            met.push(file);
        });
        hasher.finish()
    }

    fn hash_file(&self, file: FileId, choice: &[usize], hasher: &mut DefaultHasher) {
        let Some(data) = self.disk.files.get(&file) else { return };
        let note = self.note(file, data, choice);
        if self.model == Model::Journaled {
            note.map(|note| note.len()).hash(hasher);
        }
        (self.bytes(file, data, choice).1, data.file.kind, note.is_some()).hash(hasher);
    }

    /// The extended attribute that survives.
    fn note<'c>(&'c self, file: FileId, data: &'c Data, choice: &[usize]) -> Option<&'c Bytes> {
        let chosen = self.content(file, choice).map_or(data.file.note.as_ref(), Content::note);
        if self.model != Model::Journaled || chosen == data.file.note.as_ref() {
            return chosen;
        }
        let survive = choice.first().copied().unwrap_or(usize::MAX).min(self.disk.order.len());
        let last = survive.checked_sub(1).and_then(|last| self.disk.order.get(last));
        data.note_at(last.map(|(number, _)| *number))
    }

    fn bytes(&self, file: FileId, data: &Data, choice: &[usize]) -> (Bytes, u64) {
        match self.at_risk(file) {
            Some((position, at_risk)) => at_risk.bytes(choice.get(position).copied().unwrap_or(usize::MAX)),
            None => (Arc::clone(&data.file.bytes), data.whole_hash()),
        }
    }

    /// The tree that is found.
    #[must_use]
    pub fn tree(&self, choice: &[usize]) -> Tree {
        let mut tree = Tree::default();
        self.walk(choice, &mut |path, name, file| {
            let path = if path.is_empty() { Arc::clone(name) } else { join(path, name).into() };
            tree.names.insert(path, file);
            if !tree.files.contains_key(&file) {
                self.put(&mut tree, file, choice);
            }
        });
        tree
    }

    fn put(&self, tree: &mut Tree, file: FileId, choice: &[usize]) {
        let Some(data) = self.disk.files.get(&file) else { return };
        let note = self.note(file, data, choice).cloned();
        let mut found = File { bytes: self.bytes(file, data, choice).0, note, ..data.file.clone() };
        // Of two files that had one number, one after the other, both may be there: a disk would
        // have kept one.
        if let Some((other, there)) = tree.files.iter_mut().find(|(_, other)| other.number == found.number) {
            let younger = if *other > file { (&mut there.number, *other) } else { (&mut found.number, file) };
            *younger.0 = 1 << 32 | younger.1;
        }
        tree.files.insert(file, found);
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// All choices, from everything to nothing.
fn enumerate(radices: &[usize], visit: &mut dyn FnMut(&[usize])) {
    let [mut digits, _] = ends(radices);
    loop {
        visit(&digits);
        let Some(position) = digits.iter().position(|digit| *digit > 0) else { return };
        for (number, (digit, radix)) in digits.iter_mut().zip(radices).enumerate().take(position.saturating_add(1)) {
            *digit = if number == position { digit.saturating_sub(1) } else { radix.saturating_sub(1) };
        }
    }
}

fn ends(radices: &[usize]) -> [Vec<usize>; 2] {
    [radices.iter().map(|radix| radix.saturating_sub(1)).collect(), vec![0; radices.len()]]
}

/// Everything, nothing; everything but one thing, nothing but one thing.
fn corners(radices: &[usize], visit: &mut dyn FnMut(&[usize])) {
    for end in ends(radices) {
        visit(&end);
        for (position, radix) in radices.iter().enumerate() {
            let mut digits = end.clone();
            (0..*radix).for_each(|value| {
                if let Some(digit) = digits.get_mut(position) {
                    *digit = value;
                }
                visit(&digits);
            });
        }
    }
}
