//! The stores of a repository under their locks: for those whom others have overtaken. What is
//! decided upon the state there is decided once.

use reftable::{Prepared, Stack, Transaction};

use crate::error::Result;
use crate::names::Place;
use crate::retry::Retry;
use crate::stores::{SECOND_LOCK, Stores};
use crate::view::View;

/// All stores of a repository, locked, and what is in them. Dropping it releases the locks.
#[derive(Debug)]
pub(super) struct Locked {
    parts: Vec<(Place, reftable::transaction::Locked)>,
    view: View,
}

impl Stores {
    /// Waits for the locks of all stores, which are given in the order in which they are asked for.
    ///
    /// # Errors
    /// If a lock is not to be had, or a store cannot be read.
    pub(super) fn lock(&self) -> Result<Locked> {
        let retry = Retry::new(self.patience());
        loop {
            match self.try_lock() {
                Ok(locked) => return Ok(locked),
                // The second lock of two. Others get the first one meanwhile.
                Err(error) if error.is_retryable() && retry.is_in_time() => retry.pause(SECOND_LOCK * 2),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The store whose lock [`Stores::lock`] has for `place`.
    pub(super) fn at_under_lock(&self, place: Place) -> &Stack {
        match (place, self.second()) {
            (Place::Worktree, Some(second)) => second,
            _ => self.at(Place::Shared),
        }
    }

    fn try_lock(&self) -> reftable::Result<Locked> {
        let mut parts = vec![(Place::Shared, self.at_under_lock(Place::Shared).lock()?)];
        if self.second().is_some() {
            parts.push((Place::Worktree, self.at_under_lock(Place::Worktree).lock()?));
        }
        let state = |of| parts.iter().find(|(place, _)| *place == of).map(|(_, part)| part.snapshot().clone());
        let shared = state(Place::Shared).map_or_else(|| self.at(Place::Shared).snapshot(), Ok)?;
        let view = self.view_of(shared, state(Place::Worktree));
        Ok(Locked { parts, view })
    }
}

impl Locked {
    /// What is in the stores, and stays so.
    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// Checks transactions that were planned upon the view. Stores without one are unlocked.
    pub(super) fn prepare(self, transactions: Vec<(Place, Transaction)>) -> reftable::Result<Vec<(Place, Prepared)>> {
        let mut locked = self.parts;
        let mut prepare = |(place, transaction)| {
            let at = locked.iter().position(|(of, _)| *of == place);
            let prepared = match at.map(|at| locked.remove(at)) {
                Some((_, part)) => part.prepare(transaction)?,
                None => transaction.prepare()?,
            };
            Ok((place, prepared))
        };
        transactions.into_iter().map(&mut prepare).collect()
    }
}
