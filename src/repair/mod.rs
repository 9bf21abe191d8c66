//! Getting a damaged store to work again: first a diagnosis that changes nothing, then one fix
//! at a time.
//!
//! Nothing that holds records is ever removed: what a fix takes out of the store keeps its bytes
//! under another name, and each says exactly what it will do. A look (`survey`) gives plain data;
//! `case` holds the list against it, `propose` finds a list that fits, and `fix` looks
//! again under the lock before it does what was agreed to.

mod aside;
mod case;
mod diagnose;
mod fix;
mod lines;
mod problem;
mod propose;
mod survey;

pub use crate::lock::Evidence;
pub use problem::{ListProblem, Problem, Proposal, SetAside};

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::dir::{Dir, OsDir};
use crate::error::Result;
use crate::lock::{Locker, RobustLocks};

/// As long as readers wait for a list or a table.
const PATIENCE: Duration = Duration::from_secs(3);

/// Looks at a store and mends it on demand. Works where [`crate::Stack::open`] does not.
#[derive(Debug)]
pub struct Repair {
    dir: Arc<dyn Dir>,
    locker: Box<dyn Locker>,
    lock_timeout: Duration,
    patience: Duration,
}

impl Repair {
    /// For the store in `dir`. Nothing is opened yet.
    #[must_use]
    pub fn new(dir: impl AsRef<Path>) -> Repair {
        let dir = OsDir::new(dir.as_ref(), None);
        Self::new_in(Arc::new(dir), Box::new(RobustLocks::new(true)))
    }

    /// For a store over any [`Dir`] and [`Locker`].
    #[must_use]
    pub fn new_in(dir: Arc<dyn Dir>, locker: Box<dyn Locker>) -> Repair {
        Repair { dir, locker, lock_timeout: Duration::from_secs(1), patience: PATIENCE }
    }

    /// How long something must look wrong before it is reported: by default 3 s, as long as readers
    /// wait. What others do at this moment looks wrong, too.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Repair {
        Repair { patience, ..self }
    }

    /// What is wrong. Changes nothing and takes no list lock; each fix looks again under the
    /// lock. Without an answer the store can be opened.
    ///
    /// Reads all of every table. Waits only if something looks wrong that others may just be doing.
    ///
    /// # Errors
    /// `Missing` when there is no such directory, `Io` when it cannot be read.
    pub fn diagnose(&self) -> Result<Vec<Problem>> {
        diagnose::diagnose(self)
    }

    /// Applies the fix for `problem`. Returns what was done, for people to read. Waits for the
    /// list lock for 1 s where it needs it.
    ///
    /// # Errors
    /// `Invalid` when there is no fix, or when the problem is not there any more or has changed;
    /// `Locked`; `Io`.
    pub fn fix(&self, problem: &Problem) -> Result<String> {
        fix::apply(self, problem)
    }
}
