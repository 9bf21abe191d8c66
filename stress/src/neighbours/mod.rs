//! `neighbours`: whether git fares worse beside us than beside as many of its own kind.
//!
//! In every round, each on a fresh repository: eight loops of git; four of git and four of ours; the same, and ours
//! leave no gaps for those who poll. Git fares worse if its failure rate beside us is above that beside itself by more than
//! chance explains: Fisher's exact test on the counts of all rounds, one-sided, at one per cent.

mod chance;
pub(crate) mod ours;
mod phase;

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde::Serialize;

use crate::args::{NeighboursArgs, Switch};
use crate::git;
use ours::Tally;
use phase::{Crowd, Outcome};

/// git's time-out, and ours.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(100);
/// What is taken for chance happens at least this often.
const CHANCE: f64 = 0.01;

/// What is measured in every round.
#[derive(Debug, Serialize)]
struct Measured {
    what: &'static str,
    #[serde(flatten)]
    git: Side,
    ours: Option<Side>,
}

/// The loops of one kind, all rounds together.
#[derive(Debug, Serialize)]
struct Side {
    tried: u64,
    failed: u64,
    failed_percent: f64,
    a_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    gaps: u64,
}

/// The verdict, and what it rests on.
#[derive(Debug, Serialize)]
struct Verdict {
    rounds: u32,
    seconds: u64,
    measured: Vec<Measured>,
    /// The chance of so many failures of git beside us, if we did not matter.
    chance: f64,
    /// The same without courtesy.
    chance_without_courtesy: f64,
    worse: bool,
}

/// The whole measurement. `false` when git fares worse beside us.
pub(crate) fn main(args: &NeighboursArgs) -> Result<bool> {
    let version = git::version().map_err(|why| anyhow!("cannot be a neighbour without git: {why}"))?;
    let courtesy = args.courtesy == Switch::On;
    let crowds = [
        ("git alone", Crowd { git: 8, ours: 0, courtesy }),
        ("beside us", Crowd { git: 4, ours: 4, courtesy }),
        ("no courtesy", Crowd { git: 4, ours: 4, courtesy: false }),
    ];
    let mut sums = crowds.map(|(what, crowd)| (what, crowd, Outcome::default()));
    let time = Duration::from_secs(args.seconds);
    tell(&format!("git {version}, {} rounds of three times {} s", args.rounds, args.seconds))?;
    for _ in 0..args.rounds {
        for (_, crowd, sum) in &mut sums {
            sum.add(phase::run(*crowd, time)?);
        }
    }
    let [(_, _, alone), (_, _, beside), (_, _, control)] = &sums;
    let chance =
        |with: &Outcome| chance::of_so_many(alone.git.failed, alone.git.tried, with.git.failed, with.git.tried);
    let (chance, chance_without_courtesy) = (chance(beside), chance(control));
    let all = f64::from(args.rounds) * time.as_secs_f64();
    let measured = sums.iter().map(|(what, _, sum)| Measured::of(what, sum, all)).collect::<Result<_>>()?;
    let (rounds, seconds, worse) = (args.rounds, args.seconds, chance < CHANCE);
    let verdict = Verdict { rounds, seconds, measured, chance, chance_without_courtesy, worse };
    verdict.print(args)?;
    Ok(!worse)
}

fn tell(line: &str) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}

impl Measured {
    fn of(what: &'static str, sum: &Outcome, seconds: f64) -> Result<Measured> {
        let ours = (sum.ours.tried > 0).then(|| Side::of(&sum.ours, seconds)).transpose()?;
        Ok(Measured { what, git: Side::of(&sum.git, seconds)?, ours })
    }
}

impl Side {
    fn of(tally: &Tally, seconds: f64) -> Result<Side> {
        let percent = 100.0 * tally.failed as f64 / tally.tried.max(1) as f64;
        Ok(Side {
            tried: tally.tried,
            failed: tally.failed,
            failed_percent: percent,
            a_second: tally.went_well() as f64 / seconds,
            p50_ms: tally.quantile_ms(0.5)?,
            p99_ms: tally.quantile_ms(0.99)?,
            max_ms: tally.quantile_ms(1.0)?,
            gaps: tally.metrics.gaps,
        })
    }

    fn line(&self, what: &str, who: &str) -> String {
        let Side { tried, failed, failed_percent, a_second, p50_ms, p99_ms, max_ms, gaps } = self;
        format!(
            "{what:<12} {who:<5} {tried:>7} {failed:>7} {failed_percent:>7.2} {a_second:>9.1} {p50_ms:>8.2} {p99_ms:>8.2} {max_ms:>8.2} {gaps:>7}"
        )
    }
}

impl Verdict {
    fn print(&self, args: &NeighboursArgs) -> Result<()> {
        tell(&format!(
            "{:<12} {:<5} {:>7} {:>7} {:>7} {:>9} {:>8} {:>8} {:>8} {:>7}",
            "", "", "tried", "failed", "%", "a second", "p50 ms", "p99 ms", "max ms", "gaps"
        ))?;
        for measured in &self.measured {
            tell(&measured.git.line(measured.what, "git"))?;
            if let Some(ours) = &measured.ours {
                tell(&ours.line(measured.what, "ours"))?;
            }
        }
        let (chance, control) = (self.chance, self.chance_without_courtesy);
        tell(&format!("chance of so many failures of git: {chance:.4} beside us, {control:.4} without courtesy"))?;
        tell(if self.worse {
            "VIOLATION  git fares worse beside us than alone"
        } else {
            "git fares no worse beside us"
        })?;
        if args.json {
            tell(&serde_json::to_string(self)?)?;
        }
        Ok(())
    }
}
