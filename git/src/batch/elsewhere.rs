//! Batches for a store that is in no directory: what it is to commit, and what its input says.

use std::io::BufRead;

use reftable::engine::Changeset;
use reftable::{Conflict, ObjectId};

use super::Batch;
use super::plan::Plan;
use super::protocol::{self, Command, Fields};
use super::settled::Settled;
use crate::config::LogPolicy;
use crate::error::{Error, Result};
use crate::view::View;

/// What a batch comes to upon one state of a store: symbolic references are followed, and the log
/// entries are those that git would write.
#[derive(Debug)]
pub struct Planned<'a> {
    changes: Changeset,
    settled: Settled<'a>,
}

impl Planned<'_> {
    /// What is to be committed. Its expectations are those of the batch, and what was found on the
    /// way.
    #[must_use]
    pub fn changeset(&self) -> Changeset {
        self.changes.clone()
    }

    /// Whether one of `conflicts` says that something on the way has changed meanwhile: then the
    /// batch is to be planned anew, upon a newer state.
    #[must_use]
    pub fn is_outdated_by(&self, conflicts: &[Conflict]) -> bool {
        self.settled.is_outdated_by(conflicts)
    }
}

impl Batch {
    /// Plans it for the one store that `view` is of.
    ///
    /// # Errors
    /// For changes that git refuses, and what cannot be read.
    pub fn plan(&self, view: &View, policy: LogPolicy) -> Result<Planned<'_>> {
        let (changes, settled) = Plan::of_view(self, view, policy)?.finish_elsewhere();
        Ok(Planned { changes, settled })
    }
}

/// The records of `update-ref --stdin`, as they come; what they lead to is for the caller.
#[derive(Debug)]
pub struct Records {
    fields: Fields,
    no_deref: bool,
    is_once: bool,
    record: Vec<u8>,
    line: u64,
}

impl Records {
    /// Input whose fields end so. With `no_deref` all names are meant themselves.
    #[must_use]
    pub fn new(fields: Fields, no_deref: bool) -> Records {
        Records { fields, no_deref, is_once: false, record: Vec::new(), line: 0 }
    }

    /// The next one; `None` at the end of the input. `resolve` says which object a word names.
    ///
    /// # Errors
    /// If there is none, or the input ends within one.
    pub fn next(
        &mut self,
        input: &mut dyn BufRead,
        mut resolve: impl FnMut(&[u8]) -> Result<Option<ObjectId>>,
    ) -> Result<Option<Command>> {
        let at = |error: Error, line: u64| error.with_advice(&format!("line {line}"));
        loop {
            let line = self.line + 1;
            if !protocol::read(input, self.fields, &mut self.record).map_err(|error| at(error, line))? {
                return Ok(None);
            }
            self.line = line;
            let no_deref = self.no_deref || std::mem::take(&mut self.is_once);
            let command = protocol::parse(&self.record, self.fields, no_deref, &mut resolve, &mut |_| ());
            match command.map_err(|error| at(error, line))? {
                Command::NoDeref => self.is_once = true,
                command => return Ok(Some(command)),
            }
        }
    }
}
