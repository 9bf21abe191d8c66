//! A disk in memory that loses what was not synced.
//!
//! A program that must not lose anything writes, syncs, renames; what a power failure leaves of it
//! is one of many states, and the tests that run on a real disk hardly ever meet another one than
//! the best. Here the file system is a value. What a process does to it is a log of [`Op`]s; a
//! [`Disk`] follows the log and keeps what is written apart from what is durable, for each file and
//! for each name in each directory; [`Disk::choices`] tells everything that a crash may leave of it
//! under a [`Model`], as [`Tree`]s that can be walked and opened.
//!
//! Nothing here knows what the files are for. To test a protocol on files, implement
//! [`Protocol`] for what it does on a [`Machine`], and [`Claims`] for what must hold of what it
//! leaves; [`explore`] crashes it at every instant, judges each distinct state once, and tells a
//! state in which a claim does not hold as a numbered [`Story`].
//!
//! ```
//! use reftable_crash::{Broken, Claims, Effort, Found, Model, Process, Tree, explore};
//!
//! /// Replaces a file as so many programs do: without a sync.
//! fn save(process: &Process) -> std::io::Result<()> {
//!     process.publishes("save", 1);
//!     process.write_new("config.new", b"new")?;
//!     process.rename("config.new", "config")?;
//!     process.acknowledges("save", 1);
//!     Ok(())
//! }
//!
//! struct OldOrNew;
//!
//! impl Claims for OldOrNew {
//!     fn judge(&self, found: &Found<'_>) -> Result<(), Broken> {
//!         let state = match found.tree.read("config") {
//!             Some(b"old") => 0,
//!             Some(b"new") => 1,
//!             other => return Err(Broken::new('B', format!("neither old nor new: {other:?}"))),
//!         };
//!         if found.allowed().contains(&state) {
//!             return Ok(());
//!         }
//!         Err(Broken::new('A', "what was saved is lost"))
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let mut before = Tree::default();
//! before.put("config", "old");
//! let tally = explore("save", &before, &save, &OldOrNew, (Model::OnlySynced, Effort::default()))?;
//! let shortest = tally.shortest_of("B").expect("nothing is synced");
//! assert!(shortest.story.contains("renames config.new to config  [the new name survives"));
//! # Ok(())
//! # }
//! ```
//!
//! Several processes run on one machine: one works [before a call](Machine::before_call) of
//! another, or goes on [beside](Beside) it, call by call. [`Explorer`] takes any number of such
//! runs.
//!
//! # What is modelled
//!
//! Directories, hard and symbolic links, appending, overwriting and truncating, renaming over
//! files, one extended attribute, syncs of files, of directories and of everything, syncs that
//! fail; see [`Model`] for what survives. Kernel locks, inode numbers that are used again,
//! descriptors that run out, calls that fail, writes that are torn, processes that are killed at
//! any change: see [`Machine`].
//!
//! Not modelled: what a disk loses that said it had written it; permissions; memory maps (a write
//! through one is a write); several file systems at once. All contents are held in memory.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod claims;
mod disk;
mod explore;
mod machine;
mod model;
mod op;
mod random;
mod story;
#[cfg(all(feature = "trace", target_os = "linux"))]
pub mod trace;
mod tree;
mod volume;

pub use claims::{Broken, Claims, Found, Protocol};
pub use disk::{Bounds, Choices, Content, Disk, Error, Kinds, Looked, Part};
pub use explore::{Effort, Explorer, Tally, Violation, explore};
pub use machine::{BOOT, Beside, Machine, Omits, OpenFile, Process, Watcher};
pub use model::{Model, SECTOR};
pub use op::{Entry, Op, Pid, Place};
pub use random::Random;
pub use story::Story;
pub use tree::{Bytes, File, FileId, Kind, Name, ROOT, Tree, last_part, parent};
pub use volume::Volume;
