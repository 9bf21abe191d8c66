//! Sorted keys that are searched by a word of each.

use std::cmp::Ordering;

use crate::error::Result;
use crate::format::block::Shape;
use crate::format::record::common_prefix;

/// How many bytes of keys are kept for each byte of blocks: damaged blocks could hold any number.
const MAX_EXPANSION: usize = 16;
/// Bits of a [`Starts`] entry for the position in a block, whose length has 24 bits.
const POSITION_BITS: u32 = 24;
/// Bytes of a word.
const WORD: usize = 8;

/// The eight bytes of `key` after `skip`, most significant first; zeros after its end.
#[inline(always)]
fn word(key: &[u8], skip: usize) -> u64 {
    let rest = key.get(skip..).unwrap_or_default();
    match rest.first_chunk() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => rest.iter().zip((0..8u32).rev()).fold(0, |word, (byte, place)| word | u64::from(*byte) << (8 * place)),
    }
}

/// Word number `at` of the first `shared` bytes of `key`.
#[inline(always)]
fn prefix_word(key: &[u8], shared: usize, at: usize) -> u64 {
    let start = at * WORD;
    match shared.saturating_sub(start) {
        0 => 0,
        rest @ 1..WORD => word(key, start) >> (8 * (WORD - rest)),
        _ => word(key, start),
    }
}

/// How the beginning of `key` compares to `prefix`.
#[inline(always)]
fn compare_prefix(key: &[u8], prefix: &[u8]) -> Ordering {
    key.get(..prefix.len()).unwrap_or(key).cmp(prefix)
}

/// Keys in ascending order, whole, and of each the word after what they all have in common.
#[derive(Debug)]
pub(crate) struct SortedKeys {
    /// Bytes that all keys begin with.
    shared: usize,
    words: Box<[u64]>,
    bytes: Box<[u8]>,
    /// Where each key ends in `bytes`.
    ends: Box<[u32]>,
}

/// Collects [`SortedKeys`].
#[derive(Debug, Default)]
pub(crate) struct Builder {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    allowed: usize,
}

fn key_at<'a>(bytes: &'a [u8], ends: &[u32], index: usize) -> &'a [u8] {
    let end = |index: usize| ends.get(index).map_or(0, |end| *end as usize);
    let start = index.checked_sub(1).map_or(0, end);
    bytes.get(start..end(index)).unwrap_or_default()
}

impl Builder {
    /// Adds a key that was found in a block of `block_len` bytes. Refuses one that is not above the
    /// one before it, and keys that are many times as long as their blocks.
    pub(crate) fn push(&mut self, key: &[u8], block_len: usize) -> bool {
        self.allowed = self.allowed.max(block_len.saturating_mul(MAX_EXPANSION));
        let last = self.ends.len().checked_sub(1).map(|last| key_at(&self.bytes, &self.ends, last));
        if last.is_some_and(|last| key <= last) || self.bytes.len() + key.len() > self.allowed {
            return false;
        }
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len() as u32);
        true
    }

    pub(crate) fn build(self) -> SortedKeys {
        let key = |index| key_at(&self.bytes, &self.ends, index);
        let last = self.ends.len().saturating_sub(1);
        let shared = common_prefix(key(0), key(last));
        let words = (0..self.ends.len()).map(|index| word(key(index), shared)).collect();
        SortedKeys { shared, words, bytes: self.bytes.into(), ends: self.ends.into() }
    }
}

impl SortedKeys {
    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    /// How many of the keys are below `key`.
    #[inline]
    pub(crate) fn lower_bound(&self, key: &[u8]) -> usize {
        match compare_prefix(key, self.bytes.get(..self.shared).unwrap_or_default()) {
            Ordering::Less => return 0,
            Ordering::Greater => return self.words.len(),
            Ordering::Equal => {}
        }
        let wanted = word(key, self.shared);
        let mut found = self.words.partition_point(|word| *word < wanted);
        if self.words.get(found) == Some(&wanted) {
            // Words may be equal where keys are not.
            let same = self.words.get(found..).unwrap_or_default().partition_point(|word| *word == wanted);
            let (mut low, mut high) = (found, found + same);
            while low < high {
                let middle = low + (high - low) / 2;
                if key_at(&self.bytes, &self.ends, middle) < key {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            found = low;
        }
        found
    }
}

/// The restarts of a block: of each, five bytes of its key after what they all have in common, and
/// its position.
///
/// What they have in common is kept, too: a look-up need not touch the start of the block for it.
#[derive(Debug)]
pub(crate) struct Starts {
    /// Bytes that the keys of all restarts begin with.
    shared: usize,
    /// Those bytes, a word at a time; then the entries.
    words: Box<[u64]>,
}

#[inline(always)]
fn fragment(key: &[u8], shared: usize) -> u64 {
    word(key, shared) >> POSITION_BITS << POSITION_BITS
}

#[inline(always)]
fn position(entry: u64) -> usize {
    (entry & ((1 << POSITION_BITS) - 1)) as usize
}

impl Starts {
    /// Reads the restarts of a block; `None` if their keys cannot be read or do not ascend.
    pub(crate) fn new(shape: &Shape, data: &[u8]) -> Option<Starts> {
        let starts = || (0..shape.restarts()).map(|index| shape.restart(data, index));
        let first = shape.restart_key(data, shape.first()).ok()?;
        let last = shape.restart_key(data, starts().next_back()?).ok()?;
        let shared = common_prefix(first, last);
        let mut before: &[u8] = &[];
        let entry = |start| {
            let key = shape.restart_key(data, start).ok().filter(|key| *key > before)?;
            before = key;
            Some(fragment(key, shared) | start as u64)
        };
        let prefix = (0..shared.div_ceil(WORD)).map(|at| Some(prefix_word(first, shared, at)));
        Some(Starts { shared, words: prefix.chain(starts().map(entry)).collect::<Option<_>>()? })
    }

    /// How the beginning of `key` compares to what all restarts have in common.
    #[inline]
    fn compare_prefix(&self, key: &[u8], prefix: &[u64]) -> Ordering {
        for (at, word) in prefix.iter().enumerate() {
            match prefix_word(key, self.shared, at).cmp(word) {
                Ordering::Equal => {}
                order => return order,
            }
        }
        // A key that ends earlier may differ by zeros alone.
        key.len().min(self.shared).cmp(&self.shared)
    }

    /// The position of the last restart whose key is not above `key`, or the first: walking from
    /// there finds `key`.
    #[inline]
    pub(crate) fn before(&self, shape: &Shape, data: &[u8], key: &[u8]) -> Result<usize> {
        let (prefix, entries) = self.words.split_at_checked(self.shared.div_ceil(WORD)).unwrap_or_default();
        let mut index = match self.compare_prefix(key, prefix) {
            Ordering::Less => 0,
            Ordering::Greater => entries.len(),
            Ordering::Equal => {
                let wanted = fragment(key, self.shared);
                let mut index = entries.partition_point(|entry| *entry < wanted);
                while let Some(entry) = entries.get(index).filter(|entry| **entry ^ wanted < 1 << POSITION_BITS) {
                    if shape.restart_key(data, position(*entry))? > key {
                        break;
                    }
                    index += 1;
                }
                index
            }
        };
        index = index.saturating_sub(1);
        Ok(entries.get(index).map_or(shape.first(), |entry| position(*entry)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_bounds_are_those_of_the_keys_themselves() {
        let parts: [&[u8]; 6] = [b"", b"a", b"b\0", b"b", b"0123456789", b"\xff"];
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for a in parts {
            for b in parts {
                for c in parts {
                    keys.push([b"refs/".as_slice(), a, b, c].concat());
                }
            }
        }
        keys.sort();
        keys.dedup();
        let mut builder = SortedKeys::builder();
        for key in keys.iter().step_by(3) {
            assert!(builder.push(key, 1 << 20));
        }
        let sorted = builder.build();
        for key in keys.iter().map(Vec::as_slice).chain([b"".as_slice(), b"refs", b"s", b"refs0"]) {
            let expected = keys.iter().step_by(3).filter(|other| other.as_slice() < key).count();
            assert_eq!(sorted.lower_bound(key), expected, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn keys_out_of_order_and_without_end_are_refused() {
        let mut builder = SortedKeys::builder();
        assert!(builder.push(b"b", 16) && !builder.push(b"b", 16) && !builder.push(b"a", 16));
        assert!(builder.push(&[b'c'; 200], 16) && !builder.push(&[b'd'; 200], 16));
    }
}
