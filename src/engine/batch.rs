//! One table for one or several changesets: each checked against those before it, all written
//! together.

use std::io::Write;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::check;
use super::rows::{LogRow, MemberLogs, RowEntry, merge_logs};
use super::view::GroupView;
use crate::changeset::{Action, Applied, Changeset};
use crate::error::{Error, Result};
use crate::oid::{HashKind, ObjectId};
use crate::snapshot::Snapshot;
use crate::table::{TableWriter, WriteOptions};
use crate::value::{LogRecordView, RefRecordView, Target};

/// Changesets that follow one state, in order, to be written as one table (group commit). Those
/// that do not fit are left out and leave no trace.
#[derive(Debug)]
pub struct WriteGroup<'a> {
    base: &'a Snapshot,
    hash: Option<HashKind>,
    /// By name, each name once: the last one wins.
    refs: Vec<RefRow>,
    /// By name, then newest first, each key once.
    logs: Vec<LogRow>,
    /// The last update index in use.
    last: u64,
}

/// What becomes of a reference.
#[derive(Debug)]
pub(super) struct RefRow {
    pub(super) name: Arc<[u8]>,
    pub(super) update_index: u64,
    /// `None` deletes it.
    pub(super) target: Option<Target>,
}

impl<'a> WriteGroup<'a> {
    /// No changesets yet, to follow `base`.
    #[must_use]
    pub fn new(base: &'a Snapshot) -> Self {
        WriteGroup { base, hash: base.hash(), refs: Vec::new(), logs: Vec::new(), last: base.update_index() }
    }

    /// Checks `changes` against the state so far and adds them. Returns their update index; that of
    /// the state so far when they change nothing.
    ///
    /// # Errors
    /// `Conflict` with every mismatch; `Invalid` for what cannot be; `Corrupt`. The group is as
    /// before then.
    pub fn admit(&mut self, mut changes: Changeset) -> Result<u64> {
        changes.check()?;
        self.admit_checked(changes).map(|applied| applied.update_index)
    }

    /// Checks `changes`, which have passed [`Changeset::check`], against the state so far and adds
    /// them.
    ///
    /// # Errors
    /// `Conflict` with every mismatch; `Invalid`; `Corrupt`. The group is as before then.
    pub(crate) fn admit_checked(&mut self, changes: Changeset) -> Result<Applied> {
        let Changeset { updates, logs, reflog, asks_replaced } = changes;
        let update_index =
            self.last.checked_add(1).ok_or_else(|| Error::invalid("the store has used up its update indexes"))?;
        let view = GroupView::new(self.base, &self.refs, updates.len());
        let current = check::check(&updates, &logs, &view)?;
        let hash = check::hash(&updates, &logs, self.hash)?;
        let null = ObjectId::null(hash.unwrap_or_default());

        let mut rows = MemberLogs::new(update_index, self.base, logs.len() + updates.len());
        for change in logs {
            rows.add(change, &self.logs)?;
        }
        if let Some(said) = reflog.map(Arc::new) {
            for (update, before) in updates.iter().zip(&current) {
                if let Action::Set(Target::Id(new) | Target::Tag { id: new, .. }) = update.action {
                    let old = before.as_deref().and_then(Target::id).unwrap_or(null);
                    // The names of updates are there once each.
                    rows.append_last(&update.name, RowEntry::new(old, new, &said))?;
                }
            }
        }
        let (logs, last) = rows.finish(&self.logs, null)?;
        let replaced = asks_replaced.map(|follower| follower.answer(&updates, current)).transpose()?;
        // Nothing fails from here on.
        let refs: Vec<RefRow> = updates
            .into_iter()
            .filter_map(|update| match update.action {
                Action::Set(target) => Some(RefRow { name: update.name, update_index, target: Some(target) }),
                Action::Delete => Some(RefRow { name: update.name, update_index, target: None }),
                Action::Verify => None,
            })
            .collect();
        if refs.is_empty() && logs.is_empty() {
            return Ok(Applied { update_index: self.last, replaced });
        }
        self.hash = hash;
        self.last = last;
        merge_refs(&mut self.refs, refs);
        merge_logs(&mut self.logs, logs);
        Ok(Applied { update_index, replaced })
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last == self.base.update_index()
    }

    /// The update indexes of all together.
    #[must_use]
    pub fn update_indexes(&self) -> RangeInclusive<u64> {
        self.base.update_index().saturating_add(1)..=self.last
    }

    /// Writes the table, which is to be the newest of the next state.
    ///
    /// # Errors
    /// `TooLarge` when a name or message does not fit into a block; `Invalid` for options out of
    /// range; `Io`, as `out` says.
    pub fn write<W: Write>(&self, out: W, options: &WriteOptions) -> Result<W> {
        let mut table = TableWriter::new(out, self.hash.unwrap_or_default(), self.update_indexes(), options)?;
        for row in &self.refs {
            let target = row.target.as_ref().map(Target::as_view);
            table.add_ref(&RefRecordView { name: &row.name, update_index: row.update_index, target })?;
        }
        for row in &self.logs {
            table.add_log(&LogRecordView {
                refname: &row.refname,
                update_index: row.update_index,
                entry: row.entry.as_ref().map(RowEntry::as_view),
            })?;
        }
        table.finish().map(|(out, _)| out)
    }
}

/// So few rows are put into their places one by one: a group of many small members would be merged
/// as a whole for each of them.
pub(super) const FEW_ROWS: usize = 8;

/// Adds `newer` rows to `rows`, both by name. Of two rows for one name the newer stays.
fn merge_refs(rows: &mut Vec<RefRow>, newer: Vec<RefRow>) {
    if newer.len() <= FEW_ROWS {
        for row in newer {
            match rows.binary_search_by(|there| there.name.cmp(&row.name)) {
                Ok(at) => drop(rows.splice(at..=at, [row])),
                Err(at) => rows.insert(at, row),
            }
        }
        return;
    }
    if rows.is_empty() {
        *rows = newer;
        return;
    }
    rows.extend(newer);
    // Stable, and the rows are two sorted runs: this is one merge. The newer one of two comes
    // second.
    rows.sort_by(|a, b| a.name.cmp(&b.name).then(b.update_index.cmp(&a.update_index)));
    rows.dedup_by(|later, kept| later.name == kept.name);
}
