//! The second phase: the lock is held, everything is checked and written; commit or drop.

use super::Locked;
use crate::changeset::{Applied, Changeset, Replaced};
use crate::compact::Compaction;
use crate::engine::WriteGroup;
use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::stack::{ListLock, PendingTable, Shared, Stack};
use crate::temp_file::{BufferedFile, TempFile};

/// A transaction that will succeed unless the disk fails: checked, and written as far as nobody
/// sees it. Holds the lock: dropping it rolls back.
#[derive(Debug)]
#[must_use = "dropping a prepared transaction rolls it back"]
pub struct Prepared {
    stack: Stack,
    snapshot: Snapshot,
    applied: Applied,
    /// What will be published; `None` when nothing changes. Dropped, and so removed, before the
    /// lock is.
    table: Option<PendingTable>,
    lock: ListLock,
}

/// What a commit did.
#[derive(Debug)]
#[non_exhaustive]
pub struct Commit {
    /// The number of this transaction; that of the state before when there was nothing to write.
    pub update_index: u64,
    /// The compaction that followed, if one was due and this call was the one to do it. Its failure
    /// does not touch the commit.
    pub compaction: Option<Result<Compaction>>,
    /// Where each reference that was set or deleted pointed directly before, by name; only if
    /// [`super::Transaction::report_replaced`] has asked. `None` also in a rare case: another
    /// process has committed for us, and the disk was too full to tell.
    pub replaced: Option<Vec<Replaced>>,
}

impl Commit {
    /// One that no compaction has followed.
    pub(super) fn alone(applied: Applied) -> Commit {
        let Applied { update_index, replaced } = applied;
        Commit { update_index, compaction: None, replaced }
    }
}

impl Prepared {
    pub(super) fn under(locked: Locked, changes: Changeset) -> Result<Prepared> {
        let Locked { stack, snapshot, lock } = locked;
        let mut batch = WriteGroup::new(&snapshot);
        let applied = batch.admit_checked(changes)?;
        let table = write(&stack.shared, &snapshot, &batch)?;
        Ok(Prepared { stack, snapshot, applied, table, lock })
    }

    /// The state that the transaction was checked against, and that it will follow directly.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The number the transaction will have.
    #[must_use]
    pub fn update_index(&self) -> u64 {
        self.applied.update_index
    }

    /// Publishes the transaction. A transaction that changes nothing writes nothing. Does not wait:
    /// the lock is held. A compaction that is due comes after it, and may wait as
    /// [`Stack::compact`] does.
    ///
    /// # Errors
    /// `Io`, and `Locked` if a person has removed our lock. Nothing was published then.
    /// `Indeterminate` is the exception: see [`crate::ErrorKind`].
    pub fn commit(self) -> Result<Commit> {
        let Prepared { stack, snapshot, applied, table, lock } = self;
        let commit = Commit::alone(applied);
        let Some(table) = table else {
            return Ok(commit);
        };
        let after = stack.shared.publisher.append(lock, &snapshot, vec![table])?;
        after.trust_newest_logs();
        stack.shared.env.counters.published(1);
        Ok(Commit { compaction: stack.compact_after_commit(&after), ..commit })
    }
}

/// Writes the table of `batch`, to follow `base`; `None` if there is nothing to write.
///
/// It gets its final name, which saves a rename, because nobody reads it before it is listed and
/// nobody removes it while we hold the lock. In an empty store it must wait for the list.
pub(super) fn write(shared: &Shared, base: &Snapshot, batch: &WriteGroup<'_>) -> Result<Option<PendingTable>> {
    if batch.is_empty() {
        return Ok(None);
    }
    let (first, last) = batch.update_indexes().into_inner();
    let name = shared.publisher.table_name(first, last);
    let file = match base.tables() {
        [] => TempFile::temporary(&shared.env.dir)?,
        _ => {
            let file = TempFile::create(&shared.env.dir, name.clone())?;
            // Before anything else: what is empty is no loss either.
            shared.publisher.note_base(&file, base);
            file
        }
    };
    let path = shared.env.dir.path().join(file.name());
    let buffered =
        batch.write(BufferedFile::new(file), &shared.env.options.write).map_err(|error| error.in_file(&path))?;
    let (file, contents) = buffered.finish(shared.env.reading())?;
    Ok(Some(PendingTable { file, contents, name }))
}
