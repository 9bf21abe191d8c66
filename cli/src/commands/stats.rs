//! `reftable stats`

use std::io::{self, Write};

use clap::Args;
use reftable::bytes::Reading;
use reftable::escape::quoted;
use reftable::format::BlockKind;
use reftable::table::{RecordView, Table};
use reftable::{AutoCompact, Options, Snapshot, Stack};
use reftable_git::{Repository, for_reading};
use serde_json::Value;

use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::output::{Out, shown_path};

/// Show what each table holds, and whether a compaction is due
///
/// Reads all tables. 'deleted' counts the records that hide a reference or a log entry of an older
/// table.
#[derive(Debug, Args)]
#[command(after_help = "\
With --json, one object of type 'table' a table, oldest first, and one of type 'store' a store. Its
'journal' is 'yes', 'no' or 'unknown': whether the file system keeps what was synced when the power
fails.

Examples:
  reftable stats
  reftable stats --json | jq 'select(.type == \"store\").compaction_due'")]
pub(crate) struct Stats {}

/// What is in one table.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    refs: u64,
    deleted_refs: u64,
    logs: u64,
    deleted_logs: u64,
    ref_blocks: u64,
    log_blocks: u64,
    obj_blocks: u64,
    index_blocks: u64,
}

impl Stats {
    pub(crate) fn run(&self, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        let options = for_reading(Reading::Copied);
        let options = match repo.config()? {
            Some(config) => config.apply(options)?,
            None => options,
        };
        let policy = policy_of(&options);
        let stores = repo.open_to_read(&options)?;
        for stack in stores.all() {
            let snapshot = stack.snapshot()?;
            let counts: Vec<Counts> =
                snapshot.tables().iter().map(|table| Counts::of(table)).collect::<reftable::Result<_>>()?;
            match out.wants_json() {
                true => print_json(stack, &snapshot, &counts, &policy, out)?,
                false => print_text(stack, &snapshot, &counts, &policy, out)?,
            }
        }
        Ok(Code::Done)
    }
}

impl Counts {
    /// Reads all of the table.
    pub(crate) fn of(table: &Table) -> reftable::Result<Counts> {
        let mut counts = Counts::default();
        let mut blocks = table.blocks();
        while let Some(block) = blocks.next()? {
            match block.kind() {
                BlockKind::Ref => counts.ref_blocks += 1,
                BlockKind::Log => counts.log_blocks += 1,
                BlockKind::Obj => counts.obj_blocks += 1,
                BlockKind::Index => counts.index_blocks += 1,
                _ => {}
            }
            if matches!(block.kind(), BlockKind::Ref | BlockKind::Log) {
                block.records(|_, record| counts.add(&record))?;
            }
        }
        Ok(counts)
    }

    fn add(&mut self, record: &RecordView<'_>) {
        match record {
            RecordView::Ref(record) if record.target.is_none() => self.deleted_refs += 1,
            RecordView::Ref(_) => self.refs += 1,
            RecordView::Log(record) if record.entry.is_none() => self.deleted_logs += 1,
            RecordView::Log(_) => self.logs += 1,
            _ => {}
        }
    }

    fn fields(&self) -> [u64; 8] {
        let Counts { refs, deleted_refs, logs, deleted_logs, ref_blocks, log_blocks, obj_blocks, index_blocks } = self;
        [*refs, *deleted_refs, *logs, *deleted_logs, *ref_blocks, *log_blocks, *obj_blocks, *index_blocks]
    }
}

const FIELDS: [&str; 8] =
    ["refs", "deleted_refs", "logs", "deleted_logs", "ref_blocks", "log_blocks", "obj_blocks", "index_blocks"];

fn print_text(stack: &Stack, snapshot: &Snapshot, counts: &[Counts], policy: &str, out: &mut Out) -> io::Result<()> {
    let hash = snapshot.hash().map_or("no ids yet".to_owned(), |hash| hash.to_string());
    let tables = snapshot.tables();
    let bytes: u64 = tables.iter().map(|table| table.file_size()).sum();
    let warning =
        if stack.has_journal() == Some(false) { ", no journal: a power failure may lose commits" } else { "" };
    writeln!(out, "{}: {} tables, {bytes} bytes, {hash}{warning}", shown_path(stack.path()), tables.len())?;
    let heads = ["table", "bytes", "first", "last", "refs", "deleted", "logs", "deleted", "ref", "log", "obj", "index"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for (table, counts) in tables.iter().zip(counts) {
        let header = table.header();
        let mut row = vec![quoted(table.name().as_bytes()).to_string()];
        let sizes = [table.file_size(), header.min_update_index, header.max_update_index];
        row.extend(sizes.into_iter().chain(counts.fields()).map(|number| number.to_string()));
        rows.push(row);
    }
    print_aligned(&rows, out)?;
    match stack.compaction_due(snapshot) {
        None => writeln!(out, "no compaction is due: {policy}"),
        Some(range) => {
            let (first, last) = (range.start + 1, range.end);
            writeln!(out, "a compaction of the tables {first} to {last} is due, after the next commit: {policy}")
        }
    }
}

/// When commits compact, by the configuration and what we do without a word in it.
fn policy_of(options: &Options) -> String {
    match options.get_auto_compact() {
        AutoCompact::Lazy(tables) => format!("commits merge tables when {tables} have piled up"),
        AutoCompact::Geometric(factor) | AutoCompact::Git(factor) => {
            format!("commits merge tables until each is {factor} times as large as the next")
        }
        _ => "commits merge no tables".to_owned(),
    }
}

/// Columns as wide as their widest cell; the first to the left, the others to the right.
fn print_aligned(rows: &[Vec<String>], out: &mut Out) -> io::Result<()> {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => write!(out, "{cell:<width$}")?,
                _ => write!(out, "  {cell:>width$}")?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

/// What is said of a table, wherever its store is.
pub(crate) fn table_object(store: &[u8], table: &Table, counts: &Counts) -> Object {
    let object = Object::of("table")
        .put_text("store", store)
        .put("table", table.name())
        .put("bytes", table.file_size())
        .put("min_update_index", table.header().min_update_index)
        .put("max_update_index", table.header().max_update_index);
    FIELDS.into_iter().zip(counts.fields()).fold(object, |object, (key, n)| object.put(key, n))
}

fn print_json(stack: &Stack, snapshot: &Snapshot, counts: &[Counts], policy: &str, out: &mut Out) -> io::Result<()> {
    let store = stack.path().as_os_str().as_encoded_bytes();
    let due = stack.compaction_due(snapshot);
    for (index, (table, counts)) in snapshot.tables().iter().zip(counts).enumerate() {
        let object = table_object(store, table, counts);
        let is_due = due.as_ref().is_some_and(|due| due.contains(&index));
        out.json(&object.put("compaction_due", is_due).build())?;
    }
    let tables = snapshot.tables();
    let object = Object::of("store")
        .put_text("store", store)
        .put("tables", tables.len())
        .put("bytes", tables.iter().map(|table| table.file_size()).sum::<u64>())
        .put_some("hash", snapshot.hash().map(|hash| Value::from(hash.name())))
        .put("update_index", snapshot.update_index())
        .put("journal", stack.has_journal().map_or("unknown", |has| if has { "yes" } else { "no" }))
        .put("policy", policy)
        .put("compaction_due", due.is_some());
    out.json(&object.build())
}
