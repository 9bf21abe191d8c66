//! A store as a program sees it: transactions, snapshots, logs, the errors of one process.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod additions_add_tables_together;
mod changes_between_snapshots;
mod conflicts_list_every_mismatch;
mod directories_of_many_kernels;
mod durability_marks_spare_syncs;
mod empty_reflogs_still_exist;
mod engines_need_no_directory;
mod faults_leave_the_old_state;
mod group_commit;
mod limits_of_lists;
mod log_entries_are_deleted_one_by_one;
mod many_writers_commit_at_once;
mod names_are_printed_escaped;
mod peeks_find_what_is_there;
mod prepared_rolls_back;
mod readers_see_what_was_committed;
mod reading_needs_no_write_permission;
mod snapshots_never_change;
mod transact_retries;
mod transactions_follow_a_model;
mod types_cross_threads;
