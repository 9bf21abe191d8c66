//! Every command of the program, run on repositories that git made.

#![cfg(test)]

#[path = "../../../tests/support/effort.rs"]
mod effort;
mod schema;
mod support;

mod broken_pipe;
mod compact;
mod delete_is_seen_by_git;
mod differential;
mod dump_and_stats;
mod exit_codes;
mod get_equals_git;
mod help_is_true;
mod interrupt;
mod json_follows_its_schema;
mod linked_worktree;
mod list_equals_git;
mod locks_of_the_unseen;
mod log_equals_git;
mod many_processes_update_at_once;
mod names_are_printed_escaped;
mod pager;
mod places;
mod repair;
mod shared_repositories;
mod stdin_transactions;
mod symbolic_ref_equals_git;
mod tables_of_others;
mod update_is_seen_by_git;
mod words_of_git;
