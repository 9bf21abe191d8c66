//! Indexes against the blocks they describe.

use std::collections::{HashMap, HashSet};

use super::finding::shown;
use super::table::SeenBlock;
use super::{Finding, FindingKind, Report};
use crate::format::header::BlockKind;
use crate::table::Table;

/// Checks that sections stand in order, that each index covers every block of its section exactly
/// once and states its last key, and that no index block is left over.
pub(super) fn check(name: &str, table: &Table, seen: &[SeenBlock], report: &mut Report) {
    check_section_order(name, table, seen, report);
    let by_offset: HashMap<u64, &SeenBlock> = seen.iter().map(|block| (block.offset, block)).collect();
    let footer = table.footer();
    let sections =
        [(BlockKind::Ref, footer.ref_index), (BlockKind::Obj, footer.obj_index), (BlockKind::Log, footer.log_index)];
    let mut reached = HashSet::new();
    for (kind, root) in sections {
        if root == 0 {
            continue;
        }
        let mut walk =
            Walk { name, kind, by_offset: &by_offset, covered: HashSet::new(), index_blocks: HashSet::new(), report };
        walk.level(root, seen);
        let covered = walk.covered;
        reached.extend(walk.index_blocks);
        for block in seen.iter().filter(|block| block.kind == kind && !covered.contains(&block.offset)) {
            let message = format!("a {} block that its index does not lead to", kind.name());
            report.findings.push(Finding::new(FindingKind::Index, name, block.offset, message));
        }
    }
    let is_lost = |block: &&SeenBlock| block.kind == BlockKind::Index && !reached.contains(&block.offset);
    for block in seen.iter().filter(is_lost) {
        report.findings.push(Finding::new(
            FindingKind::Index,
            name,
            block.offset,
            "an index block that nothing leads to",
        ));
    }
}

/// References, their index, objects, their index, logs, their index.
fn check_section_order(name: &str, table: &Table, seen: &[SeenBlock], report: &mut Report) {
    let rank = |kind| match kind {
        BlockKind::Ref => 0,
        BlockKind::Obj => 1,
        _ => 2,
    };
    let mut last = 0;
    for block in seen.iter().filter(|block| block.kind != BlockKind::Index) {
        if rank(block.kind) < last {
            let message = format!("a {} block after a later section", block.kind.name());
            report.findings.push(Finding::new(FindingKind::Sections, name, block.offset, message));
        }
        last = last.max(rank(block.kind));
    }
    let footer = table.footer();
    for (kind, stated) in [(BlockKind::Obj, footer.obj), (BlockKind::Log, footer.log)] {
        let first = seen.iter().find(|block| block.kind == kind).map_or(0, |block| block.offset);
        if first != stated {
            let message = format!("the footer has the {} section at {stated}, it is at {first}", kind.name());
            report.findings.push(Finding::new(FindingKind::Sections, name, table.file.end, message));
        }
    }
}

struct Walk<'a> {
    name: &'a str,
    kind: BlockKind,
    by_offset: &'a HashMap<u64, &'a SeenBlock>,
    covered: HashSet<u64>,
    index_blocks: HashSet<u64>,
    report: &'a mut Report,
}

impl Walk<'_> {
    /// The topmost level may have several blocks, side by side.
    fn level(&mut self, root: u64, seen: &[SeenBlock]) {
        let siblings =
            seen.iter().skip_while(|block| block.offset < root).take_while(|block| block.kind == BlockKind::Index);
        let roots: Vec<u64> = siblings.map(|block| block.offset).collect();
        if roots.first() != Some(&root) {
            self.find(root, "the footer's index offset does not lead to an index block".to_owned());
        }
        if roots.len() > 1 {
            let (kind, count) = (self.kind.name(), roots.len());
            let message =
                format!("JGit reads a {kind} index only if its topmost level is one block; here it has {count}");
            self.report.findings.push(Finding::new(FindingKind::WideIndexRoot, self.name, root, message));
        }
        // A list instead of recursion: a crafted file may have as many levels as blocks.
        let mut open = roots;
        while let Some(offset) = open.pop() {
            if self.index_blocks.insert(offset) {
                self.block(offset, &mut open);
            } else {
                self.find(offset, "an index block that is reached twice".to_owned());
            }
        }
    }

    /// Checks the entries of one index block; index blocks that they lead to are added to `open`.
    fn block(&mut self, offset: u64, open: &mut Vec<u64>) {
        let Some(block) = self.by_offset.get(&offset).copied() else { return };
        for (key, child) in &block.entries {
            match self.by_offset.get(child).copied() {
                Some(below) if below.kind == self.kind || below.kind == BlockKind::Index => {
                    if below.last_key != *key {
                        let shown = shown(key);
                        self.find(
                            offset,
                            format!("the index says that the block at {child} ends with '{shown}', it does not"),
                        );
                    }
                    if below.kind == BlockKind::Index {
                        open.push(*child);
                    } else if !self.covered.insert(*child) {
                        self.find(offset, format!("the block at {child} is indexed twice"));
                    }
                }
                _ => self
                    .find(offset, format!("an index entry leads to {child}, where no {} block is", self.kind.name())),
            }
        }
    }

    fn find(&mut self, offset: u64, message: String) {
        self.report.findings.push(Finding::new(FindingKind::Index, self.name, offset, message));
    }
}
