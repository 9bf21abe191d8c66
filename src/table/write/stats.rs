//! What a table writer has written, counted.

use super::run::BlockRun;
use crate::format::header::BlockKind;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TableStats {
    /// References and tombstones.
    pub refs: u64,
    /// Log entries and tombstones.
    pub logs: u64,
    /// Blocks of all kinds.
    pub blocks: u64,
    /// Those of them that a compaction copied as they were.
    pub copied: u64,
    /// Bytes of the file; 0 before its end is written.
    pub bytes: u64,
    /// Blocks of references, and the index over them.
    pub ref_section: SectionStats,
    /// Blocks of abbreviated ids, and the index over them.
    pub object_section: SectionStats,
    /// Blocks of log entries, and the index over them.
    pub log_section: SectionStats,
    /// The blocks of all indexes.
    pub indexes: SectionStats,
    /// Bytes of each id in the object section; 0 without one.
    pub object_id_len: u8,
}

/// Blocks of one kind. Only blocks that are full, or the last of their section, count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SectionStats {
    /// Records.
    pub entries: u64,
    /// Records whose key stands alone, at which a search can start.
    pub restarts: u64,
    /// Blocks of the section, without those of its index.
    pub blocks: u64,
    /// Where the first of them is; 0 without one, and when it is the first of the file.
    pub offset: u64,
    /// Blocks of the index over them.
    pub index_blocks: u64,
    /// Levels of that index.
    pub index_levels: u64,
    /// Where its topmost level begins; 0 without an index.
    pub index_offset: u64,
}

impl TableStats {
    pub(crate) fn of(&mut self, kind: BlockKind) -> &mut SectionStats {
        match kind {
            BlockKind::Ref => &mut self.ref_section,
            BlockKind::Obj => &mut self.object_section,
            BlockKind::Log => &mut self.log_section,
            BlockKind::Index => &mut self.indexes,
        }
    }

    /// Counts a piece of `section` that is put at `offset`.
    pub(crate) fn count(&mut self, section: Option<BlockKind>, piece: &BlockRun, offset: u64) {
        match section {
            Some(BlockKind::Ref) => self.refs += piece.records,
            Some(BlockKind::Log) => self.logs += piece.records,
            _ => {}
        }
        let blocks = piece.blocks.len() as u64;
        self.blocks += blocks;
        self.copied += piece.copied;
        let Some(kind) = piece.kind else { return };
        let section = self.of(kind);
        if section.blocks == 0 {
            section.offset = offset;
        }
        section.blocks += blocks;
        section.entries += piece.entries;
        section.restarts += piece.restarts;
    }
}
