//! Several tables seen as one (k-way merge): of the records with one key, the newest counts.

mod offset_value;

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::sync::Arc;

use offset_value::{OffsetValueCode, Runner, replace_last, sort_runners};

use crate::error::{Error, Result};
use crate::format::record::{LogRecord, Record, RefRecord, common_prefix, log_key};
use crate::invariant::violated;
use crate::mutant::{self, Mutant};
use crate::table::{Block, Cursor, Ran, Table, WarmUp};
use crate::value::{LogRecordView, RefRecordView};

/// Whether a merge yields the records that say "deleted".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tombstones {
    /// As readers of references want it.
    Hide,
    /// As a compaction needs it that leaves older tables below its result.
    Show,
}

/// Tables from oldest to newest, seen as one.
#[derive(Debug, Clone)]
pub struct Merged {
    tables: Vec<Arc<Table>>,
}

impl Merged {
    /// The union of `tables`, oldest first.
    #[must_use]
    pub fn new(tables: Vec<Arc<Table>>) -> Self {
        Merged { tables }
    }

    /// The references from the first whose name is at least `from`.
    ///
    /// # Errors
    /// `Corrupt`; see [`RefRecords::next`] for the cost.
    pub fn refs(&self, from: &[u8], tombstones: Tombstones) -> Result<RefRecords> {
        let mut merge = Merge::new(&self.tables, tombstones);
        merge.seek(from)?;
        Ok(RefRecords(merge))
    }

    /// The log records from the first whose name is at least `from`: by name, then newest first.
    ///
    /// # Errors
    /// As for [`Self::refs`].
    pub fn logs(&self, from: &[u8], tombstones: Tombstones) -> Result<LogRecords> {
        let mut merge = Merge::new(&self.tables, tombstones);
        merge.seek(from)?;
        Ok(LogRecords(merge))
    }
}

macro_rules! records {
    ($(#[$doc:meta])* $name:ident, $record:ident, $view:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(Merge<$record>);

        impl $name {
            /// The next record. Costs no allocation once the name buffers have grown; comparisons
            /// of numbers grow with the number of tables, those of names hardly.
            ///
            /// # Errors
            /// `Corrupt`, with file and offset; nothing follows it.
            #[inline]
            #[expect(clippy::should_implement_trait, reason = "lends its record, which Iterator cannot")]
            pub fn next(&mut self) -> Result<Option<$view<'_>>> {
                Ok(self.0.next()?.map(Cursor::view))
            }
        }
    };
}

records! {
    /// A scan of reference records. See [`Merged::refs`].
    RefRecords, RefRecord, RefRecordView
}
records! {
    /// A scan of log records. See [`Merged::logs`].
    LogRecords, LogRecord, LogRecordView
}

impl RefRecords {
    /// A scan that begins nowhere: [`Self::seek`] first. For callers that seek one scan again and
    /// again.
    #[must_use]
    pub fn new(merged: &Merged, tombstones: Tombstones) -> Self {
        RefRecords(Merge::new(&merged.tables, tombstones))
    }

    /// Moves before the first reference whose name is at least `name`, backwards, too.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset; nothing follows it.
    pub fn seek(&mut self, name: &[u8]) -> Result<()> {
        self.0.seek(name)
    }
}

impl LogRecords {
    /// A scan that begins nowhere: [`Self::seek`] first. For callers that seek one scan again and
    /// again.
    #[must_use]
    pub fn new(merged: &Merged, tombstones: Tombstones) -> Self {
        LogRecords(Merge::new(&merged.tables, tombstones))
    }

    /// Moves before the newest log record of `name` whose update index is at most `at_most`,
    /// backwards, too.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset; nothing follows it.
    pub fn seek(&mut self, name: &[u8], at_most: u64) -> Result<()> {
        let mut key = Vec::new();
        log_key(&mut key, name, at_most);
        self.0.seek(&key)
    }
}

/// The runners name a cursor that there is not, which must not read as the end of the data.
#[cold]
fn lost() -> Error {
    violated("a merge has lost a cursor")
}

/// What a merge came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Records that it has passed.
    pub(crate) read: u64,
    /// Those of them that a newer one of their key hides.
    pub(crate) shadowed: u64,
    /// Tombstones that it has not yielded.
    pub(crate) hidden: u64,
}

/// The merge itself: one cursor a table, in the order of the records they stand at
/// ([`offset_value`]).
#[derive(Debug)]
pub(crate) struct Merge<R: Record> {
    /// Oldest first.
    cursors: Vec<Cursor<R>>,
    /// The cursors that are not at their end, next record last; among equal keys, the newest table
    /// comes first.
    runners: Vec<Runner>,
    tombstones: Tombstones,
    /// Whether the next record has been yielded.
    started: bool,
    tally: Tally,
}

impl<R: Record> Merge<R> {
    pub(crate) fn new(tables: &[Arc<Table>], tombstones: Tombstones) -> Self {
        Self::warming(tables, tombstones, Some(WarmUp::READ))
    }

    /// A merge whose seeks use the tables' index caches, and fill them, as `warm_up` says; without
    /// one, for callers that seek many places, once each, they fill none.
    pub(crate) fn warming(tables: &[Arc<Table>], tombstones: Tombstones, warm_up: Option<WarmUp>) -> Self {
        Merge {
            cursors: tables.iter().map(|table| Cursor::new(Arc::clone(table), warm_up)).collect(),
            runners: Vec::with_capacity(tables.len()),
            tombstones,
            started: false,
            tally: Tally::default(),
        }
    }

    /// Moves before the first record whose key is at least `key`.
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.runners.clear();
        self.started = false;
        for (index, cursor) in self.cursors.iter_mut().enumerate() {
            steps::count();
            match cursor.seek(key) {
                Ok(true) => {
                    self.runners.push(Runner { cursor: index, code: OffsetValueCode::SAME });
                    self.tally.read += 1;
                }
                Ok(false) => {}
                Err(error) => {
                    // Without this table, what it deletes would be seen.
                    self.runners.clear();
                    return Err(error);
                }
            }
        }
        sort_runners(&mut self.runners, &self.cursors);
        Ok(())
    }

    /// Of a scan by [`Self::next`] since it was made: what it has passed. The current record
    /// is not among that, nor those that other cursors stand at.
    pub(crate) fn tally(&self) -> Tally {
        let pending = self.runners.len() as u64;
        Tally { read: self.tally.read.saturating_sub(pending), ..self.tally }
    }

    /// The largest of the last keys of those tables that have come to their end.
    pub(crate) fn last_key(&self) -> Option<&[u8]> {
        self.cursors.iter().filter(|cursor| cursor.offset().is_none()).map(Cursor::key).max()
    }

    /// Where the cursor of each table stands.
    pub(crate) fn places(&self) -> Vec<(u64, usize)> {
        self.cursors.iter().map(Cursor::place).collect()
    }

    /// Where the section of each table has ended, once its cursor has come there.
    pub(crate) fn section_ends(&self) -> Vec<Option<u64>> {
        self.cursors.iter().map(Cursor::section_end).collect()
    }

    /// The cursor at the current record.
    pub(crate) fn front(&self) -> Option<&Cursor<R>> {
        self.cursors.get(self.runners.last()?.cursor)
    }

    /// The key of the cursor after the one at the current record: at least that record's.
    pub(crate) fn next_key(&self) -> Option<&[u8]> {
        let second = self.runners.len().checked_sub(2).and_then(|at| self.runners.get(at))?;
        self.cursors.get(second.cursor).map(Cursor::key)
    }

    /// Moves the cursor at the current record to the end of `block`, whose last key is `last_key`,
    /// past `records`, that one included. All other cursors stand after that.
    pub(crate) fn skip_behind(&mut self, block: Block, last_key: &[u8], records: u64) {
        let Merge { cursors, runners, tally, .. } = self;
        tally.read += records.saturating_sub(1);
        let [.., second, front] = runners.as_mut_slice() else {
            let only = runners.last().and_then(|only| cursors.get_mut(only.cursor));
            return only.map_or((), |only| only.skip_behind(block, last_key));
        };
        if let Some(front) = cursors.get_mut(front.cursor) {
            front.skip_behind(block, last_key);
        }
        if let Some(cursor) = cursors.get(second.cursor) {
            second.code = OffsetValueCode::new(cursor.key_buf(), common_prefix(last_key, cursor.key()));
        }
    }

    /// Steps to the next key and returns the cursor that stands at it.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<&Cursor<R>>> {
        let index = match (self.started, self.runners.as_slice()) {
            (true, &[Runner { cursor, .. }]) => self.next_of_one(cursor)?,
            _ => self.next_of_many()?,
        };
        match index {
            Some(index) => self.cursors.get(index).ok_or_else(lost).map(Some),
            None => Ok(None),
        }
    }

    /// Steps to the next record that is no tombstone, as long as keys are `within` what is sought:
    /// a merge that hides tombstones steps over all those after it, too, up to the next record that
    /// lives.
    #[inline(always)]
    pub(crate) fn next_alive(&mut self, within: impl Fn(&[u8]) -> bool) -> Result<Option<&Cursor<R>>> {
        loop {
            match self.next()? {
                Some(record) if !within(record.key()) => return Ok(None),
                Some(record) if record.is_tombstone() => {}
                Some(_) => return Ok(self.front()),
                None => return Ok(None),
            }
        }
    }

    /// Hands all records that follow to `each`, until it breaks.
    #[inline(always)]
    pub(crate) fn for_each<B>(
        &mut self,
        mut each: impl FnMut(R::View<'_>) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>> {
        let ended = self.for_each_of_many(&mut each);
        if let Ok(ControlFlow::Continue(())) = ended
            && let Some(only) = self.runners.last().and_then(|only| self.cursors.get_mut(only.cursor))
        {
            let ended = only.for_each(self.tombstones == Tombstones::Hide, each);
            if !matches!(ended, Ok(ControlFlow::Break(_))) {
                self.runners.clear();
            }
            return ended;
        }
        ended
    }

    /// The same until one table is left, whose current record has been yielded.
    #[inline(always)]
    fn for_each_of_many<B>(&mut self, mut each: impl FnMut(R::View<'_>) -> ControlFlow<B>) -> Result<ControlFlow<B>> {
        let hide = self.tombstones == Tombstones::Hide;
        loop {
            if self.started {
                match self.runners.as_slice() {
                    [] | [_] => return Ok(ControlFlow::Continue(())),
                    [.., second, _] if second.code == OffsetValueCode::SAME => self.leave_key()?,
                    _ => {
                        if let ControlFlow::Break(why) = self.run_front(hide, &mut each)? {
                            return Ok(ControlFlow::Break(why));
                        }
                    }
                }
            }
            self.started = true;
            if let Some(front) = self.front().filter(|front| !hide || !front.is_tombstone())
                && let ControlFlow::Break(why) = each(front.view())
            {
                return Ok(ControlFlow::Break(why));
            }
        }
    }

    /// Leaves the current record, and yields those of the same table that come before the next
    /// cursor's.
    #[inline(always)]
    fn run_front<B>(&mut self, hide: bool, each: impl FnMut(R::View<'_>) -> ControlFlow<B>) -> Result<ControlFlow<B>> {
        let Merge { cursors, runners, .. } = self;
        let [.., second, front] = runners.as_slice() else { return Err(lost()) };
        let cursor = cursors.get_mut(front.cursor).ok_or_else(lost)?;
        match cursor.run(hide, |key, shared| OffsetValueCode::new(key, shared) < second.code, each) {
            Ok(Ran::Broke(why)) => return Ok(ControlFlow::Break(why)),
            Ok(Ran::Met(shared)) => {
                let code = OffsetValueCode::new(cursor.key_buf(), shared);
                replace_last(runners, cursors, code);
            }
            Ok(Ran::Ended) => drop(runners.pop()),
            Err(error) => {
                runners.clear();
                return Err(error);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// One table is left: nothing to compare.
    #[inline(always)]
    fn next_of_one(&mut self, only: usize) -> Result<Option<usize>> {
        let cursor = self.cursors.get_mut(only).ok_or_else(lost)?;
        loop {
            steps::count();
            match cursor.next() {
                Ok(true) if self.tombstones == Tombstones::Hide && cursor.is_tombstone() => {
                    self.tally.read += 1;
                    self.tally.hidden += 1;
                }
                Ok(true) => {
                    self.tally.read += 1;
                    return Ok(Some(only));
                }
                ended => {
                    self.runners.clear();
                    return ended.map(|_| None);
                }
            }
        }
    }

    #[inline(never)]
    fn next_of_many(&mut self) -> Result<Option<usize>> {
        loop {
            if self.started && !mutant::is_on(Mutant::RepeatRecord) {
                self.leave_key()?;
            }
            if self.started && mutant::is_on(Mutant::DropRecord) {
                self.leave_key()?;
            }
            self.started = true;
            let Some(first) = self.runners.last() else { return Ok(None) };
            let is_hidden = |cursor: &Cursor<R>| self.tombstones == Tombstones::Hide && cursor.is_tombstone();
            if !self.cursors.get(first.cursor).is_some_and(is_hidden) {
                return Ok(Some(first.cursor));
            }
            self.tally.hidden += 1;
        }
    }

    /// Steps every cursor that stands at the current key: those in front.
    #[inline(always)]
    fn leave_key(&mut self) -> Result<()> {
        let Some(front) = self.runners.len().checked_sub(1) else { return Ok(()) };
        if let [.., second, _] = self.runners.as_slice()
            && second.code == OffsetValueCode::SAME
        {
            return self.leave_shared_key(front);
        }
        self.step(front).map(|_| ())
    }

    /// As [`Self::leave_key`], when more than one stand there.
    #[inline(never)]
    fn leave_shared_key(&mut self, front: usize) -> Result<()> {
        let is_there = |at: usize| self.runners.get(at).is_some_and(|standing| standing.code == OffsetValueCode::SAME);
        let mut at = (0..front).rev().take_while(|at| is_there(*at)).last().unwrap_or(front);
        self.tally.shadowed += (front - at) as u64;
        // Those that have not stepped yet are ahead of all others.
        while at < self.runners.len() {
            at += usize::from(self.step(at)?);
        }
        Ok(())
    }

    /// Steps the cursor at place `at` of the runners, and puts it where it belongs among the
    /// others. `false` if it has come to its end.
    #[inline(always)]
    fn step(&mut self, at: usize) -> Result<bool> {
        let Merge { cursors, runners, tally, .. } = self;
        let cursor = runners.get(at).and_then(|standing| cursors.get_mut(standing.cursor)).ok_or_else(lost)?;
        steps::count();
        match cursor.next_shared() {
            Ok(Some(shared)) => {
                let code = OffsetValueCode::new(cursor.key_buf(), shared);
                replace_last(runners.get_mut(..=at).unwrap_or_default(), cursors, code);
                tally.read += 1;
                Ok(true)
            }
            Ok(None) => {
                runners.remove(at);
                Ok(false)
            }
            Err(error) => {
                runners.clear();
                Err(error)
            }
        }
    }
}

/// How much merging a thread has done, and how many directories it has looked up, for tests that
/// state what work grows with.
pub(crate) mod steps {
    #[cfg(test)]
    thread_local! {
        static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    }

    /// A cursor seeks, or steps to its next record; or a transaction looks up a directory.
    #[inline(always)]
    pub(crate) fn count() {
        #[cfg(test)]
        STEPS.with(|steps| steps.set(steps.get() + 1));
    }

    /// How often that was so while this thread did `work`.
    #[cfg(test)]
    pub(crate) fn of<T>(work: impl FnOnce() -> T) -> (u64, T) {
        let before = STEPS.with(std::cell::Cell::get);
        let done = work();
        (STEPS.with(std::cell::Cell::get) - before, done)
    }
}
