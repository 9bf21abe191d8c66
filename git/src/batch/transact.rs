//! Lock, look, decide.

use reftable::{Commit, ErrorKind, Snapshot};

use super::{Batch, Prepared};
use crate::error::{Error, Result};
use crate::names::Place;
use crate::stores::Stores;
use crate::view::View;

impl Stores {
    /// Shows the state to `decide`, and commits what it asks for if the state of the stores that it
    /// changes is still the same under their locks. If it is not, `decide` is called once more,
    /// with the locks held and the state under them: nobody is faster then, however many there are,
    /// and every other writer waits for it. So the decision may rest on anything that is seen,
    /// beside what the changes expect. Without changes nothing happens.
    ///
    /// A hook *reference-transaction* is asked under the lock then, also in its phase *preparing*.
    ///
    /// What a decision rests on that only [`Batch::changes`] say is better said there: such a
    /// batch is committed together with those of others.
    ///
    /// ```no_run
    /// use reftable::{Expect, ObjectId};
    /// use reftable_git::{Batch, Change, Error, Repository};
    ///
    /// let id: ObjectId = "2e6f9b0d5885b6010f9167787445617f553a735f".parse()?;
    /// let stores = Repository::find(None)?.open_to_write()?;
    /// stores.transact(|view| {
    ///     // No more than ten branches.
    ///     let mut branches = 0;
    ///     view.refs(b"refs/heads/", |_| {
    ///         branches += 1;
    ///         Ok::<_, Error>(())
    ///     })?;
    ///     let changes = vec![Change::set("refs/heads/another", Expect::Absent, id)];
    ///     let all = Batch { changes, ..Batch::default() };
    ///     Ok::<_, Error>(if branches < 10 { all } else { Batch::default() })
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of `decide`, and of [`Batch::prepare`] and [`Prepared::commit`].
    pub fn transact<E: From<Error>>(
        &self,
        mut decide: impl FnMut(&View) -> Result<Batch, E>,
    ) -> Result<Vec<Commit>, E> {
        let view = self.view()?;
        let batch = decide(&view)?;
        if batch.changes.is_empty() {
            return Ok(Vec::new());
        }
        match batch.prepare(self) {
            Ok(prepared) if prepared.follows(&view) => return Ok(prepared.commit()?),
            Ok(prepared) => drop(prepared),
            Err(error) if is_conflict(&error) && !self.view()?.is_at(&view) => {}
            Err(error) => return Err(error.into()),
        }
        let locked = self.lock()?;
        let batch = decide(locked.view())?;
        if batch.changes.is_empty() {
            return Ok(Vec::new());
        }
        Ok(batch.prepare_under(locked, self)?.commit()?)
    }
}

fn is_conflict(error: &Error) -> bool {
    error.store().is_some_and(|error| error.kind() == ErrorKind::Conflict)
}

impl Prepared {
    /// The state under the lock: what the batch was checked against, and will follow directly.
    /// Stores that it does not change are not locked; of these it is the state of now.
    ///
    /// # Errors
    /// If a store that is not locked cannot be read.
    pub fn view(&self, stores: &Stores) -> Result<View> {
        let locked = |place| self.parts.iter().find(|(of, _)| *of == place).map(|(_, part)| part.snapshot().clone());
        let now = |place| stores.at(place).snapshot();
        let shared = locked(Place::Shared).map_or_else(|| now(Place::Shared), Ok)?;
        let worktree = stores.second().map(|_| locked(Place::Worktree).map_or_else(|| now(Place::Worktree), Ok));
        Ok(stores.view_of(shared, worktree.transpose()?))
    }

    /// Whether `view` shows the state that this will follow, as far as it is locked.
    fn follows(&self, view: &View) -> bool {
        let is_same = |(place, part): &(Place, reftable::Prepared)| {
            view.snapshot(*place).map(Snapshot::update_index) == Some(part.snapshot().update_index())
        };
        self.parts.iter().all(is_same)
    }
}
