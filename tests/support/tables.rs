//! Tables by hand, through the low-level API.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use reftable::format::BlockKind;
use reftable::merge::{Merged, Tombstones};
use reftable::table::{LogRecordView, RefRecordView};
use reftable::table::{RecordView, Table, TableStats, TableWriter, WriteOptions};
use reftable::{HashKind, Log, LogEntry, Ref, Target, TargetView};

/// A record of a reference; no target is a tombstone.
pub(crate) type RefRow = (String, u64, Option<Target>);
/// A record of a log; no entry is a tombstone.
pub(crate) type LogRow = (String, u64, Option<LogEntry>);

pub(crate) fn write(
    hash: HashKind,
    range: RangeInclusive<u64>,
    options: &WriteOptions,
    refs: &[RefRow],
    logs: &[LogRow],
) -> reftable::Result<(Vec<u8>, TableStats)> {
    let mut writer = TableWriter::new(Vec::new(), hash, range, options)?;
    for (name, update_index, target) in refs {
        let target = target.as_ref().map(Target::as_view);
        writer.add_ref(&RefRecordView { name: name.as_bytes(), update_index: *update_index, target })?;
    }
    for (name, update_index, entry) in logs {
        let entry = entry.as_ref().map(LogEntry::as_view);
        writer.add_log(&LogRecordView { refname: name.as_bytes(), update_index: *update_index, entry })?;
    }
    writer.finish()
}

pub(crate) fn table(
    hash: HashKind,
    range: RangeInclusive<u64>,
    options: &WriteOptions,
    refs: &[RefRow],
    logs: &[LogRow],
) -> Arc<Table> {
    let (bytes, stats) = write(hash, range, options, refs, logs).unwrap();
    assert_eq!(stats.bytes, bytes.len() as u64);
    assert_eq!((stats.refs, stats.logs), (refs.len() as u64, logs.len() as u64));
    Arc::new(Table::open("made-by-hand.ref", bytes).unwrap())
}

/// The records from `from` on, tombstones included when shown.
pub(crate) fn refs(merged: &Merged, from: &str, tombstones: Tombstones) -> Vec<RefRow> {
    let mut walk = merged.refs(from.as_bytes(), tombstones).unwrap();
    let mut rows = Vec::new();
    while let Some(record) = walk.next().unwrap() {
        let name = String::from_utf8(record.name.to_vec()).unwrap();
        rows.push((name, record.update_index, record.target.as_ref().map(TargetView::to_target)));
    }
    rows
}

pub(crate) fn logs(merged: &Merged, from: &str, tombstones: Tombstones) -> Vec<LogRow> {
    let mut walk = merged.logs(from.as_bytes(), tombstones).unwrap();
    let mut rows = Vec::new();
    while let Some(record) = walk.next().unwrap() {
        let name = String::from_utf8(record.refname.to_vec()).unwrap();
        rows.push((name, record.update_index, record.entry.map(|entry| entry.to_entry())));
    }
    rows
}

/// What is in a table, block by block.
pub(crate) struct Anatomy {
    /// Kind and start of every block.
    pub(crate) blocks: Vec<(BlockKind, u64)>,
    /// The entries of every index block, by its start.
    pub(crate) indexes: BTreeMap<u64, Vec<(Vec<u8>, u64)>>,
    /// Abbreviated ids and the blocks they are in.
    pub(crate) objects: Vec<(Vec<u8>, Vec<u64>)>,
}

pub(crate) fn anatomy(table: &Table) -> Anatomy {
    let mut anatomy = Anatomy { blocks: Vec::new(), indexes: BTreeMap::new(), objects: Vec::new() };
    let mut blocks = table.blocks();
    while let Some(block) = blocks.next().unwrap() {
        let at = block.offset();
        anatomy.blocks.push((block.kind(), at));
        let mut each = |_, record: RecordView<'_>| match record {
            RecordView::Index { last_key, block } => {
                anatomy.indexes.entry(at).or_default().push((last_key.to_vec(), block));
            }
            RecordView::Object { prefix, blocks } => anatomy.objects.push((prefix.to_vec(), blocks)),
            _ => {}
        };
        block.records(&mut each).unwrap();
    }
    anatomy
}

impl Anatomy {
    pub(crate) fn count(&self, kind: BlockKind) -> usize {
        self.blocks.iter().filter(|(found, _)| *found == kind).count()
    }

    /// Levels of index over the blocks below `root`.
    pub(crate) fn levels(&self, root: u64) -> usize {
        match self.indexes.get(&root) {
            None => 0,
            Some(entries) => 1 + self.levels(entries[0].1),
        }
    }
}

pub(crate) fn as_row(found: &Ref) -> RefRow {
    (String::from_utf8(found.name.clone()).unwrap(), found.update_index, Some(found.target.clone()))
}

pub(crate) fn as_log_row(log: &Log) -> LogRow {
    (String::from_utf8(log.refname.clone()).unwrap(), log.update_index, Some(log.entry.clone()))
}
