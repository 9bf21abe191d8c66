//! Changes that happen together, spread over the stores that they belong to.
//!
//! The core neither follows symbolic references nor knows worktrees. Both happen here, on a view
//! that was read before the lock was taken. What was found on the way becomes an expectation of the
//! transaction (a *pin*); when a pin turns out not to hold, another commit was faster, and
//! everything is planned anew, this time under the lock ([`locked`]).
//!
//! A batch of one store is committed as the core commits a transaction: together with others that
//! wait for the lock. Only `prepare`, a batch of two stores, and one that was overtaken hold locks
//! while something else happens.

mod elsewhere;
mod hook;
mod locked;
mod partial;
mod plan;
mod protocol;
mod refusal;
mod rename;
mod session;
mod settled;
mod side;
mod transact;

use reftable::escape::escaped;
use reftable::name::is_pseudo_ref;
use reftable::{Commit, Expect, HashKind, Ident, ObjectId, Target, Transaction};

use crate::error::{Error, Result};
use crate::names::{Home, Place};
use crate::retry::Retry;
use crate::rev::Revisions;
use crate::stores::{SECOND_LOCK, Stores};
use crate::view::{Chain, View};
use hook::Phase;
use locked::Locked;
use plan::Plan;
use settled::Settled;

pub use elsewhere::{Planned, Records};
pub(crate) use hook::Hook;
pub use protocol::{Command, Fields};
pub use refusal::{Reason, Refusal};
pub use rename::Rename;
pub use session::{Answer, Session, SessionOptions};

/// What is to happen to one reference.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Change {
    /// The full name.
    pub name: Vec<u8>,
    /// What must be there, or nothing happens to anything.
    pub expect: Expect,
    /// What happens.
    pub action: Action,
    /// Whether it is meant for the reference that `name` leads to. A name that is none for git
    /// leads nowhere: deleting it is always meant for itself.
    pub follow: bool,
    /// The message of its log entries, if it is another than that of [`Batch::reason`].
    pub message: Option<Vec<u8>>,
    /// Whether it gets a log, whatever the configuration says.
    pub forces_log: bool,
}

impl Change {
    /// What happens to `name`, or to what it leads to.
    pub fn new(name: impl Into<Vec<u8>>, expect: Expect, action: Action) -> Change {
        Change { name: name.into(), expect, action, follow: true, message: None, forces_log: false }
    }

    /// Points `name`, or what it leads to, at `target`.
    pub fn set(name: impl Into<Vec<u8>>, expect: Expect, target: impl Into<Target>) -> Change {
        Change::new(name, expect, Action::Set(target.into()))
    }

    /// Deletes `name`, or what it leads to, together with its log.
    pub fn delete(name: impl Into<Vec<u8>>, expect: Expect) -> Change {
        Change::new(name, expect, Action::Delete)
    }

    /// Changes nothing, and expects something of `name`, or of what it leads to.
    pub fn verify(name: impl Into<Vec<u8>>, expect: Expect) -> Change {
        Change::new(name, expect, Action::Verify)
    }

    /// Means `name` itself, be it symbolic.
    #[must_use]
    pub fn no_deref(self) -> Change {
        Change { follow: false, ..self }
    }

    /// [`Change::no_deref`] unless `follow`.
    #[must_use]
    pub fn following(self, follow: bool) -> Change {
        Change { follow, ..self }
    }

    /// Gives its log entries another message than that of [`Batch::reason`].
    #[must_use]
    pub fn with_message(self, message: impl Into<Vec<u8>>) -> Change {
        Change { message: Some(message.into()), ..self }
    }

    /// Makes a log if there is none, whatever the configuration says.
    #[must_use]
    pub fn force_log(self) -> Change {
        Change { forces_log: true, ..self }
    }

    /// [`Change::follow`] as it is to be understood.
    fn follows(&self) -> bool {
        let is_dead_end = || matches!(self.action, Action::Delete) && why_dead_end(&self.name).is_some();
        self.follow && !is_dead_end()
    }

    /// Where it leads: each symbolic reference on the way must be one that git follows, too.
    fn chain(&self, view: &View) -> Result<Chain> {
        let itself =
            || format!("with --no-deref ('option no-deref' for --stdin) '{}' itself is meant", escaped(&self.name));
        let chain = view.follow_stored(&self.name).map_err(|error| error.with_advice(&itself()))?;
        if matches!(self.action, Action::Verify) {
            return Ok(chain);
        }
        for (link, target) in &chain.links {
            if let Some(why) = why_dead_end(target) {
                let (link, target) = (escaped(link), escaped(target));
                return Err(Error::invalid(format!("'{link}' leads to '{target}', but {why}; {}", itself())));
            }
        }
        Ok(chain)
    }
}

/// What happens to a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// It points there from now on.
    Set(Target),
    /// It goes, together with its log.
    Delete,
    /// Nothing.
    Verify,
    /// It stays where it is, and its log gets an entry as if it had been set to this. Without
    /// [`Batch::reason`] nothing happens.
    Log(ObjectId),
    /// It stays where it is, and its log goes.
    DeleteLog,
}

/// Changes that happen together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// In any order; each reference may be there once.
    pub changes: Vec<Change>,
    /// With it, references get log entries: those that are set, the symbolic ones that led there,
    /// and `HEAD` if its branch is changed. Those that have no log get one if the configuration
    /// says so (`core.logAllRefUpdates`).
    pub reason: Option<(Ident, Vec<u8>)>,
    /// Whether all of them get a log, whatever the configuration says.
    pub forces_logs: bool,
    /// Asks for what was replaced: [`Commit::replaced`] has it then. What stays where it is is not
    /// in it.
    pub reports_replaced: bool,
}

impl Batch {
    /// Locks the stores, and checks. Nobody else writes until the result is committed or dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind) with the conflicts, or if a lock is not to be had.
    /// For changes that git refuses. Nothing has changed then.
    pub fn prepare(&self, stores: &Stores) -> Result<Prepared> {
        let Some(hook) = &stores.hook else {
            let parts = self.attempt(stores, |transactions, _| prepare(transactions), |parts, _| parts)?;
            return Ok(Prepared { parts, hook: None });
        };
        self.ask_before(hook, stores)?;
        let lines = |settled: &Settled<'_>| hook_lines(settled, stores);
        let (parts, lines) = self.attempt(
            stores,
            |transactions, settled| Ok((prepare(transactions)?, lines(settled))),
            |parts, settled| (parts, lines(settled)),
        )?;
        ask_under_lock(hook, parts, lines)
    }

    /// The same under locks that are there. A hook hears of it first under the lock, too.
    fn prepare_under(&self, locked: Locked, stores: &Stores) -> Result<Prepared> {
        if let Some(hook) = &stores.hook {
            self.ask_before(hook, stores)?;
        }
        let (transactions, settled) = Plan::new(self, locked.view(), stores)?.finish_under_lock();
        let parts = locked.prepare(transactions)?;
        match &stores.hook {
            None => Ok(Prepared { parts, hook: None }),
            Some(hook) => ask_under_lock(hook, parts, hook_lines(&settled, stores)),
        }
    }

    /// Asks the hook with the names that were given: where they lead is not settled yet.
    fn ask_before(&self, hook: &Hook, stores: &Stores) -> Result<()> {
        let hash = stores.hash().unwrap_or(HashKind::Sha1);
        let given = hook::lines(self.changes.iter().map(|change| (change, change.name.as_slice())), hash);
        consult(hook, Phase::Preparing, &given)
    }

    /// Does it all, and says what each store has to tell. With a hook the lock is taken here, and
    /// nobody else commits for us.
    ///
    /// # Errors
    /// As [`Batch::prepare`], and [`Prepared::commit`].
    pub fn commit(&self, stores: &Stores) -> Result<Vec<Commit>> {
        if stores.hook.is_some() {
            return self.prepare(stores)?.commit();
        }
        let commit = |mut transactions: Vec<(Place, Transaction)>, _: &Settled<'_>| {
            if transactions.len() > 1 {
                return Ok(Done::Prepared(prepare(transactions)?));
            }
            let only = transactions.pop().map(|(_, transaction)| transaction);
            Ok(Done::Committed(only.map(Transaction::commit).transpose()?.into_iter().collect()))
        };
        match self.attempt(stores, commit, |parts, _| Done::Prepared(parts))? {
            Done::Prepared(parts) => Prepared { parts, hook: None }.commit(),
            Done::Committed(commits) => Ok(commits),
        }
    }

    /// Does all of it as [`Batch::commit`], once it is known that what is written are objects. An
    /// error says in git's words what stands in the way of the first change that cannot be done.
    ///
    /// # Errors
    /// As [`Batch::commit`], and if an object does not exist, or is none for a branch.
    pub fn commit_checked(mut self, stores: &Stores, revisions: &mut Revisions) -> Result<Vec<Commit>> {
        if let Some(first) = refusal::check_objects(&mut self, &stores.view()?, revisions)? {
            return Err(Error::invalid(first.text));
        }
        self.commit(stores).map_err(|error| match stores.view() {
            _ if error.store().is_some_and(reftable::Error::is_retryable) => error.within("cannot lock references"),
            Ok(view) => refusal::told(&self, error, &view),
            Err(_) => error,
        })
    }

    /// Forgets it, of which the hook hears.
    ///
    /// # Errors
    /// None at present: what the hook says of it does not count.
    pub(crate) fn abort(&mut self, stores: &Stores) -> Result<()> {
        let changes = std::mem::take(&mut self.changes);
        if let Some(hook) = &stores.hook {
            let hash = stores.hash().unwrap_or(HashKind::Sha1);
            let lines = hook::lines(changes.iter().map(|change| (change, change.name.as_slice())), hash);
            let _nothing_follows = hook.run(Phase::Aborted, &lines);
        }
        Ok(())
    }

    /// Plans, and does something with the plan. If another commit was faster, plans anew under the
    /// lock, and prepares.
    fn attempt<T>(
        &self,
        stores: &Stores,
        act: impl Fn(Vec<(Place, Transaction)>, &Settled<'_>) -> reftable::Result<T>,
        under_lock: impl FnOnce(Parts, &Settled<'_>) -> T,
    ) -> Result<T> {
        let retry = Retry::new(stores.patience());
        loop {
            let (transactions, settled) = Plan::new(self, &stores.view()?, stores)?.finish();
            match act(transactions, &settled) {
                Ok(done) => return Ok(done),
                Err(error) if settled.is_outdated(&error) => break,
                // The second lock of two. Others get the first one meanwhile, for as long as we had
                // it.
                Err(error) if error.is_retryable() && retry.is_in_time() => retry.pause(SECOND_LOCK * 2),
                Err(error) => return Err(error.into()),
            }
        }
        let locked = stores.lock()?;
        let (transactions, settled) = Plan::new(self, locked.view(), stores)?.finish_under_lock();
        Ok(under_lock(locked.prepare(transactions)?, &settled))
    }
}

/// What is prepared in each store.
type Parts = Vec<(Place, reftable::Prepared)>;

/// What became of a plan.
enum Done {
    Prepared(Parts),
    Committed(Vec<Commit>),
}

/// Locks the stores and checks.
fn prepare(transactions: Vec<(Place, Transaction)>) -> reftable::Result<Parts> {
    transactions.into_iter().map(|(place, transaction)| Ok((place, transaction.prepare()?))).collect()
}

/// What the hook is told under the lock: the names that change in the end. Those that were followed
/// come after the others, as git has them.
fn hook_lines(settled: &Settled<'_>, stores: &Stores) -> Vec<u8> {
    let direct = settled.changes().filter(|(change, end)| change.name == *end);
    let followed = settled.changes().filter(|(change, end)| change.name != *end);
    hook::lines(direct.chain(followed), stores.hash().unwrap_or(HashKind::Sha1))
}

fn ask_under_lock(hook: &Hook, parts: Parts, lines: Vec<u8>) -> Result<Prepared> {
    consult(hook, Phase::Prepared, &lines)?;
    Ok(Prepared { parts, hook: Some((hook.clone(), lines)) })
}

/// Asks the hook. If it refuses it is told that this is the end, as by git.
fn consult(hook: &Hook, phase: Phase, lines: &[u8]) -> Result<()> {
    hook.run(phase, lines).inspect_err(|_| {
        let _nothing_follows = hook.run(Phase::Aborted, lines);
    })
}

/// Everything is checked and the stores are locked. Dropping it rolls back.
#[derive(Debug)]
#[must_use]
pub struct Prepared {
    parts: Parts,
    /// The hook that hears how it ends, and what it is told.
    hook: Option<(Hook, Vec<u8>)>,
}

impl Prepared {
    /// Does it all, and says what each store has to tell.
    ///
    /// # Errors
    /// If a store cannot be written. Two stores cannot be replaced in one step, for git neither: an
    /// error may say that only the first part was done.
    pub fn commit(mut self) -> Result<Vec<Commit>> {
        let mut commits = Vec::new();
        for (_, prepared) in std::mem::take(&mut self.parts) {
            match prepared.commit() {
                Ok(commit) => commits.push(commit),
                Err(error) if commits.is_empty() => return Err(error.into()),
                Err(error) => {
                    let message = format!("only the part outside the worktree's own store was done: {error}");
                    return Err(Error::broken(message));
                }
            }
        }
        if let Some((hook, lines)) = self.hook.take() {
            // It is done; what the hook says of it does not count.
            let _too_late = hook.run(Phase::Committed, &lines);
        }
        Ok(commits)
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        self.parts.clear();
        if let Some((hook, lines)) = self.hook.take() {
            let _nothing_follows = hook.run(Phase::Aborted, &lines);
        }
    }
}

/// git reads and writes these two as files, whatever the store has: what is written here nobody
/// would see. What a store has all the same may be deleted. The name that was given counts,
/// whatever it leads to.
fn check_written(change: &Change, view: &View) -> Result<()> {
    let name = &change.name;
    check_place(name)?;
    if !is_pseudo_ref(name) {
        return check_root(change, view);
    }
    let is_written = match change.action {
        Action::Verify => false,
        Action::Delete | Action::DeleteLog => view.stored(name)?.is_none() && !view.log_exists(name)?,
        Action::Set(_) | Action::Log(_) => true,
    };
    if is_written {
        let name = escaped(name);
        return Err(Error::invalid(format!(
            "refusing to update pseudoref '{name}': git keeps it in a file of its own"
        )));
    }
    Ok(())
}

/// Outside of `refs/` no symbolic reference is made but such as `HEAD`. To delete what is not there
/// does nothing, and to verify that it is not says nothing, unless the name is one such as `main`:
/// the user means `refs/heads/main`, and must hear that it is still there.
fn check_root(change: &Change, view: &View) -> Result<()> {
    let name = &change.name;
    if name.starts_with(b"refs/") || name.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_') {
        return Ok(());
    }
    let why = match change.action {
        Action::Set(Target::Symbolic(_)) => "it does not begin with refs/",
        Action::Delete | Action::Verify if view.stored(name)?.is_none() && !view.log_exists(name)? => "there is none",
        _ => return Ok(()),
    };
    Err(Error::invalid(format!("refusing to update ref with bad name '{}': {why}", escaped(name))))
}

/// What another worktree has for itself is changed there.
fn check_place(name: &[u8]) -> Result<()> {
    match Home::of(name) {
        Home::Main(_) | Home::Worktree { .. } => {
            let name = escaped(name);
            Err(Error::invalid(format!("'{name}' belongs to another worktree: change it from there")))
        }
        _ => Ok(()),
    }
}

/// Why git never looks for `name` among its references; `None` if it may.
fn why_dead_end(name: &[u8]) -> Option<&'static str> {
    if is_pseudo_ref(name) {
        return Some("git keeps that in a file of its own");
    }
    reftable::name::check(name).is_err().then_some("that is not a valid reference name")
}
