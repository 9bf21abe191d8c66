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

#[cfg(not(reftable_mutants))]
#[test]
fn every_order_keeps_what_was_promised() {
    for scenario in &scenarios::SCENARIOS {
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

    for mistake in [
        Mutant::TrustRefusal,
        Mutant::LookAtTablesOnly,
        Mutant::RefuseUponOldStates,
        Mutant::CleanWhatIsNotListed,
        Mutant::DeleteInputsEarly,
        Mutant::RepeatWithOtherBytes,
        Mutant::ForgetThePast,
        Mutant::TakeFollowedForLost,
        Mutant::DenyWhatIsUnderWay,
        Mutant::BelieveLateCreations,
        Mutant::BelieveOneListing,
    ] {
        let began = Instant::now();
        make(Some(mistake));
        let all = &scenarios::SCENARIOS;
        let drawn = all.iter().find_map(|scenario| Some((scenario.name, scenario.run_drawn(DRAWN, SEED).1?)));
        let found = drawn.or_else(|| all.iter().find_map(|scenario| Some((scenario.name, scenario.run_first().1?))));
        make(None);
        let (name, violation) = found.unwrap_or_else(|| panic!("nothing catches {mistake:?}"));
        println!("{mistake:?}: {name}, {:.1} s: {violation}\n", began.elapsed().as_secs_f64());
    }
}
