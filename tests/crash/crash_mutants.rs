//! Every deliberate mistake is caught by a crash or an interleaving; without one nothing is.

#![cfg(reftable_mutants)]

use reftable_crash::{Model, Violation};

use crate::sim::engine::{self, Effort, Engine, explore_until_broken};
use crate::sim::mutants::{self, Mistake};
use crate::sim::scenarios::{OURS, Scenario};
use crate::sim::slips::Slip;
use crate::support::on_two_threads;
use reftable::mutant::{self, Mutant};

/// So many states of a scenario and model are looked at before any other gets more: most mistakes
/// show early in some scenario, and each has a scenario that shows it early. The last round decides
/// that a mistake is missed.
const ROUNDS: [usize; 3] = [100, 600, MOST_STATES];
const MOST_STATES: usize = 3000;

/// Whether those who find a crash are crashed as well.
#[derive(Clone, Copy, PartialEq)]
enum Nested {
    No,
    Yes,
}

/// The first violation of this mistake, or of nobody's, in rounds that look ever harder.
fn hunt(scenarios: &[&Scenario], mistake: Option<Mistake>, nested: Nested) -> Option<(&'static str, Violation)> {
    let in_round = |most_states| scenarios.iter().find_map(|scenario| look(scenario, mistake, most_states, nested));
    ROUNDS.into_iter().find_map(in_round)
}

/// The first violation of a scenario.
fn look(
    scenario: &Scenario,
    mistake: Option<Mistake>,
    most_states: usize,
    nested: Nested,
) -> Option<(&'static str, Violation)> {
    let effort = Effort { most_states, beyond: 0, most_violations: 1, ..engine::usual() };
    let then = if nested == Nested::Yes { scenario.crashes } else { &[] };
    let engines = scenario.crashes.iter().map(|model| Engine::new(scenario.name, *model, effort).then(then));
    mutants::plan(mistake);
    let tallies = explore_until_broken(scenario, engines.collect());
    mutants::plan(None);
    tallies.iter().find_map(|tally| Some((scenario.name, tally.shortest()?.clone())))
}

fn named(is_meant: impl Fn(&str) -> bool) -> Vec<&'static Scenario> {
    OURS.iter().filter(|scenario| is_meant(scenario.name)).collect()
}

fn show(mistake: Mistake, scenario: &str, found: &Violation) {
    println!("{mistake:?}: {scenario}, {:?}, claim {}: {}", found.model, found.claim, found.message);
    if std::env::var_os("REFTABLE_CRASH_STORIES").is_some() {
        println!("{}", found.story);
    }
}

/// Those of the mistakes that no scenario shows.
fn missed(mistakes: Vec<Mistake>, scenarios: &[&Scenario]) -> Vec<Mistake> {
    let hunted = on_two_threads(mistakes, |mistake| match hunt(scenarios, Some(mistake), Nested::No) {
        Some((scenario, found)) => {
            show(mistake, scenario, &found);
            None
        }
        None => Some(mistake),
    });
    hunted.into_iter().flatten().collect()
}

#[test]
fn every_mistake_is_caught() {
    let missed = missed(each(mutant::ALL).collect(), &named(|_| true));
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

#[test]
fn every_mistake_of_the_directory_is_caught() {
    let missed = missed(each(Slip::ALL).collect(), &named(|_| true));
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

/// Other scenarios come first above, and need not know of groups.
#[test]
fn the_mistakes_of_a_leader_are_caught_in_groups() {
    are_caught_in("group of three", [Mutant::IgnoreEarlierMembers]);
    are_caught_in("group of three", [Slip::NoDirSyncAfter]);
}

#[test]
fn the_mistakes_of_copying_are_caught() {
    let mistakes = [Mutant::CopyTombstones, Mutant::CopyWrongDeltas, Mutant::CopyWithoutPadding];
    are_caught_in("compact whole blocks", mistakes);
}

/// Elsewhere locks belong to files, and the mistake is none.
#[test]
fn trusting_locks_of_names_is_caught() {
    are_caught_in("kernel locks that belong to names", [Mutant::TrustLocksOfNames]);
}

/// Only hosts have such locks.
#[test]
fn linking_a_lock_before_it_is_locked_is_caught() {
    are_caught_in("a host beside this crate", [Mutant::LinkUnlocked]);
}

/// Not only is a process told that its rename has failed: what was acknowledged is gone.
#[test]
fn closing_a_lock_before_it_is_renamed_loses_commits() {
    let scenario = named(|name| name == "two hosts at once")[0];
    let effort = Effort { most_states: MOST_STATES, beyond: 0, most_violations: usize::MAX, ..engine::usual() };
    let mut engine = Engine::new(scenario.name, Model::Kill, effort);
    mutants::plan(Some(Slip::CloseBeforeRename.into()));
    (scenario.record)(&mut |recording| engine.explore(&recording));
    mutants::plan(None);
    let violations = engine.finish().violations.clone();
    let lost = violations.iter().filter(|found| matches!(found.claim, 'A' | 'B')).count();
    println!("{lost} of {} violations are losses", violations.len());
    assert!(lost > 0);
}

/// The marker of a host's lock is not synced. A disk that keeps the name and loses the marker would
/// leave a lock that nobody can tell from git's: that it does not is what is relied upon.
#[test]
fn a_disk_that_loses_the_marker_of_a_lock_leaves_it_to_people() {
    let scenario = named(|name| name == "hosts under full")[0];
    let effort = Effort { most_states: MOST_STATES, beyond: 0, most_violations: usize::MAX, ..engine::usual() };
    let mut engine = Engine::new(scenario.name, Model::Ordered, effort);
    (scenario.record)(&mut |recording| engine.explore(&recording));
    let violations = engine.finish().violations.clone();
    println!("{} violations", violations.len());
    assert!(!violations.is_empty() && violations.iter().all(|found| found.claim == 'E'));
}

/// The durability mark beside the marker is one as any other.
#[test]
fn mistakes_of_hosts_under_full_are_caught() {
    are_caught_in("hosts under full", [Mutant::MarkUnsynced]);
    // Where names survive in order, a sync of the directory before the rename is not needed.
    are_caught_in("hosts under full", [Slip::NoTableSync, Slip::NoDirSyncAfter]);
}

/// A host that takes over from a leader resolves what that one had claimed, too.
#[test]
fn a_host_that_leaves_in_doubt_requests_is_caught() {
    are_caught_in("delegated, a host takes over", [Mutant::LeaveUnresolved]);
}

/// Elsewhere nobody but us merges what we have merged.
#[test]
fn leaving_tables_unproven_is_caught() {
    are_caught_in("killed before git merges", [Mutant::RemoveInputsUnlocked, Mutant::LeaveMergedInputs]);
}

/// In this scenario only the finder of a crash takes over, and what that one loses only its own
/// crash shows.
#[test]
fn the_mistake_of_a_successor_is_caught_by_nested_crashes() {
    let mistake = Mistake::Dir(Slip::NoDirSyncAfterTakeOver);
    let hunt = |nested| hunt(&named(|name| name == "commit"), Some(mistake), nested);
    assert!(hunt(Nested::No).is_none(), "the first crash shows it already");
    let (scenario, found) = hunt(Nested::Yes).expect("the second crash shows it");
    show(mistake, scenario, &found);
    assert_eq!(found.claim, 'A');
}

/// Only where requests are made.
#[test]
fn the_mistakes_of_requests_are_caught() {
    let scenarios = named(|name| name.starts_with("delegated") || name.starts_with("requests"));
    let missed = missed(each(mutant::REQUESTS).collect(), &scenarios);
    assert!(missed.is_empty(), "not caught: {missed:?}");
    // Not only because the living do not reckon with it.
    are_caught_in("requests of dead followers", [Mutant::ClaimFromDeadFollowers]);
}

/// What a machine can do beyond losing what was not synced.
#[test]
fn mistakes_are_caught_where_calls_fail() {
    are_caught_in("a sync that fails once", [Mutant::TrustSecondSync]);
    are_caught_in("delegated, torn writes", [Mutant::StopAtTornRecord]);
    are_caught_in("delegated, successor without descriptors", [Mutant::TakeAnyTableForPlanned]);
}

/// A control of the model: what was on the disk before shows itself where nothing was synced.
#[test]
fn old_contents_come_back_where_nothing_was_synced() {
    let effort = Effort { most_states: MOST_STATES, beyond: 0, most_violations: usize::MAX, ..engine::usual() };
    let mut engine = Engine::new("compact all", Model::OnlySynced, effort);
    mutants::plan(Some(Slip::NoTableSync.into()));
    (named(|name| name == "compact all")[0].record)(&mut |recording| engine.explore(&recording));
    mutants::plan(None);
    let violations = engine.finish().violations.clone();
    let old = violations.iter().filter(|found| found.story.contains("old contents in the place"));
    println!("{} of {} violations by old contents", old.clone().count(), violations.len());
    assert!(old.count() > 0);
}

fn each(mistakes: impl IntoIterator<Item: Into<Mistake>>) -> impl Iterator<Item = Mistake> {
    mistakes.into_iter().map(Into::into)
}

fn are_caught_in(name: &str, mistakes: impl IntoIterator<Item: Into<Mistake>>) {
    let missed = missed(each(mistakes).collect(), &named(|other| other == name));
    assert!(missed.is_empty(), "{name} does not show {missed:?}");
}

#[test]
fn no_mistake_no_violation() {
    let only = std::env::var("REFTABLE_CRASH_ONLY").unwrap_or_default();
    let violations =
        on_two_threads(named(|name| name.contains(&only)), |scenario| look(scenario, None, MOST_STATES, Nested::No));
    let stories: Vec<String> = violations.into_iter().flatten().map(|(_, found)| found.story).collect();
    assert!(stories.is_empty(), "{}", stories.join("\n"));
}
