//! Kills and power failures at every instant leave a store that keeps the claims.
//!
//! See `reftable_crash::Model` for what may survive and `sim/check.rs` for the claims.
//! Without `REFTABLE_LONG_TESTS=1` looks at few states; with `REFTABLE_CRASH_LONG=1` looks harder,
//! `REFTABLE_CRASH_SEED=N` elsewhere; `REFTABLE_CRASH_ONLY=WORDS` takes the scenarios with these
//! words in their names, `=NAME` one. `--nocapture` shows the counts.

use std::time::Instant;

use reftable_crash::Model;

use crate::sim::engine::{self, Effort, Engine, Tally};
use crate::sim::scenarios::{OURS, Scenario};
use crate::support::effort::loudly;
use crate::support::on_two_threads;

/// What one run of the tests must have seen at least, and a short one.
const LEAST: usize = 250_000;
const LEAST_OF_SHORT: usize = 3_000;

/// Have more runs than all others together: a short run does without.
const SLOWEST: [&str; 3] =
    ["death during another's commit", "delegated, successor that fails", "delegated, leader that fails"];

fn explore(scenario: &Scenario, model: Model, effort: Effort) -> Tally {
    let mut engine = Engine::new(scenario.name, model, effort).then(scenario.crashes);
    (scenario.record)(&mut |recording| engine.explore(&recording));
    engine.finish()
}

fn show(scenario: &Scenario, model: Model, tally: &Tally) {
    println!(
        "{:32} {:11} {:5} runs {:6} instants ({:4} + {:4} sampled) {:8} choices {:7} states {:4} finders {:6} nested {:4} kept {:3} violations {:6.1?}",
        scenario.name,
        format!("{model:?}"),
        tally.recordings,
        tally.instants,
        tally.sampled,
        tally.beyond,
        tally.choices,
        tally.states,
        tally.finders,
        tally.nested,
        tally.kept,
        tally.violations.len(),
        tally.time
    );
}

/// The scenarios whose names fit, each with all its models.
fn all_models(only: &str) -> Vec<(&'static Scenario, Model)> {
    let is_wanted = |name: &str| only.strip_prefix('=').map_or_else(|| name.contains(only), |only| name == only);
    let wanted = OURS.iter().filter(|scenario| is_wanted(scenario.name));
    wanted.flat_map(|scenario| scenario.crashes.iter().map(move |model| (scenario, *model))).collect()
}

/// The scenarios that a short run takes, each with one of its models.
fn one_model_each() -> Vec<(&'static Scenario, Model)> {
    loudly(&format!("SHORTENED: one model of crashes for a scenario, and none for {SLOWEST:?}"));
    let quick = OURS.iter().filter(|scenario| !SLOWEST.contains(&scenario.name)).enumerate();
    quick.map(|(number, scenario)| (scenario, scenario.crashes[number % scenario.crashes.len()])).collect()
}

#[test]
fn every_crash_leaves_a_store_that_keeps_the_claims() {
    let (start, effort) = (Instant::now(), engine::as_allowed());
    let only = std::env::var("REFTABLE_CRASH_ONLY").unwrap_or_default();
    let is_short = engine::is_short(&effort) && only.is_empty();
    let jobs = if is_short { one_model_each() } else { all_models(&only) };
    let results = on_two_threads(jobs, |(scenario, model)| {
        let tally = explore(scenario, model, effort);
        show(scenario, model, &tally);
        tally
    });
    let states: usize = results.iter().map(|tally| tally.states).sum();
    let kept: usize = results.iter().map(|tally| tally.kept).sum();
    let (time, seed) = (start.elapsed(), effort.seed);
    println!("{states} distinct states in {time:.1?}, seed {seed}; in {kept} of them tables were kept");
    let stories: Vec<&str> = results.iter().filter_map(|tally| Some(tally.shortest()?.story.as_str())).collect();
    assert!(stories.is_empty(), "{} of the claims are broken\n\n{}", stories.len(), stories.join("\n"));
    let least = if is_short { LEAST_OF_SHORT } else { LEAST };
    assert!(states >= least || !only.is_empty(), "only {states} states were seen: the scenarios have shrunk");
}
