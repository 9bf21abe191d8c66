//! The protocol as it is, in every order of requests that a bound allows, with lost answers, late
//! requests and dropped tasks.

#![cfg(test)]

mod bucket;
#[cfg(not(reftable_mutants))]
#[path = "../../../tests/support/effort.rs"]
mod effort;
mod explorer;
mod history;
mod scenarios;

use std::time::Instant;

/// How many runs of a scenario are tried one after the other, with few faults, ...
const FIRST: u64 = 5_000;
/// ... and how many are drawn, with many.
const DRAWN: u64 = 3_000;
const SEED: u64 = 1;

/// With `REFTABLE_SCENARIO` those only whose name contains this.
#[cfg(not(reftable_mutants))]
#[test]
fn every_order_keeps_what_was_promised() {
    let wanted = std::env::var("REFTABLE_SCENARIO").unwrap_or_default();
    let left = scenarios::SCENARIOS.iter().filter(|scenario| scenario.name.contains(&wanted));
    let first = effort::bound("runs of a scenario one after the other", FIRST, 2_000);
    let drawn = effort::bound("runs of a scenario that are drawn", DRAWN, 1_000);
    // Each thread takes the next one that is left: their runs share nothing.
    let left = std::sync::Mutex::new(left);
    let next = || left.lock().unwrap().next();
    let work = || -> Vec<String> {
        std::iter::from_fn(next).filter_map(|scenario| violation_of(scenario, first, drawn)).collect()
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let violations: Vec<String> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        started.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

/// What a scenario breaks, in the first so many runs with few faults and in so many that are drawn.
#[cfg(not(reftable_mutants))]
fn violation_of(scenario: &scenarios::Scenario, most: u64, drawn: u64) -> Option<String> {
    let began = Instant::now();
    let (first, violation) = scenario.run_first(most);
    let all = if first < most { "all" } else { "the first" };
    let (drawn, other) = scenario.run_drawn(drawn, SEED);
    let time = began.elapsed().as_secs_f64();
    println!("{}: {all} {first} runs with few faults, {drawn} with many, {time:.1} s", scenario.name);
    violation.or(other).map(|violation| format!("{}: {violation}", scenario.name))
}

#[cfg(reftable_mutants)]
#[test]
fn every_mistake_is_caught() {
    use reftable_bucket::mutant::{Mutant, make};

    // Each with the scenario that shows it.
    for (mistake, name) in [
        (Mutant::TrustRefusal, "two machines make a store"),
        (Mutant::LookAtTablesOnly, "two machines commit twice each"),
        (Mutant::RefuseUponOldStates, "one machine follows another"),
        (Mutant::CleanWhatIsNotListed, "a cleaner beside a compactor and a machine"),
        (Mutant::DeleteInputsEarly, "a compactor beside a machine"),
        (Mutant::RepeatWithOtherBytes, "two machines make a store"),
        (Mutant::ForgetThePast, "one machine follows another"),
        (Mutant::ForgetByOwnWish, "a patient machine beside one that soon forgets"),
        (Mutant::TakeFollowedForLost, "a compactor beside a machine"),
        (Mutant::DenyWhatIsUnderWay, "two machines make a store"),
        (Mutant::BelieveLateCreations, "one machine is slow, another goes on over numbered roots"),
        (Mutant::BelieveOneListing, "a reader of numbered roots while one comes late"),
    ] {
        let began = Instant::now();
        make(Some(mistake));
        let scenario = scenarios::SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
        let found = scenario.run_drawn(DRAWN, SEED).1.or_else(|| scenario.run_first(FIRST).1);
        make(None);
        let violation = found.unwrap_or_else(|| panic!("{name}: nothing catches {mistake:?}"));
        println!("{mistake:?}: {name}, {:.1} s: {violation}\n", began.elapsed().as_secs_f64());
    }
}
