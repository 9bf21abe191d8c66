//! One edition of a store, complete: its root and all tables, open.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reftable::engine::{self, update_indexes_of_name};
use reftable::table::Table;
use reftable::{HashKind, Snapshot};

use crate::backend::Tag;
use crate::error::{Error, Result};
use crate::root::{Root, TableLine};

/// What a store was when it was read, or after a swap of our own.
pub(crate) struct State {
    /// `None` where there is no store yet.
    pub(crate) edition: Option<(Root, Tag)>,
    /// Of all tables: a client that has it needs nothing more of the object store.
    pub(crate) snapshot: Snapshot,
    /// It was the newest at some moment after this one.
    pub(crate) asked_at: Duration,
}

impl State {
    /// What is there before the first commit.
    pub(crate) fn of_nothing(hash: Option<HashKind>, asked_at: Duration) -> Result<State> {
        Ok(State { edition: None, snapshot: engine::snapshot(Vec::new(), hash)?, asked_at })
    }

    /// # Errors
    /// `Corrupt` if the tables do not fit together.
    pub(crate) fn new(
        root: Root,
        tag: Tag,
        tables: Vec<Arc<Table>>,
        hash: Option<HashKind>,
        asked_at: Duration,
    ) -> Result<State> {
        if let Some(table) = tables.iter().find(|table| Some(table.hash()) != root.hash) {
            let said = root.hash.map_or("no".to_owned(), |hash| hash.to_string());
            let message = format!("the table holds {} ids, the root speaks of {said} ids", table.hash());
            return Err(Error::corrupt(message).in_object(&table.path().to_string_lossy()));
        }
        let snapshot = engine::snapshot(tables, root.hash.or(hash))?;
        Ok(State { edition: Some((root, tag)), snapshot, asked_at })
    }

    pub(crate) fn root(&self) -> Option<&Root> {
        self.edition.as_ref().map(|(root, _)| root)
    }

    pub(crate) fn tag(&self) -> Option<&Tag> {
        self.edition.as_ref().map(|(_, tag)| tag)
    }

    /// The number of this edition; 0 where there is no store.
    pub(crate) fn number(&self) -> u64 {
        self.root().map_or(0, |root| root.edition)
    }

    /// The table of this line, if it is open already.
    pub(crate) fn table(&self, line: &TableLine) -> Option<Arc<Table>> {
        let position = self.root()?.tables.iter().position(|known| known.name == line.name && known.crc == line.crc)?;
        self.snapshot.tables().get(position).cloned()
    }
}

/// Opens the table of `line`, whose object is `key`.
///
/// # Errors
/// `Corrupt` if the bytes are not those that the line speaks of.
pub(crate) fn open(key: &str, line: &TableLine, bytes: &Bytes) -> Result<Arc<Table>> {
    if line.len != bytes.len() as u64 {
        let message = format!("the root speaks of {} bytes, there are {}", line.len, bytes.len());
        return Err(Error::corrupt(message).in_object(key));
    }
    if line.crc != crc32fast::hash(bytes) {
        return Err(Error::corrupt("the checksum of the table does not fit the root's").in_object(key));
    }
    let table = Table::open(key, bytes.to_vec()).map_err(|error| Error::from(error).in_object(key))?;
    let header = (table.header().min_update_index, table.header().max_update_index);
    if update_indexes_of_name(&line.name) != Some(header) {
        let message = format!("its update indexes are {} to {}, which is not what its name says", header.0, header.1);
        return Err(Error::corrupt(message).in_object(key));
    }
    Ok(Arc::new(table))
}
