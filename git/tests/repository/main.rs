//! Repositories made by git, and what the crate says about them.
#![cfg(test)]

mod crowds;
mod differential;
#[path = "../../../tests/support/effort.rs"]
mod effort;
mod examples;
mod finding;
#[cfg(feature = "gix")]
mod gix;
mod hook;
mod listing;
#[cfg(feature = "objects")]
mod objects;
mod reading;
mod renaming;
#[cfg(feature = "objects")]
mod revisions;
#[cfg(feature = "serde")]
mod serde;
mod shared;
mod support;
mod trust;
