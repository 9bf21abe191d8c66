//! Compaction: many tables become one, while others read and commit.

mod clean;
mod merge;
mod plan;

use std::io::BufWriter;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::list::{LIST_LOCK, Temporary};
use crate::lock::{Lock, acquire};
use crate::mutant::{self, Mutant};
use crate::scratch::Scratch;
use crate::snapshot::Snapshot;
use crate::stack::{AutoCompact, Durability, Edit, Stack};
use crate::table::{Table, TableStats, TableWriter, WriteOptions};

/// How much longer than a commit a compaction waits for the list lock when its work is done.
const PATIENCE: u32 = 10;

/// What to compact.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compact {
    /// What the rule of [`crate::Options::auto_compact`] asks for; git's rule when that is off.
    Auto,
    /// Everything into one table, leaving out what `expiry` says. A single table is rewritten only for expiry.
    All {
        /// Log entries to leave out.
        expiry: Expiry,
    },
}

impl Compact {
    /// Everything into one table, losing nothing.
    #[must_use]
    pub fn all() -> Compact {
        Compact::All { expiry: Expiry::default() }
    }
}

/// Which log entries a compaction leaves out. The default leaves out none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expiry {
    /// Those from before this time, in seconds since 1970.
    pub before_time: Option<u64>,
    /// Those with an update index below this.
    pub before_update_index: Option<u64>,
}

impl Expiry {
    fn is_set(&self) -> bool {
        self.before_time.is_some() || self.before_update_index.is_some()
    }
}

/// What a compaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compaction {
    /// The tables that were merged, oldest first.
    pub merged: Vec<String>,
    /// The table that took their place; `None` when nothing was left of them.
    pub table: Option<String>,
    /// Bytes of the merged tables.
    pub bytes_before: u64,
    /// What was written.
    pub written: TableStats,
    /// Files that could not be removed afterwards, with the reason. The next compaction tries again.
    pub leftovers: Vec<String>,
}

/// Tables that are locked for compaction, by a snapshot that has them and their place in it.
struct Claim {
    snapshot: Snapshot,
    range: Range<usize>,
    /// Where the range would start if no table in it had been locked by others.
    planned_start: usize,
    /// Newest first.
    _locks: Vec<Box<dyn Lock>>,
}

impl Claim {
    fn tables(&self) -> &[Arc<Table>] {
        self.snapshot.tables().get(self.range.clone()).unwrap_or_default()
    }

    fn bytes(&self) -> u64 {
        self.tables().iter().map(|table| table.file_size()).sum()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.tables().iter().map(|table| table.name())
    }
}

impl Stack {
    /// Merges tables. `None` when there was nothing to do.
    ///
    /// Readers and commits go on meanwhile: the table list is locked at the beginning and at the end only.
    ///
    /// # Errors
    /// `Locked` when another process has the list lock, or compacts the same tables; `Corrupt`; `TooLarge` beyond
    /// the limit of [`crate::table::WriteOptions::max_table_size`]; `Io`. Nothing has changed then, except for
    /// `Indeterminate`: see [`crate::ErrorKind`].
    pub fn compact(&self, what: Compact) -> Result<Option<Compaction>> {
        match what {
            Compact::Auto => self.compact_range(|snapshot| self.compaction_due(snapshot), &Expiry::default(), true),
            Compact::All { expiry } => {
                let least = if expiry.is_set() { 1 } else { 2 };
                let all = |snapshot: &Snapshot| {
                    let count = snapshot.tables().len();
                    (count >= least).then_some(0..count)
                };
                let done = self.compact_range(all, &expiry, false)?;
                if done.is_none() {
                    self.clean()?;
                }
                Ok(done)
            }
        }
    }

    /// The tables of `snapshot`, by position, that the rule of [`crate::Options::auto_compact`] would merge; git's
    /// rule when that is off. Reads nothing.
    #[must_use]
    pub fn compaction_due(&self, snapshot: &Snapshot) -> Option<Range<usize>> {
        let factor = match self.shared.options.auto_compact {
            AutoCompact::Geometric(factor) => factor,
            AutoCompact::Off => 2,
        };
        let sizes: Vec<u64> = snapshot.tables().iter().map(|table| table.weight()).collect();
        // A merged table may get indexes that its inputs do without: leave room for them.
        plan::geometric(&sizes, u64::from(factor), self.shared.options.write.largest_table() / 2)
    }

    /// What follows a commit: `None` if nothing was due, or somebody else is at it already.
    pub(crate) fn compact_after_commit(&self) -> Option<Result<Compaction>> {
        if self.shared.options.auto_compact == AutoCompact::Off {
            return None;
        }
        match self.compact(Compact::Auto) {
            Ok(done) => done.map(Ok),
            Err(error) if error.kind() == ErrorKind::Locked => None,
            Err(error) => Some(Err(error)),
        }
    }

    fn compact_range(
        &self,
        choose: impl Fn(&Snapshot) -> Option<Range<usize>>,
        expiry: &Expiry,
        best_effort: bool,
    ) -> Result<Option<Compaction>> {
        if choose(&self.snapshot()?).is_none() {
            return Ok(None);
        }
        let Some(claim) = self.claim(choose, best_effort)? else { return Ok(None) };
        let (output, written) = self.merge_claimed(&claim, expiry)?;
        self.replace(&claim, output, written).map(Some)
    }

    /// Locks the tables to be merged, newest first, so that a process that wants to merge the tables it has just
    /// added is not kept from it by an older one that is busy with the tables below. With `best_effort` the range
    /// ends above the first table that is taken.
    fn claim(&self, choose: impl Fn(&Snapshot) -> Option<Range<usize>>, best_effort: bool) -> Result<Option<Claim>> {
        let shared = &self.shared;
        let (list_lock, snapshot) = shared.lock_list()?;
        let Some(mut range) = choose(&snapshot) else { return Ok(None) };
        let planned_start = range.start;
        let mut locks = Vec::with_capacity(range.len());
        for index in range.clone().rev() {
            let Some(table) = snapshot.tables().get(index) else { continue };
            let name = format!("{}.lock", table.name());
            match acquire(&*shared.locker, &shared.dir, &name, Some(Duration::ZERO)) {
                Ok(lock) => locks.push(lock),
                Err(error) if error.kind() == ErrorKind::Locked && best_effort && locks.len() >= 2 => {
                    range.start = index + 1;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        drop(list_lock);
        Ok(Some(Claim { snapshot, range, planned_start, _locks: locks }))
    }

    /// Merges the claimed tables into a temporary file.
    ///
    /// A record that filled a block of its own table may not fit into one of the merged table: its update index takes
    /// more bytes there, the first block has the header in it, and others may write larger blocks than we do. So if
    /// something is too large, try once more with blocks that hold whatever the inputs held.
    fn merge_claimed(&self, claim: &Claim, expiry: &Expiry) -> Result<(Scratch, TableStats)> {
        let options = &self.shared.options.write;
        match self.merge_into_file(claim, expiry, options) {
            Err(error) if error.kind() == ErrorKind::TooLarge && claim.bytes() <= options.largest_table() => {
                let largest = claim.tables().iter().map(|table| table.header().block_size).max().unwrap_or(0);
                self.merge_into_file(claim, expiry, &options.clone().with_room_for(largest))
            }
            merged => merged,
        }
    }

    fn merge_into_file(&self, claim: &Claim, expiry: &Expiry, options: &WriteOptions) -> Result<(Scratch, TableStats)> {
        let output = Scratch::temporary_locked(&self.shared.dir, Temporary::Output)?;
        let tables = claim.tables();
        let (Some(oldest), Some(newest)) = (tables.first(), tables.last()) else {
            return Err(Error::invalid("there are no tables to compact"));
        };
        let range = oldest.header().min_update_index..=newest.header().max_update_index;
        let path = self.path().join(output.name());
        let out = BufWriter::with_capacity(Stack::WRITE_CHUNK, output);
        let mut writer = TableWriter::new(out, oldest.hash(), range, options)?;
        // Nothing lies below the oldest table that a tombstone could hide.
        let at_bottom = match () {
            () if mutant::is_on(Mutant::DropTombstones) => true,
            () if mutant::is_on(Mutant::ShrinkKeepsRule) => claim.planned_start == 0,
            () => claim.range.start == 0,
        };
        merge::merge(tables, at_bottom, expiry, &mut writer).map_err(|error| error.in_file(&path))?;
        let (out, written) = writer.finish().map_err(|error| error.in_file(&path))?;
        let output = Scratch::from_buffer(out)?;
        if self.shared.options.durability != Durability::Off {
            output.sync()?;
        }
        Ok((output, written))
    }

    /// Puts the merged table in the place of its inputs, wherever they are in the list by now.
    ///
    /// The output gets a table's name only now, under the lock: git removes tables that no list names.
    fn replace(&self, claim: &Claim, output: Scratch, written: TableStats) -> Result<Compaction> {
        let shared = &self.shared;
        let timeout = shared.options.lock_timeout.unwrap_or(Duration::MAX).saturating_mul(PATIENCE);
        let timeout = timeout.clamp(Duration::from_secs(1), Duration::from_secs(60));
        let lock = acquire(&*shared.locker, &shared.dir, LIST_LOCK, Some(timeout))?;
        let base = shared.snapshot_under_lock()?;
        let Some(start) = position_of(claim, &base) else {
            let message = "the tables were replaced while they were being compacted, in spite of their locks";
            return Err(Error::new(ErrorKind::Locked, message).in_file(self.path()));
        };
        let replace = start..start + claim.range.len();
        // Before the output gets a table's name: it is not listed yet, and would look like one of the dead.
        let stale = self.clean_under_lock(&base)?;
        // At the top of the list an empty table keeps the largest update index, so that none is used twice.
        let keeps = written.refs + written.logs > 0 || replace.end == base.tables().len();
        let mut with = None;
        if let (true, Some(oldest), Some(newest)) = (keeps, claim.tables().first(), claim.tables().last()) {
            let (min, max) = (oldest.header().min_update_index, newest.header().max_update_index);
            let mut name = shared.table_name(min, max);
            while base.tables().iter().any(|table| table.name() == name) {
                name = shared.table_name(min, max);
            }
            with = Some(output.renamed(&name)?);
        }
        let table = with.as_ref().map(|table| table.name().to_owned());
        if mutant::is_on(Mutant::DeleteInputsEarly) {
            self.remove_all(claim.names().map(str::to_owned));
        }
        shared.publish(lock, &base, Edit { replace, with })?;
        // In `Full` the directory is synced: no crash can bring back a list that names what we remove now.
        let inputs = claim.names().map(str::to_owned).chain(stale);
        Ok(Compaction {
            merged: claim.names().map(str::to_owned).collect(),
            table,
            bytes_before: claim.bytes(),
            written,
            leftovers: self.remove_all(inputs),
        })
    }
}

/// Where the claimed tables start in `base`, if they still are there in one piece.
fn position_of(claim: &Claim, base: &Snapshot) -> Option<usize> {
    let first = claim.names().next()?;
    let start = base.tables().iter().position(|table| table.name() == first)?;
    let there = base.tables().get(start..)?.iter().take(claim.range.len()).map(|table| table.name());
    there.eq(claim.names()).then_some(start)
}
