//! What a run of drivers came to, for people and for programs.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Value, json};

use super::drivers::{Driver, is_of};
use super::stalls::Stalls;
use super::{Bench, HISTORY};
use crate::args::RunArgs;
use crate::judge::claims::{Judged, Verdict};
use crate::judge::event::{Event, Kind, MicroOp, Process};

/// Everything that is told.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Decides what is chosen; not how it interleaves.
    seed: u64,
    seconds: u64,
    ref_format: &'static str,
    hash: &'static str,
    /// What the git that reads says of itself.
    git: String,
    drivers: Vec<Side>,
    /// What chaos did, if there was any.
    stalls: Option<Stalls>,
    pub(crate) verdict: Verdict,
}

/// The sessions of one driver.
#[derive(Debug, Serialize)]
struct Side {
    name: String,
    command: String,
    sessions: u32,
    acknowledged: u64,
    a_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    reads: u64,
    /// What was refused, and what nobody knows, by kind.
    failures: BTreeMap<String, u64>,
}

impl Report {
    /// Of a run that is over.
    pub(crate) fn of(
        bench: &Bench,
        args: &RunArgs,
        drivers: &[Driver],
        git: &str,
        (verdict, stalls): (Verdict, Stalls),
        events: &[Event],
    ) -> Report {
        Report {
            seed: bench.seed,
            seconds: args.seconds,
            ref_format: bench.ref_format.name(),
            hash: bench.hash.name(),
            git: git.to_owned(),
            drivers: drivers.iter().map(|driver| Side::of(driver, args.seconds, events)).collect(),
            stalls: args.chaos.then_some(stalls),
            verdict,
        }
    }

    /// Leaves it beside the history, and as a page if that is wanted.
    pub(crate) fn keep(&self, root: &Path, html: Option<&Path>, events: &[Event]) -> Result<()> {
        fs::write(root.join("report.json"), self.json(events)?).context("cannot write the report")?;
        let Some(path) = html else { return Ok(()) };
        let drivers = self.drivers.iter().map(|side| format!("{} x {}", side.sessions, side.command));
        let drivers = drivers.collect::<Vec<_>>().join(", ");
        let title = format!("{drivers} ({}, {} s, seed {})", self.ref_format, self.seconds, self.seed);
        let none = Stalls::default();
        crate::html::write(path, &title, events, &self.verdict, self.stalls.as_ref().unwrap_or(&none))
    }

    fn json(&self, events: &[Event]) -> Result<String> {
        let mut value = serde_json::to_value(self)?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("violations".to_owned(), json!(self.verdict.count()));
            fields.insert("verdict".to_owned(), told(&self.verdict, events)?);
            fields.insert("history".to_owned(), json!(HISTORY));
        }
        Ok(value.to_string())
    }

    /// Prints everything; the last line is JSON if that is wanted.
    pub(crate) fn print(&self, events: &[Event], json: bool) -> Result<()> {
        let mut out = io::stdout().lock();
        writeln!(
            out,
            "{:<10} {:>8} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8}",
            "", "sessions", "commits", "a second", "p50 ms", "p99 ms", "max ms", "reads"
        )?;
        for side in &self.drivers {
            let Side { name, sessions, acknowledged, a_second, p50_ms, p99_ms, max_ms, reads, .. } = side;
            writeln!(
                out,
                "{name:<10} {sessions:>8} {acknowledged:>9} {a_second:>9.1} {p50_ms:>8.2} {p99_ms:>8.2} {max_ms:>8.2} {reads:>8}"
            )?;
        }
        for side in &self.drivers {
            let kinds: Vec<String> = side.failures.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
            let kinds = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
            writeln!(out, "failures   {}: {kinds}", side.name)?;
        }
        self.print_stalls(&mut out)?;
        drop(out);
        print_verdict(&self.verdict, events)?;
        if json { crate::run::tell(&self.json(events)?) } else { Ok(()) }
    }

    fn print_stalls(&self, out: &mut impl Write) -> Result<()> {
        let Some(Stalls { kills, preparing, committing, stops, median_ms, max_ms, dead_locks }) = &self.stalls else {
            return Ok(());
        };
        writeln!(
            out,
            "chaos      {kills} kills ({preparing} while preparing, {committing} while committing), {stops} stops;"
        )?;
        writeln!(
            out,
            "           longest time without a commit after a kill: median {median_ms} ms, most {max_ms} ms"
        )?;
        let removed = dead_locks.iter().filter(|lock| lock.removed).count();
        let longest = dead_locks.iter().map(|lock| lock.millis).max().unwrap_or(0);
        writeln!(
            out,
            "stalls     {} locks of dead processes, in the way for {longest} ms at most; {removed} removed here",
            dead_locks.len()
        )?;
        Ok(())
    }
}

impl Side {
    fn of(driver: &Driver, seconds: u64, events: &[Event]) -> Side {
        let mut side = Side {
            name: driver.name.clone(),
            command: driver.command.clone(),
            sessions: driver.count,
            acknowledged: 0,
            a_second: 0.0,
            p50_ms: 0.0,
            p99_ms: 0.0,
            max_ms: 0.0,
            reads: 0,
            failures: BTreeMap::new(),
        };
        let mut begun: BTreeMap<Process, u64> = BTreeMap::new();
        let mut micros = Histogram::<u64>::new(3).ok();
        for event in events.iter().filter(|event| is_of(event, &driver.name)) {
            let changes =
                event.transaction().is_some_and(|ops| ops.iter().any(|op| matches!(op, MicroOp::Swap { .. })));
            match (event.kind, changes) {
                (Kind::Invoke, _) => drop(begun.insert(event.process, event.time)),
                (Kind::Ok, true) => {
                    side.acknowledged += 1;
                    let took = begun.get(&event.process).map_or(0, |begun| event.time.saturating_sub(*begun)) / 1000;
                    // Beyond what it can hold nothing is counted.
                    let _ = micros.as_mut().map(|micros| micros.record(took));
                }
                (Kind::Ok, false) => side.reads += 1,
                (Kind::Fail | Kind::Info, _) => {
                    let why = event.error.as_deref().unwrap_or("no reason given");
                    let why = if event.kind == Kind::Info { format!("unknown: {why}") } else { why.to_owned() };
                    *side.failures.entry(why).or_default() += 1;
                }
            }
        }
        side.a_second = (side.acknowledged as f64 * 10.0 / seconds.max(1) as f64).round() / 10.0;
        if let Some(micros) = micros {
            let ms = |quantile: f64| micros.value_at_quantile(quantile) as f64 / 1000.0;
            (side.p50_ms, side.p99_ms, side.max_ms) = (ms(0.5), ms(0.99), ms(1.0));
        }
        side
    }
}

/// Prints a verdict with the shortest excerpt of the history that shows each finding.
pub(super) fn print_verdict(verdict: &Verdict, events: &[Event]) -> Result<()> {
    let mut out = io::stdout().lock();
    for Judged { claim, looked_at, broken, .. } in &verdict.claims {
        let said = match (broken, looked_at) {
            (0, 0) => "not judged".to_owned(),
            (0, _) => format!("held      (looked at {looked_at})"),
            _ => format!("BROKEN    {broken} times (looked at {looked_at})"),
        };
        writeln!(out, "claim      {:<21} {said}", claim.words())?;
    }
    for finding in verdict.claims.iter().flat_map(|judged| &judged.findings) {
        writeln!(out, "VIOLATION  {}: {}", finding.claim.words(), finding.what)?;
        for line in finding.excerpt(events) {
            writeln!(out, "           {line}")?;
        }
    }
    writeln!(out, "violations {}", verdict.count())?;
    Ok(out.flush()?)
}

/// A verdict with the lines that show each finding, for programs.
pub(super) fn told(verdict: &Verdict, events: &[Event]) -> Result<Value> {
    let mut told = serde_json::to_value(verdict)?;
    let claims = told.get_mut("claims").and_then(Value::as_array_mut).into_iter().flatten();
    for (claim, judged) in claims.zip(&verdict.claims) {
        let findings = claim.get_mut("findings").and_then(Value::as_array_mut).into_iter().flatten();
        for (fields, finding) in findings.zip(&judged.findings) {
            if let Some(fields) = fields.as_object_mut() {
                fields.insert("excerpt".to_owned(), json!(finding.excerpt(events)));
            }
        }
    }
    Ok(told)
}
