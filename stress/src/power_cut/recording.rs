//! What a block device was told, and every state in which a power failure may leave it.
//!
//! A device with a cache may lose any write that it answered after the last flush that it answered.
//! All of those that are lost together would be too many states; each alone, and all that come
//! after one moment, are tried.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::FileExt;

/// What a device writes as a whole.
const SECTOR: usize = 512;
/// Writes before the moment of which each may be missing, unless there was a flush since.
const WINDOW: usize = 64;

/// Something the device was told to keep.
#[derive(Debug)]
pub(super) struct Write {
    /// When it came.
    pub(super) at: u64,
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
}

/// What was answered before it is durable.
#[derive(Debug, Clone, Copy)]
struct Flush {
    at: u64,
    /// Writes that were answered.
    writes: usize,
}

/// All that a device was told, one after the other.
#[derive(Debug, Default)]
pub(super) struct Recording {
    writes: Vec<Write>,
    flushes: Vec<Flush>,
    end: u64,
}

/// A state after a power failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// So many writes are there...
    pub(super) writes: usize,
    /// ... but for this one.
    pub(super) without: Option<usize>,
    /// What was acknowledged until then had to survive.
    pub(super) before: u64,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} writes", self.writes)?;
        self.without.map_or(Ok(()), |without| write!(f, " without the one after {without}"))
    }
}

/// The writes of each sector, with hashes of its contents; the first is what there was before.
type Versions = BTreeMap<u64, Vec<(Option<usize>, u64)>>;

impl Recording {
    pub(super) fn write(&mut self, write: Write) {
        self.writes.push(write);
    }

    pub(super) fn flush(&mut self, at: u64) {
        self.flushes.push(Flush { at, writes: self.writes.len() });
    }

    /// Nothing that comes later counts.
    pub(super) fn end(&mut self, at: u64) {
        self.end = at;
    }

    pub(super) fn writes(&self) -> usize {
        self.writes.len()
    }

    pub(super) fn flushes(&self) -> usize {
        self.flushes.len()
    }

    /// All states, ascending by their writes, each image once: with what had to survive in the one
    /// of them that promises most. `base` is the device as it was before.
    ///
    /// # Errors
    /// `base` cannot be read, or a write is not one of whole sectors.
    pub(super) fn states(&self, base: &File) -> io::Result<Vec<State>> {
        let versions = self.versions(base)?;
        let mut states: Vec<State> = Vec::new();
        let mut known: BTreeMap<u64, usize> = BTreeMap::new();
        let mut add = |image: u64, state: State| match known.get(&image).and_then(|at| states.get_mut(*at)) {
            Some(same) => same.before = same.before.max(state.before),
            None => {
                known.insert(image, states.len());
                states.push(state);
            }
        };
        let mut image = 0;
        for writes in 0..=self.writes.len() {
            if let Some(last) = writes.checked_sub(1) {
                image ^= self.difference(&versions, last, writes, last);
            }
            add(image, State { writes, without: None, before: self.next_write(writes) });
            for without in self.unflushed(writes) {
                let image = image ^ self.difference(&versions, without, writes, without);
                add(image, State { writes, without: Some(without), before: self.next_event(writes) });
            }
        }
        Ok(states)
    }

    /// Makes the write.
    pub(super) fn apply(&self, number: usize, image: &File) -> io::Result<()> {
        self.writes.get(number).map_or(Ok(()), |write| image.write_all_at(&write.bytes, write.offset))
    }

    /// Takes the write that is missing out of an image with all of them.
    pub(super) fn leave_out(&self, state: State, base: &File, image: &File) -> io::Result<()> {
        let Some(without) = state.without else { return Ok(()) };
        let missing = self.writes.get(without).ok_or(io::ErrorKind::NotFound)?;
        let others = || self.writes.iter().take(state.writes).enumerate().filter(|(number, _)| *number != without);
        for (sector, _) in missing.sectors() {
            let mut bytes = vec![0; SECTOR];
            match others().rev().find_map(|(_, write)| write.sector(sector)) {
                Some(other) => bytes.copy_from_slice(other),
                None => base.read_exact_at(&mut bytes, sector * SECTOR as u64)?,
            }
            image.write_all_at(&bytes, sector * SECTOR as u64)?;
        }
        Ok(())
    }

    /// Of so many writes those that no flush has made durable, the last of them.
    fn unflushed(&self, writes: usize) -> std::ops::Range<usize> {
        // A flush that came when these were all is later than the state that is wanted.
        let flushed = self.flushes.iter().map(|flush| flush.writes).take_while(|flushed| *flushed < writes).last();
        flushed.unwrap_or(0).max(writes.saturating_sub(WINDOW))..writes
    }

    /// When the write came that is not there any more.
    fn next_write(&self, writes: usize) -> u64 {
        self.writes.get(writes).map_or(self.end, |write| write.at)
    }

    /// When the first write or flush came after so many writes.
    fn next_event(&self, writes: usize) -> u64 {
        let flush = self.flushes.iter().find(|flush| flush.writes == writes).map(|flush| flush.at);
        self.next_write(writes).min(flush.unwrap_or(u64::MAX))
    }

    fn versions(&self, base: &File) -> io::Result<Versions> {
        let mut versions = Versions::new();
        for (number, write) in self.writes.iter().enumerate() {
            if !write.bytes.len().is_multiple_of(SECTOR) || !write.offset.is_multiple_of(SECTOR as u64) {
                return Err(io::Error::other(format!("a write of {} bytes at {}", write.bytes.len(), write.offset)));
            }
            for (sector, bytes) in write.sectors() {
                let of_sector = versions.entry(sector).or_default();
                if of_sector.is_empty() {
                    let mut before = vec![0; SECTOR];
                    base.read_exact_at(&mut before, sector * SECTOR as u64)?;
                    of_sector.push((None, hash(sector, &before)));
                }
                of_sector.push((Some(number), hash(sector, bytes)));
            }
        }
        Ok(versions)
    }

    /// What an image of so many writes differs by, in its hash, from the same without `without`,
    /// summed over the sectors of `of`.
    fn difference(&self, versions: &Versions, of: usize, writes: usize, without: usize) -> u64 {
        let of_sector = |(sector, _)| {
            let there = versions.get(&sector).into_iter().flatten().rev();
            let mut there = there.filter(|(number, _)| number.is_none_or(|number| number < writes));
            let with = there.clone().next();
            let less = there.find(|(number, _)| *number != Some(without));
            with.zip(less).map_or(0, |(with, less)| with.1 ^ less.1)
        };
        self.writes.get(of).into_iter().flat_map(Write::sectors).map(of_sector).fold(0, |sum, one| sum ^ one)
    }
}

impl Write {
    /// Its sectors, by number.
    fn sectors(&self) -> impl Iterator<Item = (u64, &[u8])> {
        (self.offset / SECTOR as u64..).zip(self.bytes.chunks_exact(SECTOR))
    }

    fn sector(&self, sector: u64) -> Option<&[u8]> {
        let at = sector.checked_sub(self.offset / SECTOR as u64)?;
        self.bytes.chunks_exact(SECTOR).nth(usize::try_from(at).ok()?)
    }
}

fn hash(sector: u64, bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (sector, bytes).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sectors full of one letter.
    fn letters(letters: &str) -> Vec<u8> {
        letters.bytes().flat_map(|letter| [letter; SECTOR]).collect()
    }

    fn read(image: &File) -> String {
        let mut bytes = vec![0; SECTOR * 3];
        image.read_exact_at(&mut bytes, 0).unwrap();
        bytes.chunks(SECTOR).map(|sector| char::from(sector[0])).collect()
    }

    fn device(contents: &str) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&letters(contents), 0).unwrap();
        file
    }

    fn write(at: u64, sector: u64, contents: &str) -> Write {
        Write { at, offset: sector * SECTOR as u64, bytes: letters(contents) }
    }

    /// All images, and until when they have to have everything.
    fn images(recording: &Recording) -> Vec<(String, u64)> {
        let (base, prefix) = (device("..."), device("..."));
        let mut applied = 0;
        let made = recording.states(&base).unwrap().into_iter().map(|state| {
            for number in applied..state.writes {
                recording.apply(number, &prefix).unwrap();
            }
            applied = state.writes;
            let image = device(&read(&prefix));
            recording.leave_out(state, &base, &image).unwrap();
            (read(&image), state.before)
        });
        made.collect()
    }

    #[test]
    fn each_write_since_the_last_flush_may_be_missing_alone() {
        let mut recording = Recording::default();
        recording.write(write(10, 0, "a"));
        recording.write(write(20, 1, "b"));
        recording.write(write(30, 2, "c"));
        recording.end(40);
        let expected = [("...", 20), ("a..", 30), ("ab.", 40), (".b.", 30), ("abc", 40), (".bc", 40), ("a.c", 40)];
        assert_eq!(images(&recording), expected.map(|(image, before)| (image.to_owned(), before)));
    }

    #[test]
    fn what_was_flushed_stays() {
        let mut recording = Recording::default();
        recording.write(write(10, 0, "a"));
        recording.flush(15);
        recording.write(write(20, 1, "b"));
        recording.end(30);
        // Without "a" until its flush came, with it from then on.
        let expected = [("...", 15), ("a..", 30), ("ab.", 30)];
        assert_eq!(images(&recording), expected.map(|(image, before)| (image.to_owned(), before)));
    }

    #[test]
    fn a_missing_write_shows_what_others_have_written_there() {
        let mut recording = Recording::default();
        recording.write(write(10, 0, "abc"));
        recording.write(write(20, 1, "de"));
        recording.write(write(30, 2, "f"));
        recording.end(40);
        let shown: Vec<String> = images(&recording).into_iter().map(|(image, _)| image).collect();
        assert_eq!(shown, ["...", "abc", "ade", ".de", "adf", ".df", "abf"]);
    }

    #[test]
    fn only_the_last_64_may_be_missing() {
        let mut recording = Recording::default();
        for number in 0..100 {
            recording.write(write(number, number, "a"));
        }
        assert_eq!(recording.unflushed(100), 36..100);
        recording.flush(100);
        assert_eq!(recording.unflushed(100), 36..100, "a flush that is not answered promises nothing");
        recording.write(write(101, 0, "b"));
        assert_eq!(recording.unflushed(101), 100..101);
    }
}
