//! This library under `reftable-crash`, without the rest of this folder but its `Dir`: what
//! a user writes to know whether commits survive.

use reftable::{AutoCompact, Durability, Error, Expect, HashKind, Stack, Target};
use reftable_crash::{Broken, Claims, Effort, Explorer, Found, Model, Pid, Tally, Tree};

use crate::sim::check::{open, options};
use crate::sim::world::World;
use crate::support;

fn id(number: u64) -> Target {
    Target::Id(support::id(HashKind::Sha1, number))
}

fn stack(world: &World, pid: Pid, durability: Durability) -> Result<Stack, Error> {
    open(&world.process(pid), options().durability(durability).auto_compact(AutoCompact::Off))
}

/// Moves a branch three times.
fn run(durability: Durability) -> World {
    let world = World::new(Tree::default(), 1);
    let stack = stack(&world, 1, durability).unwrap();
    for number in 1..=3 {
        world.publish(1, "is about to commit", number);
        let mut tx = stack.transaction();
        tx.set("refs/heads/main", Expect::Any, id(number as u64));
        tx.commit().unwrap();
        world.acknowledge(1, "commit", Some(number));
    }
    drop(stack);
    world
}

/// A: what was acknowledged is there. B: the store can be read. E: the next commit goes through.
struct Kept;

impl Claims for Kept {
    fn judge(&self, found: &Found<'_>) -> Result<(), Broken> {
        let world = World::new(found.tree.clone(), found.machine().boot());
        let failed = |claim| move |error: Error| Broken::new(claim, error.to_string());
        let stack = stack(&world, 90, Durability::Full).map_err(failed('B'))?;
        let found_ref = stack.snapshot().and_then(|now| now.get("refs/heads/main")).map_err(failed('B'))?;
        let target = found_ref.map(|found| found.target);
        if !found.allowed().any(|state| target == (state > 0).then(|| id(state as u64))) {
            return Err(Broken::new('A', format!("main is {target:?}, not one of {:?}", found.allowed())));
        }
        let mut tx = stack.transaction();
        tx.set("refs/heads/main", Expect::Any, id(9));
        tx.commit().map(drop).map_err(failed('E'))
    }
}

fn crash(durability: Durability, model: Model) -> Tally {
    let log = run(durability).log();
    let effort = Effort { most_violations: usize::MAX, most_states: 1_000, ..Effort::default() };
    let mut explorer = Explorer::new("three commits", model, effort);
    explorer.explore((&Tree::default(), &log, 1), &Kept);
    explorer.finish()
}

#[test]
fn full_loses_nothing_however_the_power_is_lost() {
    for model in Model::ALL {
        let tally = crash(Durability::Full, model);
        assert!(tally.violations.is_empty(), "{}", tally.shortest().unwrap().story);
    }
}

#[test]
fn without_syncs_a_loss_of_power_loses_commits_and_a_kill_does_not() {
    assert!(crash(Durability::Off, Model::Kill).violations.is_empty());
    let tally = crash(Durability::Off, Model::OnlySynced);
    assert!(tally.shortest_of("A").is_some() && tally.shortest_of("B").is_some(), "{tally}");
}

#[test]
fn ordered_keeps_a_store_that_can_be_read_where_names_have_an_order() {
    let tally = crash(Durability::Ordered, Model::Ordered);
    assert!(tally.shortest_of("BE").is_none(), "{}", tally.shortest_of("BE").unwrap().story);
    assert!(tally.shortest_of("A").is_some(), "it promises no more");
}
