//! A control: git's own protocol does not survive a power failure, and the checker says how.

use reftable_crash::Model;

use crate::sim::engine::{self, Effort, Engine, Tally};
use crate::sim::git::Fsync;
use crate::sim::scenarios;

fn crash(fsync: Fsync, model: Model) -> Tally {
    let effort = Effort { most_violations: usize::MAX, ..engine::usual() };
    let name = format!("git with core.fsync={fsync:?}");
    let mut engine = Engine::new(&name, model, effort);
    scenarios::git(fsync, &mut |recording| engine.explore(&recording));
    let tally = engine.finish();
    println!("{name}, {model:?}: {} of {} states are broken", tally.violations.len(), tally.states);
    // A lock that nobody removes any more; a store that is damaged; a commit that is lost.
    for claims in ["E", "B", "A"] {
        if let Some(violation) = tally.shortest_of(claims) {
            println!("{}", violation.story);
        }
    }
    tally
}

#[test]
fn git_loses_a_store_with_the_power_when_nothing_is_synced() {
    for model in [Model::OnlySynced, Model::Ordered] {
        let tally = crash(Fsync::Default, model);
        assert!(tally.shortest_of("B").is_some(), "a checker that finds nothing wrong here checks nothing");
    }
}

#[test]
fn git_loses_a_store_with_the_power_when_it_syncs_what_it_can() {
    let tally = crash(Fsync::Committed, Model::OnlySynced);
    for claim in ["A", "B"] {
        let shortest =
            tally.shortest_of(claim).expect("the directory is never synced, and the table before its footer");
        assert!(shortest.story.contains("renames tables.list.lock to tables.list"), "{}", shortest.story);
    }
}

#[test]
fn git_leaves_its_lock_behind_when_it_is_killed() {
    let tally = crash(Fsync::Committed, Model::Kill);
    assert!(tally.shortest_of("E").is_some(), "nobody removes the lock");
    assert!(tally.shortest_of("AB").is_none(), "a kill loses nothing");
}

#[test]
fn the_story_of_a_loss_is_numbered_and_says_what_survived() {
    let tally = crash(Fsync::Committed, Model::OnlySynced);
    let story = &tally.shortest_of("B").unwrap().story;
    for part in ["    1. git creates tables.list.lock", "survive", "is lost", "power is lost", "=> claim"] {
        assert!(story.contains(part), "{part} is not in\n{story}");
    }
}
