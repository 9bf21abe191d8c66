//! Tables and what is read from them: any bytes, any layout, any size.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod blocks_stand_alone;
mod fuzz_corpus_replays;
mod hostile_bytes_are_errors;
mod hostile_fixtures_are_named;
mod limits_of_records;
mod limits_of_tables;
mod logs_are_deflated_as_asked;
mod look_up_caches_change_nothing;
mod merges_follow_a_model;
mod pointing_at_equals_scanning;
mod seeking_finds_every_position;
mod tables_of_any_shape_round_trip;
mod tables_of_others_are_read;
mod tables_that_overlap_are_read;
mod update_indexes_beyond_the_range;
mod what_does_not_fit_is_too_large;
