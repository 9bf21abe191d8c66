//! Changes that happen together, spread over the stores that they belong to.
//!
//! The core neither follows symbolic references nor knows worktrees. Both happen here, on a view that was read before
//! the lock was taken. What was found on the way becomes an expectation of the transaction (a *pin*); when a pin turns
//! out not to hold, somebody was faster, and everything is planned anew.

use std::collections::BTreeMap;

use reftable::{Commit, ErrorKind, Expect, HashKind, Ident, LogEntry, ObjectId, Prepared, Stack, Target, Transaction};

use crate::failure::{Code, Failure};
use crate::output::complain;
use crate::repo::{Place, Stores};
use crate::view::{Chain, View};

/// How often others may be faster before that counts as a conflict.
const ATTEMPTS: usize = 20;

/// What is to happen to one reference.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) name: Vec<u8>,
    pub(crate) expect: Expect,
    pub(crate) action: Action,
    /// Whether it is meant for the reference that `name` leads to.
    pub(crate) follow: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Action {
    Set(Target),
    /// Together with the reflog.
    Delete,
    Verify,
}

/// Changes that happen together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) changes: Vec<Change>,
    /// With it, every reference that is set gets a reflog entry, and so do the symbolic ones that led there.
    pub(crate) reason: Option<(Ident, Vec<u8>)>,
}

impl Batch {
    /// Plans, locks, and checks.
    pub(crate) fn prepare(&self, stores: &Stores) -> Result<Locked, Failure> {
        let mut attempt = 1;
        loop {
            let plan = Plan::new(self, &stores.view()?)?;
            match plan.prepare(stores) {
                Err(error) if attempt < ATTEMPTS && plan.is_outdated(&error) => attempt += 1,
                Err(error) => return Err(error.into()),
                Ok(prepared) => return Ok(Locked(prepared)),
            }
        }
    }

    /// [`Self::prepare`] and [`Locked::commit`] in one.
    pub(crate) fn commit(&self, stores: &Stores) -> Result<(), Failure> {
        self.prepare(stores)?.commit()
    }
}

/// Everything is checked and the stores are locked. Dropping it rolls back.
#[derive(Debug)]
pub(crate) struct Locked(Vec<Prepared>);

impl Locked {
    pub(crate) fn commit(self) -> Result<(), Failure> {
        for (done, prepared) in self.0.into_iter().enumerate() {
            match prepared.commit() {
                Ok(commit) => report(&commit),
                Err(error) if done == 0 => return Err(error.into()),
                // The same gap as in git: two stores cannot be replaced in one step.
                Err(error) => {
                    let message = format!("only the part outside the worktree's own store was done: {error}");
                    return Err(Failure::Told(Code::Broken, message));
                }
            }
        }
        Ok(())
    }
}

fn report(commit: &Commit) {
    if let Some(Err(error)) = &commit.compaction {
        complain(&format!("warning: the change is done, but the compaction after it failed: {error}"));
    }
}

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
}

#[derive(Debug)]
struct Plan<'a> {
    batch: &'a Batch,
    hash: Option<HashKind>,
    shared: Side,
    worktree: Side,
}

impl<'a> Plan<'a> {
    fn new(batch: &'a Batch, view: &View) -> Result<Plan<'a>, Failure> {
        let mut plan = Plan { batch, hash: view.hash(), shared: Side::default(), worktree: Side::default() };
        for change in &batch.changes {
            plan.check_hash(change)?;
            plan.add(change, view)?;
        }
        Ok(plan)
    }

    fn check_hash(&self, change: &Change) -> Result<(), Failure> {
        let expected = if let Expect::Is(target) = &change.expect { target.id() } else { None };
        let (id, peeled) = match &change.action {
            Action::Set(target) => (target.id(), target.as_view().peeled()),
            _ => (None, None),
        };
        for id in [expected, id, peeled].into_iter().flatten() {
            if let Some(hash) = self.hash.filter(|hash| *hash != id.kind()) {
                return Err(Failure::usage(format!("{id} is a {} id, the store has {hash} ids", id.kind())));
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

    fn add(&mut self, change: &Change, view: &View) -> Result<(), Failure> {
        if change.follow {
            let chain = view.follow(&change.name)?;
            return self.add_change(change, &chain.name, &chain.links, chain.target.as_ref(), view);
        }
        let current = view.get(&change.name)?.map(|found| found.target);
        match (&change.expect, &current) {
            // An old id given for a symbolic reference is that of what it leads to.
            (Expect::Is(Target::Id(old)), Some(symbolic @ Target::Symbolic(_))) => {
                let chain = view.follow(&change.name)?;
                if chain.target.as_ref().and_then(Target::id) != Some(*old) {
                    return self.add_change(change, &change.name, &[], current.as_ref(), view);
                }
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
    ) -> Result<(), Failure> {
        for (link, target) in links {
            self.pin(link, Expect::Is(Target::symbolic(target)));
        }
        let mut update = Update { expect: change.expect.clone(), action: change.action.clone(), pinned: false };
        match &change.action {
            Action::Verify => {}
            Action::Delete => {
                let has_log = view.log(name)?.next()?.is_some();
                if current.is_none() && !has_log {
                    if change.expect == Expect::Any {
                        return Ok(());
                    }
                    // Nothing to delete, but something to check.
                    update.action = Action::Verify;
                }
                if has_log {
                    self.side(name).deleted_logs.push(name.to_vec());
                }
            }
            Action::Set(target) => {
                if self.log(name, links, current, target, view)? && update.expect == Expect::Any {
                    // The log entry says where the reference was, so it has to be there.
                    update.expect = current.map_or(Expect::Absent, |current| Expect::Is(current.clone()));
                    update.pinned = true;
                }
            }
        }
        self.update(name, update)
    }

    /// Adds log entries for a reference that will be set, if there is a reason to give. Says whether it did.
    fn log(
        &mut self,
        name: &[u8],
        links: &[(Vec<u8>, Vec<u8>)],
        current: Option<&Target>,
        target: &Target,
        view: &View,
    ) -> Result<bool, Failure> {
        let Some((committer, message)) = &self.batch.reason else { return Ok(false) };
        let Some(new) = resolve(Some(target), view)? else { return Ok(false) };
        let old = resolve(current, view)?.unwrap_or(ObjectId::null(new.kind()));
        for name in links.iter().map(|(link, _)| link.as_slice()).chain([name]) {
            let entry = LogEntry { old, new, committer: committer.clone(), message: message.clone() };
            self.side(name).logs.push((name.to_vec(), entry));
        }
        Ok(true)
    }

    fn pin_chain(&mut self, chain: &Chain, end: Expect) {
        for (link, target) in &chain.links {
            self.pin(link, Expect::Is(Target::symbolic(target)));
        }
        self.pin(&chain.name, end);
    }

    /// Expects what was found, unless something else is said about `name` already.
    fn pin(&mut self, name: &[u8], expect: Expect) {
        let update = Update { expect, action: Action::Verify, pinned: true };
        self.side(name).updates.entry(name.to_vec()).or_insert(update);
    }

    fn update(&mut self, name: &[u8], update: Update) -> Result<(), Failure> {
        match self.side(name).updates.insert(name.to_vec(), update) {
            Some(before) if !before.pinned || !matches!(before.action, Action::Verify) => {
                Err(Failure::usage(format!("two changes of '{}' at once", String::from_utf8_lossy(name))))
            }
            _ => Ok(()),
        }
    }

    fn prepare(&self, stores: &Stores) -> reftable::Result<Vec<Prepared>> {
        let sides = [(Place::Shared, &self.shared), (Place::Worktree, &self.worktree)];
        let mut transactions: Vec<Transaction> = Vec::new();
        for (place, side) in sides {
            let stack = stores.at(place);
            // Without a linked worktree both sides belong to one store, and into one transaction.
            let is_same = place == Place::Worktree && std::ptr::eq(stack, stores.at(Place::Shared));
            match transactions.last_mut().filter(|_| is_same) {
                Some(transaction) => side.add_to(transaction),
                None => transactions.push(side.transaction(stack)),
            }
        }
        transactions.into_iter().filter(|transaction| !transaction.is_empty()).map(Transaction::prepare).collect()
    }

    /// Whether `error` says that something has changed since the plan was made.
    fn is_outdated(&self, error: &reftable::Error) -> bool {
        let is_pinned = |name: &Vec<u8>| {
            let update = self.shared.updates.get(name).or_else(|| self.worktree.updates.get(name));
            update.is_some_and(|update| update.pinned)
        };
        error.kind() == ErrorKind::Conflict && error.conflicts().iter().any(|conflict| is_pinned(&conflict.name))
    }
}

impl Side {
    fn transaction(&self, stack: &Stack) -> Transaction {
        let mut transaction = stack.transaction();
        self.add_to(&mut transaction);
        transaction
    }

    fn add_to(&self, transaction: &mut Transaction) {
        for (name, Update { expect, action, .. }) in &self.updates {
            match action {
                Action::Set(target) => transaction.set(name, expect.clone(), target.clone()),
                Action::Delete => transaction.delete(name, expect.clone()),
                Action::Verify => transaction.verify(name, expect.clone()),
            };
        }
        for name in &self.deleted_logs {
            transaction.delete_log(name);
        }
        for (name, entry) in &self.logs {
            transaction.append_log(name, entry.clone());
        }
    }
}

fn resolve(target: Option<&Target>, view: &View) -> Result<Option<ObjectId>, Failure> {
    match target {
        Some(Target::Symbolic(name)) => Ok(view.follow(name)?.target.and_then(|target| target.id())),
        other => Ok(other.and_then(Target::id)),
    }
}
