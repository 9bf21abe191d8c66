//! Repositories made by git, and what the crate says about them.
#![cfg(test)]

mod finding;
mod support;
mod trust;
