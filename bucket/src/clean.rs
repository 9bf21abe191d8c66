//! Collecting objects that nothing needs: tables of machines that died before their swap, or after
//! it and before they deleted what it had replaced.

use std::collections::BTreeSet;

use reftable::engine::update_indexes_of_name;

use crate::backend::Bucket;
use crate::error::{Error, ErrorKind, Result};
use crate::mutant::{self, Mutant};
use crate::root::Root;
use crate::store::{Inner, Store};

/// What cleaning has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cleaned {
    /// Keys that were deleted.
    pub deleted: Vec<String>,
    /// Keys of tables that the root does not name, and a machine may be about to name.
    pub kept: Vec<String>,
}

impl<B: Bucket> Store<B> {
    /// Deletes tables that no edition of the store can name any more; with `dry_run` says which.
    /// Needs no lock, and may run while others commit, compact and clean.
    ///
    /// # Errors
    /// `Missing` if there is no store; `Corrupt`; `Unavailable` after the time-out; `Denied`.
    pub async fn clean(&self, dry_run: bool) -> Result<Cleaned> {
        self.within_time(self.inner().clean(dry_run)).await
    }
}

impl<B: Bucket> Inner<B> {
    async fn clean(&self, dry_run: bool) -> Result<Cleaned> {
        let Some((root, _)) = self.newest_root().await? else {
            return Err(Error::new(ErrorKind::Missing, "there is no store here").in_object(&self.place.root()));
        };
        let prefix = self.place.prefix();
        let listed: BTreeSet<&str> = root.tables.iter().map(|line| line.name.as_str()).collect();
        let mut cleaned = Cleaned::default();
        for key in self.bucket.list(&prefix).await? {
            let Some(name) = key.strip_prefix(&prefix) else { continue };
            let Some(range) = update_indexes_of_name(name).filter(|_| !listed.contains(name)) else { continue };
            if !is_garbage(range, &root) {
                cleaned.kept.push(key);
                continue;
            }
            if !dry_run {
                self.bucket.delete(&key).await?;
            }
            cleaned.deleted.push(key);
        }
        Ok(cleaned)
    }
}

/// Whether no machine can ever name a table of this range that `root` does not name, whatever
/// edition it has read.
/// A process that is about to name it has written it for one of two swaps:
///
/// - a commit upon edition *b*, whose table begins above all update indexes of *b*. If its swap can
///   still be carried out then *b* is the newest, so `root` is *b* or older, and has no index as
///   large as the table's last one.
/// - a compaction, whose table has the range of a run of tables that is in the newest edition. If
///   `root` is older than that run, its indexes end before those of the run, or it has the tables
///   that became the run: as one piece of the same range.
pub(crate) fn is_garbage((min, max): (u64, u64), root: &Root) -> bool {
    let ranges: Vec<_> = root.tables.iter().filter_map(|line| update_indexes_of_name(&line.name)).collect();
    let newest = ranges.iter().map(|range| range.1).max().unwrap_or(0);
    let begins = ranges.iter().position(|range| range.0 == min);
    let ends = ranges.iter().rposition(|range| range.1 == max);
    let is_run = begins.zip(ends).is_some_and(|(begin, end)| begin <= end);
    (max <= newest && !is_run) || mutant::is_on(Mutant::CleanWhatIsNotListed)
}
