//! What happened between two snapshots.

use std::sync::Arc;

use crate::error::Result;
use crate::merged::{Merge, Tombstones};
use crate::record::RefRecord;
use crate::snapshot::{Refs, Snapshot};
use crate::table::Table;
use crate::value::{Ref, Target};

/// A reference that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Its name.
    pub name: Vec<u8>,
    /// Where it pointed; `None` if it did not exist.
    pub before: Option<Target>,
    /// Where it points; `None` if it does not exist any more.
    pub after: Option<Target>,
}

/// The references that differ between two snapshots, by name. Owns both.
#[derive(Debug)]
pub struct Changes {
    before: Snapshot,
    after: Snapshot,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// The tables that only the newer snapshot has: nothing else can have changed anything.
    New(Merge<RefRecord>),
    Whole(Box<Whole>),
}

/// Both snapshots whole, side by side, each with its next reference.
#[derive(Debug)]
struct Whole {
    before: Refs,
    after: Refs,
    next: (Option<Ref>, Option<Ref>),
    is_begun: bool,
}

impl Snapshot {
    /// The references that differ from `older`, an earlier snapshot of the same store, by name. What has changed and changed back is left out.
    ///
    /// Cost: the records of the tables that `older` does not have, and for each name in them a look-up in it. A compaction that has rewritten the
    /// oldest table makes it a walk over both snapshots.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub fn changes_since(&self, older: &Snapshot) -> Result<Changes> {
        let same = |pair: &(&Arc<Table>, &Arc<Table>)| pair.0.name() == pair.1.name();
        let shared = self.tables().iter().zip(older.tables()).take_while(same).count();
        let new = self.tables().get(shared..).unwrap_or_default();
        // Tables above the oldest one keep their tombstones when they are merged, and every record its update index.
        // Without a shared table below, a name may have gone without a trace.
        let leaves_traces = shared > 0 || older.tables().is_empty();
        let source = if leaves_traces && self.update_index() >= older.update_index() {
            let mut merge = Merge::new(new, Tombstones::Show);
            merge.seek(b"")?;
            Source::New(merge)
        } else {
            let whole = Whole { before: older.refs()?, after: self.refs()?, next: (None, None), is_begun: false };
            Source::Whole(Box::new(whole))
        };
        Ok(Changes { before: older.clone(), after: self.clone(), source })
    }
}

impl Changes {
    fn step(&mut self) -> Result<Option<Change>> {
        let known = self.before.update_index();
        match &mut self.source {
            Source::New(merge) => {
                while let Some(cursor) = merge.next()? {
                    let record = cursor.view();
                    // Merged again, but not changed.
                    if record.update_index <= known {
                        continue;
                    }
                    let before = self.before.get(record.name)?.map(|found| found.target);
                    let after = record.target.map(|target| target.to_target());
                    if before != after {
                        return Ok(Some(Change { name: record.name.to_vec(), before, after }));
                    }
                }
                Ok(None)
            }
            Source::Whole(whole) => {
                let Whole { before, after, next, is_begun } = &mut **whole;
                if !std::mem::replace(is_begun, true) {
                    *next = (advance(before)?, advance(after)?);
                }
                loop {
                    let order = match next {
                        (None, None) => return Ok(None),
                        (Some(_), None) => std::cmp::Ordering::Less,
                        (None, Some(_)) => std::cmp::Ordering::Greater,
                        (Some(old), Some(new)) => old.name.cmp(&new.name),
                    };
                    let old = if order.is_le() { std::mem::replace(&mut next.0, advance(before)?) } else { None };
                    let new = if order.is_ge() { std::mem::replace(&mut next.1, advance(after)?) } else { None };
                    let (before, after) = (old.as_ref().map(|old| &old.target), new.as_ref().map(|new| &new.target));
                    if before != after {
                        let (before, after) = (before.cloned(), after.cloned());
                        let name = new.or(old).map(|found| found.name).unwrap_or_default();
                        return Ok(Some(Change { name, before, after }));
                    }
                }
            }
        }
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

fn advance(refs: &mut Refs) -> Result<Option<Ref>> {
    Ok(refs.next()?.map(|found| found.to_ref()))
}

impl Iterator for Changes {
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Result<Change>> {
        self.step().transpose()
    }
}
