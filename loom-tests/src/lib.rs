//! Models of the directory protocol, explored by [loom](https://docs.rs/loom).
//!
//! Processes are threads with a [`reftable::Stack`] each over one `ModelDir`, whose every call is a point where
//! another process may run. The models are in `tests/`, one a file. Nothing is compiled without `--cfg loom`:
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test --release -p loom-tests
//! ```

#![cfg(loom)]

mod dir;
mod world;

pub use dir::{Flaw, ModelDir};
pub use world::{explore, id, process, stack, start};
