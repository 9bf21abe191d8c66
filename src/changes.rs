//! What happened between two snapshots.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::error::Result;
use crate::escape::debug_with_text;
use crate::format::record::RefRecord;
use crate::merge::{Merge, Tombstones};
use crate::snapshot::Snapshot;
use crate::table::{Cursor, Table};
use crate::value::RefRecordView;
use crate::value::Target;

/// A reference that is not what it was.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Its full name, such as `refs/heads/main`.
    pub name: Vec<u8>,
    /// Where it pointed; `None` if it did not exist.
    pub before: Option<Target>,
    /// Where it points; `None` if it does not exist any more.
    pub after: Option<Target>,
}

debug_with_text!(Change { name; before, after });

/// The references that differ between two snapshots, by name. Owns both.
pub struct Changes {
    before: Snapshot,
    after: Snapshot,
    /// The tables that only the older one has, and those that only the newer one has, side by side:
    /// nothing else can have changed anything. Each stands at its next record.
    gone: Merge<RefRecord>,
    new: Merge<RefRecord>,
    /// Whether there are tables below those, which both have.
    has_shared: bool,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Changes { before, after, .. } = self;
        f.debug_struct("Changes").field("before", before).field("after", after).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// The references that differ from `older`, an earlier snapshot of the same store, by name.
    /// What has changed and changed back is left out.
    ///
    /// Cost: the records of the tables that only one of the two has, and a look-up for each name in
    /// only one of them. A compaction that has rewritten the oldest table makes it a scan of both
    /// snapshots.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub fn changes_since(&self, older: &Snapshot) -> Result<Changes> {
        let same = |pair: &(&Arc<Table>, &Arc<Table>)| pair.0.name() == pair.1.name();
        let shared = self.tables().iter().zip(older.tables()).take_while(same).count();
        // Update indexes do not tell what is new: those of tables that others add may be below what
        // was there.
        let above = |snapshot: &Snapshot| -> Result<Merge<RefRecord>> {
            let mut merge = Merge::new(snapshot.tables().get(shared..).unwrap_or_default(), Tombstones::Show);
            merge.seek(b"")?;
            merge.next()?;
            Ok(merge)
        };
        let (gone, new) = (above(older)?, above(self)?);
        Ok(Changes { before: older.clone(), after: self.clone(), gone, new, has_shared: shared > 0 })
    }
}

impl Changes {
    fn step(&mut self) -> Result<Option<Change>> {
        loop {
            let (old, new) = (self.gone.front().map(Cursor::view), self.new.front().map(Cursor::view));
            let order = match (&old, &new) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => old.name.cmp(new.name),
            };
            let change = self.change(old.filter(|_| order.is_le()), new.filter(|_| order.is_ge()))?;
            if order.is_le() {
                self.gone.next()?;
            }
            if order.is_ge() {
                self.new.next()?;
            }
            if change.is_some() {
                return Ok(change);
            }
        }
    }

    /// What became of a name, of which the tables that only one snapshot has say this.
    fn change(&self, old: Option<RefRecordView<'_>>, new: Option<RefRecordView<'_>>) -> Result<Option<Change>> {
        let Some(RefRecordView { name, .. }) = old.or(new) else { return Ok(None) };
        if old == new {
            // Merged again, but not changed.
            return Ok(None);
        }
        let target = |record: Option<RefRecordView<'_>>, snapshot: &Snapshot| -> Result<Option<Target>> {
            Ok(match record {
                Some(record) => record.target.map(|target| target.to_target()),
                None if self.has_shared => snapshot.get(name)?.map(|found| found.target),
                None => None,
            })
        };
        let (before, after) = (target(old, &self.before)?, target(new, &self.after)?);
        Ok((before != after).then(|| Change { name: name.to_vec(), before, after }))
    }

    /// Nothing follows an error.
    fn end(&mut self) {
        (self.gone, self.new) = (Merge::new(&[], Tombstones::Show), Merge::new(&[], Tombstones::Show));
    }

    /// The older of the two snapshots.
    #[must_use]
    pub fn before(&self) -> &Snapshot {
        &self.before
    }

    /// The newer of the two snapshots.
    #[must_use]
    pub fn after(&self) -> &Snapshot {
        &self.after
    }
}

impl Iterator for Changes {
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Result<Change>> {
        self.step().inspect_err(|_| self.end()).transpose()
    }
}
