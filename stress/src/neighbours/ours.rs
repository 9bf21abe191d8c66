//! A process of this library beside git: commits one reference at a time, for some seconds, and
//! tells how it went.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use reftable::{ErrorKind, Expect, HashKind, Options, Stack};
use serde::{Deserialize, Serialize};

use crate::args::NeighbourArgs;
use crate::metrics::Metrics;
use crate::object::Mint;
use crate::repo::ident;

/// How many references each loop has.
pub(super) const REFERENCES: u64 = 16;

/// What became of the commits of one loop, ours or git's.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Commits that were tried.
    pub(super) tried: u64,
    /// Those refused because of the lock.
    pub(super) failed: u64,
    /// How long those took that were not refused, in microseconds.
    pub(super) micros: Vec<u64>,
    /// What our stack counted.
    pub(super) metrics: Metrics,
}

impl Tally {
    /// Notes an attempt that was begun at `begun`.
    pub(super) fn note(&mut self, begun: Instant, went_well: bool) {
        self.tried += 1;
        if went_well {
            self.micros.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        } else {
            self.failed += 1;
        }
    }

    /// Adds another loop's.
    pub(super) fn add(&mut self, other: Tally) {
        self.tried += other.tried;
        self.failed += other.failed;
        self.micros.extend(other.micros);
        self.metrics.add(&other.metrics);
    }

    /// Those that were not refused.
    pub(super) fn went_well(&self) -> u64 {
        self.tried - self.failed
    }

    /// This quantile of their times, in milliseconds.
    pub(super) fn quantile_ms(&self, quantile: f64) -> Result<f64> {
        let mut times = Histogram::<u64>::new(3)?;
        self.micros.iter().try_for_each(|micros| times.record(*micros))?;
        Ok(times.value_at_quantile(quantile) as f64 / 1000.0)
    }
}

/// The `neighbour` command: prints its [`Tally`].
pub(crate) fn main(args: &NeighbourArgs) -> Result<bool> {
    let options = Options::default().fairness(args.fairness).lock_timeout(Some(super::TIMEOUT));
    let stack = Stack::open(&args.store, options).context("cannot open the store")?;
    let mut mint = Mint::new(HashKind::Sha1, &args.name);
    let mut tally = Tally::default();
    let end = Instant::now() + Duration::from_millis(args.millis);
    while Instant::now() < end {
        let name = format!("refs/heads/{}-{}", args.name, tally.tried % REFERENCES);
        let id = mint.plain().id;
        let begun = Instant::now();
        let mut tx = stack.transaction();
        tx.set(name, Expect::Any, id).reflog(ident(&args.name), "");
        match tx.commit() {
            Ok(_) => tally.note(begun, true),
            Err(error) if error.kind() == ErrorKind::Locked => tally.note(begun, false),
            Err(error) => return Err(error).context("a commit failed"),
        }
    }
    tally.metrics = Metrics::of(&stack);
    serde_json::to_writer(std::io::stdout().lock(), &tally)?;
    Ok(true)
}
