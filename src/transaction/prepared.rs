//! The second phase: the lock is held, everything is checked and written; commit or drop.

use std::io::BufWriter;

use super::rows::{LogRow, Rows};
use super::{Action, LogChange, Transaction, Update, check};
use crate::compact::Compaction;
use crate::error::{Error, Result};
use crate::lock::Lock;
use crate::mutant::{self, Mutant};
use crate::oid::{HashKind, ObjectId};
use crate::record::{LogRecordView, RefRecordView};
use crate::scratch::Scratch;
use crate::snapshot::Snapshot;
use crate::stack::{Durability, Edit, Stack};
use crate::table::TableWriter;
use crate::value::{LogEntry, Target};

/// A transaction that will succeed unless the disk fails: checked, and written as far as nobody sees it. Holds the
/// lock: dropping it rolls back.
#[derive(Debug)]
#[must_use = "dropping a prepared transaction rolls it back"]
pub struct Prepared {
    stack: Stack,
    snapshot: Snapshot,
    update_index: u64,
    /// What will be published; `None` when nothing changes. Dropped, and so removed, before the lock is.
    table: Option<Written>,
    lock: Box<dyn Lock>,
}

#[derive(Debug)]
struct Written {
    file: Scratch,
    /// The name it is to have.
    name: String,
}

/// What a commit did.
#[derive(Debug)]
#[non_exhaustive]
pub struct Commit {
    /// The number of this transaction; that of the state before when there was nothing to write.
    pub update_index: u64,
    /// The compaction that followed, if one was due. Its failure does not touch the commit.
    pub compaction: Option<Result<Compaction>>,
}

impl Prepared {
    pub(super) fn new(transaction: Transaction) -> Result<Prepared> {
        let Transaction { stack, mut updates, logs, reflog } = transaction;
        check::order(&mut updates)?;
        let (lock, snapshot) = stack.shared.lock_list()?;
        let current = check::check(&updates, &snapshot)?;
        let hash = hash_of(&snapshot, &updates, &logs);
        let update_index = snapshot
            .update_index()
            .checked_add(1)
            .ok_or_else(|| Error::invalid("the store has used up its update indexes"))?;

        let mut rows = Rows::new(update_index);
        for change in logs {
            rows.add(change, &snapshot)?;
        }
        if let Some((committer, message)) = reflog {
            for (update, before) in updates.iter().zip(current) {
                if let Action::Set(Target::Id(new) | Target::Tag { id: new, .. }) = update.action {
                    let old = before.and_then(|target| target.id()).unwrap_or(ObjectId::null(hash));
                    let entry = LogEntry { old, new, committer: committer.clone(), message: message.clone() };
                    rows.append(update.name.clone(), entry)?;
                }
            }
        }
        let (logs, last_update_index) = rows.finish();
        updates.retain(|update| !matches!(update.action, Action::Verify));
        let contents = Contents { hash, update_index, last_update_index, updates, logs };
        let table = contents.write(&stack, &snapshot)?;
        Ok(Prepared { stack, snapshot, update_index, table, lock })
    }

    /// The state that the transaction was checked against, and that it will follow directly.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The number the transaction will have.
    #[must_use]
    pub fn update_index(&self) -> u64 {
        self.update_index
    }

    /// Publishes the transaction. A transaction that changes nothing writes nothing.
    ///
    /// # Errors
    /// `Io`, and `Locked` if a person has removed our lock. Nothing was published then. `Indeterminate` is the
    /// exception: see [`crate::ErrorKind`].
    pub fn commit(self) -> Result<Commit> {
        let Prepared { stack, snapshot, update_index, table, lock } = self;
        let Some(Written { mut file, name }) = table else {
            return Ok(Commit { update_index: snapshot.update_index(), compaction: None });
        };
        let shared = &stack.shared;
        if shared.options.durability != Durability::Off && !mutant::is_on(Mutant::SkipTableSync) {
            file.sync()?;
        }
        if snapshot.tables().is_empty() {
            // There never is a table without a list, and never a list without need.
            shared.create_list(&*lock)?;
            file = file.renamed(&name)?;
        }
        let end = snapshot.tables().len();
        shared.publish(lock, &snapshot, Edit { replace: end..end, with: Some(file) })?;
        let compaction = stack.compact_after_commit();
        Ok(Commit { update_index, compaction })
    }
}

/// What goes into the table.
struct Contents {
    hash: HashKind,
    /// The update index of the references, and of the first log entry of each name.
    update_index: u64,
    /// The last update index in use: several log entries for one name take more than one.
    last_update_index: u64,
    updates: Vec<Update>,
    logs: Vec<LogRow>,
}

impl Contents {
    /// Writes the table: under its final name, which saves a rename, because nobody reads it before it is listed and
    /// nobody removes it while we hold the lock. In an empty store it must wait for the list.
    fn write(&self, stack: &Stack, snapshot: &Snapshot) -> Result<Option<Written>> {
        if self.updates.is_empty() && self.logs.is_empty() {
            return Ok(None);
        }
        let shared = &stack.shared;
        let name = shared.table_name(self.update_index, self.last_update_index);
        let file = match snapshot.tables() {
            [] => Scratch::temporary(&shared.dir)?,
            _ => Scratch::create(&shared.dir, name.clone())?,
        };
        let path = shared.dir.path().join(file.name());
        let out = BufWriter::with_capacity(Stack::WRITE_CHUNK, file);
        let file = self.write_records(out, stack).map_err(|error| error.in_file(&path))?;
        Ok(Some(Written { file, name }))
    }

    fn write_records(&self, out: BufWriter<Scratch>, stack: &Stack) -> Result<Scratch> {
        let range = self.update_index..=self.last_update_index;
        let mut table = TableWriter::new(out, self.hash, range, &stack.shared.options.write)?;
        for update in &self.updates {
            let target = match &update.action {
                Action::Set(target) => Some(target.as_view()),
                Action::Delete | Action::Verify => None,
            };
            table.add_ref(&RefRecordView { name: &update.name, update_index: self.update_index, target })?;
        }
        for row in &self.logs {
            table.add_log(&LogRecordView {
                refname: &row.refname,
                update_index: row.update_index,
                entry: row.entry.as_ref().map(LogEntry::as_view),
            })?;
        }
        Scratch::from_buffer(table.finish()?.0)
    }
}

/// The hash of the store; in an empty one, that of the first id to be written.
fn hash_of(snapshot: &Snapshot, updates: &[Update], logs: &[LogChange]) -> HashKind {
    let from_updates = || {
        updates.iter().find_map(|update| match &update.action {
            Action::Set(target) => target.id().map(|id| id.kind()),
            _ => None,
        })
    };
    let from_logs = || {
        logs.iter().find_map(|change| match change {
            LogChange::Append { entry, .. } => Some(entry.new.kind()),
            _ => None,
        })
    };
    snapshot.hash().or_else(from_updates).or_else(from_logs).unwrap_or_default()
}
