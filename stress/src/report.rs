//! The numbers of a run, for people and for programs.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::checker::{ByLock, Checked, Stalls};
use crate::history::{History, Outcome};
use crate::metrics::Metrics;
use crate::violations::Violations;

/// Everything that is told.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// What `--seed` reproduces the choices with.
    pub(crate) seed: u64,
    /// How long the processes worked.
    pub(crate) seconds: u64,
    /// `sha1` or `sha256`.
    pub(crate) hash: &'static str,
    /// What our commits synced.
    pub(crate) durability: String,
    /// Git's version, if it took part.
    pub(crate) git_version: Option<String>,
    /// Our processes.
    pub(crate) ours: Side,
    /// Git's.
    pub(crate) git: Side,
    /// Git's that commit now and then.
    pub(crate) rare_git: Side,
    /// What our stacks counted.
    pub(crate) metrics: Metrics,
    /// Whether moments of different processes could be compared; if not, real-time order was not
    /// checked.
    pub(crate) clock_is_even: bool,
    /// What was looked at afterwards.
    pub(crate) checked: Checked,
    /// How often something happened that never must.
    pub(crate) violations: u64,
}

/// The processes of one kind.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Side {
    /// How many there were.
    pub(crate) processes: usize,
    /// Acknowledged transactions.
    pub(crate) commits: u64,
    /// A second.
    pub(crate) commits_per_second: f64,
    /// States that were read and checked.
    pub(crate) reads: u64,
    /// A second.
    pub(crate) reads_per_second: f64,
    /// Of acknowledged transactions.
    pub(crate) latency_ms: Latency,
    /// Compactions.
    pub(crate) compactions: u64,
    /// What was refused, by kind.
    pub(crate) failures: BTreeMap<String, u64>,
}

/// Milliseconds.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Latency {
    /// The median.
    pub(crate) p50: f64,
    /// Only one of a hundred takes longer.
    pub(crate) p99: f64,
    /// The longest.
    pub(crate) max: f64,
}

impl Side {
    /// Sums up the histories of one kind.
    pub(crate) fn of<'a>(histories: impl Iterator<Item = &'a History>, seconds: u64) -> Result<Side> {
        let mut side = Side::default();
        let mut latencies = Histogram::<u64>::new(3)?;
        for history in histories {
            side.processes += usize::from(history.is_first && !history.was_killed);
            side.reads += history.reads;
            side.compactions += history.compactions;
            for (kind, count) in &history.failures {
                *side.failures.entry(kind.clone()).or_default() += count;
            }
            for op in &history.ops {
                if let Outcome::Acked { latency, .. } = op.outcome {
                    side.commits += 1;
                    latencies.record(micros(latency))?;
                }
            }
        }
        side.commits_per_second = rate(side.commits, seconds);
        side.reads_per_second = rate(side.reads, seconds);
        let at = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1000.0;
        side.latency_ms = Latency { p50: at(0.5), p99: at(0.99), max: latencies.max() as f64 / 1000.0 };
        Ok(side)
    }
}

fn micros(latency: Duration) -> u64 {
    u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)
}

/// With one digit after the point.
fn rate(count: u64, seconds: u64) -> f64 {
    (count as f64 * 10.0 / seconds.max(1) as f64).round() / 10.0
}

impl Report {
    /// Prints everything; the last line is JSON if that is wanted.
    pub(crate) fn print(&self, violations: &Violations, json: bool) -> Result<()> {
        let mut out = io::stdout().lock();
        self.print_sides(&mut out)?;
        self.print_metrics(&mut out)?;
        let Checked { acknowledged, transfers, git_transfers, states, owned_refs, log_entries, .. } = &self.checked;
        writeln!(
            out,
            "checked    {acknowledged} acknowledged transactions, one order of {transfers} transfers ({git_transfers} of git's),"
        )?;
        writeln!(out, "           {states} states that were read, each in that order and none outdated,")?;
        writeln!(out, "           {owned_refs} references and {log_entries} log entries of single processes,")?;
        let Checked { update_indexes, real_time, tables, git_refs, git_log_entries, .. } = &self.checked;
        writeln!(
            out,
            "           {update_indexes} update indexes ({real_time} against real time), {tables} tables verified"
        )?;
        if !self.clock_is_even {
            writeln!(out, "           (not against real time: the clock was set meanwhile)")?;
        }
        self.print_chaos(&mut out)?;
        if self.git_version.is_some() {
            let verify = if self.checked.refs_verify { ", refs verify" } else { "" };
            writeln!(out, "with git   fsck{verify}, {git_refs} references and {git_log_entries} log entries compared")?;
        }
        for what in violations.shown() {
            writeln!(out, "VIOLATION  {what}")?;
        }
        let untold = violations.count() - violations.shown().len() as u64;
        if untold > 0 {
            writeln!(out, "           ... and {untold} more")?;
        }
        writeln!(out, "violations {}", self.violations)?;
        if json {
            serde_json::to_writer(&mut out, self)?;
            writeln!(out)?;
        }
        out.flush()?;
        Ok(())
    }

    fn print_metrics(&self, out: &mut impl Write) -> Result<()> {
        let Metrics { groups, largest_group, lock_waits, back_offs, retries, failed_compactions, .. } = self.metrics;
        let (group, wait) = (self.metrics.mean_group(), self.metrics.mean_wait_ms());
        writeln!(
            out,
            "stacks     {groups} tables, {group:.2} transactions each, at most {largest_group}; {lock_waits} waits of {wait:.2} ms; {back_offs} back-offs;"
        )?;
        writeln!(out, "           {retries} decisions made again, {failed_compactions} compactions failed")?;
        Ok(())
    }

    fn print_chaos(&self, out: &mut impl Write) -> Result<()> {
        let Some(stalls) = self.checked.stalls else { return Ok(()) };
        let Stalls { kills, stops, counted, p50_ms, p99_ms, beyond_100_ms, max_ms, by_lock, is_robust, is_enough } =
            stalls;
        let Checked { in_flight, in_flight_there, .. } = self.checked;
        writeln!(
            out,
            "chaos      {kills} kills, {stops} stops; {in_flight} transactions in flight, {in_flight_there} of them are there;"
        )?;
        writeln!(
            out,
            "           longest time without a commit after a kill: most {max_ms:.1} ms; after the {counted} kills that count (a commit in"
        )?;
        writeln!(
            out,
            "           flight, nobody stopped): median {p50_ms:.1} ms, 99 of 100 within {p99_ms:.1} ms, {beyond_100_ms} beyond 100 ms"
        )?;
        let by_lock = by_lock.map(|ByLock { list_lock, counted, beyond_100_ms }| {
            format!("{counted} {}, {beyond_100_ms} beyond", list_lock.words())
        });
        writeln!(out, "           of these {}", by_lock.join("; "))?;
        if !is_robust {
            writeln!(out, "           (not judged: locks are not robust on this file system)")?;
        } else if !is_enough {
            writeln!(
                out,
                "           (fewer than 100 kills count: one in ten may take more than 100 ms, and of fewer than 20 nothing is said)"
            )?;
        }
        Ok(())
    }

    /// With their names; rare gits only if there were any.
    fn sides(&self) -> impl Iterator<Item = (&'static str, &Side)> {
        let rare = (self.rare_git.processes > 0).then_some(("rare git", &self.rare_git));
        [("ours", &self.ours), ("git", &self.git)].into_iter().chain(rare)
    }

    fn print_sides(&self, out: &mut impl Write) -> Result<()> {
        writeln!(
            out,
            "{:<10} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8}",
            "", "processes", "commits", "a second", "reads/s", "p50 ms", "p99 ms", "max ms"
        )?;
        for (name, side) in self.sides() {
            let Latency { p50, p99, max } = side.latency_ms;
            let (count, commits, rate) = (side.processes, side.commits, side.commits_per_second);
            let reads = side.reads_per_second;
            writeln!(
                out,
                "{name:<10} {count:>9} {commits:>9} {rate:>9.1} {reads:>9.1} {p50:>8.2} {p99:>8.2} {max:>8.2}"
            )?;
        }
        for (name, side) in self.sides() {
            let kinds: Vec<String> = side.failures.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
            let kinds = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
            writeln!(out, "failures   {name}: {kinds}")?;
        }
        writeln!(out, "compacted  {} times by us", self.ours.compactions)?;
        Ok(())
    }
}
