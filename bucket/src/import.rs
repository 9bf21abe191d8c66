//! A new store with the contents of another one.

use std::ops::Range;
use std::sync::Arc;

use reftable::Snapshot;
use reftable::engine::{self, Expiry};
use reftable::table::Table;

use crate::backend::Bucket;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::Next;
use crate::store::{Inner, Store};

impl<B: Bucket> Store<B> {
    /// Makes the store, with the tables of `snapshot`; `progress` is told of the bytes that are
    /// written and of how many there are. Readers see all of it or no store.
    ///
    /// Tables whose update indexes overlap or run backwards, as others may have written them, are
    /// merged first: cleaning could not tell what of them is still needed. Costs memory for all
    /// tables.
    ///
    /// # Errors
    /// `Invalid` if there is a store already, which stays as it is; `Corrupt` for damaged tables;
    /// `TooLarge`; `Unavailable` if a write goes on for longer than the time-out and a second for
    /// each MiB; `Denied`; `Indeterminate`, if it is not known whether the store was made.
    pub async fn import(&self, snapshot: &Snapshot, mut progress: impl FnMut(u64, u64)) -> Result<()> {
        let inner = self.inner();
        let state = self.within_time(inner.refresh()).await?;
        if state.edition.is_some() {
            return Err(inner.taken());
        }
        let mut lead = inner.lead.lock().await;
        inner.finish_flight(&mut lead).await;
        let id = inner.bucket.random()?;
        let context = inner.context(&lead, id);
        let mut next = Next::after(&state, &context);
        next.root.hash = snapshot.hash();
        let groups = groups(snapshot.tables());
        let total = snapshot.tables().iter().map(|table| table.file_size()).sum();
        let mut done = 0;
        progress(done, total);
        for group in groups {
            let tables = snapshot.tables().get(group.clone()).unwrap_or_default();
            let table = prepared(snapshot, group, tables, inner)?;
            let end = next.tables.0.len();
            let len = table.2.len() as u64;
            next.put(end..end, Some(table), inner.bucket.random()?, &context)?;
            self.within_time_of(len, inner.put_apart(&mut next)).await?;
            done += tables.iter().map(|table| table.file_size()).sum::<u64>();
            progress(done, total);
        }
        let written = next.written.clone();
        match self.within_time(inner.swap(&mut lead, &state, id, next)).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                inner.delete_all(&written).await;
                Err(inner.taken())
            }
            // What was written stays for cleaning: the swap may have been carried out.
            Err(error) => Err(error),
        }
    }
}

impl<B> Inner<B> {
    fn taken(&self) -> Error {
        let message = "there is a store already; nothing was overwritten. Name a place where there is none";
        Error::new(ErrorKind::Invalid, message).in_object(&self.place.root())
    }
}

/// The tables as they may be listed: each run that must become one.
fn groups(tables: &[Arc<Table>]) -> Vec<Range<usize>> {
    let mut groups: Vec<(Range<usize>, u64)> = Vec::new();
    for (at, table) in tables.iter().enumerate() {
        let (mut min, mut max) = update_indexes(table);
        let mut start = at;
        // Whatever does not lie above all before it becomes one with them.
        while let Some((range, before)) = groups.pop_if(|(_, before)| *before >= min) {
            start = range.start;
            max = max.max(before);
            min = tables.get(start).map_or(min, |table| update_indexes(table).0.min(min));
        }
        groups.push((start..at + 1, max));
    }
    groups.into_iter().map(|(range, _)| range).collect()
}

/// Least and greatest, also of a table in which they run backwards.
fn update_indexes(table: &Table) -> (u64, u64) {
    let (min, max) = (table.header().min_update_index, table.header().max_update_index);
    (min.min(max), max.max(min))
}

/// A table for a group: update indexes and bytes.
fn prepared<B>(
    snapshot: &Snapshot,
    group: Range<usize>,
    tables: &[Arc<Table>],
    inner: &Inner<B>,
) -> Result<(u64, u64, Vec<u8>)> {
    if let [table] = tables {
        let header = table.header();
        if header.min_update_index <= header.max_update_index {
            return Ok((header.min_update_index, header.max_update_index, table.bytes().to_vec()));
        }
    }
    let write = &inner.options.write;
    let (bytes, _) = engine::merge_tables(snapshot, group, Expiry::default(), write, || Ok(Vec::new()))?;
    let merged = Table::open("merged", bytes.clone())?;
    Ok((merged.header().min_update_index, merged.header().max_update_index, bytes))
}
