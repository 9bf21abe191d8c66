//! A transactional store for git references that many processes share.
//!
//! The files and the protocol in the directory are those of git's *reftable* format, so git and
//! other implementations work on the same store at the same time. On top of that this crate
//! promises more than they do: a commit that returned `Ok` survives a loss of power (as far as
//! those who compact the store sync, too), a process that dies with a lock blocks nobody, and
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
//!
//! // Walks lend their items; nothing is allocated for each.
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
//!
//! Two phases, for those who must do something else in between. The lock is held by the
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
//! # Layers
//!
//! Data flows one way: bytes, the format, [`table`], [`merge`], [`Snapshot`], [`Stack`],
//! [`Transaction`]. The first ones know no directory and can be used alone. `docs/design.md` has
//! the map, `docs/format.md` the bytes, `docs/protocol.md` what happens in the directory, and why.

mod addition;
mod bytes;
mod changes;
mod changeset;
mod compact;
mod conflict;
mod dir;
pub mod engine;
mod error;
pub mod escape;
mod format;
mod garbage;
mod invariant;
mod list;
mod load;
mod lock;
pub mod merge;
#[cfg(reftable_mutants)]
pub mod mutant;
#[cfg(not(reftable_mutants))]
mod mutant;
mod name;
mod oid;
mod origin;
#[cfg(loom)]
pub mod pool;
#[cfg(not(loom))]
#[expect(unreachable_pub, reason = "public for the models only")]
mod pool;
#[cfg(loom)]
pub mod queue;
#[cfg(not(loom))]
#[expect(unreachable_pub, reason = "public for the models only")]
mod queue;
mod repair;
mod request;
mod scratch;
mod snapshot;
mod stack;
mod sync;
pub mod table;
mod transaction;
mod value;
mod verify;
#[cfg(not(loom))]
mod worker;

pub use addition::{Addition, NewTable};
pub use bytes::{Bytes, Reading};
pub use changes::{Change, Changes};
pub use changeset::Replaced;
pub use compact::{Compact, Compaction};
pub use conflict::{Conflict, ConflictKind, Expect};
pub use dir::{Dir, DirFile, Host, OsDir, Room, Stamp, Writers};
pub use engine::{AutoCompact, Expiry, Progress};
pub use error::{Error, ErrorKind, Result};
pub use format::{BlockKind, Footer, Header, MAX_BLOCK_SIZE};
pub use lock::{Attempt, ExclusiveFile, HealingLocks, Holder, Lock, Locker};
pub use name::{check as check_name, is_per_worktree};
pub use oid::{HashKind, IdView, ObjectId, ParseIdError};
pub use repair::{Evidence, ListProblem, Problem, Proposal, Repair, SetAside};
pub use snapshot::{LogItem, LogView, Logs, OwnedLogs, OwnedRefs, RefView, Refs, Snapshot};
pub use stack::{Durability, Metrics, Options, Stack};
pub use transaction::{Commit, Prepared, Transaction};
pub use value::{Ident, Log, LogEntry, LogEntryView, LogRecordView, Ref, RefRecordView, Target, TargetView};
pub use verify::{Finding, Report, Severity, Verify, verify_dir, verify_repository};

/// The examples of `docs/embedding.md`.
#[cfg(doctest)]
#[doc = include_str!("../docs/embedding.md")]
struct Embedding;
