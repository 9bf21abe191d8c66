//! Workload h and the concurrent one: commits of one reference each, from one process and from
//! several.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reftable::{AutoCompact, Durability, ErrorKind, Expect, Options, Stack};

use crate::data::oid;
use crate::measure::{Bench, remove};

const MODES: [(&str, Durability); 3] =
    [("full", Durability::Full), ("ordered", Durability::Ordered), ("off", Durability::Off)];
/// Commits of each process when there are several.
const EACH: u64 = 200;

pub(crate) fn run(bench: &Bench) {
    for (mode, _) in MODES {
        for processes in [1, 2, 4, 8] {
            let count = if processes == 1 { 1_000 } else { EACH };
            // One process is workload h, several are the concurrent one; 1 belongs to both.
            let tx = format!("tx/p{processes}/{mode}");
            let conc = format!("conc/p{processes}/{mode}");
            if processes == 1 && bench.wants(&tx) {
                concurrently(bench, &tx, mode, 1, count);
            }
            if bench.wants(&conc) {
                concurrently(bench, &conc, mode, processes, EACH);
            }
        }
    }
}

/// Lets processes commit at once in a new directory; the median of the repetitions for each number.
fn concurrently(bench: &Bench, workload: &str, mode: &str, processes: usize, count: u64) {
    let mut patient: Vec<Round> =
        (0..bench.repetitions).map(|_| round(bench, mode, processes, count, 100_000)).collect();
    patient.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let median = |pick: fn(&Round) -> f64| {
        let mut values: Vec<f64> = patient.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    bench.report(
        &if processes == 1 { workload.to_owned() } else { format!("{workload}/tx") },
        median(|round| round.rate),
        "tx/s",
    );
    bench.report(&format!("{workload}/p50"), median(|round| round.p50), "us");
    bench.report(&format!("{workload}/p99"), median(|round| round.p99), "us");
    bench.report(&format!("{workload}/max"), median(|round| round.max), "us");
    if processes > 1 && bench.wants(&format!("{workload}/fail")) {
        let failed: u64 = (0..bench.repetitions).map(|_| round(bench, mode, processes, count, 100).failed).sum();
        let all = bench.repetitions as u64 * processes as u64 * count;
        bench.report(&format!("{workload}/fail"), failed as f64 * 1000.0 / all as f64, "of 1000 at 100 ms");
    }
}

struct Round {
    rate: f64,
    p50: f64,
    p99: f64,
    max: f64,
    failed: u64,
}

fn round(bench: &Bench, mode: &str, processes: usize, count: u64, timeout: u64) -> Round {
    let dir = bench.dir();
    let mut workers: Vec<Child> = (0..processes).map(|p| spawn(&dir, mode, p, count, timeout)).collect();
    let mut outputs: Vec<_> = workers.iter_mut().map(|worker| BufReader::new(worker.stdout.take().unwrap())).collect();
    for output in &mut outputs {
        let mut ready = String::new();
        output.read_line(&mut ready).unwrap();
    }
    let start = Instant::now();
    for worker in &mut workers {
        worker.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    let mut latencies: Vec<u64> = Vec::new();
    let mut failed = 0;
    for output in outputs {
        for line in output.lines() {
            match line.unwrap().as_str() {
                "failed" => failed += 1,
                nanoseconds => latencies.push(nanoseconds.parse().unwrap()),
            }
        }
    }
    let time = start.elapsed();
    for mut worker in workers {
        assert!(worker.wait().unwrap().success());
    }
    let stack = Stack::open(&dir, Options::default()).unwrap();
    assert_eq!(stack.snapshot().unwrap().refs().unwrap().into_iter().count(), latencies.len());
    remove(&dir);
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize] as f64 / 1000.0;
    Round { rate: latencies.len() as f64 / time.as_secs_f64(), p50: at(0.5), p99: at(0.99), max: at(1.0), failed }
}

fn spawn(dir: &Path, mode: &str, process: usize, count: u64, timeout: u64) -> Child {
    let numbers = [process as u64, count, timeout].map(|number| number.to_string());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["worker", "commit", mode]).args(numbers).arg(dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// What a process of this library does, by its arguments.
pub(crate) fn worker(arguments: &[String]) {
    match arguments[0].as_str() {
        "open" => {
            let start = Instant::now();
            let stack = Stack::open(&arguments[1], crate::reads::options()).unwrap();
            assert!(stack.snapshot().unwrap().get(&arguments[2]).unwrap().is_some());
            println!("{}", start.elapsed().as_nanos());
        }
        "plus9" | "new9" => crate::compactions::make(Path::new(&arguments[1]), arguments[0] == "plus9"),
        _ => commit(arguments),
    }
}

fn commit(arguments: &[String]) {
    let durability = MODES.iter().find(|(name, _)| *name == arguments[1]).unwrap().1;
    let [process, count, timeout] = [2, 3, 4].map(|at| arguments[at].parse::<u64>().unwrap());
    let options = Options::default().durability(durability).lock_timeout(Some(Duration::from_millis(timeout)));
    let options = match std::env::var("BCOMPACT").ok().as_deref() {
        None => options,
        Some("off") => options.auto_compact(AutoCompact::Off),
        Some("git") => options.auto_compact(AutoCompact::Geometric(2)),
        Some(tables) => options.auto_compact(AutoCompact::Lazy(tables.parse().unwrap())),
    };
    let stack = Stack::open(&arguments[5], options).unwrap();
    println!("ready");
    let mut go = String::new();
    std::io::stdin().read_line(&mut go).unwrap();
    let mut lines = String::new();
    for i in 0..count {
        let start = Instant::now();
        let mut tx = stack.transaction();
        tx.set(format!("refs/heads/p{process:02}-{i:06}"), Expect::Any, oid(i));
        match tx.commit() {
            Ok(_) => lines += &format!("{}\n", start.elapsed().as_nanos()),
            Err(error) if error.kind() == ErrorKind::Locked => lines += "failed\n",
            Err(error) => panic!("{error}"),
        }
    }
    print!("{lines}");
}
