//! Processes on one store: locks, living and dead owners, and commits for one another.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod abandoned_locks_are_broken;
mod back_off_has_an_end;
mod journals_are_told;
mod locks_are_taken_over;
mod locks_are_waited_for;
mod locks_hold_on_other_file_systems;
mod locks_respect_others;
mod processes_commit_for_each_other;
