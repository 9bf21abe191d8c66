//! What the processes do.

mod accounts;
mod churn;
mod compactor;
mod git;
mod reader;
mod single;
mod transfer;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::worker::Worker;

/// Something a process does over and over.
pub(crate) trait Role {
    /// Does it once.
    ///
    /// # Errors
    /// Anything that is not a normal failure counts as a violation.
    fn step(&mut self, worker: &mut Worker) -> Result<()>;
}

/// The roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RoleKind {
    /// Moves amounts between accounts, two references a transaction.
    Transfer,
    /// Reads, and checks every snapshot.
    Reader,
    /// Commits single references.
    Single,
    /// Deletes and recreates references, changes symbolic ones, appends to logs and clears them.
    Churn,
    /// Compacts, and verifies the store.
    Compactor,
    /// One long-running `git update-ref --stdin`.
    GitSession,
    /// A `git update-ref --stdin` for each transaction.
    GitOnce,
    /// The same, every 0.5 to 2 seconds.
    GitRare,
}

impl RoleKind {
    /// The role of our process number `number`: writers and readers come first.
    pub(crate) fn ours(number: u32) -> RoleKind {
        match number % 6 {
            0 | 4 => RoleKind::Transfer,
            1 => RoleKind::Reader,
            2 => RoleKind::Single,
            3 => RoleKind::Churn,
            _ => RoleKind::Compactor,
        }
    }

    /// The role of git's process number `number`.
    pub(crate) fn git(number: u32) -> RoleKind {
        if number & 1 == 0 { RoleKind::GitSession } else { RoleKind::GitOnce }
    }

    /// Whether it commits through the library, so that threads of it share tables.
    pub(crate) fn commits_as_ours(self) -> bool {
        matches!(self, RoleKind::Transfer | RoleKind::Single | RoleKind::Churn)
    }

    /// Whether real git commits in this role.
    pub(crate) fn is_git(self) -> bool {
        matches!(self, RoleKind::GitSession | RoleKind::GitOnce | RoleKind::GitRare)
    }
}

/// A process's role at its beginning.
pub(crate) fn create(kind: RoleKind) -> Box<dyn Role> {
    match kind {
        RoleKind::Transfer => Box::new(transfer::Transfer),
        RoleKind::Reader => Box::new(reader::Reader::default()),
        RoleKind::Single => Box::new(single::Single::default()),
        RoleKind::Churn => Box::new(churn::Churn::default()),
        RoleKind::Compactor => Box::new(compactor::Compactor),
        RoleKind::GitSession => Box::new(git::Git::new(true)),
        RoleKind::GitOnce => Box::new(git::Git::new(false)),
        RoleKind::GitRare => Box::new(git::Rare::default()),
    }
}
