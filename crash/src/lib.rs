//! A disk in memory that loses what was not synced.
//!
//! A program that must not lose anything writes, syncs, renames; what a loss of power leaves of it
//! is one of many states, and the tests that run on a real disk hardly ever meet another one than
//! the best. Here the file system is a value. What a process does to it is a log of [`Op`]s; a
//! [`Disk`] follows the log and keeps what is written apart from what is durable, for each file and
//! for each name in each directory; [`Disk::choices`] tells everything that a crash may leave of it
//! under a [`Model`], as [`Tree`]s that can be walked and opened.
//!
//! Nothing here knows what the files are for.
//!
//! # What is modelled
//!
//! Directories, hard and symbolic links, appending, overwriting and truncating, renaming over
//! files, one extended attribute, syncs of files, of directories and of everything, syncs that fail;
//! see [`Model`] for what survives.
//!
//! Not modelled: what a disk loses that said it had written it; permissions; memory maps (a write
//! through one is a write); several file systems at once. All contents are held in memory.

mod disk;
mod model;
mod op;
mod random;
mod tree;
mod volume;

pub use disk::{Bounds, Choices, Content, Disk, Error, Kinds, Looked, Part};
pub use model::{Model, SECTOR};
pub use op::{Entry, Op, Pid, Place};
pub use random::Random;
pub use tree::{Bytes, File, FileId, Kind, Name, ROOT, Tree, last_part, parent};
pub use volume::Volume;
