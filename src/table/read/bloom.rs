//! Bloom filters of blocks (Bloom, "Space/time trade-offs in hash coding with allowable errors",
//! 1970; each name within one word, as in RocksDB's blocked filters): what is surely not in a
//! block.
//!
//! In a stack of many tables a name is looked up in all that are newer than the one that has it,
//! and most of these look-ups are negative. A block with more than one gets a filter, about ten
//! bits for each of its names, which answers for 29 of 30 of those that are not there. Filters are
//! in memory only.

use crate::error::Result;
use crate::format::record::{KeyBuf, RefRecord, next_record};
use crate::sync::{AtomicU8, OnceLock, Ordering};
use crate::table::file::{Block, TableFile};

/// Negative look-ups that a block bears before it gets a filter: one that is asked once need not be
/// read whole.
const PATIENCE: u8 = 1;
/// Names for each word of a filter.
const NAMES_PER_WORD: usize = 6;

/// A number for a name. Different names have different ones, mostly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NameHash(u64);

impl NameHash {
    #[inline]
    pub(crate) fn of(name: &[u8]) -> NameHash {
        const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
        // Both halves of the product: its upper bits depend on all of the lower ones, and the other
        // way round.
        let mix = |hash: u64, word: u64| {
            let product = u128::from(hash ^ word) * u128::from(ODD);
            (product >> 64) as u64 ^ product as u64
        };
        let (words, rest) = name.as_chunks::<8>();
        let hash = words.iter().fold(name.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
        let rest = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        NameHash(mix(mix(hash, rest), ODD))
    }

    /// Three bits of a word.
    #[inline]
    fn bits(self) -> u64 {
        1 << (self.0 & 63) | 1 << (self.0 >> 6 & 63) | 1 << (self.0 >> 12 & 63)
    }

    /// One of `count`.
    #[inline]
    fn place(self, count: usize) -> usize {
        ((u128::from(self.0) * count as u128) >> 64) as usize
    }
}

/// The filter of a block, once it has one.
#[derive(Debug, Default)]
pub(crate) struct BloomFilter {
    /// Negative look-ups so far.
    misses: AtomicU8,
    /// None at all if its records cannot be read.
    words: OnceLock<Box<[u64]>>,
}

impl BloomFilter {
    /// Whether the name of `hash` may be in the block; `false` is sure.
    #[inline]
    pub(crate) fn may_contain(&self, hash: NameHash) -> bool {
        let Some(words) = self.words.get() else { return true };
        words.get(hash.place(words.len())).is_none_or(|word| word & hash.bits() == hash.bits())
    }

    /// Counts a negative look-up in `block`.
    pub(crate) fn record_miss(&self, file: &TableFile, block: &Block) {
        // Losing count in a race of threads does no harm.
        let misses = self.misses.load(Ordering::Relaxed);
        if misses > PATIENCE {
            return;
        }
        self.misses.store(misses + 1, Ordering::Relaxed);
        if misses == PATIENCE {
            self.words.get_or_init(|| build(file, block).unwrap_or_default());
        }
    }
}

#[cold]
fn build(file: &TableFile, block: &Block) -> Result<Box<[u64]>> {
    let mut names = Vec::new();
    let mut collect = |block: &Block, most: usize| -> Result<()> {
        let (mut r, mut key) = (block.shape.reader(file.bytes_of(block), block.shape.first()), KeyBuf::default());
        let most = names.len().saturating_add(most);
        while names.len() < most && next_record::<RefRecord>(&mut r, &mut key, &file.context())?.is_some() {
            names.push(NameHash::of(key.as_slice()));
        }
        Ok(())
    };
    collect(block, usize::MAX)?;
    // Without an index, a seek to the first name of a block starts in the block before it.
    if let Some(next) = file.following::<RefRecord>(block, &mut Vec::new())? {
        collect(&next, 1)?;
    }
    let mut words = vec![0; names.len().div_ceil(NAMES_PER_WORD)].into_boxed_slice();
    for hash in names {
        if let Some(word) = words.get_mut(hash.place(words.len())) {
            *word |= hash.bits();
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_tell_names_apart() {
        let names: Vec<String> = (0..100_000).map(|n| format!("refs/heads/branch-{n:08}")).collect();
        let mut hashes: Vec<u64> = names.iter().map(|name| NameHash::of(name.as_bytes()).0).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), names.len());
        assert_ne!(NameHash::of(b"a").0, NameHash::of(b"\0a").0);
        assert_ne!(NameHash::of(b"").0, NameHash::of(b"\0").0);
    }
}
