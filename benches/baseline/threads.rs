//! Threads that commit through one handle.

use std::sync::Barrier;
use std::time::Instant;

use reftable::{Expect, Options, Stack};

use crate::data::oid;
use crate::measure::{Bench, remove};

/// Commits of each thread.
const EACH: u64 = 200;

pub(crate) fn run(bench: &Bench) {
    for threads in [1, 8, 64] {
        let workload = format!("threads/t{threads}/full");
        if !bench.wants(&workload) {
            continue;
        }
        let mut rounds: Vec<(f64, u64)> = (0..bench.repetitions).map(|_| round(bench, threads)).collect();
        rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (rate, groups) = rounds[rounds.len() / 2];
        bench.report(&workload, rate, "tx/s");
        bench.report(&format!("{workload}/group"), (threads * EACH) as f64 / groups as f64, "transactions a table");
    }
}

/// Commits a second, and tables that were published.
fn round(bench: &Bench, threads: u64) -> (f64, u64) {
    let dir = bench.dir();
    let stack = Stack::open(&dir, Options::default().lock_timeout(None)).unwrap();
    let barrier = Barrier::new(threads as usize + 1);
    let start = std::thread::scope(|scope| {
        for thread in 0..threads {
            let (stack, barrier) = (&stack, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for i in 0..EACH {
                    let mut tx = stack.transaction();
                    tx.set(format!("refs/heads/p{thread:02}-{i:06}"), Expect::Any, oid(i));
                    tx.commit().unwrap();
                }
            });
        }
        barrier.wait();
        Instant::now()
    });
    let rate = (threads * EACH) as f64 / start.elapsed().as_secs_f64();
    assert_eq!(stack.snapshot().unwrap().refs().unwrap().into_iter().count() as u64, threads * EACH);
    let groups = stack.metrics().groups;
    drop(stack);
    remove(&dir);
    (rate, groups)
}
