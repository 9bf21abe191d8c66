//! Damaged stores, and a person who agrees to every fix. The repair is crashed as everything else
//! is; the process that finds the store after that may repair it again, unless the repair had said
//! that it was done.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reftable::compact::Expiry;
use reftable::dir::Dir;
use reftable::lock::RobustLocks;
use reftable::repair::{Problem, Repair};
use reftable::{Durability, Error};
use reftable_crash::{File, Name, Op, Pid, Tree};

use super::check::{self, Broken, State, broken};
use super::dir::SimDir;
use super::git::{self, Fsync};
use super::overlapping;
use super::run::{Deed, GIT, Recording, Run};
use super::stage::{Base, Sink, empty, for_each_change, plain, set, stairs, with_garbage};
use super::world::{self, TablesList as _, World};
use crate::support::model::Model;

/// The process that repairs after a crash.
const HELPER: Pid = 91;
/// After this time no lock of git is in use any more.
const LONG: Duration = Duration::from_secs(4000);

/// What is wrong with a store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Damage {
    /// The bytes of a table that a fix takes out of the store.
    taken_out: Option<Arc<Vec<u8>>>,
}

impl Damage {
    /// The tree without what fixes have put aside, which must be there, and without what only
    /// git removes.
    pub(super) fn without_copies(&self, tree: &Tree) -> Result<Tree, Broken> {
        let is_kept = |name: &Name| name.contains(".damaged") || name.ends_with(".unlisted");
        if let Some(bytes) = &self.taken_out {
            let mut kept = tree.names.iter().filter(|(name, _)| is_kept(name));
            if !kept.any(|(_, file)| tree.files[file].bytes == *bytes) {
                return Err(broken('A', "what was taken out of the store is not kept"));
            }
        }
        let mut rest = tree.clone();
        rest.names.retain(|name, _| !is_kept(name) && !name.ends_with(".temp"));
        Ok(rest)
    }
}

/// A person comes back much later and repairs what a crash has left.
pub(super) fn help(world: &World) -> Result<(), Broken> {
    let repaired = repair(&world.process(HELPER));
    repaired.map(drop).map_err(|error| broken('E', format!("the repair after the crash failed: {error}")))
}

/// Applies every fix; returns for what.
pub(super) fn repair(dir: &Arc<SimDir>) -> Result<Vec<Problem>, Error> {
    dir.sleep(LONG);
    let repair = Repair::new_in(Arc::<SimDir>::clone(dir), Box::new(RobustLocks::new(true)));
    let mut done = Vec::new();
    for _ in 0..8 {
        let Some(problem) = repair.diagnose()?.into_iter().find(Problem::has_fix) else { break };
        repair.fix(&problem)?;
        done.push(problem);
    }
    Ok(done)
}

/// A damaged store.
struct Case {
    tree: Tree,
    /// What was there before the damage, and what may be there after the repair.
    states: [Model; 2],
    damage: Damage,
}

impl Case {
    /// A store that was `base`, all of it durable, until it became `tree`.
    fn of(tree: Tree, base: &Base) -> Case {
        Case { tree, states: [base.1.clone(), base.1.clone()], damage: Damage::default() }
    }

    /// Lets `before` happen and a repair follow. What has been there before is durable, so a repair
    /// that returns is.
    fn record(self, before: impl FnOnce(&World)) -> Recording {
        let Case { tree, states, damage } = self;
        let world = World::new(tree.clone(), 1);
        let history: Vec<State> = states.map(State::new).into();
        let seen = Arc::new(Mutex::new(Readers {
            world: world.clone(),
            history,
            newest: 0,
            is_shown: false,
            broken: Vec::new(),
        }));
        let watching = Arc::clone(&seen);
        world.watch(Some(Arc::new(move |_, op| watching.lock().unwrap().saw(op))));
        before(&world);
        let is_durable = world.log().is_empty();
        let repaired = repair(&world.process(1));
        world.watch(None);
        let mut seen = std::mem::replace(&mut *seen.lock().unwrap(), Readers::none(&world));
        match repaired {
            Ok(done) if is_durable || done.iter().any(|problem| !matches!(problem, Problem::ForeignLock(_))) => {
                seen.must_show_the_newest();
                world.acknowledge(1, "repair", Some(1));
            }
            Ok(_) => {}
            Err(error) => seen.report(broken('E', format!("the repair failed: {error}"))),
        }
        let Readers { history, broken, .. } = seen;
        let (boot, log) = (world.boot(), world.log());
        Recording {
            base: tree,
            boot,
            log,
            history,
            broken,
            least_acknowledged: 0,
            damage: Some(damage),
            must_stay: Vec::new(),
            may_leave_tables: false,
        }
    }
}

/// What readers see of a store that is being repaired: an error or what was there before, and then
/// the repaired store.
struct Readers {
    world: World,
    history: Vec<State>,
    /// The newest state that may be found.
    newest: usize,
    /// Whether a reader has seen it.
    is_shown: bool,
    broken: Vec<(usize, Broken)>,
}

impl Readers {
    fn none(world: &World) -> Readers {
        Readers { world: world.clone(), history: Vec::new(), newest: 0, is_shown: false, broken: Vec::new() }
    }

    fn report(&mut self, found: Broken) {
        self.broken.push((self.world.log().len(), found));
    }

    fn saw(&mut self, op: &Op) -> usize {
        if world::matters_to_readers(op) {
            match check::read(&self.world) {
                Ok(seen) if seen == self.history[1].seen => (self.newest, self.is_shown) = (1, true),
                Ok(seen) if seen == self.history[0].seen && !self.is_shown => {}
                Ok(seen) => self.report(broken('D', format!("a reader saw [{}]", seen.summary()))),
                Err(error) if self.is_shown => self.report(broken('B', format!("a reader fails: {error}"))),
                // What a repair can bring back.
                Err(_) => self.newest = 1,
            }
        }
        self.newest
    }

    /// After a repair that was acknowledged.
    fn must_show_the_newest(&mut self) {
        match check::read(&self.world) {
            Ok(seen) if seen == self.history[1].seen => {}
            Ok(seen) => self.report(broken('A', format!("after the repair: [{}]", seen.summary()))),
            Err(error) => self.report(broken('E', format!("after the repair a reader fails: {error}"))),
        }
    }
}

/// A git that died in its first commit, or in one above ours, before it gave the list its name: a
/// list of git that a power failure damages is beyond repair, because git does not sync it.
pub(super) fn dead_git(sink: Sink<'_>) {
    for (base, fsync) in [(empty(), Fsync::Default), (empty(), Fsync::Committed), (stairs(2), Fsync::Default)] {
        let deed = Deed::Commit(set("git", 1, 60));
        let after = deed.applied_to(&base.1).unwrap();
        for_each_change(|change| {
            let case = Case { states: [base.1.clone(), after.clone()], ..Case::of(base.0.clone(), &base) };
            let mut died = false;
            let recording = case.record(|world| {
                let git = world.process(GIT);
                world.kill_at(GIT, change);
                let _dead = git::write(&git, world.tree().list(), fsync, &base.1, &deed);
                died = !world.forget_plans(GIT);
            });
            if died {
                sink(recording);
            }
            died
        });
    }
}

/// The list was removed.
pub(super) fn list_missing(sink: Sink<'_>) {
    for count in 1..=3 {
        let base = stairs(count);
        let mut tree = base.0.clone();
        tree.names.remove("tables.list");
        sink(Case::of(tree, &base).record(|_| {}));
    }
}

/// The list is damaged, empty, or older than the tables. What it was is kept.
pub(super) fn list_damaged(sink: Sink<'_>) {
    let base = stairs(3);
    let list = base.0.list();
    let first = format!("{}\n", list[0]);
    let damages: [(Vec<u8>, Model); 6] = [
        (Vec::new(), Model::default()),
        (first.clone().into(), stairs(1).1),
        (format!("{}\n", list.join("\n")).replacen("0x0", "0X0", 1).into(), base.1.clone()),
        (format!("{}\r\n", list.join("\r\n")).into(), base.1.clone()),
        (format!("{}\n{}\n{first}", list[2], list[1]).into(), base.1.clone()),
        (b"reftable lock 1\nboot b\n".to_vec(), base.1.clone()),
    ];
    for (bytes, before) in damages {
        let (mut tree, bytes) = (base.0.clone(), Arc::new(bytes));
        let file = tree.names["tables.list"];
        tree.files.insert(file, File { bytes: Arc::clone(&bytes), note: None, ..tree.files[&file].clone() });
        let taken_out = (!bytes.is_empty()).then_some(bytes);
        let case = Case { states: [before, base.1.clone()], damage: Damage { taken_out }, ..Case::of(tree, &base) };
        sink(case.record(|_| {}));
    }
}

/// The newest table is not there, or its bytes are not, or not all of them.
pub(super) fn newest_damaged(sink: Sink<'_>) {
    for below in [1, 2] {
        let (base, whole) = (stairs(below), stairs(below + 1).0);
        let newest = whole.names[whole.list().last().unwrap().as_str()];
        let bytes = &whole.files[&newest].bytes;
        let mut without = whole.clone();
        without.names.retain(|_, file| *file != newest);
        sink(Case::of(without, &base).record(|_| {}));
        for damaged in [Vec::new(), bytes[..30].to_vec(), bytes[..bytes.len() - 1].to_vec(), vec![0; bytes.len()]] {
            let (mut tree, damaged) = (whole.clone(), Arc::new(damaged));
            let file = File { bytes: Arc::clone(&damaged), ..whole.files[&newest].clone() };
            tree.files.insert(newest, file);
            let case = Case { damage: Damage { taken_out: Some(damaged) }, ..Case::of(tree, &base) };
            sink(case.record(|_| {}));
        }
    }
}

/// What dead processes of this library left, and locks of git.
pub(super) fn leftovers(sink: Sink<'_>) {
    let base = stairs(2);
    sink(Case::of(with_garbage(&base).0, &base).record(|_| {}));
    let table = base.0.list().remove(0);
    for lock in ["tables.list.lock".to_owned(), format!("{table}.lock")] {
        let mut tree = base.0.clone();
        let (file, number) = (tree.files.keys().max().unwrap() + 1, 1 + tree.files.len() as u64);
        tree.names.insert(Name::from(lock), file);
        tree.files.insert(file, File { number, ..File::default() });
        sink(Case::of(tree, &base).record(|_| {}));
    }
}

/// What two compactions have merged, one above the other, of which neither removed anything: what
/// the first one made is the proof for what went into it.
pub(super) fn merged_twice(sink: Sink<'_>) {
    let base = stairs(3);
    let more = Deed::Commit(set("more", 1, 50));
    let run = Run::start(&base);
    let keeper = run.world.process(50);
    let keep = || {
        for name in run.world.tree().names.keys().filter(|name| name.starts_with("0x")) {
            keeper.link(name, &format!("kept-{name}")).unwrap();
        }
    };
    let actor = run.actor(1, Durability::Full, plain());
    keep();
    actor.compact(Expiry::default());
    actor.commit(set("more", 1, 50));
    keep();
    actor.compact(Expiry::default());
    drop(actor);
    for name in run.world.tree().names.keys() {
        if let Some(table) = name.strip_prefix("kept-") {
            keeper.rename(name, table).unwrap();
        }
    }
    let tree = run.world.tree();
    let after = (tree.clone(), more.applied_to(&base.1).unwrap());
    let mut recording = Case::of(tree, &after).record(|_| {});
    // A process that finds it does without a repair.
    recording.damage = None;
    sink(recording);
}

/// The same beside tables that have update indexes in common, which is no damage.
pub(super) fn overlapping(sink: Sink<'_>) {
    let base = overlapping::base();
    sink(Case::of(with_garbage(&base).0, &base).record(|_| {}));
}
