//! Repositories made by git, and what the crate says about them.
#![cfg(test)]

mod differential;
mod finding;
mod hook;
mod reading;
mod support;
mod trust;
