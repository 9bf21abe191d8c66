//! Every deliberate mistake is caught by a crash or an interleaving; without one nothing is.

#![cfg(reftable_mutants)]
#![cfg(test)]

mod support;

#[path = "support/sim_dir.rs"]
mod sim_dir;

use reftable::mutant::{self, Mutant};
use sim_dir::engine::{Effort, Engine, Violation};
use sim_dir::mutants;
use sim_dir::scenarios::{OURS, Scenario};

/// The first violation of each scenario and model, until one was found or, for nobody's mistake, to
/// the end.
fn hunt(mutant: Option<Mutant>, most_states: usize) -> Option<(&'static str, Violation)> {
    hunt_in(OURS.iter(), mutant, most_states, Nested::No)
}

/// Whether those who find a crash are crashed as well.
#[derive(Clone, Copy, PartialEq)]
enum Nested {
    No,
    Yes,
}

fn hunt_in<'a>(
    scenarios: impl Iterator<Item = &'a Scenario>,
    mutant: Option<Mutant>,
    most_states: usize,
    nested: Nested,
) -> Option<(&'a str, Violation)> {
    let effort = Effort { most_states, beyond: 0, most_violations: 1, ..Effort::from_environment() };
    mutants::plan(mutant);
    for scenario in scenarios {
        for model in scenario.crashes {
            let then = if nested == Nested::Yes { scenario.crashes } else { &[] };
            let mut engine = Engine::new(scenario.name, *model, effort).then(then);
            (scenario.record)(&mut |recording| engine.explore(&recording));
            if let Some(found) = engine.finish().shortest() {
                return Some((scenario.name, found.clone()));
            }
        }
    }
    None
}

#[test]
fn every_mistake_is_caught() {
    let mut missed = Vec::new();
    for mutant in mutant::ALL {
        match hunt(Some(mutant), 3000) {
            Some((scenario, found)) => {
                println!("{mutant:?}: {scenario}, {:?}, claim {}: {}", found.model, found.claim, found.message);
                if std::env::var_os("REFTABLE_CRASH_STORIES").is_some() {
                    println!("{}", found.story);
                }
            }
            None => missed.push(mutant),
        }
    }
    mutants::plan(None);
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

/// Other scenarios come first above, and need not know of groups.
#[test]
fn the_mistakes_of_a_leader_are_caught_in_groups() {
    are_caught_in(&["group of three"], &[Mutant::IgnoreEarlierMembers, Mutant::AcknowledgeBeforeSync]);
}

#[test]
fn the_mistakes_of_copying_are_caught() {
    let mistakes = [Mutant::CopyTombstones, Mutant::CopyWrongDeltas, Mutant::CopyWithoutPadding];
    are_caught_in(&["compact whole blocks"], &mistakes);
}

/// Elsewhere locks belong to files, and the mistake is none.
#[test]
fn trusting_locks_of_names_is_caught() {
    are_caught_in(&["kernel locks that belong to names"], &[Mutant::TrustLocksOfNames]);
}

/// In this scenario nobody inherits but who finds a crash, and what that one loses only its own
/// crash shows.
#[test]
fn the_mistake_of_an_heir_is_caught_by_nested_crashes() {
    let commit = || OURS.iter().filter(|scenario| scenario.name == "commit");
    let hunt = |nested| hunt_in(commit(), Some(Mutant::HeirSkipsSync), 3000, nested);
    let (once, twice) = (hunt(Nested::No), hunt(Nested::Yes));
    mutants::plan(None);
    assert!(once.is_none(), "the first crash shows it already");
    let (scenario, found) = twice.expect("the second crash shows it");
    println!("HeirSkipsSync: {scenario}, {:?}, claim {}: {}", found.model, found.claim, found.message);
    assert_eq!(found.claim, 'A');
}

/// Only where requests are made.
#[test]
fn the_mistakes_of_requests_are_caught() {
    let names: Vec<_> = OURS.iter().map(|scenario| scenario.name).collect();
    let names: Vec<_> =
        names.into_iter().filter(|name| name.starts_with("handed over") || name.starts_with("requests")).collect();
    are_caught_in(&names, &mutant::REQUESTS);
    // Not only because the living do not reckon with it.
    are_caught_in(&["requests of the dead"], &[Mutant::ServeTheDead]);
}

fn are_caught_in(names: &[&str], mistakes: &[Mutant]) {
    for &mutant in mistakes {
        let scenarios = OURS.iter().filter(|scenario| names.contains(&scenario.name));
        let (scenario, found) =
            hunt_in(scenarios, Some(mutant), 3000, Nested::No).unwrap_or_else(|| panic!("{mutant:?} is not caught"));
        println!("{mutant:?}: {scenario}, {:?}, claim {}: {}", found.model, found.claim, found.message);
        if std::env::var_os("REFTABLE_CRASH_STORIES").is_some() {
            println!("{}", found.story);
        }
    }
    mutants::plan(None);
}

#[test]
fn no_mistake_no_violation() {
    if let Some((scenario, found)) = hunt(None, 3000) {
        panic!("{scenario}\n{}", found.story);
    }
}
