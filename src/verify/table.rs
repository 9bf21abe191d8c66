//! Walking one table: block order, record order, ranges, padding.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::finding::shown;
use super::{Finding, FindingKind, Report, index, objects};
use crate::format::header::BlockKind;
use crate::format::record::log_key;
use crate::table::{BlockDump, RecordView, Table};

/// How many findings of one rule are told of a table one by one.
const MOST: u64 = 100;

/// The rules about records that a table breaks, and how often.
#[derive(Debug, Default)]
struct Broken {
    findings: Vec<Finding>,
    counts: BTreeMap<&'static str, (FindingKind, u64)>,
}

impl Broken {
    /// A record in the block at `offset` breaks a rule: `what` it is, and what is wrong with all of
    /// its kind.
    fn find(&mut self, kind: FindingKind, name: &str, offset: u64, what: &str, rule: &'static str) {
        let (_, count) = self.counts.entry(rule).or_insert((kind, 0));
        *count += 1;
        if *count <= MOST {
            self.findings.push(Finding::new(kind, name, offset, format!("{what} {rule}")));
        }
    }

    fn tell_of_more(&mut self, name: &str) {
        for (rule, (kind, count)) in &self.counts {
            if *count > MOST {
                let message = format!("{} more of which each {rule}", count - MOST);
                self.findings.push(Finding::new(*kind, name, None, message));
            }
        }
    }
}

/// A block as far as indexes care.
#[derive(Debug)]
pub(super) struct SeenBlock {
    pub(super) offset: u64,
    pub(super) kind: BlockKind,
    pub(super) last_key: Vec<u8>,
    /// Of index blocks: key and child of each entry.
    pub(super) entries: Vec<(Vec<u8>, u64)>,
}

/// Checks everything inside one table: the frame of each block, its records, then the indexes.
pub(super) fn check(name: &str, table: &Arc<Table>, report: &mut Report) {
    let mut seen: Vec<SeenBlock> = Vec::new();
    let mut blocks = table.blocks();
    let (mut is_readable, mut broken) = (true, Broken::default());
    loop {
        match blocks.next() {
            Ok(None) => break,
            Ok(Some(block)) => {
                report.blocks += 1;
                let previous = seen.last().filter(|previous| previous.kind == block.kind());
                let last_key = previous.map(|seen| seen.last_key.clone());
                check_block_frame(name, table, &block, report);
                let (block, walked) = check_records(name, table, &block, last_key, &mut broken, report);
                report.findings.append(&mut broken.findings);
                is_readable &= walked;
                seen.push(block);
            }
            Err(error) => {
                report.findings.push(Finding::of(name, &error));
                is_readable = false;
                break;
            }
        }
    }
    broken.tell_of_more(name);
    report.findings.append(&mut broken.findings);
    if !is_readable {
        // Indexes over blocks that cannot be read would only repeat the news.
        return;
    }
    index::check(name, table, &seen, report);
    objects::check(name, table, report);
}

fn check_block_frame(name: &str, table: &Table, block: &BlockDump<'_>, report: &mut Report) {
    let offset = block.offset();
    let mut find = |message: String| report.findings.push(Finding::new(FindingKind::BlockFrame, name, offset, message));
    if block.is_empty() {
        find(format!("a {} block without records", block.kind().name()));
    }
    let limit = u64::from(table.header().block_size);
    if limit > 0 && block.len() > limit && !matches!(block.kind(), BlockKind::Index | BlockKind::Log) {
        find(format!("a block of {} bytes, the table's blocks have {limit}", block.len()));
    }
    if block.has_dirty_padding() {
        find("the padding after a block is not zero".to_owned());
    }
    if let Err(error) = block.check_restarts() {
        report.findings.push(Finding::of(name, &error));
    }
}

/// Returns what indexes need to know of the block, and whether all of its records could be read.
fn check_records(
    name: &str,
    table: &Table,
    block: &BlockDump<'_>,
    mut last_key: Option<Vec<u8>>,
    broken: &mut Broken,
    report: &mut Report,
) -> (SeenBlock, bool) {
    let (kind, offset) = (block.kind(), block.offset());
    let range = table.header().min_update_index..=table.header().max_update_index;
    let largest = table.header().max_update_index;
    let mut entries = Vec::new();
    let (mut refs, mut logs) = (0, 0);
    let mut key = Vec::new();
    let walked = block.records(|_, record| {
        match &record {
            RecordView::Ref(record) => {
                refs += 1;
                record.name.clone_into(&mut key);
                if !range.contains(&record.update_index) {
                    let what = format!("update index {}", record.update_index);
                    broken.find(FindingKind::RefOutOfRange, name, offset, &what, "lies outside of the header's range");
                }
            }
            RecordView::Log(record) => {
                logs += 1;
                log_key(&mut key, record.refname, record.update_index);
                // Below is allowed: a tombstone repeats that of the entry it hides.
                if record.entry.is_some() && record.update_index > largest {
                    let what = format!(
                        "the log of '{}' has update index {}, which",
                        shown(record.refname),
                        record.update_index
                    );
                    let rule = "is above the header's range: git gives it to another entry";
                    broken.find(FindingKind::LogOutOfRange, name, offset, &what, rule);
                }
            }
            RecordView::Object { prefix, .. } => (*prefix).clone_into(&mut key),
            RecordView::Index { last_key, block } => {
                (*last_key).clone_into(&mut key);
                entries.push((key.clone(), *block));
            }
        }
        // Index levels follow one another and start over with the first key.
        let in_order = last_key.as_ref().is_none_or(|last| key > *last);
        let starts_level = kind == BlockKind::Index && entries.len() == 1;
        if !in_order && !starts_level {
            let what = format!("the record '{}'", shown(&key));
            broken.find(FindingKind::RecordOrder, name, offset, &what, "is not above the one before it");
        }
        last_key = Some(std::mem::take(&mut key));
    });
    let is_readable = walked.is_ok();
    broken.findings.extend(walked.err().map(|error| Finding::of(name, &error)));
    report.refs += refs;
    report.logs += logs;
    (SeenBlock { offset, kind, last_key: last_key.unwrap_or_default(), entries }, is_readable)
}
