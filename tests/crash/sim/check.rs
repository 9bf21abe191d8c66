//! Reopens what a crash left, and checks the claims:
//!
//! * A: what was acknowledged is there.
//! * B: all of a transaction or nothing: the store is one of the states that were published, not
//!   beyond the newest.
//! * C: expected values hold for the next commit.
//! * D: the next update index is beyond those that were seen.
//! * E: the next commit and compaction complete without help and without waiting; `verify` finds
//!   nothing.
//! * F: after the compaction no tombstone is left, and nothing unlisted, except what live processes
//!   hold. After a power failure tables may be left of which nothing is proven; so too where calls
//!   have failed.
//! * G: a table that may hold what was acknowledged is never removed, though no list names it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use reftable::compact::Compact;
use reftable::lock::RobustLocks;
use reftable::table::WriteOptions;
use reftable::verify::{Finding, FindingKind, Severity};
use reftable::{AutoCompact, Error, Expect, HashKind, Log, Options, Ref, Snapshot, Stack, Target};
pub(crate) use reftable_crash::Broken;
use reftable_crash::{Name, Pid, Tree};

use super::dir::SimDir;
use super::links;
use super::mend::{self, Damage};
use super::world::{TablesList as _, World};
use crate::support;
use crate::support::model::{Change, Model};

/// The process that finds the crash state.
const FINDER: Pid = 90;
/// A dead process must not cost more.
const PATIENCE: Duration = Duration::from_millis(50);

/// Whether it is about a table that no list names.
fn is_unlisted(finding: &Finding) -> bool {
    matches!(finding.kind, FindingKind::UnlistedTable | FindingKind::TableBeyondList)
}

/// All that a reader can see.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    refs: Vec<Ref>,
    logs: Vec<Log>,
    update_index: u64,
}

impl Seen {
    pub(crate) fn of_model(model: &Model) -> Seen {
        Seen { refs: model.all_refs(), logs: model.all_logs(), update_index: model.update_index }
    }

    pub(crate) fn of(snapshot: &Snapshot) -> Result<Seen, Error> {
        let refs = snapshot.refs()?.into_iter().collect::<Result<_, _>>()?;
        let logs = snapshot.logs()?.into_iter().collect::<Result<_, _>>()?;
        Ok(Seen { refs, logs, update_index: snapshot.update_index() })
    }

    pub(crate) fn summary(&self) -> String {
        let names = self.refs.iter().map(|found| {
            format!("{}@{}", String::from_utf8_lossy(&found.name).trim_start_matches("refs/heads/"), found.update_index)
        });
        format!("{} logs={} index={}", names.collect::<Vec<_>>().join(" "), self.logs.len(), self.update_index)
    }
}

/// A published state: what a reader sees, and what it sees after the commit of the check.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) model: Model,
    pub(crate) seen: Seen,
    after: Seen,
    pub(crate) hash: u64,
}

impl State {
    pub(crate) fn new(model: Model) -> State {
        let seen = Seen::of_model(&model);
        let mut next = model.clone();
        next.commit(&next_changes(&model), Some(&(support::ident(), b"after the crash".to_vec()))).unwrap();
        let mut hasher = DefaultHasher::new();
        seen.hash(&mut hasher);
        State { seen, after: Seen::of_model(&next), hash: hasher.finish(), model }
    }
}

/// What the check commits: something new, under the condition that all the rest is as it was.
fn next_changes(model: &Model) -> Vec<Change> {
    let expected = model.refs.iter().map(|(name, (_, target))| {
        let expect = if target.id().is_some() { Expect::Is(target.clone()) } else { Expect::Exists };
        Change::Verify(name.clone(), expect)
    });
    let new = Target::Id(support::id(HashKind::Sha1, 999));
    expected.chain([Change::Set(b"refs/heads/recovered".to_vec(), Expect::Absent, new)]).collect()
}

pub(crate) fn broken(claim: char, message: impl Into<String>) -> Broken {
    Broken::new(claim, message)
}

/// Options of all processes.
pub(crate) fn options() -> Options {
    let write = WriteOptions::default().block_size(512);
    Options::default().write(write).auto_compact(AutoCompact::Geometric(2)).compact_at_once(0).delegation(false)
}

/// A handle of its own for a process.
pub(crate) fn open(dir: &Arc<SimDir>, options: Options) -> Result<Stack, Error> {
    let dir: Arc<SimDir> = Arc::clone(dir);
    Stack::open_in(dir, Box::new(RobustLocks::new(true)), options)
}

/// What a new reader sees.
pub(crate) fn read(world: &World) -> Result<Seen, Error> {
    let world = World::new(world.tree(), world.boot());
    Seen::of(&open(&world.process(FINDER), options())?.snapshot()?)
}

/// What may be found.
pub(crate) struct Found<'a> {
    /// Any of these, oldest first.
    pub(crate) allowed: &'a [State],
    /// The run of the machine, a new one if the power was lost.
    pub(crate) boot: u64,
    pub(crate) is_power_lost: bool,
    /// The store had been damaged.
    pub(crate) damage: Option<&'a Damage>,
    /// It was repaired, and that was acknowledged.
    pub(crate) is_mended: bool,
    /// Tables that no list names, and that must stay.
    pub(crate) must_stay: &'a [(Name, Arc<Vec<u8>>)],
    /// Calls have failed before.
    pub(crate) may_leave_tables: bool,
}

/// Checks a tree. If requests are left in it the finder would do them; after a kill another one
/// looks, who would not.
pub(crate) fn reopen(tree: &Tree, found: &Found<'_>) -> Result<Cleaned, Broken> {
    let asks = tree.names.keys().any(|name| is_request(name));
    let cleaned = reopen_as(&options().delegation(asks), tree, found)?;
    if asks && !found.is_power_lost {
        return reopen_as(&options(), tree, found).map(|again| cleaned.max(again));
    }
    Ok(cleaned)
}

pub(super) fn is_request(name: &str) -> bool {
    name.ends_with(".request")
}

fn reopen_as(options: &Options, tree: &Tree, found: &Found<'_>) -> Result<Cleaned, Broken> {
    let allowed = found.allowed;
    let world = World::new(tree.clone(), found.boot);
    if found.damage.is_some() && !found.is_mended {
        mend::help(&world)?;
    }
    links::must_be_respected(&world)?;
    let dir = world.process(FINDER);
    let stack =
        open(&dir, options.clone()).map_err(|error| broken('B', format!("the store cannot be opened: {error}")))?;
    let seen = look(&stack, 'B')?;
    let state = allowed.iter().rfind(|state| state.seen == seen).ok_or_else(|| {
        let wanted = allowed.iter().map(|state| format!("[{}]", state.seen.summary())).collect::<Vec<_>>();
        broken('A', format!("found [{}], not {}", seen.summary(), wanted.join(" or ")))
    })?;
    commit(&stack, state)?;
    let compacted = stack.compact(Compact::all());
    let compacted = compacted.map_err(|error| broken('E', format!("compact failed: {error}")))?;
    if let Some(done) = compacted.filter(|done| !done.leftovers.is_empty()) {
        return Err(broken('F', format!("left over: {:?}", done.leftovers)));
    }
    let seen = look(&stack, 'E')?;
    if seen != state.after {
        return Err(broken('E', format!("after the next commit: [{}]", seen.summary())));
    }
    let waited = world.waited(FINDER);
    let report = stack.verify().map_err(|error| broken('E', format!("verify failed: {error}")))?;
    // Tables of a lost future are warned of.
    let is_wrong = |finding: &&Finding| finding.severity > Severity::Note && !is_unlisted(finding);
    if let Some(finding) = report.findings.iter().find(is_wrong) {
        return Err(broken('E', format!("verify: {finding}")));
    }
    if waited > PATIENCE {
        return Err(broken('E', format!("had to wait {waited:?}")));
    }
    drop(stack);
    let tree = links::without(world.tree(), tree)?;
    let tree = match found.damage {
        Some(damage) => damage.without_copies(&tree)?,
        None => tree,
    };
    let tree = without_those_that_must_stay(tree, found.must_stay)?;
    let may_leave = found.is_power_lost || found.may_leave_tables;
    let (tree, cleaned) = if may_leave { without_unlisted(tree) } else { (tree, Cleaned::All) };
    nothing_is_left(&tree)?;
    Ok(cleaned)
}

fn without_those_that_must_stay(mut tree: Tree, must_stay: &[(Name, Arc<Vec<u8>>)]) -> Result<Tree, Broken> {
    for (name, bytes) in must_stay {
        if tree.read(name) != Some(bytes.as_slice()) {
            return Err(broken('G', format!("{name} is gone, and what is in it")));
        }
        tree.names.remove(name);
    }
    Ok(tree)
}

/// Leaves out tables of which nothing is proven after a power failure.
fn without_unlisted(mut tree: Tree) -> (Tree, Cleaned) {
    let (listed, before) = (tree.list(), tree.names.len());
    tree.names.retain(|name, _| !name.ends_with(".ref") || listed.iter().any(|listed| **listed == **name));
    let cleaned = if tree.names.len() == before { Cleaned::All } else { Cleaned::ButForTables };
    (tree, cleaned)
}

/// What was left of what crashed processes had left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cleaned {
    All,
    /// Tables, for `repair` to ask about.
    ButForTables,
}

fn look(stack: &Stack, claim: char) -> Result<Seen, Broken> {
    let failed = |error| broken(claim, format!("the store cannot be read: {error}"));
    Seen::of(&stack.snapshot().map_err(failed)?).map_err(failed)
}

fn commit(stack: &Stack, state: &State) -> Result<(), Broken> {
    let mut tx = stack.transaction();
    for change in next_changes(&state.model) {
        match change {
            Change::Set(name, expect, target) => tx.set(name, expect, target),
            Change::Verify(name, expect) => tx.verify(name, expect),
            _ => unreachable!("the check sets and verifies"),
        };
    }
    tx.reflog(support::ident(), "after the crash");
    let conflict = |error: &Error| if error.kind() == reftable::ErrorKind::Conflict { 'C' } else { 'E' };
    let done = tx.commit().map_err(|error| broken(conflict(&error), format!("the next commit failed: {error}")))?;
    if done.update_index <= state.model.update_index {
        return Err(broken('D', format!("update index {} is used again", done.update_index)));
    }
    match done.compaction {
        Some(Err(error)) => Err(broken('E', format!("the next automatic compaction failed: {error}"))),
        _ => Ok(()),
    }
}

/// The list and the listed tables, nothing else.
pub(crate) fn nothing_is_left(tree: &Tree) -> Result<(), Broken> {
    let listed = tree.list();
    let unlisted = tree.names.keys().filter(|name| &***name != "tables.list" && !listed.iter().any(|l| **l == ***name));
    let left: Vec<String> = unlisted.map(ToString::to_string).collect();
    if left.is_empty() { Ok(()) } else { Err(broken('F', format!("left after compact: {}", left.join(" ")))) }
}
