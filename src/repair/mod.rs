//! Getting a damaged store to work again: first a diagnosis that changes nothing, then one remedy at a time.
//!
//! Nothing is ever thrown away unseen: what a remedy takes out of the store keeps its bytes under another name, and
//! each says exactly what it will do.

mod diagnose;
mod evidence;
mod remedy;

pub use evidence::Evidence;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::dir::{Dir, OsDir};
use crate::error::Result;
use crate::lock::{HealingLocks, Locker};

/// Something that keeps a store from working, and that can be mended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A lock whose owner the kernel cannot judge: git's, or another machine's.
    ForeignLock(Evidence),
    /// There are tables, but no list: a git that died in its first commit leaves this, or somebody removed the list.
    ListMissing {
        /// The tables that a new list would name, oldest first: those that are whole.
        tables: Vec<String>,
        /// Tables that are damaged, with the reason. They would be renamed.
        damaged: Vec<(String, String)>,
        /// Why no list can be made of them, if so: their update indexes overlap, so it is not known which are current.
        ambiguous: bool,
    },
    /// The newest table cannot be opened, or is not there. A loss of power after an unsynced commit leaves this.
    NewestDamaged {
        /// The table.
        table: String,
        /// What is wrong with it.
        reason: String,
        /// The largest update index of the tables below: what comes after it would be dropped.
        last_sound: u64,
        /// Whether there is a file, which would be kept under another name.
        is_there: bool,
    },
    /// Files that nobody needs any more: of dead processes, or not listed.
    Litter {
        /// Their names.
        files: Vec<String>,
    },
}

impl Problem {
    /// Whether the remedy takes away something that somebody may still want, so that a person should be asked.
    #[must_use]
    pub fn is_delicate(&self) -> bool {
        !matches!(self, Problem::Litter { .. })
    }

    /// Whether there is a remedy at all, by what was seen.
    #[must_use]
    pub fn has_remedy(&self) -> bool {
        match self {
            Problem::ForeignLock(evidence) => evidence.is_sufficient(),
            Problem::ListMissing { ambiguous, .. } => !ambiguous,
            Problem::NewestDamaged { .. } | Problem::Litter { .. } => true,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::ForeignLock(evidence) => evidence.fmt(f),
            Problem::ListMissing { tables, damaged, ambiguous } => {
                f.write_str("the table list is missing, but there are tables; ")?;
                if *ambiguous {
                    return f.write_str("their update indexes overlap, so it is not known which of them are current");
                }
                write!(f, "the remedy is a list of {}", listed(tables))?;
                for (table, reason) in damaged {
                    write!(f, "; {table} would be renamed to {table}.damaged: {reason}")?;
                }
                Ok(())
            }
            Problem::NewestDamaged { table, reason, last_sound, is_there } => {
                write!(f, "the newest table {table} cannot be read: {reason}; ")?;
                write!(f, "the remedy is to drop every change after update index {last_sound}")?;
                if *is_there { write!(f, ", and to keep the table as {table}.damaged") } else { Ok(()) }
            }
            Problem::Litter { files } => write!(f, "nobody needs {} any more; the remedy removes them", listed(files)),
        }
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    }
}

/// Looks at a store and mends it on demand. Works where [`crate::Stack::open`] does not.
#[derive(Debug)]
pub struct Repair {
    dir: Arc<dyn Dir>,
    locker: Box<dyn Locker>,
    lock_timeout: Duration,
}

impl Repair {
    /// For the store in `dir`. Nothing is opened yet.
    #[must_use]
    pub fn new(dir: impl AsRef<Path>) -> Repair {
        let dir = OsDir::new(dir.as_ref(), None);
        Self::new_in(Arc::new(dir), Box::new(HealingLocks::new(true)))
    }

    /// For a store over any [`Dir`] and [`Locker`].
    #[must_use]
    pub fn new_in(dir: Arc<dyn Dir>, locker: Box<dyn Locker>) -> Repair {
        Repair { dir, locker, lock_timeout: Duration::from_secs(1) }
    }

    /// What is wrong. Changes nothing and takes no lock; what others do at this moment may look like a problem, so
    /// each remedy looks again under the lock.
    ///
    /// # Errors
    /// `Missing` when there is no such directory, `Io` when it cannot be read.
    pub fn diagnose(&self) -> Result<Vec<Problem>> {
        diagnose::diagnose(&self.dir)
    }

    /// Applies the remedy for `problem`. Returns what was done, for people to read.
    ///
    /// # Errors
    /// `Invalid` when there is no remedy, or when the problem is not there any more; `Locked`; `Io`.
    pub fn remedy(&self, problem: &Problem) -> Result<String> {
        remedy::apply(self, problem)
    }
}
