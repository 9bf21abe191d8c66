//! What compactions merge, copy, leave alone and clean up.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod compaction_cleans_up;
mod compaction_copies_blocks;
mod compaction_gives_way;
mod compaction_in_ranges;
mod compaction_makes_room;
mod compaction_names_damaged_blocks;
mod compaction_tells_its_progress;
mod compaction_writes_sparse_tables_again;
