//! Cost against size: how look-ups grow with references, tables and reader processes, and what
//! memory does meanwhile. Prints one JSON object for each point and draws `docs/scale-*.svg`.
//!
//! ```sh
//! cargo bench --bench scale                            # 10 million references, two minutes
//! SCALE_MAX=100000 SCALE_OUT=/tmp cargo bench --bench scale
//! ```

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark that goes wrong stops")]
#![allow(clippy::print_stdout, reason = "the results")]

#[allow(dead_code, reason = "shared with the yardstick")]
#[path = "../baseline/data.rs"]
mod data;
mod memory;
mod plot;
mod readers;
mod store;

use std::time::Instant;

use serde_json::json;

use plot::{Axis, Chart, Line};
use reftable::Snapshot;
use store::Names;

/// Look-ups for each point, after as many that are not timed.
const LOOKUPS: usize = 50_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|first| first == "worker") {
        readers::worker(&arguments[1..]);
        return;
    }
    let most = std::env::var("SCALE_MAX").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000_000);
    // First: what other plots leave on the heap would count.
    memory::run(most);
    sizes(most);
    tables(most.min(1_000_000));
    readers::run(most.min(1_000_000));
}

/// Powers of ten from 1,000 to `most`.
fn powers(most: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(1_000), |count| Some(count * 10)).take_while(move |count| *count <= most)
}

fn report(plot: &str, line: &str, x: usize, y: f64) -> (f64, f64) {
    println!("{}", json!({ "plot": plot, "line": line, "x": x, "y": (y * 10.0).round() / 10.0 }));
    (x as f64, y)
}

/// Nanoseconds a look-up of each of `names`, all of which must be there or none: the best of five
/// rounds.
fn lookup(snapshot: &Snapshot, names: &Names, is_there: bool) -> f64 {
    let once = || {
        let start = Instant::now();
        for name in &names.0 {
            assert_eq!(snapshot.get(name).unwrap().is_some(), is_there);
        }
        start.elapsed().as_nanos() as f64 / names.0.len() as f64
    };
    once();
    (0..5).map(|_| once()).fold(f64::INFINITY, f64::min)
}

fn sizes(most: usize) {
    let (mut hits, mut misses) = (Vec::new(), Vec::new());
    for count in powers(most) {
        let dir = tempfile::tempdir().unwrap();
        let snapshot = store::make(dir.path(), count, 1);
        hits.push(report("size", "found", count, lookup(&snapshot, &Names::some(count, LOOKUPS, ""), true)));
        misses.push(report("size", "not there", count, lookup(&snapshot, &Names::some(count, LOOKUPS, "-x"), false)));
    }
    let lines = [Line { label: "found", points: hits }, Line { label: "not there", points: misses }];
    Chart { file: "size", title: "A look-up in one table", x: Axis::log("references"), y: "nanoseconds" }.draw(&lines);
}

fn tables(count: usize) {
    let (mut hits, mut misses) = (Vec::new(), Vec::new());
    for tables in [1, 2, 4, 8, 16, 32, 64] {
        let dir = tempfile::tempdir().unwrap();
        let snapshot = store::make(dir.path(), count, tables);
        hits.push(report("tables", "found", tables, lookup(&snapshot, &Names::some(count, LOOKUPS, ""), true)));
        misses.push(report(
            "tables",
            "not there",
            tables,
            lookup(&snapshot, &Names::some(count, LOOKUPS, "-x"), false),
        ));
    }
    let lines = [Line { label: "found", points: hits }, Line { label: "not there", points: misses }];
    let title = format!("A look-up among {count} references in tables of equal size");
    Chart { file: "tables", title: &title, x: Axis::linear("tables"), y: "nanoseconds" }.draw(&lines);
}
