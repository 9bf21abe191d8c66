//! The library and its header: what they define, which gits they fit, and C programs that use them.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod fits;
mod programs;
mod symbols;
