//! What a transaction wants, as plain data: its changes, what of them can be checked without a
//! state, and their bytes for other processes.

mod check;
mod encode;
mod replaced;

pub(crate) use encode::{decode, decode_replaced, encode, encode_replaced};
pub use replaced::Replaced;
pub(crate) use replaced::{Applied, Asker, MAX_REPLACED};

use crate::conflict::Expect;
use crate::value::{Ident, LogEntry, Target};

/// What a transaction is to do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changeset {
    pub(crate) updates: Vec<Update>,
    pub(crate) logs: Vec<LogChange>,
    /// Who and why, for log entries that are written by themselves.
    pub(crate) reflog: Option<(Ident, Vec<u8>)>,
    /// Who asks for the values that are replaced.
    pub(crate) asks_replaced: Option<Asker>,
}

/// What is to happen to one reference.
#[derive(Debug, Clone)]
pub(crate) struct Update {
    pub(crate) name: Vec<u8>,
    pub(crate) expect: Expect,
    pub(crate) action: Action,
}

#[derive(Debug, Clone)]
pub(crate) enum Action {
    Set(Target),
    Delete,
    Verify,
}

#[derive(Debug, Clone)]
pub(crate) enum LogChange {
    Append { refname: Vec<u8>, entry: LogEntry },
    Create { refname: Vec<u8> },
    DeleteEntry { refname: Vec<u8>, update_index: u64 },
    DeleteAll { refname: Vec<u8> },
}

impl Changeset {
    /// How many changes there are.
    pub(crate) fn len(&self) -> usize {
        self.updates.len().saturating_add(self.logs.len())
    }

    /// Whether nothing was asked for yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.updates.is_empty() && self.logs.is_empty()
    }
}
