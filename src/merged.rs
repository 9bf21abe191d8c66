//! Several tables seen as one: of the records with one key, the newest counts.

use std::cmp::Ordering;
use std::fmt::Debug;
use std::sync::Arc;

use crate::error::Result;
use crate::record::{LogRecord, LogRecordView, Record, RefRecord, RefRecordView};
use crate::table::{Cursor, Table};

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
            /// The next record. Costs no allocation once the name buffers have grown; comparisons grow with
            /// the logarithm of the number of tables.
            ///
            /// # Errors
            /// `Corrupt`, with file and offset; nothing follows it.
            #[expect(clippy::should_implement_trait, reason = "lends its record, which Iterator cannot")]
            pub fn next(&mut self) -> Result<Option<$view<'_>>> {
                Ok(if self.0.next()? { Some(self.0.view()) } else { None })
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

/// The merge itself: one cursor a table and a binary heap of those that are not at their end.
#[derive(Debug)]
pub(crate) struct Merge<R: Record> {
    /// Oldest first.
    cursors: Vec<Cursor<R>>,
    /// Positions in `cursors`; the root has the smallest key and, among equal keys, the newest table.
    heap: Vec<usize>,
    tombstones: Tombstones,
    /// Whether the record at the root has been handed out.
    started: bool,
    last_key: Vec<u8>,
}

impl<R: Record> Merge<R> {
    pub(crate) fn new(tables: &[Arc<Table>], tombstones: Tombstones) -> Self {
        Merge {
            cursors: tables.iter().map(|table| Cursor::new(Arc::clone(table))).collect(),
            heap: Vec::with_capacity(tables.len()),
            tombstones,
            started: false,
            last_key: Vec::new(),
        }
    }

    /// Moves before the first record whose key is not below `key`.
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.heap.clear();
        self.started = false;
        for (index, cursor) in self.cursors.iter_mut().enumerate() {
            match cursor.seek(key).and_then(|()| cursor.next()) {
                Ok(true) => self.heap.push(index),
                Ok(false) => {}
                Err(error) => {
                    // Without this table, what it deletes would be seen.
                    self.heap.clear();
                    return Err(error);
                }
            }
        }
        for root in (0..self.heap.len() / 2).rev() {
            self.sift_down(root);
        }
        Ok(())
    }

    /// Steps to the next key. `false` at the end.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<bool> {
        if let (true, &[only]) = (self.started, self.heap.as_slice()) {
            return self.next_of_one(only);
        }
        self.next_of_many()
    }

    /// One table is left: nothing to compare.
    #[inline]
    fn next_of_one(&mut self, only: usize) -> Result<bool> {
        let Some(cursor) = self.cursors.get_mut(only) else { return Ok(false) };
        loop {
            match cursor.next() {
                Ok(true) if self.tombstones == Tombstones::Hide && cursor.is_tombstone() => {}
                Ok(true) => return Ok(true),
                ended => {
                    self.heap.clear();
                    return ended;
                }
            }
        }
    }

    fn next_of_many(&mut self) -> Result<bool> {
        loop {
            if self.started {
                self.leave_key()?;
            }
            self.started = true;
            match self.root() {
                None => return Ok(false),
                Some(root) if self.tombstones == Tombstones::Hide && root.is_tombstone() => {}
                Some(_) => return Ok(true),
            }
        }
    }

    /// The record at hand, after `next` said that there is one.
    #[inline]
    pub(crate) fn view(&self) -> R::View<'_> {
        match self.root() {
            Some(cursor) => cursor.view(),
            None => R::view(&[], &[], &R::Span::default(), &NO_CONTEXT),
        }
    }

    /// The key of the record at hand.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.root().map(Cursor::key).unwrap_or_default()
    }

    #[inline]
    fn root(&self) -> Option<&Cursor<R>> {
        self.heap.first().and_then(|&index| self.cursors.get(index))
    }

    /// Advances every cursor that stands at the key at hand.
    fn leave_key(&mut self) -> Result<()> {
        self.last_key.clear();
        let (last_key, heap, cursors) = (&mut self.last_key, &self.heap, &self.cursors);
        last_key
            .extend_from_slice(heap.first().and_then(|&index| cursors.get(index)).map(Cursor::key).unwrap_or_default());
        while !self.heap.is_empty() {
            self.advance_root()?;
            if self.key() != self.last_key {
                break;
            }
        }
        Ok(())
    }

    fn advance_root(&mut self) -> Result<()> {
        let Some(cursor) = self.heap.first().and_then(|&index| self.cursors.get_mut(index)) else { return Ok(()) };
        let more = match cursor.next() {
            Ok(more) => more,
            Err(error) => {
                self.heap.clear();
                return Err(error);
            }
        };
        if !more {
            self.heap.swap_remove(0);
        }
        self.sift_down(0);
        Ok(())
    }

    /// Whether the cursor at heap position `a` comes before the one at `b`.
    fn precedes(&self, a: usize, b: usize) -> bool {
        let at = |position: usize| {
            let index = self.heap.get(position)?;
            self.cursors.get(*index).map(|cursor| (*index, cursor.key()))
        };
        match (at(a), at(b)) {
            (Some((newer, a)), Some((older, b))) => match a.cmp(b) {
                Ordering::Less => true,
                Ordering::Equal => newer > older,
                Ordering::Greater => false,
            },
            (there, _) => there.is_some(),
        }
    }

    fn sift_down(&mut self, mut root: usize) {
        loop {
            let mut first = root;
            for child in [2 * root + 1, 2 * root + 2] {
                if child < self.heap.len() && self.precedes(child, first) {
                    first = child;
                }
            }
            if first == root {
                return;
            }
            self.heap.swap(root, first);
            root = first;
        }
    }
}

/// For the view of nothing.
const NO_CONTEXT: crate::record::Context =
    crate::record::Context { hash: crate::oid::HashKind::Sha1, min_update_index: 0 };
