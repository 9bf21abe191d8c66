//! From a batch and a view to one transaction for each store.

use std::collections::{BTreeMap, BTreeSet};

use reftable::engine::Changeset;
use reftable::escape::escaped;
use reftable::{
    Conflict, ConflictKind, ErrorKind, Expect, HashKind, LogEntry, ObjectId, Ref, Stack, Target, Transaction,
};

use super::{Action, Batch, Change, check_written};
use crate::config::LogPolicy;
use crate::error::{Error, Result};
use crate::names::Place;
use crate::stores::Stores;
use crate::view::{Chain, View};

/// What the transaction of one store will have.
#[derive(Debug, Default)]
struct Side {
    updates: BTreeMap<Vec<u8>, Update>,
    logs: Vec<(Vec<u8>, LogEntry)>,
    deleted_logs: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Update {
    expect: Expect,
    action: Action,
    /// The expectation is ours, not the caller's.
    pinned: bool,
    /// It was not symbolic when it was looked at; if it were, the change would be meant for another
    /// one.
    followed: bool,
}

#[derive(Debug)]
pub(super) struct Plan<'a> {
    batch: &'a Batch,
    /// `None` for a store that is in no directory.
    stores: Option<&'a Stores>,
    hash: Option<HashKind>,
    /// The names that the changes so far are of, or were followed through. As in git, each may be
    /// there once. With each the name that was given for it.
    taken: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What `HEAD` leads to. Who changes that changes `HEAD`, too.
    head: Option<Vec<u8>>,
    /// What `HEAD` says itself: who changes that adds to the log of `HEAD`.
    head_target: Option<Vec<u8>>,
    policy: LogPolicy,
    /// For each change the name that it is of in the end.
    ends: Vec<Vec<u8>>,
    shared: Side,
    worktree: Side,
    /// Whether the transactions write the entries of what they set, with the old ids that they
    /// find. Only the entries of symbolic references on the way are planned then.
    logs_itself: bool,
}

impl<'a> Plan<'a> {
    pub(super) fn new(batch: &'a Batch, view: &View, stores: &'a Stores) -> Result<Plan<'a>> {
        Plan::with(batch, view, Some(stores), stores.log_policy)
    }

    /// For the store that `view` is of, wherever that is.
    pub(super) fn of_view(batch: &'a Batch, view: &View, policy: LogPolicy) -> Result<Plan<'a>> {
        Plan::with(batch, view, None, policy)
    }

    fn with(batch: &'a Batch, view: &View, stores: Option<&'a Stores>, policy: LogPolicy) -> Result<Plan<'a>> {
        let chain = view.follow_stored(b"HEAD").ok().filter(|chain| !chain.links.is_empty());
        let mut plan = Plan {
            batch,
            stores,
            hash: view.hash().or(stores.and_then(Stores::hash)),
            taken: BTreeMap::new(),
            head_target: chain.as_ref().and_then(|chain| chain.links.first()).map(|(_, target)| target.clone()),
            head: chain.map(|chain| chain.name),
            policy,
            ends: Vec::new(),
            shared: Side::default(),
            worktree: Side::default(),
            logs_itself: true,
        };
        for change in batch.changes.iter().filter(|_| batch.reason.is_some()) {
            let chain = if change.follow { view.follow_stored(&change.name).ok() } else { None };
            let is_set = matches!(change.action, Action::Set(_));
            let end = chain.as_ref().map_or(&change.name, |chain| &chain.name);
            plan.logs_itself &= !is_set || change.message.is_none() && plan.is_logged(change, end, view)?;
            // The old id in such an entry is that of what the overwritten reference leads to.
            plan.logs_itself &= change.follow || !is_symbolic(view.stored(&change.name)?.as_ref());
        }
        for (number, change) in batch.changes.iter().enumerate() {
            let added = plan.check_hash(change).and_then(|()| plan.add(&change.understood(), view));
            added.map_err(|error| error.of_change(number))?;
        }
        plan.check_names()?;
        Ok(plan)
    }

    /// For each change the name that it is of in the end.
    pub(super) fn ends(&self) -> &[Vec<u8>] {
        &self.ends
    }

    /// Whether an entry for `name` is written.
    fn is_logged(&self, change: &Change, name: &[u8], view: &View) -> Result<bool> {
        let is_forced = self.batch.forces_logs || change.forces_log;
        Ok(is_forced || self.policy.creates_log(name) || view.log_exists(name)?)
    }

    /// As in git, a name that goes is still in the way of those that come at the same moment.
    fn check_names(&self) -> Result<()> {
        let updates = || self.shared.updates.iter().chain(&self.worktree.updates);
        let is_set = |name: &[u8]| {
            let update = self.shared.updates.get(name).or_else(|| self.worktree.updates.get(name));
            update.is_some_and(|update| matches!(update.action, Action::Set(_)))
        };
        let gone: BTreeSet<&[u8]> = updates()
            .filter(|(_, update)| matches!(update.action, Action::Delete))
            .map(|(name, _)| name.as_slice())
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        let refused = |gone: &[u8], new: &[u8]| {
            let given = escaped(self.taken.get(new).map_or(new, Vec::as_slice));
            let (gone, new) = (escaped(gone), escaped(new));
            Err(Error::invalid(format!("cannot lock ref '{given}': '{gone}' exists; cannot create '{new}'")))
        };
        for name in &gone {
            if let Some(new) = directories(name).find(|directory| is_set(directory)) {
                return refused(name, new);
            }
        }
        for (name, _) in updates().filter(|(_, update)| matches!(update.action, Action::Set(_))) {
            if let Some(gone) = directories(name).find(|directory| gone.contains(directory)) {
                return refused(gone, name);
            }
        }
        Ok(())
    }

    fn check_hash(&self, change: &Change) -> Result<()> {
        let expected = if let Expect::Is(target) = &change.expect { target.id() } else { None };
        let (id, peeled) = match &change.action {
            Action::Set(target) => (target.id(), target.as_view().peeled()),
            Action::Log(id) => (Some(*id), None),
            _ => (None, None),
        };
        for id in [expected, id, peeled].into_iter().flatten() {
            if let Some(hash) = self.hash.filter(|hash| *hash != id.kind()) {
                return Err(Error::invalid(format!("{id} is a {} id, the store has {hash} ids", id.kind())));
            }
        }
        Ok(())
    }

    fn side(&mut self, name: &[u8]) -> &mut Side {
        match Place::of(name) {
            Place::Shared => &mut self.shared,
            Place::Worktree => &mut self.worktree,
        }
    }

    fn add(&mut self, change: &Change, view: &View) -> Result<()> {
        check_written(change, view)?;
        if change.follow {
            let chain = change.chain(view)?;
            return self.add_change(change, &chain.name, &chain.links, chain.target.as_ref(), view);
        }
        let current = view.stored(&change.name)?.map(|found| found.target);
        match (&change.expect, &current) {
            // An old id given for a symbolic reference is that of what it leads to.
            (Expect::Is(Target::Id(old)), Some(symbolic @ Target::Symbolic(_))) => {
                if resolve(current.as_ref(), view)? != Some(*old) {
                    return self.add_change(change, &change.name, &[], current.as_ref(), view);
                }
                let chain = view.follow_stored(&change.name)?;
                self.pin_chain(&chain, Expect::Is(Target::Id(*old)));
                let change = Change { expect: Expect::Is(symbolic.clone()), ..change.clone() };
                self.add_change(&change, &change.name, &[], current.as_ref(), view)
            }
            _ => self.add_change(change, &change.name, &[], current.as_ref(), view),
        }
    }

    /// Adds a change of `name` itself, which `links` lead to and which is at `current`.
    fn add_change(
        &mut self,
        change: &Change,
        name: &[u8],
        links: &[(Vec<u8>, Vec<u8>)],
        current: Option<&Target>,
        view: &View,
    ) -> Result<()> {
        self.ends.push(name.to_vec());
        for (link, target) in links {
            self.take(link, &change.name)?;
            self.pin(link, Expect::Is(Target::symbolic(target)));
        }
        self.take(name, &change.name)?;
        if self.head.as_deref() == Some(name) && links.iter().all(|(link, _)| link != b"HEAD") {
            self.take(b"HEAD", &change.name)?;
        }
        let (expect, action) = (change.expect.clone(), change.action.clone());
        let mut update = Update { expect, action, pinned: false, followed: change.follow };
        match &change.action {
            Action::Verify => {}
            Action::Log(_) | Action::DeleteLog => {
                self.change_log(change, name, links, current, view)?;
                update.action = Action::Verify;
                if update.expect == Expect::Any {
                    update.expect = current.map_or(Expect::Absent, |current| Expect::Is(current.clone()));
                    update.pinned = true;
                }
            }
            Action::Delete => {
                let has_log = view.log_exists(name)?;
                if current.is_none() && !has_log {
                    reftable::name::check(name)?;
                    if change.expect == Expect::Any {
                        return Ok(());
                    }
                    // Nothing to delete, but something to check.
                    update.action = Action::Verify;
                }
                if has_log {
                    self.side(name).deleted_logs.push(name.to_vec());
                }
                let is_planned = self.log_deletion(change, name, links, current, view)?;
                if let Some(old) = current.filter(|_| is_planned && update.expect == Expect::Any) {
                    update.expect = Expect::Is(old.clone());
                    update.pinned = true;
                }
            }
            Action::Set(target) => {
                reftable::name::check(name)?;
                let target = &self.stores.map_or_else(|| Ok(target.clone()), |stores| stores.checked(name, target))?;
                update.action = Action::Set(target.clone());
                if current == Some(target) {
                    // As in git nothing is written, and no entry.
                    update.action = Action::Verify;
                }
                let is_planned = self.log(change, name, links, current, target, view)?;
                if (is_planned || current == Some(target)) && update.expect == Expect::Any {
                    // The log entry says where the reference was, so it has to be there.
                    update.expect = current.map_or(Expect::Absent, |current| Expect::Is(current.clone()));
                    update.pinned = true;
                }
            }
        }
        if update.expect == Expect::Any && self.must_stay_direct(change) {
            update.expect = Expect::NotSymbolic;
            update.pinned = true;
        }
        self.side(name).updates.insert(name.to_vec(), update);
        Ok(())
    }

    /// Notes that a change `of` a name is one of `name`, which it may have led to. Two of one name
    /// have no order in which they would happen.
    fn take(&mut self, name: &[u8], of: &[u8]) -> Result<()> {
        let Some(before) = self.taken.insert(name.to_vec(), of.to_vec()) else { return Ok(()) };
        let through = if of == name { before.as_slice() } else { of };
        let (shown, is_direct, through) = (escaped(name), through == name, escaped(through));
        Err(Error::invalid(match is_direct {
            true => format!("multiple updates for ref '{shown}' not allowed"),
            false if name == b"HEAD" => {
                format!("multiple updates for '{shown}' (including one via its referent '{through}') are not allowed")
            }
            false => {
                format!("multiple updates for '{shown}' (including one via symref '{through}') are not allowed")
            }
        }))
    }

    /// Whether the change would be another one if the reference became symbolic meanwhile: it would
    /// go on to where that leads, or write another old id into the log.
    fn must_stay_direct(&self, change: &Change) -> bool {
        let is_logged = self.batch.reason.is_some() && self.logs_itself;
        match change.action {
            Action::Verify | Action::Log(_) | Action::DeleteLog => false,
            Action::Delete => change.follow,
            Action::Set(Target::Symbolic(_)) => change.follow,
            Action::Set(_) => change.follow || is_logged,
        }
    }

    /// Plans log entries for a reference that will be set, if there is a reason to give. Says
    /// whether it did.
    fn log(
        &mut self,
        change: &Change,
        name: &[u8],
        links: &[(Vec<u8>, Vec<u8>)],
        current: Option<&Target>,
        target: &Target,
        view: &View,
    ) -> Result<bool> {
        if self.batch.reason.is_none() {
            return Ok(false);
        }
        let Some(new) = resolve(Some(target), view)? else { return Ok(false) };
        let old = resolve(current, view)?.unwrap_or(ObjectId::null(new.kind()));
        let is_planned_here = !self.logs_itself || matches!(target, Target::Symbolic(_));
        let itself = (is_planned_here && current != Some(target)).then_some(name);
        let head = self.head_of(name, links);
        let is_planned = self.plan_entries(change, link_names(links).chain(head).chain(itself), old, new, view)?;
        self.pin_head(head);
        Ok(is_planned)
    }

    /// Plans what happens to the log of a reference that stays where it is.
    fn change_log(
        &mut self,
        change: &Change,
        name: &[u8],
        links: &[(Vec<u8>, Vec<u8>)],
        current: Option<&Target>,
        view: &View,
    ) -> Result<()> {
        match &change.action {
            Action::Log(new) => {
                let old = resolve(current, view)?.unwrap_or(ObjectId::null(new.kind()));
                self.plan_entries(change, link_names(links).chain([name]), old, *new, view)?;
            }
            Action::DeleteLog if view.log_exists(name)? => self.side(name).deleted_logs.push(name.to_vec()),
            _ => {}
        }
        Ok(())
    }

    /// Plans the entries of those that led to a reference which goes: it has no log of its own any
    /// more. Says whether there are any.
    fn log_deletion(
        &mut self,
        change: &Change,
        name: &[u8],
        links: &[(Vec<u8>, Vec<u8>)],
        current: Option<&Target>,
        view: &View,
    ) -> Result<bool> {
        if self.batch.reason.is_none() {
            return Ok(false);
        }
        let Some(old) = resolve(current, view)? else { return Ok(false) };
        let head = self.head_of(name, links);
        let is_planned =
            self.plan_entries(change, link_names(links).chain(head), old, ObjectId::null(old.kind()), view)?;
        self.pin_head(head);
        Ok(is_planned)
    }

    /// Plans the same entry, with the reason that was given, for those of `names` that have a log
    /// or get one. Says whether there are any.
    fn plan_entries<'n>(
        &mut self,
        change: &Change,
        names: impl Iterator<Item = &'n [u8]>,
        old: ObjectId,
        new: ObjectId,
        view: &View,
    ) -> Result<bool> {
        let Some((committer, message)) = &self.batch.reason else { return Ok(false) };
        let message = change.message.as_ref().unwrap_or(message);
        let mut is_planned = false;
        for name in names {
            if self.is_logged(change, name, view)? {
                let entry = LogEntry { old, new, committer: committer.clone(), message: message.clone() };
                self.side(name).logs.push((name.to_vec(), entry));
                is_planned = true;
            }
        }
        Ok(is_planned)
    }

    /// Expects that `HEAD` still leads to its branch, if it gets an entry for that.
    fn pin_head(&mut self, head: Option<&[u8]>) {
        if let (Some(head), Some(target)) = (head, self.head_target.clone()) {
            self.pin(head, Expect::Is(Target::symbolic(target)));
        }
    }

    /// `HEAD`, if it leads to `name` or to one of the `links` there, and the change was not made
    /// through it.
    fn head_of(&self, name: &[u8], links: &[(Vec<u8>, Vec<u8>)]) -> Option<&'static [u8]> {
        let target = self.head_target.as_deref()?;
        let mut links = link_names(links);
        let is_through_it = links.clone().any(|link| link == b"HEAD");
        let is_on_the_way = target == name || links.any(|link| link == target);
        (is_on_the_way && !is_through_it).then_some(b"HEAD")
    }

    fn pin_chain(&mut self, chain: &Chain, end: Expect) {
        for (link, target) in &chain.links {
            self.pin(link, Expect::Is(Target::symbolic(target)));
        }
        self.pin(&chain.name, end);
    }

    /// Expects what was found, unless something else is said about `name` already.
    fn pin(&mut self, name: &[u8], expect: Expect) {
        let update = Update { expect, action: Action::Verify, pinned: true, followed: false };
        self.side(name).updates.entry(name.to_vec()).or_insert(update);
    }

    /// One for each store that has something to do.
    pub(super) fn transactions(&self) -> Vec<(Place, Transaction)> {
        let Some(stores) = self.stores else { return Vec::new() };
        let of = |place, stack| Some((place, self.transaction(place, stack)?));
        let shared = of(Place::Shared, stores.at(Place::Shared));
        let second = stores.second().map(|second| match shared {
            Some(_) => second,
            None => stores.at(Place::Worktree),
        });
        let worktree = second.and_then(|stack| of(Place::Worktree, stack));
        shared.into_iter().chain(worktree).collect()
    }

    /// The same for those who have the lock of each store.
    pub(super) fn transactions_under_lock(&self) -> Vec<(Place, Transaction)> {
        let Some(stores) = self.stores else { return Vec::new() };
        let of = |place| Some((place, self.transaction(place, stores.at_under_lock(place))?));
        let places = [Place::Shared, Place::Worktree].into_iter().filter(|place| stores.settled(*place) == *place);
        places.filter_map(of).collect()
    }

    /// `None` if there is nothing to do.
    fn transaction(&self, place: Place, stack: &Stack) -> Option<Transaction> {
        let mut transaction = stack.transaction();
        match (place, self.stores.and_then(Stores::second)) {
            // Without a linked worktree both sides belong to one store, and into one transaction.
            (_, None) => self.add_to(transaction.changes(), &[&self.shared, &self.worktree]),
            (Place::Shared, _) => self.add_to(transaction.changes(), &[&self.shared]),
            (Place::Worktree, _) => self.add_to(transaction.changes(), &[&self.worktree]),
        }
        if self.batch.reports_replaced {
            transaction.report_replaced();
        }
        (!transaction.is_empty()).then_some(transaction)
    }

    fn add_to(&self, changes: &mut Changeset, sides: &[&Side]) {
        sides.iter().for_each(|side| side.add_to(changes));
        if let Some((committer, message)) = self.batch.reason.as_ref().filter(|_| self.logs_itself) {
            changes.reflog(committer.clone(), message);
        }
    }

    /// All of it, for the only store there is.
    pub(super) fn changeset(&self) -> Changeset {
        let mut changes = Changeset::new();
        self.add_to(&mut changes, &[&self.shared, &self.worktree]);
        changes
    }

    /// Whether `error` says that something has changed since the plan was made.
    pub(super) fn is_outdated(&self, error: &reftable::Error) -> bool {
        error.kind() == ErrorKind::Conflict && self.is_outdated_by(error.conflicts())
    }

    /// Whether one of `conflicts` is about what was found when the plan was made, and not about
    /// what the caller expects.
    pub(super) fn is_outdated_by(&self, conflicts: &[Conflict]) -> bool {
        let update = |name: &Vec<u8>| self.shared.updates.get(name).or_else(|| self.worktree.updates.get(name));
        conflicts.iter().any(|conflict| {
            // Names in each other's way stay so, however often one tries.
            let ConflictKind::Mismatch { actual, .. } = &conflict.kind else { return false };
            let became_symbolic = matches!(actual, Some(Target::Symbolic(_)));
            update(&conflict.name).is_some_and(|update| update.pinned || (update.followed && became_symbolic))
        })
    }
}

impl Side {
    fn add_to(&self, changes: &mut Changeset) {
        for (name, Update { expect, action, .. }) in &self.updates {
            match action {
                Action::Set(target) => changes.set(name, expect.clone(), target.clone()),
                Action::Delete => changes.delete(name, expect.clone()),
                _ => changes.verify(name, expect.clone()),
            };
        }
        for name in &self.deleted_logs {
            changes.delete_log(name);
        }
        for (name, entry) in &self.logs {
            changes.append_log(name, entry.clone());
        }
    }
}

/// The directories that `name` needs, each a name that it cannot exist beside.
fn directories(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.iter().enumerate().filter(|(_, byte)| **byte == b'/').filter_map(|(at, _)| name.get(..at))
}

/// The symbolic references on the way, without their targets.
fn link_names(links: &[(Vec<u8>, Vec<u8>)]) -> impl Iterator<Item = &[u8]> + Clone {
    links.iter().map(|(link, _)| link.as_slice())
}

fn is_symbolic(found: Option<&Ref>) -> bool {
    found.is_some_and(|found| matches!(found.target, Target::Symbolic(_)))
}

/// What `target` leads to; a loop leads nowhere.
fn resolve(target: Option<&Target>, view: &View) -> Result<Option<ObjectId>> {
    let Some(Target::Symbolic(name)) = target else { return Ok(target.and_then(Target::id)) };
    match view.follow_stored(name) {
        Ok(chain) => Ok(chain.target.and_then(|target| target.id())),
        Err(error) if error.kind() == crate::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
