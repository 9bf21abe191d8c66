//! States of a store: which tables make one up.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::list::TableName;
use crate::oid::HashKind;
use crate::snapshot::Snapshot;
use crate::table::Table;

/// The state that `tables`, oldest first, make up. `hash` is that of a store without tables, and is
/// asked for otherwise.
///
/// # Errors
/// `Corrupt` for two hashes in one store, `Invalid` for another one than was asked for.
pub fn snapshot(tables: Vec<Arc<Table>>, hash: Option<HashKind>) -> Result<Snapshot> {
    let mut below = None;
    for table in &tables {
        check_hash(below.replace(&**table), table, hash)?;
    }
    Ok(Snapshot::new(tables, hash))
}

/// A merge needs one hash: that of the tables below, and the one that was `asked` for. Update
/// indexes may overlap, as in tables that dulwich packs: the order of the list decides.
///
/// # Errors
/// `Corrupt` for two hashes in one store, `Invalid` for another one than was asked for.
pub(crate) fn check_hash(below: Option<&Table>, table: &Table, asked: Option<HashKind>) -> Result<()> {
    let hash = table.hash();
    if let Some(expected) = below.map(Table::hash).filter(|expected| *expected != hash) {
        let message = format!("the table holds {hash} ids, those below it {expected} ids");
        return Err(table.file.in_file(Error::corrupt(message)));
    }
    if let Some(asked) = asked.filter(|asked| *asked != hash) {
        let message = format!("the store was opened for {asked} ids, it holds {hash} ids");
        return Err(Error::invalid(message).in_file(table.path()));
    }
    Ok(())
}

/// A name for a table with these update indexes, of the form that git gives its tables. `random`
/// tells it from others with the same: draw it anew for each.
#[must_use]
pub fn table_name(min_update_index: u64, max_update_index: u64, random: u64) -> String {
    TableName::new(min_update_index, max_update_index, random).to_string()
}

/// The update indexes that the name of a table states, least and greatest, if it has exactly the
/// form of [`table_name`].
#[must_use]
pub fn update_indexes_of_name(name: &str) -> Option<(u64, u64)> {
    TableName::parse(name).map(|name| (name.min, name.max))
}
