//! The guard: eleven small workloads must not take more instructions than they did, by callgrind's
//! count.
//!
//! ```sh
//! cargo bench --bench guard                # compare with benches/guard/figures.json
//! cargo bench --bench guard -- --update    # write that file anew, after a change that is meant
//! cargo bench --bench guard -- --control   # each workload done 21 times, not 20, must be noticed
//! ```
//!
//! Counts hardly depend on the machine, but they do on the compiler and the C library: the file
//! says which compiler it is for. Without valgrind nothing is compared; that is a failure if
//! `REFTABLE_REQUIRE_VALGRIND` is set, as in CI.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a benchmark that goes wrong stops")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the results")]

#[allow(dead_code, reason = "shared with the yardstick")]
#[path = "../baseline/data.rs"]
mod data;
mod figures;
mod workloads;

use std::process::{Command, ExitCode};

use figures::Figures;

/// How far a count may be off, of 1,000.
const TOLERANCE: u64 = 30;
/// How often a worker repeats its workload; the control does it once more, which is 5 %.
const REPETITIONS: usize = 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["worker", workload, repetitions] => {
            workloads::run(workload, repetitions.parse().unwrap());
            ExitCode::SUCCESS
        }
        _ if Command::new("valgrind").arg("--version").output().is_err() => without_valgrind(),
        ["--update"] => {
            Figures::new(count_all(REPETITIONS)).write();
            ExitCode::SUCCESS
        }
        ["--control"] => control(),
        [] => compare(),
        _ => panic!("the arguments are: nothing, --update, or --control"),
    }
}

fn without_valgrind() -> ExitCode {
    eprintln!("SKIPPED: the guard counts instructions with valgrind, which is not installed. Nothing was compared.");
    if std::env::var_os("REFTABLE_REQUIRE_VALGRIND").is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn count_all(repetitions: usize) -> Vec<(String, u64)> {
    workloads::NAMES.iter().map(|name| ((*name).to_owned(), count(name, repetitions))).collect()
}

/// Runs a workload under callgrind and returns the instructions of its measured part.
fn count(workload: &str, repetitions: usize) -> u64 {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--toggle-collect=*guard_measured*", "--callgrind-out-file=/dev/null"]);
    command.arg(std::env::current_exe().unwrap()).args(["worker", workload]).arg(repetitions.to_string());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{workload}: {text}");
    let counted = text.split("Collected :").nth(1).and_then(|rest| rest.split_whitespace().next());
    counted.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("valgrind counted nothing: {text}"))
}

/// Thousandths by which `now` differs from `then`.
fn difference(then: u64, now: u64) -> i64 {
    (now as i64 - then as i64) * 1000 / then.max(1) as i64
}

fn compare() -> ExitCode {
    let figures = Figures::read();
    let mut is_off = false;
    for (workload, now) in count_all(REPETITIONS) {
        let then = figures.of(&workload);
        let difference = difference(then, now);
        let verdict = if difference.unsigned_abs() <= TOLERANCE { "ok" } else { "OFF" };
        is_off |= verdict == "OFF";
        println!("{workload:14} {then:>12} -> {now:>12}  {:+.1} %  {verdict}", difference as f64 / 10.0);
    }
    if is_off {
        eprintln!("More than 3 % off. If that is meant, or the compiler is new ({}), update:", figures.compilers());
        eprintln!("  cargo bench --bench guard -- --update");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The guard must notice five per cent.
fn control() -> ExitCode {
    let mut unnoticed = Vec::new();
    for (workload, usual) in count_all(REPETITIONS) {
        let more = count(&workload, REPETITIONS + 1);
        if difference(usual, more).unsigned_abs() <= TOLERANCE {
            unnoticed.push(workload);
        }
    }
    println!("control: {} of {} noticed", workloads::NAMES.len() - unnoticed.len(), workloads::NAMES.len());
    if unnoticed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
