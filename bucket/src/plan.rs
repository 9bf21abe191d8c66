//! The next edition of a store: pure arithmetic on bytes in memory, no request is sent here.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use reftable::AutoCompact;
use reftable::engine::{self, Changeset, Expiry, WriteGroup};
use reftable::table::Table;

use crate::error::{Error, Result};
use crate::options::Options;
use crate::place::Place;
use crate::root::{Author, Root, TableLine};
use crate::state::{self, State};

/// What the next edition is made with, beside the one before.
pub(crate) struct Context<'a> {
    pub(crate) place: &'a Place,
    pub(crate) options: &'a Options,
    pub(crate) author: Author,
}

/// Verdicts about changesets, and what is to be written.
pub(crate) struct Plan {
    /// For each changeset: its update index.
    pub(crate) verdicts: Vec<Result<u64>>,
    /// `None` if nothing is to be written.
    pub(crate) next: Option<Next>,
}

/// The tables of an edition, as its root lists them.
pub(crate) struct Tables(pub(crate) Vec<Arc<Table>>);

/// An edition that is not written yet.
pub(crate) struct Next {
    pub(crate) root: Root,
    pub(crate) tables: Tables,
    /// What must be there before the root names it.
    pub(crate) apart: Vec<Apart>,
    /// Keys of what was written.
    pub(crate) written: Vec<String>,
    /// Keys that no root names once this one is there.
    pub(crate) replaced: Vec<String>,
}

/// A table that is to be an object of its own.
pub(crate) struct Apart {
    pub(crate) name: String,
    pub(crate) bytes: Bytes,
}

/// Judges `all` upon `base`, one after the other, and writes what they change as one table; merges
/// it with small ones if that is due.
///
/// # Errors
/// `Corrupt` for a damaged table; `TooLarge`.
pub(crate) fn plan(base: &State, all: &[&Changeset], context: &Context<'_>) -> Result<Plan> {
    let mut group = WriteGroup::new(&base.snapshot);
    let verdicts = all.iter().map(|changes| group.admit((*changes).clone()).map_err(Error::from)).collect();
    if group.is_empty() {
        return Ok(Plan { verdicts, next: None });
    }
    let (min, max) = group.update_indexes().into_inner();
    let bytes = group.write(Vec::new(), &context.options.write)?;
    let mut next = Next::after(base, context);
    let end = next.tables.0.len();
    next.put(end..end, Some((min, max, bytes)), context.author.id, context)?;
    next.merge_small(context)?;
    Ok(Plan { verdicts, next: Some(next) })
}

impl Next {
    /// The edition after `base`, with the same tables.
    pub(crate) fn after(base: &State, context: &Context<'_>) -> Next {
        let root = Root::after(base.root(), &context.author);
        let tables = Tables(base.snapshot.tables().to_vec());
        Next { root, tables, apart: Vec::new(), written: Vec::new(), replaced: Vec::new() }
    }

    /// Puts a table, given by update indexes and bytes, into the place of those in `range`.
    pub(crate) fn put(
        &mut self,
        range: Range<usize>,
        table: Option<(u64, u64, Vec<u8>)>,
        random: u64,
        context: &Context<'_>,
    ) -> Result<()> {
        let new = table.map(|(min, max, bytes)| line_of(engine::table_name(min, max, random), bytes.into()));
        let mut opened = None;
        if let Some((line, bytes)) = &new {
            let table = state::open(&context.place.key(&line.name), line, bytes)?;
            self.root.hash = Some(table.hash());
            opened = Some(table);
        }
        let gone: Vec<TableLine> =
            self.root.tables.splice(range.clone(), new.iter().map(|(line, _)| line.clone())).collect();
        self.tables.0.splice(range.clone(), opened);
        for line in gone.iter().filter(|line| line.inline.is_none()) {
            let before = self.apart.len();
            self.apart.retain(|apart| apart.name != line.name);
            if self.apart.len() == before {
                self.replaced.push(context.place.key(&line.name));
            }
        }
        if let Some((line, bytes)) = new {
            self.find_place(range.start, line.name, bytes, context.options);
        }
        Ok(())
    }

    /// Small tables travel within the root, as long as they are few.
    fn find_place(&mut self, position: usize, name: String, bytes: Bytes, options: &Options) {
        let total = self.root.inline_len().saturating_add(bytes.len());
        if bytes.len() > options.inline_table || total > options.inline_total {
            self.apart.push(Apart { name, bytes });
        } else if let Some(line) = self.root.tables.get_mut(position) {
            line.inline = Some(bytes);
        }
    }

    /// Merges the newest tables if that is due and all of them are small: they are in memory, and
    /// the merged one goes with the same swap.
    fn merge_small(&mut self, context: &Context<'_>) -> Result<()> {
        if context.options.compact == AutoCompact::Off {
            return Ok(());
        }
        let snapshot = engine::snapshot(self.tables.0.clone(), self.root.hash)?;
        // The rule takes half of what it is given, to leave room for indexes.
        let largest = context.options.small_merge.saturating_mul(2);
        let Some(range) = engine::compaction_due(&snapshot, context.options.compact, largest) else { return Ok(()) };
        let merged = merge(&snapshot, range.clone(), context.options)?;
        self.put(range, merged, context.author.id.rotate_left(32), context)
    }

    /// Gives the first table that is apart another name.
    pub(crate) fn rename_first(&mut self, place: &Place, random: u64) -> Result<()> {
        let Some(apart) = self.apart.first_mut() else { return Ok(()) };
        let position = self.root.tables.iter().position(|line| line.name == apart.name);
        let ranges = engine::update_indexes_of_name(&apart.name);
        let (Some(position), Some((min, max))) = (position, ranges) else {
            return Err(Error::corrupt("a table that is to be written is not listed"));
        };
        apart.name = engine::table_name(min, max, random);
        let (line, table) = (self.root.tables.get_mut(position), self.tables.0.get_mut(position));
        if let (Some(line), Some(table)) = (line, table) {
            line.name.clone_from(&apart.name);
            *table = state::open(&place.key(&apart.name), line, &apart.bytes)?;
        }
        Ok(())
    }
}

/// The table that may take the place of those in `range`: update indexes and bytes.
///
/// # Errors
/// `Corrupt` for a damaged table; `TooLarge`.
pub(crate) fn merge(
    snapshot: &reftable::Snapshot,
    range: Range<usize>,
    options: &Options,
) -> Result<Option<(u64, u64, Vec<u8>)>> {
    let inputs = snapshot.tables().get(range.clone()).unwrap_or_default();
    let (Some(first), Some(last)) = (inputs.first(), inputs.last()) else { return Ok(None) };
    let (min, max) = (first.header().min_update_index, last.header().max_update_index);
    let has_newest = range.end == snapshot.tables().len();
    let (bytes, stats) = engine::merge_tables(snapshot, range, Expiry::default(), &options.write, || Ok(Vec::new()))?;
    // Without a record it may go, unless its update index is the store's.
    let is_empty = stats.refs == 0 && stats.logs == 0 && !has_newest;
    Ok((!is_empty).then_some((min, max, bytes)))
}

fn line_of(name: String, bytes: Bytes) -> (TableLine, Bytes) {
    let line = TableLine { name, len: bytes.len() as u64, crc: crc32fast::hash(&bytes), inline: None };
    (line, bytes)
}
