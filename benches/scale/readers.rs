//! Several processes that read one store.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::plot::{Axis, Chart, Line};
use crate::report;
use crate::store::{self, Names};

const TIME: Duration = Duration::from_secs(1);

pub(crate) fn run(count: usize) {
    let dir = tempfile::tempdir().unwrap();
    drop(store::make(dir.path(), count, 1));
    let points = (1..=8).map(|processes| {
        let rate = together(dir.path(), count, processes);
        report("readers", "all together", processes, rate / 1e6)
    });
    let lines = [Line { label: "all together", points: points.collect() }];
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let title = format!("Reader processes on {cores} cores, one table of {count} references");
    Chart { file: "readers", title: &title, x: Axis::linear("processes"), y: "million look-ups a second" }.draw(&lines);
}

fn together(dir: &Path, count: usize, processes: usize) -> f64 {
    let spawn = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("worker").arg(dir).arg(count.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut workers: Vec<Child> = (0..processes).map(|_| spawn()).collect();
    let mut outputs: Vec<_> = workers.iter_mut().map(|worker| BufReader::new(worker.stdout.take().unwrap())).collect();
    let mut line = String::new();
    for output in &mut outputs {
        output.read_line(&mut line).unwrap();
    }
    for worker in &mut workers {
        worker.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    let mut rate = 0.0;
    for output in &mut outputs {
        line.clear();
        output.read_line(&mut line).unwrap();
        rate += line.trim().parse::<f64>().unwrap();
    }
    for mut worker in workers {
        assert!(worker.wait().unwrap().success());
    }
    rate
}

/// Looks up for [`TIME`] and prints how many look-ups that were a second.
pub(crate) fn worker(arguments: &[String]) {
    let snapshot = store::open(Path::new(&arguments[0]));
    let names = Names::some(arguments[1].parse().unwrap(), crate::LOOKUPS, "");
    let round = || names.0.iter().for_each(|name| assert!(snapshot.get(name).unwrap().is_some()));
    round();
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < TIME {
        round();
        rounds += 1;
    }
    println!("{}", f64::from(rounds) * names.0.len() as f64 / start.elapsed().as_secs_f64());
}
