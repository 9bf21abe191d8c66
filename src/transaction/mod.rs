//! Transactions: all changes or none, checked against what the caller expects.

mod check;
mod conflict;
mod prepared;
mod rows;

pub use conflict::{Conflict, ConflictKind, Expect};
pub use prepared::{Commit, Prepared};

use crate::error::Result;
use crate::stack::Stack;
use crate::value::{Ident, LogEntry, Target};

/// A set of changes that will happen together or not at all.
///
/// Collecting changes does no I/O and checks nothing; [`Self::prepare`] does. A name may appear once among
/// `set`, `delete` and `verify`; log entries may be as many as you like.
#[derive(Debug)]
#[must_use = "a transaction does nothing until it is committed"]
pub struct Transaction {
    stack: Stack,
    updates: Vec<Update>,
    logs: Vec<LogChange>,
    reflog: Option<(Ident, Vec<u8>)>,
}

/// What is to happen to one reference.
#[derive(Debug, Clone)]
struct Update {
    name: Vec<u8>,
    expect: Expect,
    action: Action,
}

#[derive(Debug, Clone)]
enum Action {
    Set(Target),
    Delete,
    Verify,
}

#[derive(Debug, Clone)]
enum LogChange {
    Append { refname: Vec<u8>, entry: LogEntry },
    DeleteEntry { refname: Vec<u8>, update_index: u64 },
    DeleteAll { refname: Vec<u8> },
}

impl Transaction {
    pub(crate) fn new(stack: Stack) -> Self {
        Transaction { stack, updates: Vec::new(), logs: Vec::new(), reflog: None }
    }

    /// Points `name` at `target`.
    pub fn set(&mut self, name: impl AsRef<[u8]>, expect: Expect, target: impl Into<Target>) -> &mut Self {
        self.update(name, expect, Action::Set(target.into()))
    }

    /// Deletes the reference `name`. Its reflog stays; see [`Self::delete_log`].
    pub fn delete(&mut self, name: impl AsRef<[u8]>, expect: Expect) -> &mut Self {
        self.update(name, expect, Action::Delete)
    }

    /// Changes nothing, but fails the transaction unless `name` is as expected.
    pub fn verify(&mut self, name: impl AsRef<[u8]>, expect: Expect) -> &mut Self {
        self.update(name, expect, Action::Verify)
    }

    fn update(&mut self, name: impl AsRef<[u8]>, expect: Expect, action: Action) -> &mut Self {
        self.updates.push(Update { name: name.as_ref().to_vec(), expect, action });
        self
    }

    /// Writes a log entry for every [`Self::set`] to an object id, from the id before to the new one.
    pub fn reflog(&mut self, committer: Ident, message: impl AsRef<[u8]>) -> &mut Self {
        self.reflog = Some((committer, message.as_ref().to_vec()));
        self
    }

    /// Appends one log entry, as given. Several for one name keep their order.
    ///
    /// The message must be one line; it is stored with one newline at its end, as git does.
    pub fn append_log(&mut self, name: impl AsRef<[u8]>, entry: LogEntry) -> &mut Self {
        self.logs.push(LogChange::Append { refname: name.as_ref().to_vec(), entry });
        self
    }

    /// Deletes the log entry of `name` that has this update index.
    pub fn delete_log_entry(&mut self, name: impl AsRef<[u8]>, update_index: u64) -> &mut Self {
        self.logs.push(LogChange::DeleteEntry { refname: name.as_ref().to_vec(), update_index });
        self
    }

    /// Deletes all log entries of `name` that exist now; not those this transaction appends.
    pub fn delete_log(&mut self, name: impl AsRef<[u8]>) -> &mut Self {
        self.logs.push(LogChange::DeleteAll { refname: name.as_ref().to_vec() });
        self
    }

    /// Whether nothing was asked for yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.updates.is_empty() && self.logs.is_empty()
    }

    /// Takes the lock, reads the newest state and checks every expectation against it.
    ///
    /// Until the result is committed or dropped nobody else can commit.
    ///
    /// # Errors
    /// `Locked` after [`crate::Options::lock_timeout`]; `Conflict` with every mismatch; `Invalid` for names, messages
    /// and ids that cannot be; `TooLarge` when a name or message does not fit into a block; `Corrupt`; `Io`. Nothing
    /// has changed then, and no lock is held.
    pub fn prepare(self) -> Result<Prepared> {
        Prepared::new(self)
    }

    /// [`Self::prepare`] and [`Prepared::commit`] in one.
    ///
    /// # Errors
    /// Those of both.
    pub fn commit(self) -> Result<Commit> {
        self.prepare()?.commit()
    }
}
