//! Repositories made by git, and what the crate says about them.
#![cfg(test)]

mod differential;
mod finding;
mod hook;
mod listing;
mod reading;
mod renaming;
mod support;
mod trust;
