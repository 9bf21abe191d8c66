//! What scenarios begin with, and how they put one thing into another.

use reftable::compact::Expiry;
use reftable::dir::Dir;
use reftable::{AutoCompact, Durability, Expect, HashKind, Options, Target};
use reftable_crash::Tree;

use super::check;
use super::run::{Actor, Recording, Run};
use super::world::{TablesList as _, World};
use crate::support;
use crate::support::model::{Change, Model};

/// A durable directory, and what readers see in it.
pub(super) type Base = (Tree, Model);
/// What a process does.
type Work = fn(&Actor);
/// Takes recordings.
pub(super) type Sink<'a> = &'a mut dyn FnMut(Recording);

/// References `refs/heads/KEY-*`, each with a reflog entry; a few sectors of table.
pub(super) fn set(key: &str, count: u64, seed: u64) -> Vec<Change> {
    let one = |number: u64| {
        let target = Target::Id(support::id(HashKind::Sha1, seed * 100 + number));
        Change::Set(format!("refs/heads/{key}-{number}").into_bytes(), Expect::Any, target)
    };
    (0..count).map(one).collect()
}

pub(super) fn delete(name: &str) -> Change {
    Change::Delete(name.as_bytes().to_vec(), Expect::Exists)
}

pub(super) fn only_if(name: &str, expect: Expect) -> Change {
    Change::Verify(name.as_bytes().to_vec(), expect)
}

pub(super) fn id(number: u64) -> Target {
    Target::Id(support::id(HashKind::Sha1, number))
}

pub(super) fn plain() -> Options {
    check::options().auto_compact(AutoCompact::Off)
}

/// Compactions merge under the list lock; in the other scenarios they never do.
pub(super) fn at_once() -> Options {
    check::options().compact_at_once(1 << 20)
}

pub(super) fn empty() -> Base {
    (Tree::default(), Model::default())
}

/// A store with one table for each of these transactions.
pub(super) fn base(transactions: &[Vec<Change>]) -> Base {
    let run = Run::start(&empty());
    super::mutants::deactivate();
    let actor = run.actor(70, Durability::Full, plain());
    transactions.iter().for_each(|changes| actor.commit(changes.clone()));
    drop(actor);
    let (tree, model) = (run.world.tree(), run.model());
    let recording = run.finish();
    assert!(recording.broken.is_empty(), "{:?}", recording.broken);
    (tree, model)
}

/// Tables of decreasing size.
pub(super) fn stairs(count: u64) -> Base {
    let transactions: Vec<_> = (0..count).map(|number| set("base", 12 >> number.min(3), number)).collect();
    base(&transactions)
}

/// Runs a scenario in which something happens at the first call, the second, and so on until
/// nothing more happens.
pub(super) fn for_each_change(mut at: impl FnMut(u64) -> bool) {
    let _last = (0..1000).find(|change| !at(*change));
}

/// Process 1 dies in the place of its `change`th change.
pub(super) fn die(run: &Run, change: u64, work: impl FnOnce(&Actor)) {
    let actor = run.actor(1, Durability::Full, check::options());
    run.world.kill_at(1, change);
    work(&actor);
}

/// What a process does until it dies, in a store of so many tables.
pub(super) const LAST_WORKS: [(u64, Work); 3] = [
    (2, |actor| actor.commit(set("dead", 3, 40))),
    (3, |actor| actor.compact(Expiry::default())),
    (2, |actor| {
        actor.commit(vec![delete("refs/heads/base-3")]);
        actor.commit(set("dead", 3, 40));
    }),
];

/// Hands the recording on if the plan for the process has come true.
pub(super) fn keep_if_dead(run: Run, pid: u32, sink: Sink<'_>) -> bool {
    let came_true = !run.world.forget_plans(pid);
    sink(run.finish());
    came_true
}

/// Process 2 does all of its work before each call of process 1.
pub(super) fn interleave(
    base: &Base,
    options: (Options, Options),
    first: fn(&Actor),
    second: fn(&Actor),
    sink: Sink<'_>,
) {
    for_each_change(|call| {
        let run = Run::start(base);
        let one = run.actor(1, Durability::Full, options.0.clone()).beside_others();
        let two = run.actor(2, Durability::Full, options.1.clone()).beside_others();
        run.world.before_call(1, call, move || {
            second(&two);
            drop(two);
        });
        first(&one);
        drop(one);
        keep_if_dead(run, 1, sink)
    });
}

/// One table was locked by a process that is dead.
pub(super) fn with_dead_lock((tree, model): &Base, table: usize) -> Base {
    let world = World::new(tree.clone(), 0);
    let dir = world.process(60);
    let dead = check::open(&dir, plain()).unwrap();
    let lock = format!("{}.lock", world.tree().list()[table]);
    let mut tx = dead.transaction();
    tx.set("refs/heads/lost", Expect::Any, id(7));
    let prepared = tx.prepare().unwrap();
    let owner = world.tree().names.keys().find(|name| name.ends_with(".owner")).unwrap().to_string();
    dir.link(&owner, &lock).unwrap();
    drop(prepared);
    world.kill_at(60, 0);
    drop(dead);
    (world.tree(), model.clone())
}

/// What dead processes leave: an owner file with locks, tables that are not listed, temporary
/// files.
pub(super) fn with_garbage((tree, model): &Base) -> Base {
    let world = World::new(tree.clone(), 1);
    let dir = world.process(60);
    let dead = check::open(&dir, plain()).unwrap();
    let mut tx = dead.transaction();
    tx.set("refs/heads/lost", Expect::Any, id(7));
    let prepared = tx.prepare().unwrap();
    let locks: Vec<String> = world.tree().list().iter().map(|table| format!("{table}.lock")).collect();
    let owner = world.tree().names.keys().find(|name| name.ends_with(".owner")).unwrap().to_string();
    locks.iter().for_each(|lock| dir.link(&owner, lock).unwrap());
    let garbage = ["reftable-0123456789abcdef.tmp", "0x000000000001-0x000000000001-0a0b0c0d.ref"];
    garbage.iter().for_each(|name| drop(dir.create(name).unwrap()));
    world.kill_at(60, 0);
    drop((prepared, dead));
    (world.tree(), model.clone())
}
