//! The protocol as it is, in every order of requests that a bound allows, with lost answers, late
//! requests and dropped tasks.

#![cfg(test)]

mod bucket;
mod explorer;
mod history;
mod scenarios;

use std::time::Instant;

/// Runs a scenario that are drawn, beside all that there are with few faults.
const DRAWN: u64 = 3_000;
const SEED: u64 = 1;

/// With `REFTABLE_SCENARIO` those only whose name contains this.
#[cfg(not(reftable_mutants))]
#[test]
fn every_order_keeps_what_was_promised() {
    let wanted = std::env::var("REFTABLE_SCENARIO").unwrap_or_default();
    for scenario in scenarios::SCENARIOS.iter().filter(|scenario| scenario.name.contains(&wanted)) {
        let began = Instant::now();
        let (first, violation) = scenario.run_first();
        let all = if first < scenarios::MOST { "all" } else { "the first" };
        let (drawn, other) = scenario.run_drawn(DRAWN, SEED);
        let time = began.elapsed().as_secs_f64();
        println!("{}: {all} {first} runs with few faults, {drawn} with many, {time:.1} s", scenario.name);
        if let Some(violation) = violation.or(other) {
            panic!("{}: {violation}", scenario.name);
        }
    }
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
        let found = scenario.run_drawn(DRAWN, SEED).1.or_else(|| scenario.run_first().1);
        make(None);
        let violation = found.unwrap_or_else(|| panic!("{name}: nothing catches {mistake:?}"));
        println!("{mistake:?}: {name}, {:.1} s: {violation}\n", began.elapsed().as_secs_f64());
    }
}
