//! A git repository's references, by git's rules.
//!
//! The crate `reftable` reads and writes a *store*. What people have is a *repository*: a
//! [`Repository`] is found from any path, its configuration says whether there is a store and what
//! holds for it, and a linked worktree has two. A [`View`] reads all stores as one and follows
//! symbolic references; a [`Batch`] changes them together.
//!
//! ```no_run
//! use reftable::bytes::Reading;
//! use reftable::{Expect, ObjectId, Options};
//! use reftable_git::{Batch, Change, Repository};
//!
//! let repository = Repository::find(None)?;
//! let head = repository.view(Reading::Checked)?.follow(b"HEAD")?;
//! println!("{} is at {:?}", String::from_utf8_lossy(&head.name), head.target);
//!
//! let id: ObjectId = "2e6f9b0d5885b6010f9167787445617f553a735f".parse()?;
//! let stores = repository.open(&Options::default(), None)?;
//! let mut batch = Batch::default();
//! batch.changes.push(Change::set("HEAD", Expect::Any, id));
//! batch.commit(&stores)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Which configuration decides what, and why: [`reftable::guide::repository`].

#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
#[cfg(feature = "bstr")]
pub mod bstr;
mod bytes;
mod config;
mod convert;
mod discover;
mod error;
mod expiry;
mod files;
mod format;
#[cfg(feature = "gix")]
pub mod gix;
mod head;
pub mod ident;
mod log_edit;
mod log_expiry;
mod lone_store;
mod names;
mod namespace;
#[cfg(feature = "objects")]
mod objects;
mod repository;
mod retry;
mod rev;
#[cfg(feature = "serde")]
pub mod serde;
mod stores;
pub mod time;
mod trust;
mod upstream;
mod view;

pub use batch::{Action, Batch, Change, Prepared, Reason, Refusal, Rename};
pub use batch::{Answer, Command, Fields, Planned, Records, Session, SessionOptions};
pub use config::{Config, LogPolicy};
pub use error::{Error, ErrorKind, Result};
pub use expiry::{ConfiguredExpiry, PatternExpiry};
pub use format::{Format, RefStorage};
pub use log_edit::{LogEdit, Verdict};
pub use log_expiry::LogExpiry;
pub use names::Place;
pub use namespace::Namespace;
#[cfg(feature = "objects")]
pub use objects::{ObjectKind, Objects};
pub use repository::Repository;
pub use rev::Revisions;
pub use stores::{PATIENCE, Stores, for_reading};
pub use trust::Trust;
pub use upstream::Upstream;
pub use view::{Chain, Head, Listing, LogOrder, View};

/// What may go from thread to thread.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Repository>();
    shared::<Stores>();
    shared::<View>();
    shared::<Batch>();
    shared::<Error>();
};
