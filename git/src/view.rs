//! Reading the stores of a repository as if they were one.

use std::iter::Peekable;
use std::ops::ControlFlow;

use reftable::escape::escaped;
use reftable::snapshot::OwnedRefs;
use reftable::{HashKind, Logs, ObjectId, Ref, RefView, Refs, Snapshot, Target};

use crate::error::{Error, Result};
use crate::stores::Place;

/// How many symbolic references in a row are followed, as in git.
const MAX_DEPTH: usize = 5;

/// A state of all stores. Each is consistent in itself, as git's are.
#[derive(Debug)]
pub struct View {
    shared: Snapshot,
    worktree: Option<Snapshot>,
}

/// Where following symbolic references has led.
#[derive(Debug)]
pub struct Chain {
    /// The symbolic references on the way, each with its target.
    pub links: Vec<(Vec<u8>, Vec<u8>)>,
    /// The name that is not symbolic.
    pub name: Vec<u8>,
    /// What it points at; `None` if it does not exist.
    pub target: Option<Target>,
}

impl View {
    pub(crate) fn new(shared: Snapshot, worktree: Option<Snapshot>) -> View {
        View { shared, worktree }
    }

    fn at(&self, name: &[u8]) -> &Snapshot {
        match (Place::of(name), &self.worktree) {
            (Place::Worktree, Some(worktree)) => worktree,
            _ => &self.shared,
        }
    }

    /// The hash of all ids, once there is a table.
    #[must_use]
    pub fn hash(&self) -> Option<HashKind> {
        self.shared.hash().or_else(|| self.worktree.as_ref()?.hash())
    }

    /// One reference as it is stored.
    pub fn get(&self, name: &[u8]) -> Result<Option<Ref>> {
        Ok(self.at(name).get(name)?)
    }

    /// The log of one reference, newest entry first.
    pub fn log(&self, name: &[u8]) -> Result<Logs> {
        Ok(self.at(name).log(name)?)
    }

    /// Whether `name` has a log, be it without entries.
    pub fn log_exists(&self, name: &[u8]) -> Result<bool> {
        Ok(self.at(name).log_exists(name)?)
    }

    /// Follows `name` to the first reference that is not symbolic.
    pub fn follow(&self, name: &[u8]) -> Result<Chain> {
        let mut chain = Chain { links: Vec::new(), name: name.to_vec(), target: None };
        loop {
            match self.get(&chain.name)?.map(|found| found.target) {
                Some(Target::Symbolic(next)) => {
                    let link = std::mem::replace(&mut chain.name, next.clone());
                    chain.links.push((link, next));
                }
                target => {
                    chain.target = target;
                    return Ok(chain);
                }
            }
            if chain.links.len() > MAX_DEPTH {
                let name = escaped(name);
                return Err(Error::not_found(format!("'{name}' leads through too many symbolic references")));
            }
        }
    }

    /// Hands all references whose names start with `prefix` to `each`, by name.
    pub fn refs<E: From<reftable::Error>>(
        &self,
        prefix: &[u8],
        each: impl FnMut(&RefView<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.walk(|snapshot| snapshot.prefix(prefix), each)
    }

    /// Hands all references that store `id` or have it as peeled id to `each`, by name.
    pub fn pointing_at<E: From<reftable::Error>>(
        &self,
        id: &ObjectId,
        each: impl FnMut(&RefView<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.walk(|snapshot| snapshot.pointing_at(id), each)
    }

    fn walk<E: From<reftable::Error>>(
        &self,
        open: impl Fn(&Snapshot) -> reftable::Result<Refs>,
        mut each: impl FnMut(&RefView<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut shared = open(&self.shared)?;
        let Some(worktree) = &self.worktree else {
            return match shared
                .try_for_each(|found| each(&found).map_or_else(ControlFlow::Break, ControlFlow::Continue))?
            {
                ControlFlow::Break(error) => Err(error),
                ControlFlow::Continue(()) => Ok(()),
            };
        };
        let worktree = open(worktree)?.into_iter().peekable();
        for found in (Listing { shared: shared.into_iter().peekable(), worktree }) {
            let Ref { name, update_index, target } = &found?;
            each(&RefView { name, update_index: *update_index, target: target.as_view() })?;
        }
        Ok(())
    }
}

/// The references of both stores, by name; of each store those that belong there.
struct Listing {
    shared: Peekable<OwnedRefs>,
    worktree: Peekable<OwnedRefs>,
}

impl Iterator for Listing {
    type Item = reftable::Result<Ref>;

    fn next(&mut self) -> Option<reftable::Result<Ref>> {
        let worktree = &mut self.worktree;
        skip_foreign(&mut self.shared, Place::Shared);
        skip_foreign(worktree, Place::Worktree);
        let own_is_next = match (self.shared.peek(), worktree.peek()) {
            (Some(Ok(shared)), Some(Ok(own))) => own.name < shared.name,
            (Some(Err(_)), _) | (_, None) => false,
            (_, Some(_)) => true,
        };
        if own_is_next { worktree.next() } else { self.shared.next() }
    }
}

/// The main worktree's `HEAD` is in the shared store, for example; a linked worktree has its own.
fn skip_foreign(refs: &mut Peekable<OwnedRefs>, place: Place) {
    while refs.next_if(|item| item.as_ref().is_ok_and(|found| Place::of(&found.name) != place)).is_some() {}
}
