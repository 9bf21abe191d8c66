//! Another name for a reference, or a copy of it, together with its log.

use reftable::escape::escaped;
use reftable::{Commit, ConflictKind, Expect, Ident, LogEntry, ObjectId, Snapshot, Stack, Target, Transaction};

use super::refusal::exists;
use crate::error::{Error, Result};
use crate::names::Place;
use crate::stores::Stores;
use crate::view::View;

/// Gives a reference another name, or makes a copy, together with its log: what git does for
/// `git refs rename`, and for `git branch -m` and `-c`.
///
/// The log of the new name has all entries of the old one, and then those of the renaming itself,
/// whatever `core.logAllRefUpdates` says. Symbolic references are not renamed. As in git, the hook
/// *reference-transaction* has no say.
///
/// ```no_run
/// use reftable_git::{Rename, Repository, ident};
///
/// let repository = Repository::find(None)?;
/// let committer = ident::committer(repository.config()?)?;
/// let (old, new) = ("refs/heads/topic", "refs/heads/feature");
/// let rename = Rename::new(old, new, committer, "Branch: renamed");
/// rename.with_heads().commit(&repository.open_to_write()?)?;
/// # Ok::<(), reftable_git::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing happens before it is committed"]
pub struct Rename {
    from: Vec<u8>,
    to: Vec<u8>,
    committer: Ident,
    message: Vec<u8>,
    is_copy: bool,
    overwrites: bool,
    takes_heads: bool,
}

/// What the plan rests on, beside the expectations of the transaction.
struct Plan {
    transaction: Transaction,
    /// The number of the newest entry of the log that is carried over.
    newest: Option<u64>,
}

impl Rename {
    /// `from` and `to` are full names in the same store.
    pub fn new(
        from: impl Into<Vec<u8>>,
        to: impl Into<Vec<u8>>,
        committer: Ident,
        message: impl Into<Vec<u8>>,
    ) -> Rename {
        let (from, to, message) = (from.into(), to.into(), message.into());
        Rename { from, to, committer, message, is_copy: false, overwrites: false, takes_heads: false }
    }

    /// Leaves the reference with the old name and its log where they are.
    pub fn copy(self) -> Rename {
        Rename { is_copy: true, ..self }
    }

    /// Replaces what has the new name, and its log. Without this it is refused if it exists.
    pub fn overwrite(self) -> Rename {
        Rename { overwrites: true, ..self }
    }

    /// Lets each worktree's `HEAD` that leads to the old name lead to the new one: the main
    /// worktree's at the same moment, those of linked worktrees after it, as each has a store of
    /// its own. Does nothing for a copy.
    pub fn with_heads(self) -> Rename {
        Rename { takes_heads: true, ..self }
    }

    /// Does it, and says what each store has to tell. Nothing happens if both names are the same.
    ///
    /// # Errors
    /// If there is no reference with the old name, or it is symbolic, or belongs to another store
    /// than the new name. [`ErrorKind::Store`](crate::ErrorKind) with the conflicts if the new name
    /// is taken, or if a lock is not to be had. Nothing has changed then, but an error may say that
    /// only the `HEAD` of some worktree was not changed.
    pub fn commit(&self, stores: &Stores) -> Result<Vec<Commit>> {
        for name in [&self.from, &self.to] {
            reftable::name::check(name)?;
            super::check_place(name)?;
        }
        let place = stores.settled(Place::of(&self.to));
        if stores.settled(Place::of(&self.from)) != place {
            let (from, to) = (escaped(&self.from), escaped(&self.to));
            return Err(Error::invalid(format!("'{from}' and '{to}' are in different stores: one is shared")));
        }
        let Some(commit) = self.carry_over(stores, place).map_err(in_gits_words)? else { return Ok(Vec::new()) };
        let mut commits = vec![commit];
        if self.takes_heads && !self.is_copy {
            commits.append(&mut self.move_heads(stores)?);
        }
        Ok(commits)
    }

    /// Everything but the `HEAD` of linked worktrees; `None` if there is nothing to do.
    fn carry_over(&self, stores: &Stores, place: Place) -> Result<Option<Commit>> {
        let Some(plan) = self.plan(&stores.view()?, stores.at(place), place)? else { return Ok(None) };
        match plan.transaction.prepare() {
            // Under the lock: an entry that has come since the plan was made would get lost.
            Ok(prepared) if newest_entry(prepared.snapshot(), &self.from)? == plan.newest => {
                return Ok(Some(prepared.commit()?));
            }
            Ok(prepared) => drop(prepared),
            Err(error) if self.is_outdated(&error) => {}
            Err(error) => return Err(error.into()),
        }
        // Others were faster; now they wait.
        let locked = stores.lock()?;
        let stack = stores.at_under_lock(place);
        let Some(plan) = self.plan(locked.view(), stack, place)? else { return Ok(None) };
        let mut prepared = locked.prepare(vec![(place, plan.transaction)])?;
        let commit = prepared.pop().map(|(_, prepared)| prepared.commit());
        Ok(commit.transpose()?)
    }

    /// `None` if there is nothing to do.
    fn plan(&self, view: &View, stack: &Stack, place: Place) -> Result<Option<Plan>> {
        let (from, to) = (&self.from, &self.to);
        let target = match view.stored(from)?.map(|found| found.target) {
            None => return Err(Error::not_found(format!("there is no reference '{}'", escaped(from)))),
            Some(Target::Symbolic(_)) => {
                return Err(Error::invalid(format!(
                    "'{}' is a symbolic ref, renaming it is not supported",
                    escaped(from)
                )));
            }
            Some(target) => target,
        };
        if from == to {
            return Ok(None);
        }
        let Some(id) = target.id() else { return Err(Error::broken("a reference without an id")) };
        let none = ObjectId::null(id.kind());
        let mut transaction = stack.transaction();
        transaction.set(to, if self.overwrites { Expect::Any } else { Expect::Absent }, target.clone());
        if view.log_exists(to)? {
            transaction.delete_log(to);
        }
        for entry in view.log_entries(from)?.into_iter().rev() {
            transaction.append_log(to, entry);
        }
        match self.is_copy {
            true => drop(transaction.verify(from, Expect::Is(target))),
            false => {
                transaction.delete(from, Expect::Is(target)).delete_log(from);
                // As in git: that the old one has gone, and that the new one has come.
                transaction.append_log(to, self.entry(id, none));
                self.move_main_head(&mut transaction, view, place, id)?;
            }
        }
        transaction.append_log(to, self.entry(none, id));
        // Of the state whose entries are carried over, not of a later one.
        let newest = view.snapshot(place).map(|store| newest_entry(store, from)).transpose()?.flatten();
        Ok(Some(Plan { transaction, newest }))
    }

    /// The `HEAD` of the main worktree hears that its branch has gone, and follows it.
    fn move_main_head(&self, transaction: &mut Transaction, view: &View, place: Place, id: ObjectId) -> Result<()> {
        let Some(shared) = view.snapshot(Place::Shared).filter(|_| place == Place::Shared) else {
            return Ok(());
        };
        if !self.is_at(shared)? {
            return Ok(());
        }
        let none = ObjectId::null(id.kind());
        let old = Expect::Is(Target::symbolic(&self.from));
        transaction.append_log("HEAD", self.entry(id, none));
        if self.takes_heads {
            transaction.set("HEAD", old, Target::symbolic(&self.to)).append_log("HEAD", self.entry(none, id));
        } else {
            transaction.verify("HEAD", old);
        }
        Ok(())
    }

    /// Whether the `HEAD` of a store leads to the old name.
    fn is_at(&self, store: &Snapshot) -> Result<bool> {
        let head = store.get("HEAD")?.map(|head| head.target);
        Ok(head == Some(Target::symbolic(&self.from)))
    }

    /// Those of linked worktrees follow.
    fn move_heads(&self, stores: &Stores) -> Result<Vec<Commit>> {
        let Some(id) = stores.view()?.resolve(&self.to)? else { return Ok(Vec::new()) };
        let mut commits = Vec::new();
        for store in stores.linked_worktrees()? {
            let done = self.move_head(&store, id).map_err(|error| {
                let (to, path) = (escaped(&self.to), crate::error::shown_path(store.path()));
                Error::broken(format!("the reference is '{to}' now, but HEAD in {path} was not changed: {error}"))
            })?;
            commits.extend(done);
        }
        Ok(commits)
    }

    fn move_head(&self, store: &Stack, id: ObjectId) -> Result<Option<Commit>> {
        let snapshot = store.snapshot()?;
        if !self.is_at(&snapshot)? {
            return Ok(None);
        }
        let mut transaction = store.transaction();
        transaction.set("HEAD", Expect::Is(Target::symbolic(&self.from)), Target::symbolic(&self.to));
        if snapshot.log_exists("HEAD")? {
            transaction.append_log("HEAD", self.entry(ObjectId::null(id.kind()), id));
        }
        Ok(Some(transaction.commit()?))
    }

    fn entry(&self, old: ObjectId, new: ObjectId) -> LogEntry {
        LogEntry { old, new, committer: self.committer.clone(), message: self.message.clone() }
    }

    /// Whether `error` says that something has changed since the plan was made; the new name is the
    /// caller's affair.
    fn is_outdated(&self, error: &reftable::Error) -> bool {
        error
            .conflicts()
            .iter()
            .any(|conflict| conflict.name != self.to && matches!(conflict.kind, ConflictKind::Mismatch { .. }))
    }
}

/// A name that is in the way of the new one is told as git tells it.
fn in_gits_words(error: Error) -> Error {
    let in_the_way = error.conflicts().iter().find_map(|conflict| match &conflict.kind {
        ConflictKind::Name { other } => Some(exists(other, &conflict.name)),
        _ => None,
    });
    match in_the_way {
        Some(text) => error.told(text),
        None => error,
    }
}

fn newest_entry(store: &Snapshot, name: &[u8]) -> Result<Option<u64>> {
    Ok(store.log(name)?.next_item()?.map(|item| item.update_index()))
}
