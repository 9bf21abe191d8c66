//! What a transaction wants, as plain data: its changes, what of them can be checked without a
//! state, and their bytes for other processes.

mod check;
mod encode;
mod replaced;

pub(crate) use encode::{decode, decode_replaced, encode, encode_replaced};
pub use replaced::Replaced;
pub(crate) use replaced::{Applied, Follower, MAX_REPLACED};

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::conflict::Expect;
use crate::escape::{Text, debug_with_text};
use crate::value::{Ident, LogEntry, Target};

/// What a transaction is to do: changes that happen together or not at all, as plain data.
///
/// A name may appear once among `set`, `delete` and `verify`; log entries may be as many as you
/// like. Nothing is checked before they are admitted to a group.
#[derive(Clone, Default)]
pub struct Changeset {
    pub(crate) updates: Vec<Update>,
    pub(crate) logs: Vec<LogChange>,
    /// Who and why, for log entries that are written by themselves.
    pub(crate) reflog: Option<(Ident, Vec<u8>)>,
    /// Which of the callers ask for the values that are replaced.
    pub(crate) asks_replaced: Option<Follower>,
}

impl fmt::Debug for Changeset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reflog = self.reflog.as_ref().map(|(committer, message)| (committer, Text(message)));
        f.debug_struct("Changeset")
            .field("updates", &self.updates)
            .field("logs", &self.logs)
            .field("reflog", &reflog)
            .field("asks_replaced", &self.asks_replaced)
            .finish()
    }
}

/// What is to happen to one reference.
#[derive(Clone)]
pub(crate) struct Update {
    /// Shared with the records that are written of it.
    pub(crate) name: Arc<[u8]>,
    pub(crate) expect: Expected,
    pub(crate) action: Action,
}

debug_with_text!(Update { name; expect, action });

/// An expectation that takes room only if it has a target: there may be millions.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    Plain(&'static Expect),
    Target(Box<Expect>),
}

impl From<Expect> for Expected {
    fn from(expect: Expect) -> Expected {
        match expect {
            Expect::Any => Expected::Plain(&Expect::Any),
            Expect::Absent => Expected::Plain(&Expect::Absent),
            Expect::Exists => Expected::Plain(&Expect::Exists),
            Expect::NotSymbolic => Expected::Plain(&Expect::NotSymbolic),
            Expect::Is(_) | Expect::AbsentOr(_) => Expected::Target(Box::new(expect)),
        }
    }
}

impl Deref for Expected {
    type Target = Expect;

    fn deref(&self) -> &Expect {
        match self {
            Expected::Plain(expect) => expect,
            Expected::Target(expect) => expect,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Action {
    Set(Target),
    Delete,
    Verify,
}

#[derive(Clone)]
pub(crate) enum LogChange {
    Append { refname: Vec<u8>, entry: LogEntry },
    Create { refname: Vec<u8> },
    DeleteEntry { refname: Vec<u8>, update_index: u64 },
    DeleteAll { refname: Vec<u8> },
}

impl fmt::Debug for LogChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogChange::Append { refname, entry } => f.debug_tuple("Append").field(&Text(refname)).field(entry).finish(),
            LogChange::Create { refname } => f.debug_tuple("Create").field(&Text(refname)).finish(),
            LogChange::DeleteEntry { refname, update_index } => {
                f.debug_tuple("DeleteEntry").field(&Text(refname)).field(update_index).finish()
            }
            LogChange::DeleteAll { refname } => f.debug_tuple("DeleteAll").field(&Text(refname)).finish(),
        }
    }
}

impl Changeset {
    /// No changes yet.
    #[must_use]
    pub fn new() -> Changeset {
        Changeset::default()
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
        self.updates.push(Update { name: name.as_ref().into(), expect: expect.into(), action });
        self
    }

    /// Writes a log entry for every [`Self::set`] to an object id, from the id before to the new
    /// one.
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

    /// Lets a reflog of `name` exist, if there is none yet: with nothing in it but a marker
    /// ([`crate::LogItem::Marker`]). Where git is to log what it would not log by itself, such as
    /// updates of tags, that is how to ask it.
    pub fn create_log(&mut self, name: impl AsRef<[u8]>) -> &mut Self {
        self.logs.push(LogChange::Create { refname: name.as_ref().to_vec() });
        self
    }

    /// Deletes the log entry of `name` that has this update index. If it was the last one the log
    /// still exists: a marker takes its place, as with `git reflog delete`.
    pub fn delete_log_entry(&mut self, name: impl AsRef<[u8]>, update_index: u64) -> &mut Self {
        self.logs.push(LogChange::DeleteEntry { refname: name.as_ref().to_vec(), update_index });
        self
    }

    /// Deletes the reflog of `name` as it is now, markers included; not the entries that this
    /// changeset appends.
    pub fn delete_log(&mut self, name: impl AsRef<[u8]>) -> &mut Self {
        self.logs.push(LogChange::DeleteAll { refname: name.as_ref().to_vec() });
        self
    }

    /// How many changes there are.
    pub(crate) fn len(&self) -> usize {
        self.updates.len().saturating_add(self.logs.len())
    }

    /// Whether nothing was asked for yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.updates.is_empty() && self.logs.is_empty()
    }
}
