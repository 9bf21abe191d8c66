//! Tables written record by record and added together: for hosts that have transactions of their
//! own.

use std::ops::RangeInclusive;

use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::stack::{ListLock, PendingTable, Stack};
use crate::table::{TableStats, TableWriter};
use crate::temp_file::{BufferedFile, TempFile};
use crate::transaction::Commit;
use crate::value::{LogRecordView, RefRecordView};

/// New tables for the top of a stack, all of them or none. Holds the lock: dropping it rolls back.
///
/// [`crate::Transaction`] checks expectations and sorts; this does neither. It is for programs that
/// bring a transaction of their own and know what they write.
#[derive(Debug)]
#[must_use = "dropping an addition rolls it back"]
pub struct Addition {
    stack: Stack,
    base: Snapshot,
    next: u64,
    /// Dropped, and so removed, before the lock is.
    tables: Vec<PendingTable>,
    lock: ListLock,
}

/// A table of an [`Addition`] that is being written. Dropping it removes it.
#[derive(Debug)]
pub struct AddedTable {
    writer: TableWriter<BufferedFile>,
    range: RangeInclusive<u64>,
}

impl Stack {
    /// Takes the lock and reads the newest state. Waits for the lock as long as
    /// [`crate::Options::lock_timeout`] says.
    ///
    /// # Errors
    /// `Locked` after [`crate::Options::lock_timeout`]; `Corrupt`; `Io`.
    pub fn addition(&self) -> Result<Addition> {
        let (lock, base) = self.shared.write_lock.lock_list()?;
        let next = base.update_index().checked_add(1);
        let next = next.ok_or_else(|| Error::invalid("the store has used up its update indexes"))?;
        Ok(Addition { stack: self.clone(), base, next, tables: Vec::new(), lock })
    }
}

impl Addition {
    /// The state that the addition will follow directly. Reading goes on while it is open.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.base
    }

    /// The smallest update index that the next table may have.
    #[must_use]
    pub fn update_index(&self) -> u64 {
        self.next
    }

    /// Starts a table whose records have update indexes in `update_indexes`. Creates a file.
    ///
    /// # Errors
    /// `Invalid` when the range is empty or begins below [`Self::update_index`]; `Io`.
    pub fn table(&self, update_indexes: RangeInclusive<u64>) -> Result<AddedTable> {
        if *update_indexes.start() < self.next {
            let message =
                format!("the table begins with update index {}, the next one is {}", update_indexes.start(), self.next);
            return Err(Error::invalid(message));
        }
        let shared = &self.stack.shared;
        let file = TempFile::temporary(&shared.env.dir)?;
        let hash = self.base.hash().unwrap_or_default();
        let writer =
            TableWriter::new(BufferedFile::new(file), hash, update_indexes.clone(), &shared.env.options.write)?;
        Ok(AddedTable { writer, range: update_indexes })
    }

    /// Ends a table and takes it in. A table without records is as good as any.
    ///
    /// # Errors
    /// `Invalid` when a table that was added since it was started reaches into its range;
    /// `TooLarge`; `Io`.
    pub fn add(&mut self, table: AddedTable) -> Result<TableStats> {
        let AddedTable { writer, range } = table;
        let (min, max) = range.into_inner();
        let next = max.checked_add(1).filter(|_| min >= self.next);
        let next = next.ok_or_else(|| Error::invalid("the update indexes of two tables overlap, or are used up"))?;
        let (out, stats) = writer.finish()?;
        let (file, contents) = out.finish(self.stack.shared.env.reading())?;
        self.tables.push(PendingTable { file, contents, name: self.stack.shared.publisher.table_name(min, max) });
        self.next = next;
        Ok(stats)
    }

    /// Publishes the tables. Without any, nothing happens. Does not wait: the lock is held. A
    /// compaction that is due comes after it, and may wait as [`Stack::compact`] does.
    ///
    /// # Errors
    /// `Io`, and `Locked` if a person has removed our lock. Nothing was published then.
    /// `Indeterminate` is the exception: see [`crate::ErrorKind`].
    pub fn commit(self) -> Result<Commit> {
        let Addition { lock, stack, base, next, tables } = self;
        if tables.is_empty() {
            return Ok(Commit { update_index: base.update_index(), compaction: None, replaced: None });
        }
        let after = stack.shared.publisher.append(lock, &base, tables)?;
        stack.shared.env.counters.published(1);
        Ok(Commit { update_index: next - 1, compaction: stack.compact_after_commit(&after), replaced: None })
    }
}

impl AddedTable {
    /// Adds a reference or its tombstone. Names must ascend bytewise.
    ///
    /// # Errors
    /// Those of [`TableWriter::add_ref`].
    pub fn add_ref(&mut self, record: &RefRecordView<'_>) -> Result<()> {
        self.writer.add_ref(record)
    }

    /// Adds a log entry or its tombstone, after all references. Names must ascend bytewise; the
    /// entries of a name, newest first.
    ///
    /// # Errors
    /// Those of [`TableWriter::add_log`].
    pub fn add_log(&mut self, record: &LogRecordView<'_>) -> Result<()> {
        self.writer.add_log(record)
    }

    /// What was written so far.
    #[must_use]
    pub fn stats(&self) -> TableStats {
        self.writer.stats()
    }
}
