//! The production code over a simulated disk, crashed at every instant; and the mistakes that
//! must be caught.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod crash_git;
mod crash_mutants;
mod crash_states;
mod fifty_lines;
mod invariants_hold;
mod sim;
