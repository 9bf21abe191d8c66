//! Changes of which those are done that can be.

use reftable::{Commit, ConflictKind};

use super::{Batch, Change};
use crate::error::{Error, Result};
use crate::stores::Stores;
use crate::view::View;

/// A change that was not made.
#[derive(Debug)]
#[non_exhaustive]
pub struct Rejected {
    /// Which of [`Batch::changes`] it is, from 0.
    pub change: usize,
    /// Why.
    pub why: Rejection,
}

/// Why a change was not made.
#[derive(Debug)]
#[non_exhaustive]
pub enum Rejection {
    /// The reference, or one that its name needs as a directory, is not as expected.
    Conflict(ConflictKind),
    /// The change cannot be, whatever is in the repository.
    Invalid(Error),
}

impl Batch {
    /// Makes those changes that can be made, together, and says which were not made, in order: what
    /// `git update-ref --batch-updates` does.
    ///
    /// # Errors
    /// What keeps all changes from being made, such as a lock, a disk, or the hook. Nothing has
    /// changed then.
    pub fn commit_possible(&self, stores: &Stores) -> Result<(Vec<Commit>, Vec<Rejected>)> {
        let mut left: Vec<usize> = (0..self.changes.len()).collect();
        let mut rejected: Vec<Rejected> = Vec::new();
        // Each round but the last one rejects at least one change.
        while !left.is_empty() {
            let changes = left.iter().filter_map(|change| self.changes.get(*change)).cloned().collect();
            let batch = Batch { changes, reason: self.reason.clone(), ..*self };
            let refused = match batch.commit(stores) {
                Ok(commits) => {
                    rejected.sort_by_key(|rejected| rejected.change);
                    return Ok((commits, rejected));
                }
                Err(error) => batch.refused(error, stores)?,
            };
            // From the end, so that the positions hold.
            for (at, why) in refused.into_iter().rev() {
                rejected.push(Rejected { change: left.remove(at), why });
            }
        }
        rejected.sort_by_key(|rejected| rejected.change);
        Ok((Vec::new(), rejected))
    }

    /// Which of the changes `error` is about, in order. An error that is about none is one of all.
    fn refused(&self, error: Error, stores: &Stores) -> Result<Vec<(usize, Rejection)>> {
        if let Some(change) = error.change() {
            return Ok(vec![(change, Rejection::Invalid(error))]);
        }
        let conflicts = error.store().map(reftable::Error::conflicts).unwrap_or_default();
        let view = stores.view()?;
        let mut refused = Vec::new();
        for (at, change) in self.changes.iter().enumerate() {
            let names = change.names(&view);
            if let Some(conflict) = conflicts.iter().find(|conflict| names.contains(&conflict.name)) {
                refused.push((at, Rejection::Conflict(conflict.kind.clone())));
            }
        }
        if refused.is_empty() { Err(error) } else { Ok(refused) }
    }
}

impl Change {
    /// The given name, and those that it leads to if it is followed.
    fn names(&self, view: &View) -> Vec<Vec<u8>> {
        let mut names = vec![self.name.clone()];
        if self.follow
            && let Ok(chain) = view.follow_stored(&self.name)
        {
            names.extend(chain.links.into_iter().map(|(_, target)| target));
        }
        names
    }
}
