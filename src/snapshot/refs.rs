//! Scans of references: all with a prefix, or those that point at an id.

use std::fmt;
use std::ops::ControlFlow;

use super::Snapshot;
use crate::error::Result;
use crate::escape::{Text, debug_with_text};
use crate::format::record::RefRecord;
use crate::merge::Merge;
use crate::oid::ObjectId;
use crate::table::{Cursor, WarmUp, refs_pointing_at};
use crate::value::{Ref, TargetView};

/// A reference, borrowed until the next step of its cursor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RefView<'a> {
    /// The full name.
    pub name: &'a [u8],
    /// The number of the transaction that wrote it.
    pub update_index: u64,
    /// Where it points.
    pub target: TargetView<'a>,
}

debug_with_text!(RefView<'a> { name; update_index, target });

impl RefView<'_> {
    /// The same, owned.
    #[must_use]
    pub fn to_ref(&self) -> Ref {
        Ref { name: self.name.to_vec(), update_index: self.update_index, target: self.target.to_target() }
    }
}

/// A scan of references, by name. Owns its snapshot's tables.
///
/// [`Refs::next`] lends each reference without allocating; as an [`IntoIterator`] it gives owned
/// ones.
pub struct Refs {
    source: RefSource,
    prefix: Vec<u8>,
}

impl fmt::Debug for Refs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refs").field("prefix", &Text(&self.prefix)).finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum RefSource {
    Merge(Merge<RefRecord>),
    Pointing(Pointing),
}

/// References that pointed at an id when their table was written; by name. What counts is the
/// newest table that knows the name.
#[derive(Debug)]
pub(super) struct Pointing {
    snapshot: Snapshot,
    id: ObjectId,
    candidates: std::vec::IntoIter<PointingRef>,
    current: Option<Ref>,
}

#[derive(Debug)]
struct PointingRef {
    /// The position of the table it was found in.
    table: usize,
    found: Ref,
}

impl Pointing {
    pub(super) fn new(snapshot: &Snapshot, id: &ObjectId) -> Result<Pointing> {
        let mut candidates: Vec<PointingRef> = Vec::new();
        for (table, file) in snapshot.tables().iter().enumerate() {
            refs_pointing_at(file, id, &mut |record| {
                candidates.extend(record.to_ref().map(|found| PointingRef { table, found }));
            })?;
        }
        candidates.sort_by(|a, b| a.found.name.cmp(&b.found.name));
        Ok(Pointing { snapshot: snapshot.clone(), id: *id, candidates: candidates.into_iter(), current: None })
    }

    /// Moves before the first whose name is at least `name`; backwards, too.
    fn seek(&mut self, name: &[u8]) -> Result<()> {
        *self = Pointing::new(&self.snapshot, &self.id)?;
        let below = self.candidates.as_slice().partition_point(|other| other.found.name.as_slice() < name);
        self.candidates.by_ref().take(below).for_each(drop);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<RefView<'_>>> {
        self.current = None;
        for PointingRef { table, found } in self.candidates.by_ref() {
            if self.snapshot.newest_record(&found.name, table + 1, WarmUp::READ)?.is_none() {
                self.current = Some(found);
                break;
            }
        }
        Ok(self.current.as_ref().map(|found| RefView {
            name: &found.name,
            update_index: found.update_index,
            target: found.target.as_view(),
        }))
    }
}

impl Refs {
    /// What `merge` comes to, as long as names start with `prefix`.
    pub(super) fn merged(merge: Merge<RefRecord>, prefix: &[u8]) -> Refs {
        Refs { source: RefSource::Merge(merge), prefix: prefix.to_vec() }
    }

    pub(super) fn pointing(pointing: Pointing) -> Refs {
        Refs { source: RefSource::Pointing(pointing), prefix: Vec::new() }
    }

    /// The next reference; `None` at the end, and ever after.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset; nothing follows it.
    // A view is large: where this is not inlined, writing and reading it takes as long as decoding
    // the record.
    #[inline(always)]
    #[expect(clippy::should_implement_trait, reason = "lends its item, which Iterator cannot")]
    pub fn next(&mut self) -> Result<Option<RefView<'_>>> {
        let merge = match &mut self.source {
            RefSource::Merge(merge) => merge,
            RefSource::Pointing(pointing) => return pointing.next(),
        };
        let found = match self.prefix.as_slice() {
            b"" => merge.next()?,
            prefix => merge.next_alive(|name| name.starts_with(prefix))?,
        };
        let Some(record) = found.map(Cursor::view) else { return Ok(None) };
        Ok(record.target.map(|target| RefView { name: record.name, update_index: record.update_index, target }))
    }

    /// Hands the references that follow to `each`, until it breaks; then a further call goes on
    /// after the one at which it did. The fastest way to read many: it takes about half the time
    /// of [`Self::next`].
    ///
    /// ```
    /// # use std::ops::ControlFlow;
    /// # use reftable::{Expect, ObjectId, Options, Stack};
    /// # fn main() -> reftable::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let stack = Stack::open(dir.path(), Options::default())?;
    /// # let mut tx = stack.transaction();
    /// # tx.set("refs/heads/main", Expect::Absent, ObjectId::from_bytes(&[1; 20]).unwrap());
    /// # tx.commit()?;
    /// let mut names = Vec::new();
    /// stack.snapshot()?.refs()?.try_for_each(|found| {
    ///     names.push(String::from_utf8_lossy(found.name).into_owned());
    ///     ControlFlow::<()>::Continue(())
    /// })?;
    /// assert_eq!(names, ["refs/heads/main"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Corrupt`, with file and offset; nothing follows it.
    #[inline]
    pub fn try_for_each<B>(&mut self, mut each: impl FnMut(RefView<'_>) -> ControlFlow<B>) -> Result<ControlFlow<B>> {
        let merge = match &mut self.source {
            RefSource::Merge(merge) => merge,
            RefSource::Pointing(pointing) => {
                while let Some(found) = pointing.next()? {
                    if let ControlFlow::Break(why) = each(found) {
                        return Ok(ControlFlow::Break(why));
                    }
                }
                return Ok(ControlFlow::Continue(()));
            }
        };
        let prefix = self.prefix.as_slice();
        let ended = merge.for_each(|record| {
            if !prefix.is_empty() && !record.name.starts_with(prefix) {
                return ControlFlow::Break(None);
            }
            let Some(target) = record.target else { return ControlFlow::Continue(()) };
            each(RefView { name: record.name, update_index: record.update_index, target }).map_break(Some)
        })?;
        Ok(match ended {
            ControlFlow::Break(Some(why)) => ControlFlow::Break(why),
            _ => ControlFlow::Continue(()),
        })
    }

    /// Moves before the first reference whose name is at least `name`; backwards, too, within the
    /// prefix. The next step goes over whatever was deleted in between: for a few names among many
    /// that are gone, ask [`Snapshot::prefix`].
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub fn seek(&mut self, name: impl AsRef<[u8]>) -> Result<()> {
        let name = name.as_ref().max(&self.prefix);
        match &mut self.source {
            RefSource::Merge(merge) => merge.seek(name),
            RefSource::Pointing(pointing) => pointing.seek(name),
        }
    }
}

impl IntoIterator for Refs {
    type Item = Result<Ref>;
    type IntoIter = OwnedRefs;

    fn into_iter(self) -> OwnedRefs {
        OwnedRefs(self)
    }
}

/// The owned items of [`Refs`].
#[derive(Debug)]
pub struct OwnedRefs(Refs);

impl Iterator for OwnedRefs {
    type Item = Result<Ref>;

    fn next(&mut self) -> Option<Result<Ref>> {
        self.0.next().map(|found| found.map(|found| found.to_ref())).transpose()
    }
}
