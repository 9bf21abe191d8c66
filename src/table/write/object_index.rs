//! Writing the object section: all ids of the references in order, each with the blocks that it
//! appears in.

use std::ops::Range;
use std::sync::Arc;

use super::radix_sort::{Question, sort};
use super::run::{BlockRun, OBJECT_KEY_LEN, RunWriter};
use crate::error::Result;
use crate::format::block::Added;
use crate::format::header::MIN_OBJECT_ID_LEN;
use crate::format::record::{ObjectRecord, ObjectView, Offsets};
use crate::invariant::{invariant, violated};
use crate::pool::ThreadBudget;

/// Ids that are worth a thread: some milliseconds of sorting and encoding. A second thread pays
/// from some 40,000 ids on; smaller parts gain nothing that can be measured
/// (`docs/performance.md`), and end in more short blocks.
pub(crate) const PART: usize = 64 * 1024;

/// About as many bytes as the records of a part take.
pub(crate) const PART_BYTES: usize = 10 * PART;

/// The ids of a table in order, and what it takes to write them.
#[derive(Debug)]
pub(crate) struct ObjectIndex {
    /// The first 12 bytes of an id, then the number of a block. Sorted; some are there twice.
    objects: Vec<u128>,
    /// Offsets of the blocks by number.
    blocks: Vec<u64>,
    /// As many bytes of an id as it takes to tell them all apart.
    prefix_len: usize,
}

/// The records of some ids, for any thread to write.
pub(crate) struct IdRange {
    pub(crate) index: Arc<ObjectIndex>,
    pub(crate) range: Range<usize>,
    pub(crate) out: RunWriter,
}

impl IdRange {
    pub(crate) fn write(mut self) -> Result<BlockRun> {
        self.index.write(self.range, &mut self.out)?;
        self.out.into_run()
    }
}

impl ObjectIndex {
    /// Sorts the ids, by several threads if there are many.
    ///
    /// # Errors
    /// That of `ask`, which may end it; `Panicked`, which does not happen.
    pub(crate) fn new(
        mut objects: Vec<u128>,
        blocks: Vec<u64>,
        budget: &ThreadBudget,
        mut ask: impl FnMut() -> Result<()>,
    ) -> Result<ObjectIndex> {
        let shared = sort(&mut objects, budget, Question::new(&mut ask))?;
        let prefix_len = (shared + 1).clamp(MIN_OBJECT_ID_LEN, OBJECT_KEY_LEN);
        Ok(ObjectIndex { objects, blocks, prefix_len })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    pub(crate) fn prefix_len(&self) -> u8 {
        self.prefix_len as u8
    }

    /// Parts of about the same size, cut between ids. Depends on the ids alone.
    pub(crate) fn parts(&self) -> Vec<Range<usize>> {
        let (mut parts, mut start) = (Vec::new(), 0);
        while self.objects.len() - start >= 2 * PART {
            let (taken, rest) = self.objects.split_at_checked(start + PART).unwrap_or_default();
            let same = |entry: &&u128| taken.last().is_some_and(|last| is_same_id(last, entry));
            let end = start + PART + rest.iter().take_while(same).count();
            parts.push(start..end);
            start = end;
        }
        parts.push(start..self.objects.len());
        parts
    }

    /// Adds the records of some ids.
    pub(crate) fn write(&self, range: Range<usize>, out: &mut RunWriter) -> Result<()> {
        let mut offsets = Vec::new();
        let objects = self.objects.get(range).ok_or_else(|| violated("a part of the ids lies beyond their end"))?;
        for same in objects.chunk_by(is_same_id) {
            let id = same.first().copied().unwrap_or_default().to_be_bytes();
            offsets.clear();
            offsets.extend(same.iter().filter_map(|entry| self.blocks.get(*entry as u32 as usize).copied()));
            invariant!(offsets.len() == same.len(), "an object record leads to a block that was not written");
            offsets.dedup();
            add(out, id.get(..self.prefix_len).unwrap_or_default(), &offsets)?;
        }
        Ok(())
    }
}

pub(crate) fn is_same_id(a: &u128, b: &u128) -> bool {
    a >> 32 == b >> 32
}

/// Adds an object record; without its offsets, which means "look everywhere", when they fit into no
/// block.
fn add(out: &mut RunWriter, prefix: &[u8], offsets: &[u64]) -> Result<()> {
    let whole = ObjectView { prefix, blocks: Offsets::Plain(offsets) };
    if out.try_add::<ObjectRecord>(prefix, &whole)? == Added::Yes {
        return Ok(());
    }
    out.flush_block()?;
    if out.try_add::<ObjectRecord>(prefix, &whole)? == Added::Yes {
        return Ok(());
    }
    out.add_ordered::<ObjectRecord>(prefix, &ObjectView { prefix, blocks: Offsets::Plain(&[]) })
}

#[cfg(test)]
mod tests {
    use super::super::tests::ids_to_sort as objects;
    use super::*;

    #[test]
    fn parts_are_cut_between_ids() {
        let index = |objects: Vec<u128>| ObjectIndex::new(objects, vec![], &ThreadBudget::single(), || Ok(())).unwrap();
        let many = index(objects(400_000));
        let parts = many.parts();
        assert_eq!(parts.len(), 6);
        assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!((parts[0].start, parts[5].end), (0, many.objects.len()));
        // Everything points at one commit.
        let one = index((0..300_000).collect());
        assert_eq!(one.parts(), [0..300_000, 300_000..300_000]);
        assert_eq!(index(vec![]).parts().len(), 1);
    }
}
