//! What a changeset has taken the place of.

use super::{Action, Update, encode_replaced};
use crate::error::{Error, ErrorKind, Result};
use crate::escape::debug_with_text;
use crate::value::Target;

/// The longest answer to another process that has asked, in bytes.
pub(crate) const MAX_REPLACED: usize = 7 * 1024;

/// Where a reference that a transaction has set or deleted pointed before.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replaced {
    /// The full name of the reference.
    pub name: Vec<u8>,
    /// Where it pointed; `None` when it did not exist.
    pub target: Option<Target>,
}

debug_with_text!(Replaced { name; target });

/// What has become of a changeset.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// Its number; that of the state before when there was nothing to write.
    pub(crate) update_index: u64,
    /// What it has replaced, in the order of its updates, if it asks.
    pub(crate) replaced: Option<Vec<Replaced>>,
}

/// Whether, and by whom, the values that a changeset replaces are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follower {
    /// A caller in this process.
    Caller,
    /// Another process, whose answer has a limit.
    Process,
}

impl Follower {
    /// The values that are replaced by `updates`, whose names point at `current` now.
    ///
    /// # Errors
    /// `TooLarge`: the process that asks has to commit by itself.
    pub(crate) fn answer(self, updates: &[Update], current: Vec<Option<Box<Target>>>) -> Result<Vec<Replaced>> {
        let replaced = of(updates, current.into_iter().map(|target| target.map(|target| *target)));
        if self == Follower::Process && encode_replaced(&replaced).len() > MAX_REPLACED {
            return Err(Error::new(ErrorKind::TooLarge, "the replaced values are too large for an answer"));
        }
        Ok(replaced)
    }
}

/// What is replaced by `updates`, whose names point at `current`.
pub(super) fn of(updates: &[Update], current: impl IntoIterator<Item = Option<Target>>) -> Vec<Replaced> {
    let changes = updates.iter().zip(current).filter(|(update, _)| update.is_change());
    changes.map(|(update, target)| Replaced { name: update.name.to_vec(), target }).collect()
}

impl Update {
    /// Whether it changes its reference, and does not only look at it.
    pub(super) fn is_change(&self) -> bool {
        !matches!(self.action, Action::Verify)
    }
}
