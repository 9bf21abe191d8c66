//! A transactional store for git references that many processes share.
//!
//! The files and the protocol in the directory are those of git's *reftable* format, so git and
//! other implementations work on the same store at the same time. On top of that this crate
//! promises more than they do: a commit that returned `Ok` survives a power failure (as far as
//! those who compact the store sync, too), a process that dies with a lock blocks no other, and
//! readers never wait for a lock and never see half of a transaction.
//!
//! # A tour
//!
//! Open a [`Stack`] on the `reftable` directory of a repository, and read from a [`Snapshot`]:
//!
//! ```
//! use reftable::{Expect, ObjectId, Options, Stack, Target};
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path();
//! let stack = Stack::open(path, Options::default())?;
//! let id: ObjectId = "2e6f9b0d5885b6010f9167787445617f553a735f".parse()?;
//!
//! // All changes of a transaction happen together, or none does.
//! let mut tx = stack.transaction();
//! tx.set("refs/heads/main", Expect::Absent, id);
//! tx.set("HEAD", Expect::Any, Target::symbolic("refs/heads/main"));
//! tx.commit()?;
//!
//! // A snapshot never changes, whatever others do meanwhile.
//! let snapshot = stack.snapshot()?;
//! let main = snapshot.get("refs/heads/main")?.expect("we have just set it");
//! assert_eq!(main.target, Target::Id(id));
//! // Iterators lend their items; nothing is allocated for each.
//! let mut refs = snapshot.prefix("refs/")?;
//! while let Some(found) = refs.next()? {
//!     println!("{}", String::from_utf8_lossy(found.name));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A transaction says what it expects, and a refusal says everything that was not so:
//!
//! ```
//! # use reftable::{ErrorKind, Expect, ObjectId, Options, Stack};
//! # let dir = tempfile::tempdir()?;
//! # let stack = Stack::open(dir.path(), Options::default())?;
//! # let id: ObjectId = "2e6f9b0d5885b6010f9167787445617f553a735f".parse()?;
//! let mut tx = stack.transaction();
//! tx.set("refs/heads/main", Expect::Exists, id).verify("refs/heads/next", Expect::Is(id.into()));
//! let error = tx.commit().expect_err("neither exists");
//! assert_eq!(error.kind(), ErrorKind::Conflict);
//! assert_eq!(error.conflicts().len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! Two phases, for callers that must do something else in between. The lock is held by the
//! [`Prepared`] value, and dropping it rolls back:
//!
//! ```
//! # use reftable::{Expect, ObjectId, Options, Stack};
//! # let dir = tempfile::tempdir()?;
//! # let stack = Stack::open(dir.path(), Options::default())?;
//! # let id: ObjectId = "2e6f9b0d5885b6010f9167787445617f553a735f".parse()?;
//! let mut tx = stack.transaction();
//! tx.set("refs/heads/main", Expect::Any, id);
//! let prepared = tx.prepare()?;
//! // ... move objects into place, ask a hook ...
//! prepared.commit()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A commit can tell what it has replaced, also when another process has done it along with its
//! own; and reflogs are read and written as git does:
//!
//! ```
//! # use reftable::{Expect, Ident, ObjectId, Options, Stack};
//! # let dir = tempfile::tempdir()?;
//! # let stack = Stack::open(dir.path(), Options::default())?;
//! let id = ObjectId::from_hex(b"2e6f9b0d5885b6010f9167787445617f553a735f")?;
//! let mut tx = stack.transaction();
//! tx.set("refs/heads/main", Expect::AbsentOr(id.into()), id).report_replaced();
//! tx.reflog(Ident::parse(b"A U Thor <author@example.com> 1700000000 +0000")?, "fetch");
//! let replaced = tx.commit()?.replaced.expect("we have asked");
//! assert!(replaced[0].target.is_none(), "it was not there");
//!
//! let mut log = stack.snapshot()?.log("refs/heads/main")?;
//! let newest = log.next()?.expect("the commit has written it");
//! assert!(newest.entry.to_entry().to_line()?.ends_with(b"+0000\tfetch\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What a store needs now and then: [`compact`] merges tables and lets reflogs expire, [`verify`]
//! and [`repair`] are for stores that are damaged:
//!
//! ```
//! # use reftable::{Options, Stack};
//! use reftable::compact::{Compact, Expiry};
//! # let dir = tempfile::tempdir()?;
//! # let stack = Stack::open(dir.path(), Options::default())?;
//! let expiry = Expiry::default().before_time(1_700_000_000);
//! stack.compact(Compact::All { expiry })?;
//!
//! let report = reftable::verify::verify_dir(&reftable::dir::OsDir::new(dir.path(), None))?;
//! assert!(report.is_clean());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where things are
//!
//! At the root is what a program needs that reads and commits. Hosts that bring their own files or
//! locks find the seams in [`dir`] and [`lock`]; tools find the bytes in [`mod@format`] and
//! [`table`], differences in [`changes`], foreign tables in [`addition`], rules of names in
//! [`name`], and text for terminals in [`escape`].
//!
//! Data flows one way: bytes, the format, [`table`], [`merge`], [`Snapshot`], [`Stack`],
//! [`Transaction`]. The first ones know no directory and can be used alone. The [`guide`] has the
//! map, the bytes, what happens in the directory, and why.

pub mod addition;
pub mod bytes;
pub mod changes;
mod changeset;
pub mod compact;
mod conflict;
pub mod dir;
pub mod engine;
mod error;
pub mod escape;
pub mod format;
mod garbage;
mod invariant;
mod list;
mod load;
pub mod lock;
mod log_line;
pub mod merge;
#[cfg(reftable_mutants)]
pub mod mutant;
#[cfg(not(reftable_mutants))]
mod mutant;
pub mod name;
mod oid;
mod origin;
pub mod peek;
#[cfg(loom)]
pub mod pool;
#[cfg(not(loom))]
#[expect(unreachable_pub, reason = "public for the models only")]
mod pool;
pub mod repair;
pub mod snapshot;
mod stack;
mod sync;
pub mod table;
mod temp_file;
pub mod transaction;
mod value;
pub mod verify;
#[cfg(not(loom))]
mod worker;

pub use changeset::Replaced;
pub use conflict::{Conflict, ConflictKind, Expect};
pub use engine::AutoCompact;
pub use error::{Error, ErrorKind, Result};
pub use oid::{HashKind, IdView, ObjectId, ParseIdError};
pub use snapshot::{LogItem, LogView, Logs, RefView, Refs, Snapshot};
#[cfg(loom)]
pub use stack::queue;
pub use stack::{Durability, Metrics, Options, Stack};
pub use transaction::{Commit, Prepared, Transaction};
pub use value::{Ident, Log, LogEntry, LogEntryView, Ref, Target, TargetView};

/// The pages of `docs/`, of the current version: also those on repositories and buckets, which are
/// the subjects of `reftable-git` and `reftable-bucket`. Their examples are run with the tests.
pub mod guide {
    #[doc = include_str!("../docs/embedding.md")]
    pub mod embedding {}

    #[doc = include_str!("../docs/protocol.md")]
    pub mod protocol {}

    #[doc = include_str!("../docs/format.md")]
    pub mod format {}

    #[doc = include_str!("../docs/design.md")]
    pub mod design {}

    #[doc = include_str!("../docs/performance.md")]
    pub mod performance {}

    #[doc = include_str!("../docs/testing.md")]
    pub mod testing {}

    #[doc = include_str!("../docs/repository.md")]
    pub mod repository {}

    #[doc = include_str!("../docs/bucket.md")]
    pub mod bucket {}

    #[doc = include_str!("../docs/protocol-bucket.md")]
    pub mod protocol_bucket {}
}
