//! A git reference store in an object store: many machines commit to one repository, with nothing
//! between them but a bucket with conditional writes.
//!
//! It holds what a [`reftable::Stack`] holds: the same [`Changeset`]s, the very [`Snapshot`]s, and
//! tables that git reads. One object, `root`, says which tables count, and carries the small ones;
//! a commit replaces it if nobody else has. There are no locks, leases or clocks to trust.
//!
//! ```
//! use std::sync::Arc;
//!
//! use reftable::{Expect, ObjectId};
//! use reftable_bucket::{Changeset, Memory, Options, Store, probe};
//!
//! # futures_lite::future::block_on(async {
//! let bucket = Arc::new(Memory::new());
//! // Once for each bucket: does it keep the rules?
//! probe(&*bucket, "probe").await?;
//!
//! let store = Store::new(bucket, "repos/42", Options::default())?;
//! let id: ObjectId = "2e6f9b0d5885b6010f9167787445617f553a735f".parse().expect("40 digits");
//! let mut changes = Changeset::new();
//! changes.set("refs/heads/main", Expect::Absent, id);
//! store.commit(changes).await?;
//!
//! let snapshot = store.snapshot().await?;
//! assert_eq!(snapshot.get("refs/heads/main")?.map(|found| found.target), Some(id.into()));
//! # Ok::<(), reftable_bucket::Error>(())
//! # }).expect("nothing fails");
//! ```
//!
//! A commit that lost its answer finds out what became of it: see [`Commit::rescued`]. What a store
//! needs now and then: [`Store::compact`], [`Store::clean`]. [`materialize`] writes a directory
//! that git reads.
//!
//! How to use it, and the protocol, step by step: [`reftable::guide::bucket`],
//! [`reftable::guide::protocol_bucket`].

#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
mod blocking;
mod cache;
mod claim;
mod clean;
#[cfg(feature = "object_store")]
mod client;
mod commit;
mod compact;
mod error;
mod fetch;
mod history;
mod import;
mod materialize;
mod memory;
#[cfg(reftable_mutants)]
pub mod mutant;
#[cfg(not(reftable_mutants))]
mod mutant;
mod numbered;
mod opening;
mod options;
mod patience;
mod place;
mod plan;
mod probe;
mod read;
mod root;
mod state;
mod stats;
mod store;

pub use backend::{Bucket, Read, Swap, Tag};
pub use blocking::Blocking;
pub use clean::Cleaned;
#[cfg(feature = "object_store")]
pub use client::Client;
pub use commit::Commit;
pub use compact::Compact;
pub use error::{Error, ErrorKind, Result};
pub use materialize::materialize;
pub use memory::Memory;
pub use numbered::Numbered;
pub use options::Options;
pub use patience::Patience;
pub use probe::probe;
pub use reftable::Snapshot;
pub use reftable::engine::Changeset;
pub use stats::{Stats, TableStats};
pub use store::Store;

/// What the fuzz target `root` runs: nothing panics, and what is read as a root is printed as it
/// was. The checksum is made to fit, which no fuzzer would find.
#[doc(hidden)]
pub fn fuzz_root(bytes: &[u8]) {
    root::fuzz(bytes);
}

/// What may go from thread to thread.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Store<Memory>>();
    shared::<Blocking<Memory>>();
    shared::<Options>();
    shared::<Error>();
};
