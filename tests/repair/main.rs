//! `verify` names what is wrong with a store, and `repair` mends it.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod damaged_lists_are_refused;
mod repair_finds_a_list_that_fits;
mod repair_judges_locks;
mod repair_leaves_the_living_alone;
mod repair_loses_nothing;
mod repair_mends_one_thing_at_a_time;
mod unlisted_tables_stay_unless_proven;
mod verify_follows_gits_rules;
mod verify_names_violations;
