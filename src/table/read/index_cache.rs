//! The index cache of a section (compare RocksDB's block cache of index blocks): index blocks
//! decoded, data blocks validated, their keys ready to be searched.
//!
//! The first look-ups go down the index in the file. Those that follow keep what they walk over, so
//! that none of them validates or decodes a block again: of an index block the keys and children,
//! of a data block the start of each restart's key. It costs memory of about a twentieth of the
//! blocks that were asked for, with their filters a twelfth; scans build nothing.
//!
//! What cannot be kept (a damaged block, keys out of order) is looked for in the file each time,
//! and reported there.

use super::bloom::{BloomFilter, NameHash};
use super::index_walk::{IndexEntries, descend};
use super::sorted_keys::{SortedKeys, Starts};
use crate::error::Result;
use crate::format::header::BlockKind;
use crate::sync::{AtomicU8, OnceLock, Ordering};
use crate::table::file::{Block, Section, TableFile};

/// How many look-ups in a table fill no cache: for one or two it does not pay to decode whole index
/// blocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WarmUp(u8);

impl WarmUp {
    /// For readers.
    pub(crate) const READ: WarmUp = WarmUp(3);
    /// For a commit of few names. Each asks a few times, of tables most of which are merged soon.
    pub(crate) const COMMIT: WarmUp = WarmUp(64);
}

/// Sections without an index are remembered if they have at most this many blocks; writers leave it
/// out below four.
const MAX_BLOCKS_WITHOUT_INDEX: usize = 8;

/// Where a seek to a key starts: a data block and a position in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SeekStart<'a> {
    pub(crate) block: Block,
    pub(crate) start: usize,
    /// That of the block, if it is one that is known.
    pub(crate) filter: Option<&'a BloomFilter>,
}

/// One section of a table and what is known about it.
#[derive(Debug)]
pub(crate) struct IndexCache {
    pub(crate) section: Section,
    kind: BlockKind,
    lookups: AtomicU8,
    root: OnceLock<CachedIndex>,
}

/// What is below an entry of an index.
#[derive(Debug)]
enum CachedIndex {
    Node(Box<Node>),
    Leaf(Leaf),
    /// Nothing that can be kept.
    Unknown,
}

/// An index block.
#[derive(Debug)]
struct Node {
    /// The last key of each child.
    keys: SortedKeys,
    children: Box<[Child]>,
}

#[derive(Debug)]
struct Child {
    offset: u64,
    below: OnceLock<CachedIndex>,
}

/// A data block.
#[derive(Debug)]
struct Leaf {
    block: Block,
    restarts: Starts,
    filter: BloomFilter,
}

impl IndexCache {
    pub(crate) fn new(kind: BlockKind, section: Section) -> IndexCache {
        IndexCache { section, kind, lookups: AtomicU8::new(0), root: OnceLock::new() }
    }

    /// Where to look for `key`; `None` when it is after the last, or surely not there by its
    /// `hash`. A log block is inflated into `inflated`.
    #[inline]
    pub(crate) fn place<'a>(
        &'a self,
        file: &TableFile,
        key: &[u8],
        hash: Option<NameHash>,
        warm_up: WarmUp,
        inflated: &mut Vec<u8>,
    ) -> Result<Option<SeekStart<'a>>> {
        let root = match self.root.get() {
            Some(root) => root,
            None if self.is_passing(warm_up) => return self.place_below(file, self.section.start(), key, inflated),
            None => self.root.get_or_init(|| self.load_root(file)),
        };
        let (mut below, mut offset) = (root, self.section.start());
        loop {
            match below {
                CachedIndex::Leaf(leaf) => {
                    let Leaf { block, restarts, filter } = leaf;
                    if hash.is_some_and(|hash| !filter.may_contain(hash)) {
                        return Ok(None);
                    }
                    let start = restarts.before(&block.shape, file.bytes_of(block), key);
                    let start = start.map_err(|error| file.locate(error, block))?;
                    return Ok(Some(SeekStart { block: *block, start, filter: Some(filter) }));
                }
                CachedIndex::Node(node) => match node.children.get(node.keys.lower_bound(key)) {
                    Some(child) => {
                        offset = child.offset;
                        below = child.below.get_or_init(|| self.load(file, offset));
                    }
                    None if offset == self.section.start() => return Ok(None),
                    None => return self.place_below(file, offset, key, inflated),
                },
                CachedIndex::Unknown => return self.place_below(file, offset, key, inflated),
            }
        }
    }

    /// As [`Self::place`], and fills no cache.
    pub(crate) fn place_without_cache(
        &self,
        file: &TableFile,
        key: &[u8],
        inflated: &mut Vec<u8>,
    ) -> Result<Option<SeekStart<'_>>> {
        self.place_below(file, self.section.start(), key, inflated)
    }

    /// Whether there have been few look-ups yet.
    #[cold]
    fn is_passing(&self, WarmUp(few): WarmUp) -> bool {
        let lookups = self.lookups.load(Ordering::Relaxed);
        // Losing count in a race of threads does no harm.
        self.lookups.store(lookups.saturating_add(1), Ordering::Relaxed);
        lookups < few
    }

    /// Whether look-ups have filled anything.
    #[cfg(test)]
    pub(crate) fn is_filled(&self) -> bool {
        self.root.get().is_some()
    }

    /// What a look-up finds that goes down the index in the file, from the block at `offset`.
    #[cold]
    fn place_below(
        &self,
        file: &TableFile,
        offset: u64,
        key: &[u8],
        inflated: &mut Vec<u8>,
    ) -> Result<Option<SeekStart<'_>>> {
        let is_root = offset > 0 && offset == self.section.index;
        let Some(offset) = descend(file, self.kind, offset, is_root, key, |_, _| {})? else { return Ok(None) };
        let block = file.data_block(self.kind, offset, inflated)?;
        let data = file.data_of(&block, inflated);
        let start = block.shape.restart_before(data, key).map_err(|error| file.locate(error, &block))?;
        Ok(Some(SeekStart { block, start, filter: None }))
    }

    #[cold]
    fn load_root(&self, file: &TableFile) -> CachedIndex {
        match self.section.index {
            0 => self.load_row(file).unwrap_or(CachedIndex::Unknown),
            root => match self.load_index(file, root, true) {
                Some(node) => CachedIndex::Node(Box::new(node)),
                None if file.kind_at(root).is_ok_and(|kind| kind == Some(BlockKind::Index)) => self.load(file, root),
                None => CachedIndex::Unknown,
            },
        }
    }

    /// What is known of the block at `offset` from now on.
    #[cold]
    fn load(&self, file: &TableFile, offset: u64) -> CachedIndex {
        let known = match file.kind_at(offset) {
            Ok(Some(BlockKind::Index)) => {
                self.load_index(file, offset, false).map(|node| CachedIndex::Node(node.into()))
            }
            Ok(Some(BlockKind::Log)) => None,
            Ok(Some(kind)) if kind == self.kind => self.load_data(file, offset).map(CachedIndex::Leaf),
            _ => None,
        };
        known.unwrap_or(CachedIndex::Unknown)
    }

    fn load_data(&self, file: &TableFile, offset: u64) -> Option<Leaf> {
        let block = file.data_block(self.kind, offset, &mut Vec::new()).ok()?;
        let restarts = Starts::new(&block.shape, file.bytes_of(&block))?;
        Some(Leaf { block, restarts, filter: BloomFilter::default() })
    }

    /// The index block at `offset`; with its neighbours if it is the root, which may be a row of
    /// several.
    fn load_index(&self, file: &TableFile, mut offset: u64, is_root: bool) -> Option<Node> {
        let (mut keys, mut children) = (SortedKeys::builder(), Vec::new());
        loop {
            let block = file.index_block(offset).ok()?;
            let mut entries = IndexEntries::of(block);
            while entries.step(file).ok()? {
                if !keys.push(entries.last_key(), block.shape.len()) {
                    return None;
                }
                children.push(Child { offset: entries.child(), below: OnceLock::new() });
            }
            offset += block.stride;
            if !is_root || file.kind_at(offset).ok()? != Some(BlockKind::Index) {
                return Some(Node { keys: keys.build(), children: children.into() });
            }
        }
    }

    /// A section of few blocks and no index: the first keys of all but the first block stand for
    /// last keys of the one before. A key that is equal to one of them is found all the same,
    /// because scans go on into the next block.
    fn load_row(&self, file: &TableFile) -> Option<CachedIndex> {
        let (mut keys, mut children) = (SortedKeys::builder(), Vec::new());
        let mut offset = self.section.offset;
        while self.kind != BlockKind::Log && file.kind_at(offset).ok()? == Some(self.kind) {
            let leaf = self.load_data(file, offset)?;
            if !children.is_empty() {
                let data = file.bytes_of(&leaf.block);
                let first = leaf.block.shape.restart_key(data, leaf.block.shape.first()).ok()?;
                if children.len() == MAX_BLOCKS_WITHOUT_INDEX || !keys.push(first, data.len()) {
                    return None;
                }
            }
            let next = offset + leaf.block.stride;
            children.push(Child { offset, below: OnceLock::from(CachedIndex::Leaf(leaf)) });
            offset = next;
        }
        match children.len() {
            0 => None,
            1 => children.pop().and_then(|only| only.below.into_inner()),
            _ => Some(CachedIndex::Node(Box::new(Node { keys: keys.build(), children: children.into() }))),
        }
    }
}
