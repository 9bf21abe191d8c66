//! Changes of which those are done that can be.

use reftable::Commit;

use super::refusal::{self, Refusal};
use super::{Batch, Change};
use crate::error::{Error, Result};
use crate::stores::Stores;
use crate::view::View;

impl Batch {
    /// Makes those changes that can be made, together, and says which were not made, in order: what
    /// `git update-ref --batch-updates` does, which gives up on all where a change is
    /// [impossible](super::Reason::Impossible).
    ///
    /// # Errors
    /// What keeps all changes from being made, such as a lock, a disk, or the hook. Nothing has
    /// changed then.
    pub fn commit_possible(mut self, stores: &Stores) -> Result<(Vec<Commit>, Vec<Refusal>)> {
        let (commits, refused) = self.act_on_possible(stores, Batch::commit, refusal::all_refusals)?;
        Ok((commits, refused.into_iter().map(|(_, refusal)| refusal).collect()))
    }

    /// Does something with those changes that it can be done with. The others are taken out, each
    /// with what `judge` makes of the error, in order; an error that it finds no refusal in is one
    /// of all changes.
    pub(super) fn act_on_possible<T>(
        &mut self,
        stores: &Stores,
        act: fn(&Batch, &Stores) -> Result<T>,
        judge: fn(&Batch, &Error, &View) -> Vec<Refusal>,
    ) -> Result<(T, Vec<(Change, Refusal)>)> {
        let mut refused = Vec::new();
        // Where the changes that are left stood at first; not asked for before one is refused.
        let mut places: Option<Vec<usize>> = None;
        // Each round but the last one refuses at least one change.
        loop {
            let error = match act(self, stores) {
                Ok(done) => {
                    refused.sort_by_key(|(_, refusal): &(Change, Refusal)| refusal.index);
                    return Ok((done, refused));
                }
                Err(error) => error,
            };
            let refusals = judge(self, &error, &stores.view()?);
            if refusals.is_empty() {
                return Err(error);
            }
            let places = places.get_or_insert_with(|| (0..self.changes.len()).collect());
            refused.extend(self.take_out(refusals, places));
        }
    }

    /// Takes the changes that `refusals`, in order, are about out of the batch.
    fn take_out(&mut self, refusals: Vec<Refusal>, places: &mut Vec<usize>) -> Vec<(Change, Refusal)> {
        let mut taken = Vec::with_capacity(refusals.len());
        let mut refusals = refusals.into_iter().peekable();
        let (changes, old_places) = (std::mem::take(&mut self.changes), std::mem::take(places));
        for (index, (change, place)) in changes.into_iter().zip(old_places).enumerate() {
            match refusals.next_if(|refusal| refusal.index == index) {
                Some(refusal) => taken.push((change, Refusal { index: place, ..refusal })),
                None => {
                    self.changes.push(change);
                    places.push(place);
                }
            }
        }
        taken
    }
}
