//! The proof that a compaction has lost nothing, kept while it works and checked before its output
//! is published.
//!
//! *Counts.* Every record that was read is written, or shadowed by a newer one of the same key, or
//! a tombstone that nothing lies below, or expired; a log that loses its last entry gets a marker
//! in its place. What was read is counted where cursors step, what was written where blocks end;
//! records of blocks that are copied are counted while they are validated, and the bytes of the
//! blocks that a cursor passes must be those of the blocks that were copied ([`super::copy`]).
//!
//! *Keys.* The first and the last key of what was written lie within those that were read.
//!
//! *Ranges.* They follow one another from the first key to the end. In each table the one begins
//! where the one before has ended: an index that is wrong may lead past records.
//!
//! *Sections.* Every cursor has come to the end of its section, and there are no references and no
//! logs outside of these.
//!
//! A proof that fails may be the fault of a table whose keys do not ascend, so the tables are
//! looked at before the library is blamed.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::escape::escaped;
use crate::format::header::BlockKind;
use crate::format::record::{LogRecord, Record, RefRecord};
use crate::invariant::{defect, invariant};
use crate::table::{Cursor, Table};

use super::ranges::Range;

/// What became of the records of one kind, in one range or in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Records that cursors came to, or that are in blocks they passed as a whole.
    pub(super) read: u64,
    /// Those that a newer record of the same key hides.
    pub(super) shadowed: u64,
    /// Tombstones that were left out.
    pub(super) dropped: u64,
    /// Log entries that were left out for their age.
    pub(super) expired: u64,
    /// Markers that were written in the place of the last of those.
    pub(super) marked: u64,
    /// The first key that was read.
    pub(super) first: Option<Vec<u8>>,
    /// The largest of the last keys of tables that were read to their end.
    pub(super) last: Option<Vec<u8>>,
    /// What was read of each table, oldest first.
    pub(super) extents: Vec<Extent>,
}

/// What was read of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Where the first record is that was read or, if there is none, the end.
    pub(super) from: (u64, usize),
    /// Where the first record is that was left to the next range.
    pub(super) to: (u64, usize),
    /// Where the section has ended, if it was read to its end.
    pub(super) end: Option<u64>,
    /// Whether the ranges have left something out.
    pub(super) has_gap: bool,
}

impl Extent {
    fn add(&mut self, next: &Extent) {
        self.has_gap |= next.has_gap || next.from > self.to;
        self.to = next.to;
        self.end = self.end.or(next.end);
    }
}

impl Account {
    /// Adds the account of the range that follows.
    pub(super) fn add(&mut self, next: Account) {
        self.read += next.read;
        self.shadowed += next.shadowed;
        self.dropped += next.dropped;
        self.expired += next.expired;
        self.marked += next.marked;
        self.first = self.first.take().or(next.first);
        self.last = self.last.take().max(next.last);
        if self.extents.is_empty() {
            self.extents = next.extents;
        } else {
            self.extents.iter_mut().zip(&next.extents).for_each(|(all, next)| all.add(next));
        }
    }

    /// Checks that nothing was left out between the ranges, and returns where the sections of the
    /// tables have ended.
    pub(super) fn check_extents(&self, tables: &[Arc<Table>], kind: BlockKind) -> Result<Vec<Option<u64>>> {
        let count = self.extents.len();
        invariant!(count == tables.len(), "a compaction of {} tables has read {count}", tables.len());
        for (table, extent) in tables.iter().zip(&self.extents) {
            if extent.has_gap {
                let message = format!("the {} index leads past records", kind.name());
                return Err(table.file.in_file(Error::corrupt(message)));
            }
            let is_read = table.section(kind).is_none() || extent.end.is_some();
            invariant!(is_read, "a compaction has not come to the end of the {} section", kind.name());
        }
        Ok(self.extents.iter().map(|extent| extent.end).collect())
    }

    /// Checks the account against what was written: so many records, with these first and last
    /// keys.
    pub(super) fn check(&self, kind: BlockKind, written: u64, keys: Option<(&[u8], &[u8])>) -> Result<()> {
        let Account { read, shadowed, dropped, expired, marked, .. } = self;
        if read + marked != written + shadowed + dropped + expired {
            return Err(defect(format!(
                "a compaction has read {read} {} records, but written {written}, with {shadowed} shadowed, {dropped} \
                 tombstones dropped, {expired} expired and {marked} markers in their place",
                kind.name()
            )));
        }
        let (first, last) = (self.first.as_deref(), self.last.as_deref());
        match keys {
            Some((least, most)) if first.is_none_or(|first| least < first) || last.is_none_or(|last| most > last) => {
                let shown = |key: &[u8]| escaped(key).to_string();
                let keys = format!("'{}' to '{}'", shown(least), shown(most));
                Err(defect(format!("a compaction has written the keys {keys}, which lie outside of those it has read")))
            }
            _ => Ok(()),
        }
    }
}

/// Checks that each table has its references and logs in their sections, whose ends are `refs` and
/// `logs`.
pub(super) fn check_sections(tables: &[Arc<Table>], refs: &[Option<u64>], logs: &[Option<u64>]) -> Result<()> {
    for (table, (refs, logs)) in tables.iter().zip(refs.iter().zip(logs)) {
        table.file.check_outside(refs.unwrap_or(table.file.first), logs.unwrap_or(table.file.end))?;
    }
    Ok(())
}

/// Checks that the ranges follow one another and leave nothing out.
pub(super) fn check_ranges(ranges: &[Range]) -> Result<()> {
    let is_whole = ranges.first().is_some_and(|first| first.from.is_empty())
        && ranges.last().is_some_and(|last| last.to.is_none())
        && ranges.windows(2).all(|pair| matches!(pair, [a, b] if a.to.as_ref() == Some(&b.from)));
    invariant!(is_whole, "the {} ranges of a compaction do not follow one another", ranges.len());
    Ok(())
}

/// `error`, unless it is a defect that a table whose keys do not ascend explains: then the error of
/// that table.
#[cold]
pub(super) fn explain(error: Error, tables: &[Arc<Table>]) -> Error {
    if error.kind() != ErrorKind::Internal {
        return error;
    }
    let check = |table| check_order::<RefRecord>(table).and_then(|()| check_order::<LogRecord>(table));
    tables.iter().try_for_each(check).err().unwrap_or(error)
}

/// Checks that the keys of a table ascend.
fn check_order<R: Record>(table: &Arc<Table>) -> Result<()> {
    let mut cursor = Cursor::<R>::new(Arc::clone(table), None);
    let mut before = Vec::new();
    let mut is_there = cursor.seek(b"")?;
    while is_there {
        if cursor.key() <= before.as_slice() {
            let shown = escaped(cursor.key()).to_string();
            let error = Error::corrupt(format!("the key '{shown}' is empty or not above the one before it"));
            return Err(cursor.misplaced(error));
        }
        cursor.key().clone_into(&mut before);
        is_there = cursor.next()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        let (first, last) = (Some(b"b".to_vec()), Some(b"x".to_vec()));
        Account { read: 10, shadowed: 3, dropped: 2, expired: 1, marked: 0, first, last, extents: Vec::new() }
    }

    #[test]
    fn an_account_that_balances_is_right() {
        assert!(account().check(BlockKind::Ref, 4, Some((b"b", b"x"))).is_ok());
        assert!(account().check(BlockKind::Ref, 4, Some((b"c", b"w"))).is_ok());
        assert!(Account::default().check(BlockKind::Log, 0, None).is_ok());
    }

    #[test]
    fn a_record_too_few_or_too_many_is_told() {
        for written in [3, 5] {
            let error = account().check(BlockKind::Ref, written, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Internal);
            assert!(error.to_string().contains(&format!("read 10 ref records, but written {written},")), "{error}");
        }
    }

    #[test]
    fn keys_from_elsewhere_are_told() {
        for keys in [(b"a", b"x"), (b"b", b"y")] {
            let error = account().check(BlockKind::Ref, 4, Some((keys.0, keys.1))).unwrap_err();
            assert!(error.to_string().contains("outside of those it has read"), "{error}");
        }
    }

    #[test]
    fn accounts_of_ranges_add_up() {
        let mut sum = Account::default();
        sum.add(account());
        sum.add(Account { last: None, first: Some(b"z".to_vec()), ..account() });
        let expected = Account { read: 20, shadowed: 6, dropped: 4, expired: 2, ..account() };
        assert_eq!(sum, expected);
    }

    #[test]
    fn what_lies_between_two_ranges_is_noticed() {
        let part = |from, to| Extent { from: (from, 9), to: (to, 9), ..Extent::default() };
        for (next, has_gap) in [(300, false), (200, false), (301, true)] {
            let mut all = part(0, 300);
            all.add(&part(next, 400));
            all.add(&part(400, u64::MAX));
            assert_eq!(all.has_gap, has_gap, "{next}");
        }
    }

    #[test]
    fn ranges_that_follow_one_another_are_whole() {
        let range = |from: &str, to: Option<&str>| Range { from: from.into(), to: to.map(Into::into) };
        assert!(check_ranges(&[range("", Some("m")), range("m", Some("q")), range("q", None)]).is_ok());
    }

    #[test]
    #[cfg_attr(all(debug_assertions, not(reftable_mutants)), should_panic(expected = "do not follow one another"))]
    fn ranges_with_a_gap_are_not() {
        let range = |from: &str, to: Option<&str>| Range { from: from.into(), to: to.map(Into::into) };
        let error = check_ranges(&[range("", Some("m")), range("n", None)]).unwrap_err();
        panic!("{error}");
    }
}
