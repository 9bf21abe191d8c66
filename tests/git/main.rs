//! git and other implementations beside ours: each reads what the other writes.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod compaction_beside_pack_refs;
mod compaction_follows_git;
mod dulwich_agrees;
mod git_continues_an_emptied_store;
mod git_reads_copied_blocks;
mod git_reads_what_we_write;
mod jgit_agrees;
mod names_follow_git;
mod reads_git_repositories;
mod reads_git_worktrees;
mod tables_are_gits_to_the_byte;
mod tables_of_libgit2_are_read;
