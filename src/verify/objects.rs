//! The object section against the references, both ways.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Finding, FindingKind, Report};
use crate::format::header::BlockKind;
use crate::table::{RecordView, Table};

/// Checks that every id of a reference leads to its block, and that nothing else is in the section.
pub(super) fn check(name: &str, table: &Arc<Table>, report: &mut Report) {
    if table.section(BlockKind::Obj).is_none() {
        return;
    }
    let len = usize::from(table.footer().obj_id_len);
    let mut expected: BTreeMap<Vec<u8>, BTreeSet<u64>> = BTreeMap::new();
    let mut stated: BTreeMap<Vec<u8>, (u64, Vec<u64>)> = BTreeMap::new();
    let mut blocks = table.blocks();
    // Errors were reported by the walk before; here they end the comparison.
    while let Ok(Some(block)) = blocks.next() {
        let offset = block.offset();
        let walked = block.records(|_, record| match record {
            RecordView::Ref(record) => {
                let ids = record.target.map(|target| [target.id(), target.peeled()]);
                for id in ids.into_iter().flatten().flatten() {
                    let prefix = id.as_bytes().get(..len).unwrap_or_default().to_vec();
                    expected.entry(prefix).or_default().insert(offset);
                }
            }
            RecordView::Object { prefix, blocks } => {
                stated.insert(prefix.to_vec(), (offset, blocks));
            }
            _ => {}
        });
        if walked.is_err() {
            return;
        }
    }
    for (prefix, (offset, blocks)) in &stated {
        let wanted = expected.get(prefix);
        // No offsets at all means "look everywhere".
        let matches = wanted.is_some_and(|wanted| blocks.is_empty() || wanted.iter().eq(blocks));
        if !matches {
            let message = format!("the object record {} does not list the blocks that have it", hex(prefix));
            report.findings.push(Finding::new(FindingKind::Objects, name, *offset, message));
        }
    }
    for prefix in expected.keys().filter(|prefix| !stated.contains_key(*prefix)) {
        let message = format!("no object record for {}, which references have", hex(prefix));
        report.findings.push(Finding::new(FindingKind::Objects, name, table.footer().obj, message));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
