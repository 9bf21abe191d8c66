//! Compaction: many tables become one, while others read and commit.

mod claim;
mod clean;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
#[cfg(not(loom))]
use std::sync::Arc;
use std::time::Duration;

use claim::ClaimedTables;
use clean::Garbage;

use crate::bytes::{Bytes, Reading};
use crate::engine::{self, AutoCompact, CompactionTask, MergeTask, OnProgress};
pub use crate::engine::{Expiry, Progress};
use crate::error::{Error, ErrorKind, Result};
use crate::garbage::{GarbageTable, Proof};
use crate::invariant::invariant;
use crate::list::Temporary;
use crate::lock::acquire;
use crate::mutant::{self, Mutant};
use crate::pool::ThreadBudget;
use crate::snapshot::Snapshot;
use crate::stack::{Durability, Edit, ListLock, Options, PlacedTable, Stack};
use crate::table::{TableStats, WriteOptions};
use crate::temp_file::{BufferedFile, TempFile};
#[cfg(not(loom))]
use crate::worker::Stop;

/// A compaction of fewer bytes has no section of more than one range (logs inflate to some four
/// times their size), and starts no thread. With references a second thread begins to pay between
/// half of this and this, as `docs/performance.md` has it; with logs earlier, but they are done in
/// 16 ms then.
const LARGE: u64 = 256 * 1024;

/// How often a compaction that waits looks whether it should stop.
const LOOK_UP: Duration = Duration::from_millis(500);

/// What to compact.
///
/// Compactions larger than [`crate::Options::compact_at_once`] copy blocks as they are, where
/// nothing newer falls into them. They cost what has changed then, and leave at most a quarter more
/// blocks than a fresh table has; the next one writes all again. Only [`Self::Rewrite`] and the
/// rule [`AutoCompact::Git`] copy none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compact {
    /// What the rule of [`crate::Options::auto_compact`] asks for; git's rule when that is off.
    Auto,
    /// Everything into one table, leaving out what `expiry` says. A single table is rewritten only
    /// for expiry.
    All {
        /// Log entries to leave out.
        expiry: Expiry,
    },
    /// The same with every record written again, also those of a single table: no block is copied
    /// as it is. Leaves the smallest table, with the restarts and the block size of
    /// [`crate::table::WriteOptions`] throughout.
    Rewrite {
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
    /// Files that could not be removed afterwards, with the reason. The next compaction tries
    /// again.
    pub leftovers: Vec<String>,
}

impl Stack {
    /// Merges tables. `None` when there was nothing to do.
    ///
    /// Readers and commits go on meanwhile: the table list is locked at the beginning and at the
    /// end only. At the beginning it waits for that lock as long as
    /// [`crate::Options::lock_timeout`] says. In the end, when its work would be lost, it waits as
    /// long as [`crate::Options::outcome_timeout`] says: by default 60 s also if there is no lock
    /// time-out. It does not wait for the locks of tables.
    ///
    /// # Errors
    /// `Locked` when another process has the list lock, or compacts the same tables; `Corrupt`;
    /// `TooLarge` beyond the limit of [`crate::table::WriteOptions::max_table_size`]; `Io`. Nothing
    /// has changed then, except for `Indeterminate`: see [`crate::ErrorKind`].
    pub fn compact(&self, what: Compact) -> Result<Option<Compaction>> {
        self.compact_with_progress(what, |_| ControlFlow::Continue(()))
    }

    /// As [`Self::compact`], and tells `on_progress` how far it has come: at the beginning,
    /// whenever about half a megabyte of blocks is merged or written, every few milliseconds while
    /// it sorts ids for the object index, at least twice a second while it waits for the list lock
    /// in the end, and when all is done, with as many bytes as there were to do. Small compactions
    /// are told only when they are done, and those that find nothing to do, not at all.
    ///
    /// `ControlFlow::Break` stops it, as if it had never begun: at once but for what is being
    /// merged or sorted by each thread, some ten milliseconds, and a sync of what was written. When
    /// all is done it is too late for that. No lock on the list is held during a call.
    ///
    /// # Errors
    /// As for [`Self::compact`]; `Cancelled`.
    pub fn compact_with_progress(
        &self,
        what: Compact,
        on_progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Option<Compaction>> {
        let on_progress = RefCell::new(on_progress);
        let on_progress = |progress| match on_progress.try_borrow_mut() {
            Ok(mut on_progress) => on_progress(progress),
            Err(_) => ControlFlow::Continue(()),
        };
        match what {
            Compact::Auto => self.compact_if_due(&on_progress),
            Compact::All { expiry } => self.compact_all(CompactionTask::new(expiry, false, &on_progress)),
            Compact::Rewrite { expiry } => {
                self.compact_all(CompactionTask::new(expiry, false, &on_progress).rewriting())
            }
        }
    }

    fn compact_all(&self, task: CompactionTask<'_>) -> Result<Option<Compaction>> {
        let least = if task.rewrite || task.expiry.is_set() { 1 } else { 2 };
        let all = |snapshot: &Snapshot| {
            let count = snapshot.tables().len();
            (count >= least).then_some(0..count)
        };
        let done = self.compact_range(all, &task)?;
        if done.is_none() {
            self.clean()?;
        }
        Ok(done)
    }

    /// The tables of `snapshot`, by position, that the rule of [`crate::Options::auto_compact`]
    /// would merge; git's rule when that is off. Reads nothing.
    ///
    /// A table whose update indexes are all below those of one beneath it may be in the wrong place
    /// of the list. Merging the two for good is left to [`Compact::all`]; the rule sees what lies
    /// above them.
    #[must_use]
    pub fn compaction_due(&self, snapshot: &Snapshot) -> Option<Range<usize>> {
        let Options { auto_compact, write, .. } = &self.shared.env.options;
        engine::compaction_due(snapshot, *auto_compact, write.largest_table())
    }

    /// What follows a commit that led to `after`: `None` if nothing was due, or another process is
    /// at it already.
    pub(crate) fn compact_after_commit(&self, after: &Snapshot) -> Option<Result<Compaction>> {
        if self.shared.env.options.auto_compact == AutoCompact::Off || self.compaction_due(after).is_none() {
            return None;
        }
        #[cfg(not(loom))]
        if self.compact_in_background() {
            return None;
        }
        let on_progress = |_| ControlFlow::Continue(());
        let task = self.task_by_rule(&on_progress).left_to_others(self.shared.env.options.wait_while_moving);
        match self.compact_by_rule(&task) {
            Ok(done) => done.map(Ok),
            Err(error) if error.kind() == ErrorKind::Locked => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Has the handle's thread look what is due. False if there is none: it was not asked for,
    /// the system gave none, or this is a child of the process that has it.
    ///
    /// What the end of things does to a compaction that is running:
    ///
    /// - *The last handle is dropped:* the compaction stops at its next range of keys, and its
    ///   output is removed. One that waits for the list lock to publish goes on, for at most as
    ///   long as a commit waits. The drop waits for the thread.
    /// - *The process ends without dropping:* as with a kill. What it wrote is not listed, its
    ///   locks are robust, the next compaction removes its files.
    /// - *The process forks:* the child has no such thread, and compacts at the end of its commit
    ///   calls. The parent goes on.
    #[cfg(not(loom))]
    fn compact_in_background(&self) -> bool {
        let work = || {
            // Without the worker: it must not keep itself alive.
            let stack = Stack::without_worker(Arc::clone(&self.shared));
            move |stop: Stop<'_>| {
                let on_progress =
                    |_| if stop.is_asked_for() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
                // Its failure is counted; the next commit asks again.
                let _ = stack.compact_if_due(&on_progress);
            }
        };
        self.worker.as_ref().is_some_and(|worker| worker.wake(work))
    }

    /// Merges what the rule asks for; gives up when it should stop.
    fn compact_if_due(&self, on_progress: &OnProgress<'_>) -> Result<Option<Compaction>> {
        self.compact_by_rule(&self.task_by_rule(on_progress))
    }

    fn task_by_rule<'a>(&self, on_progress: &'a OnProgress<'a>) -> CompactionTask<'a> {
        let task = CompactionTask::new(Expiry::default(), true, on_progress);
        if matches!(self.shared.env.options.auto_compact, AutoCompact::Git(_)) { task.rewriting() } else { task }
    }

    fn compact_by_rule(&self, task: &CompactionTask<'_>) -> Result<Option<Compaction>> {
        let done = self.compact_range(|snapshot| self.compaction_due(snapshot), task);
        if done.as_ref().is_err_and(|error| !matches!(error.kind(), ErrorKind::Locked | ErrorKind::Cancelled)) {
            self.shared.env.counters.failed_compactions.add(1);
        }
        done
    }

    fn compact_range(
        &self,
        choose: impl Fn(&Snapshot) -> Option<Range<usize>>,
        task: &CompactionTask<'_>,
    ) -> Result<Option<Compaction>> {
        if choose(&self.snapshot()?).is_none() {
            return Ok(None);
        }
        let timeout = if task.is_left { Some(Duration::ZERO) } else { self.shared.env.options.lock_timeout };
        let (lock, snapshot) = self.shared.write_lock.lock_list_within(timeout)?;
        let Some(range) = choose(&snapshot) else { return Ok(None) };
        let (Range { start, end }, count) = (range.clone(), snapshot.tables().len());
        invariant!(start < end && end <= count, "a compaction chooses tables {start} to {end} of {count}");
        let bytes: u64 = snapshot.tables().get(range.clone()).unwrap_or_default().iter().map(|t| t.file_size()).sum();
        if bytes > self.shared.env.options.compact_at_once {
            let claim = self.claim(snapshot, range, task.best_effort, |_| true)?;
            drop(lock);
            task.begin(claim.bytes())?;
            return self.compact_claimed(&claim, task).map(Some);
        }
        let there = self.names()?;
        let is_locked = |name: &String| there.contains(name) && !mutant::is_on(Mutant::IgnoreTableLocks);
        let claim = self.claim(snapshot, range, task.best_effort, is_locked)?;
        self.compact_at_once(lock, &claim, task, there).map(Some)
    }

    /// Locks the tables to be merged, as far as `is_locked` asks for it, newest first: so that a
    /// process that wants to merge the tables it has just added is not kept from it by an older one
    /// that is busy with the tables below. With `best_effort` the range ends above the first table
    /// that is taken.
    fn claim(
        &self,
        snapshot: Snapshot,
        mut range: Range<usize>,
        best_effort: bool,
        is_locked: impl Fn(&String) -> bool,
    ) -> Result<ClaimedTables> {
        let shared = &self.shared;
        let planned_start = range.start;
        let mut locks = Vec::new();
        for index in range.clone().rev() {
            let Some(table) = snapshot.tables().get(index) else { continue };
            let name = format!("{}.lock", table.name());
            if !is_locked(&name) {
                continue;
            }
            match acquire(&*shared.write_lock.locker, &shared.env.dir, &name, Duration::ZERO, Some(Duration::ZERO)) {
                Ok(lock) => locks.push(lock),
                Err(error) if error.kind() == ErrorKind::Locked && best_effort && range.end - index > 2 => {
                    range.start = index + 1;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(ClaimedTables { snapshot, range, planned_start, _locks: locks })
    }

    /// Merges small tables in one go, under the list lock.
    ///
    /// A process that wants to lock a table takes the list lock first, as git does, so none can
    /// while we hold it. Tables that were not locked before need no lock then, and their merging no
    /// second wait for the list.
    fn compact_at_once(
        &self,
        lock: ListLock,
        claim: &ClaimedTables,
        task: &CompactionTask<'_>,
        there: BTreeSet<String>,
    ) -> Result<Compaction> {
        let shared = &self.shared;
        let garbage = Garbage::among(&*shared.env.dir, &there, &claim.snapshot);
        let name = self.output_name(claim, &claim.snapshot)?;
        // Under its final name at once, as in a commit.
        let (file, contents, written) = self.merge(claim, task, || TempFile::create(&shared.env.dir, name.clone()))?;
        let output = PlacedTable { file, contents, is_synced: false };
        let done = self.put(lock, claim, &claim.snapshot, claim.range.clone(), (output, written), garbage)?;
        task.finish(done.bytes_before);
        Ok(done)
    }

    /// Merges tables that are locked, while others commit.
    fn compact_claimed(&self, claim: &ClaimedTables, task: &CompactionTask<'_>) -> Result<Compaction> {
        let shared = &self.shared;
        let temporary = || TempFile::temporary_locked(&shared.env.dir, Temporary::Output);
        let (file, contents, written) = self.merge(claim, task, temporary)?;
        // Here, where no caller waits for it.
        let is_synced = shared.env.options.durability != Durability::Off;
        if is_synced {
            file.sync()?;
        }
        let (lock, base) = self.lock_list_patiently(task)?;
        let Some(start) = claim.position_in(&base) else {
            let message = "the tables were replaced while they were being compacted, in spite of their locks";
            return Err(Error::new(ErrorKind::Locked, message).in_file(self.path()));
        };
        // Before the output gets a table's name: it is not listed yet, and would look like that of
        // a crashed process.
        let garbage = Garbage::among(&*shared.env.dir, &self.names()?, &base);
        // The output gets a table's name only now, under the lock: git removes tables that no list
        // names.
        let file = file.renamed(&self.output_name(claim, &base)?)?;
        let output = PlacedTable { file, contents, is_synced };
        let done = self.put(lock, claim, &base, start..start + claim.range.len(), (output, written), garbage)?;
        task.finish(done.bytes_before);
        Ok(done)
    }

    /// Takes the list lock when the work is done: later than a commit would give up, but not when
    /// it should stop.
    fn lock_list_patiently(&self, task: &CompactionTask<'_>) -> Result<(ListLock, Snapshot)> {
        let shared = &self.shared;
        let patience = shared.env.options.patience_for_outcome();
        let start = shared.env.dir.now();
        loop {
            let left = patience.saturating_sub(shared.env.dir.now().saturating_sub(start));
            match shared.write_lock.lock_list_within(Some(left.min(LOOK_UP))) {
                Err(error) if error.kind() == ErrorKind::Locked && left > LOOK_UP => task.check()?,
                taken => return taken,
            }
        }
    }

    /// Merges the claimed tables into a new file.
    fn merge(
        &self,
        claim: &ClaimedTables,
        task: &CompactionTask<'_>,
        create: impl Fn() -> Result<TempFile>,
    ) -> Result<(TempFile, Bytes, TableStats)> {
        self.check_readable(claim)?;
        let merged =
            engine::merge_somehow(claim.tables(), &self.shared.env.options.write, |options, trusts_indexes| {
                self.merge_into(create()?, claim, task, options, trusts_indexes)
            });
        merged.map_err(|error| task.explain(error))
    }

    /// Reads the tables to be merged with read calls, unless they are copies: a sector that cannot
    /// be read is an error here, and would be the end of the process in the midst of the merge.
    fn check_readable(&self, claim: &ClaimedTables) -> Result<()> {
        let shared = &self.shared;
        for table in claim.tables().iter().filter(|table| !table.is_copy()) {
            let name = table.name();
            let file =
                shared.env.dir.open(name).map_err(|error| shared.env.io("cannot open the table", name, error))?;
            let read = file.contents_by(Reading::Checked);
            let len = read
                .map_err(|error| table.file.in_file(shared.env.io("cannot read the table", name, error)))?
                .len() as u64;
            if len != table.file_size() {
                let message = format!("the table had {} bytes, and has {len} now", table.file_size());
                return Err(table.file.in_file(Error::corrupt(message).at(len)));
            }
        }
        Ok(())
    }

    fn merge_into(
        &self,
        file: TempFile,
        claim: &ClaimedTables,
        task: &CompactionTask<'_>,
        options: &WriteOptions,
        trusts_indexes: bool,
    ) -> Result<(TempFile, Bytes, TableStats)> {
        let tables = claim.tables();
        let path = self.path().join(file.name());
        // While it is empty: if we die now, it is garbage.
        self.shared.publisher.note_merged(&file, claim.names());
        // What is small is worth no thread, and no compromise: it becomes the table that git makes
        // of it.
        let budget = if claim.bytes() < LARGE { ThreadBudget::single() } else { self.shared.env.budget() };
        // Nothing lies below the oldest table that a tombstone could hide.
        let at_bottom = match () {
            () if mutant::is_on(Mutant::DropTombstones) => true,
            () if mutant::is_on(Mutant::ShrinkKeepsRule) => claim.planned_start == 0,
            () => claim.range.start == 0,
        };
        let is_small = claim.bytes() <= self.shared.env.options.compact_at_once;
        let copies = !task.rewrite && !is_small;
        let merge = MergeTask { tables, at_bottom, copies, trusts_indexes, compaction: task, budget: &budget };
        let merged = engine::write_merged(&merge, options, BufferedFile::new(file));
        let (buffered, written) = merged.map_err(|error| error.in_file(&path))?;
        let (file, contents) = buffered.finish(self.shared.env.reading())?;
        Ok((file, contents, written))
    }

    /// A name for the merged table that no table of `base` has.
    fn output_name(&self, claim: &ClaimedTables, base: &Snapshot) -> Result<String> {
        let (min, max) = engine::update_indexes(claim.tables())?.into_inner();
        let mut name = self.shared.publisher.table_name(min, max);
        while base.tables().iter().any(|table| table.name() == name) {
            name = self.shared.publisher.table_name(min, max);
        }
        Ok(name)
    }

    /// Puts the merged table in the place of its inputs, which are `replace` in `base`, and removes
    /// what is no longer needed. Releases the lock.
    fn put(
        &self,
        lock: ListLock,
        claim: &ClaimedTables,
        base: &Snapshot,
        replace: Range<usize>,
        (output, written): (PlacedTable, TableStats),
        mut garbage: Garbage,
    ) -> Result<Compaction> {
        // At the top of the list an empty table keeps the largest update index, so that none is
        // used twice.
        let keeps = written.refs + written.logs > 0 || replace.end == base.tables().len();
        let with: Vec<PlacedTable> = keeps.then_some(output).into_iter().collect();
        let table = with.first().map(|table| table.file.name().to_owned());
        let merged: Vec<String> = claim.names().map(str::to_owned).collect();
        if mutant::is_on(Mutant::DeleteInputsEarly) {
            merged.iter().for_each(|name| drop(self.shared.env.dir.remove(name)));
        }
        let at = replace.start;
        // Our inputs last: they may be the proof for what was left of theirs.
        let proof = table.clone().map_or(Proof::Dropped, Proof::Merged);
        let inputs = merged.iter().map(|name| GarbageTable { name: name.clone(), proof: proof.clone() });
        let obsolete = garbage.take_tables().into_iter().chain(inputs).collect();
        let (after, leftovers) = self.shared.publisher.publish(lock, base, Edit { replace, with, obsolete })?;
        self.trust_merged_logs(claim, &after, at, table.as_deref());
        self.shared.env.counters.compactions.add(1);
        self.collect_garbage(&garbage);
        Ok(Compaction { merged, table, bytes_before: claim.bytes(), written, leftovers })
    }

    /// What is known of the logs of all inputs is known of those of the merged `table`, which is at
    /// this place of the list.
    fn trust_merged_logs(&self, claim: &ClaimedTables, after: &Snapshot, at: usize, table: Option<&str>) {
        let merged = after.tables().get(at).filter(|merged| Some(merged.name()) == table);
        if claim.tables().iter().all(|table| table.are_logs_trusted()) {
            merged.into_iter().for_each(|merged| merged.trust_logs());
        }
    }

    fn names(&self) -> Result<BTreeSet<String>> {
        let names = self.shared.env.dir.names();
        let names = names.map_err(|error| Error::io("cannot read the directory", self.path(), error))?;
        Ok(names.into_iter().collect())
    }
}
