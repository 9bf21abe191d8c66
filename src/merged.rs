//! Several tables seen as one: of the records with one key, the newest counts.

use std::cmp::Ordering;
use std::fmt::Debug;
use std::sync::Arc;

use crate::error::Result;
use crate::record::{LogRecord, LogRecordView, Record, RefRecord, RefRecordView, common_prefix, log_key};
use crate::table::{Block, Cursor, Table};

/// Whether a merge hands out the records that say "deleted".
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

    /// The references from the first whose name is not below `from`.
    ///
    /// # Errors
    /// `Corrupt`; see [`RefRecords::next`] for the cost.
    pub fn refs(&self, from: &[u8], tombstones: Tombstones) -> Result<RefRecords> {
        let mut merge = Merge::new(&self.tables, tombstones);
        merge.seek(from)?;
        Ok(RefRecords(merge))
    }

    /// The log records from the first whose name is not below `from`: by name, then newest first.
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
            /// The next record. Costs no allocation once the name buffers have grown; comparisons of numbers grow
            /// with the number of tables, those of names hardly.
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
    /// A walk over reference records. See [`Merged::refs`].
    RefRecords, RefRecord, RefRecordView
}
records! {
    /// A walk over log records. See [`Merged::logs`].
    LogRecords, LogRecord, LogRecordView
}

impl RefRecords {
    /// A walk that begins nowhere: [`Self::seek`] first. For those who seek one walk again and again.
    #[must_use]
    pub fn new(merged: &Merged, tombstones: Tombstones) -> Self {
        RefRecords(Merge::new(&merged.tables, tombstones))
    }

    /// Moves before the first reference whose name is not below `name`, backwards, too.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset; nothing follows it.
    pub fn seek(&mut self, name: &[u8]) -> Result<()> {
        self.0.seek(name)
    }
}

impl LogRecords {
    /// A walk that begins nowhere: [`Self::seek`] first. For those who seek one walk again and again.
    #[must_use]
    pub fn new(merged: &Merged, tombstones: Tombstones) -> Self {
        LogRecords(Merge::new(&merged.tables, tombstones))
    }

    /// Moves before the newest log record of `name` whose update index is at most `at_most`, backwards, too.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset; nothing follows it.
    pub fn seek(&mut self, name: &[u8], at_most: u64) -> Result<()> {
        let mut key = Vec::new();
        log_key(&mut key, name, at_most);
        self.0.seek(&key)
    }
}

/// The merge itself: one cursor a table, in the order of the records they stand at.
///
/// What makes it cheap is that every cursor knows how much its key shares with the one before it in that order. A
/// cursor that has stepped forward knows how much its new key shares with its old one, and so finds its new place by
/// comparing numbers: of two keys that follow the same one, that which shares more with it comes first. Bytes are
/// looked at only when both share equally much, and then only those behind.
#[derive(Debug)]
pub(crate) struct Merge<R: Record> {
    /// Oldest first.
    cursors: Vec<Cursor<R>>,
    /// The cursors that are not at their end, next record last; among equal keys, the newest table comes first.
    line: Vec<Standing>,
    tombstones: Tombstones,
    /// Whether the next record has been handed out.
    started: bool,
    /// Empty but while a key is being left.
    leaving: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Standing {
    cursor: usize,
    /// How many bytes its key shares with the one that precedes it; [`SAME`] if they are equal.
    shared: usize,
}

/// More than any number of bytes.
const SAME: usize = usize::MAX;

impl<R: Record> Merge<R> {
    pub(crate) fn new(tables: &[Arc<Table>], tombstones: Tombstones) -> Self {
        Merge {
            cursors: tables.iter().map(|table| Cursor::new(Arc::clone(table))).collect(),
            line: Vec::with_capacity(tables.len()),
            tombstones,
            started: false,
            leaving: Vec::new(),
        }
    }

    /// A merge for those who seek many places, once each: nothing is kept in the tables.
    pub(crate) fn in_passing(tables: &[Arc<Table>], tombstones: Tombstones) -> Self {
        let cursors = tables.iter().map(|table| Cursor::in_passing(Arc::clone(table))).collect();
        Merge { cursors, ..Merge::new(&[], tombstones) }
    }

    /// Moves before the first record whose key is not below `key`.
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.line.clear();
        self.started = false;
        for (index, cursor) in self.cursors.iter_mut().enumerate() {
            match cursor.seek(key) {
                Ok(true) => self.line.push(Standing { cursor: index, shared: 0 }),
                Ok(false) => {}
                Err(error) => {
                    // Without this table, what it deletes would be seen.
                    self.line.clear();
                    return Err(error);
                }
            }
        }
        let (line, cursors) = (&mut self.line, &self.cursors);
        let key = |standing: &Standing| cursors.get(standing.cursor).map(Cursor::key).unwrap_or_default();
        line.sort_by(|a, b| key(b).cmp(key(a)).then(a.cursor.cmp(&b.cursor)));
        for at in 1..line.len() {
            if let Some([next, before]) = line.get_mut(at - 1..=at) {
                let (a, b) = (key(before), key(next));
                next.shared = if a == b { SAME } else { common_prefix(a, b) };
            }
        }
        Ok(())
    }

    /// The cursor at the record at hand.
    pub(crate) fn front(&self) -> Option<&Cursor<R>> {
        self.cursors.get(self.line.last()?.cursor)
    }

    /// The key of the cursor behind the one at the record at hand: not below that record's.
    pub(crate) fn next_key(&self) -> Option<&[u8]> {
        let behind = self.line.len().checked_sub(2).and_then(|at| self.line.get(at))?;
        self.cursors.get(behind.cursor).map(Cursor::key)
    }

    /// Moves the cursor at the record at hand to the end of `block`, whose last key is `last_key`. All other cursors stand behind
    /// that.
    pub(crate) fn skip_behind(&mut self, block: Block, last_key: &[u8]) {
        let Merge { cursors, line, .. } = self;
        let [.., behind, front] = line.as_mut_slice() else {
            let only = line.last().and_then(|only| cursors.get_mut(only.cursor));
            return only.map_or((), |only| only.skip_behind(block, last_key));
        };
        if let Some(front) = cursors.get_mut(front.cursor) {
            front.skip_behind(block, last_key);
        }
        behind.shared = cursors.get(behind.cursor).map_or(0, |behind| common_prefix(last_key, behind.key()));
    }

    /// Steps to the next key and returns the cursor that stands at it.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<&Cursor<R>>> {
        let index = match (self.started, self.line.as_slice()) {
            (true, &[Standing { cursor, .. }]) => self.next_of_one(cursor)?,
            _ => self.next_of_many()?,
        };
        Ok(index.and_then(|index| self.cursors.get(index)))
    }

    /// One table is left: nothing to compare.
    #[inline(always)]
    fn next_of_one(&mut self, only: usize) -> Result<Option<usize>> {
        let Some(cursor) = self.cursors.get_mut(only) else { return Ok(None) };
        loop {
            match cursor.next() {
                Ok(true) if self.tombstones == Tombstones::Hide && cursor.is_tombstone() => {}
                Ok(true) => return Ok(Some(only)),
                ended => {
                    self.line.clear();
                    return ended.map(|_| None);
                }
            }
        }
    }

    #[inline(never)]
    fn next_of_many(&mut self) -> Result<Option<usize>> {
        loop {
            if self.started {
                self.leave_key()?;
            }
            self.started = true;
            let Some(first) = self.line.last() else { return Ok(None) };
            let is_hidden = |cursor: &Cursor<R>| self.tombstones == Tombstones::Hide && cursor.is_tombstone();
            if !self.cursors.get(first.cursor).is_some_and(is_hidden) {
                return Ok(Some(first.cursor));
            }
        }
    }

    /// Steps every cursor that stands at the key at hand.
    fn leave_key(&mut self) -> Result<()> {
        while let Some(first) = self.line.pop() {
            self.leaving.push(first.cursor);
            if self.line.last().is_none_or(|next| next.shared != SAME) {
                break;
            }
        }
        while let Some(index) = self.leaving.pop() {
            let Some(cursor) = self.cursors.get_mut(index) else { continue };
            match cursor.next_shared() {
                Ok(Some(shared)) => self.line_up(index, shared),
                Ok(None) => {}
                Err(error) => {
                    self.line.clear();
                    self.leaving.clear();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Gives a cursor its place in the line. Its key has `shared` bytes in common with the key that was left.
    #[inline]
    fn line_up(&mut self, index: usize, mut shared: usize) {
        let Merge { cursors, line, .. } = self;
        let key = |index: usize| cursors.get(index).map(Cursor::key).unwrap_or_default();
        let mut at = line.len();
        while let Some(next) = at.checked_sub(1).and_then(|at| line.get_mut(at)) {
            // Both follow the same key: the one that shares more with it comes first.
            match shared.cmp(&next.shared) {
                Ordering::Greater => break,
                Ordering::Less => {}
                Ordering::Equal => {
                    let (common, order) = compare(key(index), key(next.cursor), shared);
                    if order.then(next.cursor.cmp(&index)) == Ordering::Less {
                        next.shared = common;
                        break;
                    }
                    shared = common;
                }
            }
            at -= 1;
        }
        line.insert(at, Standing { cursor: index, shared });
    }
}

/// How two keys compare that have `shared` bytes in common, and how many they really have; [`SAME`] if they are equal.
#[inline]
fn compare(a: &[u8], b: &[u8], shared: usize) -> (usize, Ordering) {
    if shared == SAME {
        return (SAME, Ordering::Equal);
    }
    let (a, b) = (a.get(shared..).unwrap_or_default(), b.get(shared..).unwrap_or_default());
    let common = common_prefix(a, b);
    match a.get(common).cmp(&b.get(common)) {
        Ordering::Equal => (SAME, Ordering::Equal),
        order => (shared + common, order),
    }
}
