//! Models of the directory protocol, explored by [loom](https://docs.rs/loom).
//!
//! Processes are threads with a [`reftable::Stack`] each over one `ModelDir`, whose every call that
//! others can notice is a point where another process may run, and where a process may die. The
//! models are in `tests/`, one a file. Nothing is compiled without `--cfg loom`:
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test --release -p loom-tests
//! ```

#![cfg(loom)]

mod dir;
mod files;
mod host;
mod world;

pub use dir::{Flaw, ModelDir};
pub use host::host_locks;
#[cfg(reftable_mutants)]
pub use world::catches;
pub use world::{
    explore, explore_deaths, id, locks, open, options, process, read, recover, set, stack, start, start_with, values,
};
