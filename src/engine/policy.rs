//! Which tables to merge, between write and read amplification: pure arithmetic on sizes.

use std::ops::{Range, RangeInclusive};

use crate::snapshot::Snapshot;

/// When commits compact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AutoCompact {
    /// When the newest tables have piled up to this many: then so that each table has at least
    /// twice the size of the next (a geometric sequence). A store has at most this many tables and
    /// the logarithm of its size. At least 2; costs few commits a compaction, and readers a few
    /// microseconds for each table.
    ///
    /// Earlier when the next commit of git's, which follows its own rule, would merge more than 4
    /// MiB of what is there, such as a bulk commit into a small store: then what git would merge.
    Lazy(u8),
    /// After a commit, so that the sizes of the tables form a geometric sequence of this factor:
    /// git's rule, which compacts after two of three commits. At least 2.
    Geometric(u8),
    /// The same rule, and every record that is merged is written again: tables are those that git
    /// makes of the same commits. Costs what is merged, however little of it has changed.
    Git(u8),
    /// Never; call [`crate::Stack::compact`].
    Off,
}

/// What the next commit of git's may have to merge, in bytes, while [`AutoCompact::Lazy`] lets
/// tables pile up: git merges some 100 MB/s, and its user waits 40 ms for so much.
const MOST_DEBT: u64 = 4 * 1024 * 1024;

/// Bytes of a table in which git has updated a few references, without what all tables have.
const SMALL_TABLE: u64 = 512;

/// The tables of `snapshot`, by position, that `rule` would merge; git's rule when that is off.
/// Reads nothing. A table larger than `largest` bytes cannot be written.
///
/// A table whose update indexes are all below those of one beneath it may be in the wrong place of
/// the list. Merging the two for good is left to a compaction of everything; the rule sees what
/// lies above them.
#[must_use]
pub fn compaction_due(snapshot: &Snapshot, rule: AutoCompact, largest: u64) -> Option<Range<usize>> {
    let kept = out_of_order(&ranges_of(snapshot));
    let tables = snapshot.tables().get(kept..).unwrap_or_default();
    let sizes: Vec<u64> = tables.iter().map(|table| table.weight()).collect();
    // A merged table may get indexes that its inputs do without: leave room for them.
    let limit = largest / 2;
    let due = match rule {
        AutoCompact::Lazy(tables) => {
            debt(&sizes, MOST_DEBT, limit).or_else(|| lazy(&sizes, usize::from(tables), limit))
        }
        AutoCompact::Geometric(factor) | AutoCompact::Git(factor) => geometric(&sizes, u64::from(factor), limit),
        AutoCompact::Off => geometric(&sizes, 2, limit),
    };
    due.map(|range| range.start + kept..range.end + kept)
}

/// The update indexes of each table. Those that run backwards say nothing of its place.
fn ranges_of(snapshot: &Snapshot) -> Vec<Option<RangeInclusive<u64>>> {
    let headers = snapshot.tables().iter().map(|table| table.header());
    headers
        .map(|header| (!header.runs_backwards()).then_some(header.min_update_index..=header.max_update_index))
        .collect()
}

/// git's rule: the tables to merge so that afterwards each is at least `factor` times as large as
/// the next.
///
/// `sizes` are those of the tables, oldest first. From the newest table backwards, the first pair
/// that breaks the sequence gives the end of the range. Its start is the oldest table that is
/// smaller than `factor` times all that would be merged above it. If the merged tables exceed
/// `limit` bytes, the rule is applied to the newer tables alone, as if the oldest were not there.
fn geometric(sizes: &[u64], factor: u64, limit: u64) -> Option<Range<usize>> {
    (0..sizes.len()).find_map(|skip| {
        let newer = sizes.get(skip..)?;
        let range = unlimited(newer, factor)?;
        let total = newer.get(range.clone())?.iter().fold(0u64, |sum, size| sum.saturating_add(*size));
        (total <= limit).then(|| range.start + skip..range.end + skip)
    })
}

/// [`geometric`], once it would merge at least `tables`.
///
/// Each compaction costs about as much as two commits, whatever it merges. So let tables pile up
/// and merge them together. The pile is below `tables`; what lies under it is a geometric sequence,
/// and grows with the logarithm of the store.
fn lazy(sizes: &[u64], tables: usize, limit: u64) -> Option<Range<usize>> {
    geometric(sizes, 2, limit).filter(|range| range.len() >= tables)
}

/// What the next commit of git's would merge along with its own table, which is a small one, if
/// that is more than `bound` bytes: git follows [`geometric`] after each commit, and makes its user
/// wait.
///
/// A sequence that is left alone today may be merged as a whole then: each table of 4, 2, 1 is
/// twice as large as the next one, but not twice as large as all that follow.
fn debt(sizes: &[u64], bound: u64, limit: u64) -> Option<Range<usize>> {
    let mut then = sizes.to_vec();
    then.push(SMALL_TABLE);
    let range = geometric(&then, 2, limit)?;
    let due = range.start..range.end.min(sizes.len());
    let total = sizes.get(due.clone())?.iter().fold(0u64, |sum, size| sum.saturating_add(*size));
    (total > bound && due.len() > 1).then_some(due)
}

fn unlimited(sizes: &[u64], factor: u64) -> Option<Range<usize>> {
    let breaks = |pair: &[u64]| matches!(pair, [older, newer] if *older < newer.saturating_mul(factor));
    let last_break = sizes.windows(2).rposition(breaks)?;
    let end = last_break + 2;
    let mut merged = sizes.get(last_break + 1).copied()?;
    let mut start = end;
    for (index, size) in sizes.iter().enumerate().take(last_break + 1).rev() {
        if *size < merged.saturating_mul(factor) {
            start = index;
        }
        merged = merged.saturating_add(*size);
    }
    Some(start..end)
}

/// How many tables, oldest first, end with the topmost one whose update indexes are all below those
/// of a table beneath it. 0 when the list is in order; ranges that overlap are.
fn out_of_order(ranges: &[Option<RangeInclusive<u64>>]) -> usize {
    let (mut kept, mut highest_start) = (0, 0);
    for (index, range) in ranges.iter().enumerate() {
        let Some(range) = range else { continue };
        if *range.end() < highest_start {
            kept = index + 1;
        }
        highest_start = highest_start.max(*range.start());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_up_to_one_that_is_out_of_order_are_left_alone() {
        let kept = |ranges: &[(u64, u64)]| {
            let ranges: Vec<_> = ranges.iter().map(|(min, max)| (min <= max).then_some(*min..=*max)).collect();
            out_of_order(&ranges)
        };
        assert_eq!(kept(&[]), 0);
        assert_eq!(kept(&[(1, 1), (2, 5), (6, 6)]), 0);
        assert_eq!(kept(&[(1, 3), (1, 2), (3, 3)]), 0, "overlaps are in order");
        assert_eq!(kept(&[(1, 1), (3, 3), (2, 2), (4, 4)]), 3);
        assert_eq!(kept(&[(5, 5), (1, 9), (3, 3), (10, 10)]), 3, "below the first");
        assert_eq!(kept(&[(2, 2), (1, 1), (3, 3), (1, 2), (4, 4)]), 4, "the newest counts");
        assert_eq!(kept(&[(5, 5), (u64::MAX, 3), (6, 6)]), 0, "of a rewritten reflog nobody can tell");
    }

    fn plan(sizes: &[u64]) -> Option<Range<usize>> {
        geometric(sizes, 2, u64::MAX)
    }

    #[test]
    fn a_geometric_sequence_is_left_alone() {
        assert_eq!(plan(&[]), None);
        assert_eq!(plan(&[5]), None);
        assert_eq!(plan(&[64, 32, 16, 8, 4, 2, 1]), None);
    }

    #[test]
    fn the_newest_break_ends_the_range() {
        assert_eq!(plan(&[64, 32, 16, 8, 4, 3, 1]), Some(0..6));
        assert_eq!(plan(&[1, 1]), Some(0..2));
        assert_eq!(plan(&[100, 1, 1]), Some(1..3));
        assert_eq!(plan(&[2, 1]), None, "exactly twice as large is large enough");
    }

    #[test]
    fn the_range_grows_over_all_that_the_result_would_outweigh() {
        assert_eq!(plan(&[128, 32, 16, 8, 4, 3, 1]), Some(1..6));
        assert_eq!(plan(&[512, 64, 17, 16, 9, 9, 9, 16, 2, 16]), Some(1..10));
    }

    #[test]
    fn a_pile_is_merged_when_it_is_high_enough() {
        assert_eq!(lazy(&[100, 1, 1, 1], 4, u64::MAX), None);
        assert_eq!(lazy(&[100, 1, 1, 1, 1], 4, u64::MAX), Some(1..5));
        assert_eq!(lazy(&[100, 4, 1, 1, 1], 4, u64::MAX), Some(1..5), "with what it would outweigh");
        assert_eq!(lazy(&[100, 90], 4, u64::MAX), None, "whatever their size: see `debt`");
    }

    #[test]
    fn git_is_left_less_than_a_bound_to_merge() {
        let debt = |sizes: &[u64]| debt(sizes, 4000, u64::MAX);
        assert_eq!(debt(&[]), None);
        assert_eq!(debt(&[1_000_000]), None, "nothing to merge it with");
        assert_eq!(debt(&[200, 1_000_000]), Some(0..2), "a bulk commit into a small store");
        assert_eq!(debt(&[2000, 1500]), None, "git may merge that itself");
        assert_eq!(debt(&[1_000_000, 200, 200, 200]), None, "nor does a pile upon a large table matter");
        assert_eq!(debt(&[1_000_000, 2500, 2000]), Some(1..3), "only what git would merge");
        assert_eq!(debt(&[4096, 2048, 1024]), None, "each is large enough for the next, and for git's");
        assert_eq!(debt(&[4096, 2048, 1024, 512]), Some(0..4), "but not for all that git would merge");
    }

    #[test]
    fn no_debt_is_left_behind_a_merge() {
        let mut random = 1u64;
        for _ in 0..1000 {
            let mut sizes = Vec::new();
            for _ in 0..10 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                sizes.push(1 << (random >> 59) >> (random >> 40 & 3));
                if let Some(range) = debt(&sizes, 4000, u64::MAX) {
                    let merged = sizes.get(range.clone()).unwrap().iter().sum();
                    sizes.splice(range, [merged]);
                }
                assert_eq!(debt(&sizes, 4000, u64::MAX), None, "{sizes:?}");
            }
        }
    }

    #[test]
    fn piles_keep_the_number_of_tables_small() {
        let mut sizes = Vec::new();
        let mut highest = 0;
        for _ in 0..100_000 {
            sizes.push(1);
            if let Some(range) = lazy(&sizes, 16, u64::MAX) {
                let merged = sizes.get(range.clone()).unwrap().iter().sum();
                sizes.splice(range, [merged]);
            }
            highest = highest.max(sizes.len());
        }
        assert!((16..=16 + 13).contains(&highest), "{highest}");
    }

    #[test]
    fn the_limit_keeps_old_tables_out() {
        assert_eq!(geometric(&[100, 100, 100], 2, 200), Some(1..3));
        assert_eq!(geometric(&[100, 100], 2, 199), None);
        // Not 1..4: the second table need not be merged for the sake of the last two.
        assert_eq!(geometric(&[3000, 1700, 1, 1], 2, 4294), Some(2..4));
    }
}
