//! From a batch and a view to one transaction for each store.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use reftable::engine::Changeset;
use reftable::escape::escaped;
use reftable::{Conflict, ConflictKind, Expect, HashKind, LogEntry, ObjectId, Ref, Stack, Target, Transaction};

use super::refusal::exists;
use super::settled::Settled;
use super::side::{Side, Update};
use super::{Action, Batch, Change, check_written};
use crate::config::LogPolicy;
use crate::error::{Error, Result};
use crate::names::Place;
use crate::stores::Stores;
use crate::view::{Chain, View};

#[derive(Debug)]
pub(super) struct Plan<'a> {
    batch: &'a Batch,
    /// `None` for a store that is in no directory.
    stores: Option<&'a Stores>,
    hash: Option<HashKind>,
    /// The names that the changes so far are of, or were followed through. As in git, each may be
    /// there once. With each the name that was given for it.
    taken: BTreeMap<Cow<'a, [u8]>, &'a [u8]>,
    /// What `HEAD` leads to. Who changes that changes `HEAD`, too.
    head: Option<Vec<u8>>,
    /// What `HEAD` says itself: who changes that adds to the log of `HEAD`.
    head_target: Option<Vec<u8>>,
    policy: LogPolicy,
    /// How many changes were added.
    added: usize,
    /// The changes, from 0, that are of another name in the end than the one that was given.
    ends: BTreeMap<usize, Vec<u8>>,
    shared: Side<'a>,
    worktree: Side<'a>,
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
            added: 0,
            ends: BTreeMap::new(),
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
            let added = plan.check_hash(change).and_then(|()| plan.add(change, view));
            added.map_err(|error| error.of_change(number))?;
        }
        plan.check_names()?;
        Ok(plan)
    }

    /// Whether an entry for `name` is written.
    fn is_logged(&self, change: &Change, name: &[u8], view: &View) -> Result<bool> {
        // No log is made to say that something is gone.
        let is_forced = (self.batch.forces_logs || change.forces_log) && change.action != Action::Delete;
        Ok(is_forced || self.policy.creates_log(name) || view.log_exists(name)?)
    }

    /// As in git, a name that goes is still in the way of those that come at the same moment.
    fn check_names(&self) -> Result<()> {
        let updates = || self.shared.updates.iter().chain(&self.worktree.updates);
        let is_set = |name: &[u8]| {
            let update = self.shared.updates.get(name).or_else(|| self.worktree.updates.get(name));
            update.is_some_and(|update| matches!(update.action(), Action::Set(_)))
        };
        let gone: BTreeSet<&[u8]> = updates()
            .filter(|(_, update)| matches!(update.action(), Action::Delete))
            .map(|(name, _)| name.as_ref())
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        let refused = |gone: &[u8], new: &[u8]| {
            let given = escaped(self.taken.get(new).map_or(new, |given| *given));
            let message = format!("cannot lock ref '{given}': {}", exists(gone, new));
            Err(Error::conflict(message, Conflict::new(new, ConflictKind::Name { other: gone.to_vec() })))
        };
        for name in &gone {
            if let Some(new) = directories(name).find(|directory| is_set(directory)) {
                return refused(name, new);
            }
        }
        for (name, _) in updates().filter(|(_, update)| matches!(update.action(), Action::Set(_))) {
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

    fn side(&mut self, name: &[u8]) -> &mut Side<'a> {
        match Place::of(name) {
            Place::Shared => &mut self.shared,
            Place::Worktree => &mut self.worktree,
        }
    }

    fn add(&mut self, change: &'a Change, view: &View) -> Result<()> {
        check_written(change, view)?;
        let itself = Cow::Borrowed(change.name.as_slice());
        if change.follows() {
            let chain = change.chain(view)?;
            let name = if chain.links.is_empty() { itself } else { Cow::Owned(chain.name) };
            return self.add_change(change, None, name, &chain.links, chain.target.as_ref(), view);
        }
        let current = view.stored(&change.name)?.map(|found| found.target);
        match (&change.expect, &current) {
            // An old id given for a symbolic reference is that of what it leads to.
            (Expect::Is(Target::Id(old)), Some(symbolic @ Target::Symbolic(_)))
                if resolve(current.as_ref(), view)? == Some(*old) =>
            {
                let chain = view.follow_stored(&change.name)?;
                self.pin_chain(&chain, Expect::Is(Target::Id(*old)));
                let expect = Some(Expect::Is(symbolic.clone()));
                self.add_change(change, expect, itself, &[], current.as_ref(), view)
            }
            _ => self.add_change(change, None, itself, &[], current.as_ref(), view),
        }
    }

    /// Adds a change of `name` itself, which `links` lead to and which is at `current`. What is
    /// expected may be another thing than the change says.
    fn add_change(
        &mut self,
        change: &'a Change,
        expect: Option<Expect>,
        name: Cow<'a, [u8]>,
        links: &[(Vec<u8>, Vec<u8>)],
        current: Option<&Target>,
        view: &View,
    ) -> Result<()> {
        if *name != change.name {
            self.ends.insert(self.added, name.to_vec());
        }
        self.added += 1;
        self.take_names(change, name.clone(), links)?;
        let as_it_is = || current.map_or(Expect::Absent, |current| Expect::Is(current.clone()));
        let mut update = Update::of(change, expect);
        match &change.action {
            Action::Verify => {}
            Action::Log(_) | Action::DeleteLog => {
                self.change_log(change, &name, links, current, view)?;
                update.do_only(Action::Verify);
                update.pin_to(as_it_is());
            }
            Action::Delete => {
                let has_log = view.log_exists(&name)?;
                if current.is_none() && !has_log {
                    reftable::name::check(&name)?;
                    if *update.expect() == Expect::Any {
                        return Ok(());
                    }
                    // Nothing to delete, but something to check.
                    update.do_only(Action::Verify);
                }
                if has_log {
                    self.side(&name).deleted_logs.push(name.to_vec());
                }
                if self.log_deletion(change, &name, links, current, view)? && current.is_some() {
                    update.pin_to(as_it_is());
                }
            }
            Action::Set(target) => {
                reftable::name::check(&name)?;
                let stored = self.stores.map_or_else(|| Ok(target.clone()), |stores| stores.checked(&name, target))?;
                if current == Some(&stored) {
                    // As in git nothing is written, and no entry.
                    update.do_only(Action::Verify);
                } else if stored != *target {
                    update.do_only(Action::Set(stored.clone()));
                }
                // The log entry says where the reference was, so it has to be there.
                if self.log(change, &name, links, current, &stored, view)? || current == Some(&stored) {
                    update.pin_to(as_it_is());
                }
            }
        }
        if self.must_stay_direct(change) {
            update.pin_to(Expect::NotSymbolic);
        }
        self.side(&name).updates.insert(name, update);
        Ok(())
    }

    /// Notes that a change `of` a name is one of `name`, which it may have led to. Two of one name
    /// have no order in which they would happen.
    fn take(&mut self, name: Cow<'a, [u8]>, of: &'a [u8]) -> Result<()> {
        let Some(before) = self.taken.insert(name.clone(), of) else { return Ok(()) };
        let through = if *of == *name { before } else { of };
        let (shown, is_direct, through) = (escaped(&name), *through == *name, escaped(through));
        Err(Error::invalid(match is_direct {
            true => format!("multiple updates for ref '{shown}' not allowed"),
            false if *name == *b"HEAD" => {
                format!("multiple updates for '{shown}' (including one via its referent '{through}') are not allowed")
            }
            false => {
                format!("multiple updates for '{shown}' (including one via symref '{through}') are not allowed")
            }
        }))
    }

    /// Takes the names that the change is about: the symbolic references on the way, which have to
    /// lead there still, the reference itself, and `HEAD` if it leads there.
    fn take_names(&mut self, change: &'a Change, name: Cow<'a, [u8]>, links: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        for (link, target) in links {
            self.take(Cow::Owned(link.clone()), &change.name)?;
            self.pin(link, Expect::Is(Target::symbolic(target)));
        }
        let is_of_head = self.head.as_deref() == Some(&name) && links.iter().all(|(link, _)| link != b"HEAD");
        self.take(name, &change.name)?;
        if is_of_head {
            self.take(Cow::Borrowed(b"HEAD"), &change.name)?;
        }
        Ok(())
    }

    /// Whether the change would be another one if the reference became symbolic meanwhile: it would
    /// go on to where that leads, or write another old id into the log.
    fn must_stay_direct(&self, change: &Change) -> bool {
        let is_logged = self.batch.reason.is_some() && self.logs_itself;
        match change.action {
            Action::Verify | Action::Log(_) | Action::DeleteLog => false,
            Action::Delete => change.follows(),
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
        // A symbolic reference that led here leads nowhere from now on.
        let Some(new) = resolve(Some(target), view)? else {
            return self.log_deletion(change, name, links, current, view);
        };
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
        self.side(name).updates.entry(Cow::Owned(name.to_vec())).or_insert_with(|| Update::pin(expect));
    }

    /// One transaction for each store that has something to do, and what is to be known of the plan
    /// afterwards.
    pub(super) fn finish(self) -> (Vec<(Place, Transaction)>, Settled<'a>) {
        let of = |stores: &Stores| {
            let of = |place, stack| Some((place, self.transaction(place, stack)?));
            let shared = of(Place::Shared, stores.at(Place::Shared));
            let second = stores.second().map(|second| match shared {
                Some(_) => second,
                None => stores.at(Place::Worktree),
            });
            let worktree = second.and_then(|stack| of(Place::Worktree, stack));
            shared.into_iter().chain(worktree).collect()
        };
        (self.stores.map(of).unwrap_or_default(), self.settled())
    }

    /// The same for those who have the lock of each store.
    pub(super) fn finish_under_lock(self) -> (Vec<(Place, Transaction)>, Settled<'a>) {
        let all = |stores: &Stores| {
            let of = |place| Some((place, self.transaction(place, stores.at_under_lock(place))?));
            let places = [Place::Shared, Place::Worktree].into_iter().filter(|place| stores.settled(*place) == *place);
            places.filter_map(of).collect()
        };
        (self.stores.map(all).unwrap_or_default(), self.settled())
    }

    /// The same as one changeset, for the only store there is.
    pub(super) fn finish_elsewhere(self) -> (Changeset, Settled<'a>) {
        let mut changes = Changeset::new();
        self.add_to(&mut changes, &[&self.shared, &self.worktree]);
        (changes, self.settled())
    }

    /// The plan itself is large, and gone before the transactions are committed.
    fn settled(self) -> Settled<'a> {
        let pinned = self.shared.pinned().chain(self.worktree.pinned()).map(<[u8]>::to_vec).collect();
        Settled { batch: self.batch, ends: self.ends, pinned }
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

    fn add_to(&self, changes: &mut Changeset, sides: &[&Side<'_>]) {
        sides.iter().for_each(|side| side.add_to(changes));
        if let Some((committer, message)) = self.batch.reason.as_ref().filter(|_| self.logs_itself) {
            changes.reflog(committer.clone(), message);
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
