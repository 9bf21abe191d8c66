//! Commits of many machines and tasks over requests of 50 ms (writes) and 25 ms (reads), on a
//! simulated clock: rate, latency, requests; and what callers were told when answers are lost.
//!
//! `cargo bench -p reftable-bucket --bench latency`

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

mod clocked;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clocked::{Clocked, Task, Weather, quantile, sorted};
use futures_lite::future::block_on;
use reftable::{Expect, Ident, LogEntry, ObjectId};
use reftable_bucket::{Bucket, Changeset, ErrorKind, Options, Result, Store};

const PLACE: &str = "repos/1";

/// One row: so many machines, tasks of each, commits of each task.
struct Row {
    machines: usize,
    tasks: usize,
    commits: usize,
    lost: u64,
}

const ROWS: [Row; 5] = [
    Row { machines: 1, tasks: 1, commits: 1000, lost: 0 },
    Row { machines: 1, tasks: 64, commits: 300, lost: 0 },
    Row { machines: 8, tasks: 8, commits: 100, lost: 0 },
    Row { machines: 1, tasks: 1, commits: 1000, lost: 50 },
    Row { machines: 8, tasks: 8, commits: 313, lost: 50 },
];

#[derive(Default)]
struct Told {
    done: usize,
    rescued: usize,
    conflicts: usize,
    indeterminate: usize,
    other: usize,
    times: Vec<Duration>,
    /// How many swaps each commit needed that was carried out.
    rounds: Vec<u32>,
    /// When each machine was done.
    ends: BTreeMap<usize, Duration>,
}

fn main() -> Result<()> {
    println!("machines x tasks, lost: commits/s, p50/p99 ms, writes and reads a commit; what callers were told");
    let wanted = std::env::var("LATENCY_ROW").unwrap_or_default();
    for row in
        ROWS.iter().filter(|row| format!("{} x {}, {} %", row.machines, row.tasks, row.lost / 10).contains(&wanted))
    {
        measure(row)?;
    }
    Ok(())
}

fn measure(row: &Row) -> Result<()> {
    let (write, read) = (Duration::from_millis(50), Duration::from_millis(25));
    let patience = Duration::from_secs(1);
    let bucket = Arc::new(Clocked::new(Weather { write, read, lost: row.lost, patience }, 1));
    let told = RefCell::new(Told::default());
    let mut tasks: Vec<Task<'_>> = Vec::new();
    for machine in 0..row.machines {
        let options = Options::default().timeout(Duration::from_secs(30));
        let store = Store::new(Arc::clone(&bucket), PLACE, options)?;
        for task in 0..row.tasks {
            let name = format!("refs/heads/{machine}-{task}");
            let (store, bucket, told) = (store.clone(), &bucket, &told);
            tasks.push(Box::pin(async move {
                commits(store, name, row.commits, bucket, told).await;
                told.borrow_mut().ends.insert(machine, bucket.now());
            }));
        }
    }
    bucket.run(tasks);
    let elapsed = bucket.now().as_secs_f64();
    let told = told.into_inner();
    let (reads, writes) = bucket.requests();
    let each = |count: u64| count as f64 / told.done.max(1) as f64;
    let times = sorted(told.times);
    let mut rounds = told.rounds;
    rounds.sort_unstable();
    let round = |thousandths: usize| rounds.get(rounds.len() * thousandths / 1000).copied().unwrap_or_default();
    let ends = told.ends.values().map(Duration::as_secs_f64);
    println!(
        "{} x {}, {} %: {:.0}, {}/{}, {:.3} and {:.3}; {} done ({} rescued), {} conflicts, {} indeterminate, {} other, {}",
        row.machines,
        row.tasks,
        row.lost / 10,
        told.done as f64 / elapsed,
        quantile(&times, 500).as_millis(),
        quantile(&times, 990).as_millis(),
        each(writes),
        each(reads),
        told.done,
        told.rescued,
        told.conflicts,
        told.indeterminate,
        told.other,
        verdict(&bucket, row, told.done)?,
    );
    println!(
        "    rounds a commit: half {}, 99 % {}, all {}; machines were done after {:.1} to {:.1} s",
        round(500),
        round(990),
        rounds.last().copied().unwrap_or_default(),
        ends.clone().fold(f64::MAX, f64::min),
        ends.fold(0.0, f64::max),
    );
    Ok(())
}

/// Commits one after the other, each of which expects the one before.
async fn commits(store: Store<Clocked>, name: String, count: usize, bucket: &Clocked, told: &RefCell<Told>) {
    let mut before: Option<ObjectId> = None;
    for number in 1..=count {
        let id = ObjectId::from_hex(format!("{number:040x}").as_bytes()).unwrap_or(ObjectId::null(Default::default()));
        let mut changes = Changeset::new();
        changes.set(&name, before.map_or(Expect::Absent, |id| Expect::Is(id.into())), id);
        let old = before.unwrap_or(ObjectId::null(Default::default()));
        let entry = LogEntry { old, new: id, committer: Ident::new("a", "b", 1), message: b"m\n".to_vec() };
        changes.append_log(&name, entry);
        let began = bucket.now();
        let result = store.commit(changes).await;
        told.borrow_mut().times.push(bucket.now().saturating_sub(began));
        match result {
            Ok(commit) => {
                told.borrow_mut().done += 1;
                told.borrow_mut().rescued += usize::from(commit.rescued);
                told.borrow_mut().rounds.push(commit.rounds);
                before = Some(id);
            }
            Err(error) => {
                match error.kind() {
                    ErrorKind::Conflict => told.borrow_mut().conflicts += 1,
                    ErrorKind::Indeterminate => told.borrow_mut().indeterminate += 1,
                    _ => told.borrow_mut().other += 1,
                }
                // What became of it is what the store says.
                if let Ok(snapshot) = store.snapshot().await {
                    before = snapshot.get(&name).ok().flatten().and_then(|found| found.target.id());
                }
            }
        }
    }
}

/// Whether each acknowledged commit is there exactly once.
fn verdict(bucket: &Arc<Clocked>, row: &Row, done: usize) -> Result<String> {
    let memory = reftable_bucket::Memory::new();
    for key in bucket.memory.keys() {
        memory.set(&key, bucket.memory.get(&key).unwrap_or_default());
    }
    let snapshot = block_on(Store::new(Arc::new(memory), PLACE, Options::default())?.snapshot())?;
    let mut entries = 0;
    let mut logs = snapshot.logs()?;
    while logs.next()?.is_some() {
        entries += 1;
    }
    let names = snapshot.refs()?.into_iter().count();
    let missing = row.machines * row.tasks - names;
    Ok(format!("{entries} entries of {done} acknowledged in the logs, {missing} references missing"))
}
