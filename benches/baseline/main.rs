//! The yardstick: the workloads that other stores were measured with, one JSON object a line.
//!
//! ```sh
//! cargo bench --bench baseline                       # everything
//! cargo bench --bench baseline -- lookup/st1 reload  # what starts with one of these
//! ```
//!
//! Knobs by environment: `BN` references (1,000,000), `BREPS` repetitions (3; the median is
//! reported), `BDIR` the parent of the directories that are made (default: a temporary one),
//! `BCOMPACT` when commits compact: `off`, `git` for its rule, or the number of tables of the lazy
//! one; `BTHREADS` how many threads work on a large compaction.
//!
//! Instruction counts: run the binary under callgrind with
//! `--toggle-collect='*baseline_measured*'`, `BCOUNT=1`, `BREPS=1`, and one workload as the filter;
//! only what is timed is counted then.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a benchmark that goes wrong stops")]
#![allow(clippy::print_stdout, reason = "the results")]

mod commits;
mod compactions;
mod data;
mod floor;
mod logs;
mod measure;
mod reads;
mod sizes;
mod threads;
mod writes;

use measure::Bench;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "worker") {
        commits::worker(&arguments[1..]);
        return;
    }
    let filters = arguments.into_iter().filter(|argument| !argument.starts_with("--")).collect();
    let bench = Bench::new(filters);
    writes::run(&bench);
    reads::run(&bench);
    logs::run(&bench);
    compactions::run(&bench);
    sizes::run(&bench);
    floor::run(&bench);
    commits::run(&bench);
    threads::run(&bench);
}
