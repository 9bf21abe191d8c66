//! The second phase: the lock is held, everything is checked; commit or drop.

use std::collections::HashMap;
use std::io::BufWriter;

use super::{Action, LogChange, Transaction, Update, check};
use crate::compact::Compaction;
use crate::error::{Error, Result};
use crate::lock::Lock;
use crate::oid::{HashKind, ObjectId};
use crate::record::{LogRecordView, RefRecordView};
use crate::snapshot::Snapshot;
use crate::stack::{AutoCompact, Durability, Edit, Scratch, Stack};
use crate::table::TableWriter;
use crate::value::{Ident, LogEntry, Target};

/// A transaction that will succeed unless the disk fails. Holds the lock: dropping it rolls back.
#[derive(Debug)]
#[must_use = "dropping a prepared transaction rolls it back"]
pub struct Prepared {
    stack: Stack,
    lock: Box<dyn Lock>,
    snapshot: Snapshot,
    updates: Vec<Update>,
    logs: Vec<LogRow>,
    hash: HashKind,
    /// The update index of the references, and of the first log entry of each name.
    update_index: u64,
    /// The last update index in use: several log entries for one name take more than one.
    last_update_index: u64,
}

/// A log record to be written.
#[derive(Debug)]
struct LogRow {
    refname: Vec<u8>,
    update_index: u64,
    entry: Option<LogEntry>,
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

        let mut rows = Rows { rows: Vec::new(), next: HashMap::new(), update_index, last: update_index };
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
        Ok(Prepared { stack, lock, snapshot, updates, logs, hash, update_index, last_update_index })
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
    /// `TooLarge` when a name or message does not fit into a block, `Invalid` for ids of a foreign hash, `Io`.
    /// Nothing was published then. `Indeterminate` is the exception: see [`crate::ErrorKind`].
    pub fn commit(self) -> Result<Commit> {
        let changes = self.updates.iter().any(|update| !matches!(update.action, Action::Verify));
        if !changes && self.logs.is_empty() {
            return Ok(Commit { update_index: self.snapshot.update_index(), compaction: None });
        }
        let shared = &self.stack.shared;
        let name = shared.table_name(self.update_index, self.last_update_index);
        let is_first = self.snapshot.tables().is_empty();
        let file = if is_first { Scratch::temporary(&shared.dir) } else { Scratch::create(&shared.dir, name.clone()) };
        let mut table = self.write_table(file?)?;
        if shared.options.durability != Durability::Off {
            table.sync()?;
        }
        if is_first {
            // There never is a table without a list, and never a list without need.
            shared.create_list()?;
            table = table.renamed(&name)?;
        }
        let end = self.snapshot.tables().len();
        shared.publish(self.lock, &self.snapshot, Edit { replace: end..end, with: Some(table) })?;
        let compaction = match shared.options.auto_compact {
            AutoCompact::Off => None,
            AutoCompact::Geometric(factor) => self.stack.compact_after_commit(factor),
        };
        Ok(Commit { update_index: self.update_index, compaction })
    }

    fn write_table(&self, file: Scratch) -> Result<Scratch> {
        let shared = &self.stack.shared;
        let out = BufWriter::with_capacity(Stack::WRITE_CHUNK, file);
        let range = self.update_index..=self.last_update_index;
        let mut table = TableWriter::new(out, self.hash, range, &shared.options.write)?;
        for update in &self.updates {
            let target = match &update.action {
                Action::Set(target) => Some(target.as_view()),
                Action::Delete => None,
                Action::Verify => continue,
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
        let (out, _) = table.finish()?;
        out.into_inner().map_err(|failed| {
            let (error, unwritten) = failed.into_parts();
            // Dropping the unwritten buffer drops the file, which removes it.
            drop(unwritten);
            Error::io("cannot write the table", shared.dir.path(), error)
        })
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

/// Collects log records and gives entries of one name different update indexes.
struct Rows {
    rows: Vec<LogRow>,
    next: HashMap<Vec<u8>, u64>,
    update_index: u64,
    last: u64,
}

impl Rows {
    fn add(&mut self, change: LogChange, snapshot: &Snapshot) -> Result<()> {
        match change {
            LogChange::Append { refname, entry } => self.append(refname, entry)?,
            LogChange::DeleteEntry { refname, update_index } => {
                check_log_name(&refname)?;
                self.rows.push(LogRow { refname, update_index, entry: None });
            }
            LogChange::DeleteAll { refname } => {
                check_log_name(&refname)?;
                let mut existing = snapshot.log(&refname)?;
                while let Some(log) = existing.next()? {
                    let row = LogRow { refname: refname.clone(), update_index: log.update_index, entry: None };
                    self.rows.push(row);
                }
            }
        }
        Ok(())
    }

    fn append(&mut self, refname: Vec<u8>, mut entry: LogEntry) -> Result<()> {
        crate::name::check(&refname)?;
        entry.message = one_line(entry.message)?;
        check_committer(&entry.committer)?;
        let next = self.next.entry(refname.clone()).or_insert(self.update_index);
        let update_index = *next;
        *next = next.checked_add(1).ok_or_else(|| Error::invalid("the store has used up its update indexes"))?;
        self.last = self.last.max(update_index);
        self.rows.push(LogRow { refname, update_index, entry: Some(entry) });
        Ok(())
    }

    /// The records as a table wants them: by name, newest first, each key once. An entry that is appended stays,
    /// whatever was deleted under its update index before.
    fn finish(mut self) -> (Vec<LogRow>, u64) {
        let order = |a: &LogRow, b: &LogRow| {
            let by_key = a.refname.cmp(&b.refname).then(b.update_index.cmp(&a.update_index));
            by_key.then(b.entry.is_some().cmp(&a.entry.is_some()))
        };
        self.rows.sort_by(order);
        self.rows.dedup_by(|a, b| a.refname == b.refname && a.update_index == b.update_index);
        (self.rows, self.last)
    }
}

/// A message as git stores it: one line, ended by one newline.
fn one_line(mut message: Vec<u8>) -> Result<Vec<u8>> {
    while message.last() == Some(&b'\n') {
        message.pop();
    }
    if message.contains(&b'\n') || message.contains(&0) {
        return Err(Error::invalid("a reflog message must be one line, without zero bytes"));
    }
    message.push(b'\n');
    Ok(message)
}

/// Names of logs that are to be deleted need not be valid, only possible: odd ones must go somehow.
fn check_log_name(name: &[u8]) -> Result<()> {
    if name.is_empty() || name.contains(&0) {
        return Err(Error::invalid("the name of a reflog must not be empty or have zero bytes"));
    }
    Ok(())
}

/// git prints and parses identities as `NAME <EMAIL>` on one line.
fn check_committer(committer: &Ident) -> Result<()> {
    let is_odd = |byte: &u8| matches!(byte, 0 | b'\n' | b'<' | b'>');
    if committer.name.iter().chain(&committer.email).any(is_odd) {
        return Err(Error::invalid("a committer's name and e-mail must not have '<', '>', newlines or zero bytes"));
    }
    Ok(())
}
