//! `neighbours`: whether git fares worse beside us than beside as many of its own kind.
//!
//! In every round, each on a fresh repository: eight loops of git; four of git and four of this
//! library; the same, and ours do not back off for those who poll. With `--rare` one git that tries
//! every 0.5 to 2 seconds is judged: beside four loops of git; beside four of this library; the
//! same, and ours leave no back-off. Git fares worse if its failure rate beside us is above that
//! beside itself by more than chance explains: Fisher's exact test on the counts of all rounds,
//! one-sided, at one per cent.

mod chance;
pub(crate) mod ours;
mod phase;

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde::Serialize;

use crate::args::{ENOUGH_TRIES, NeighboursArgs, Switch};
use crate::git;
use ours::Tally;
use phase::{Crowd, Outcome, Time};

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
    /// Busy loops of git beside the rare one.
    crowd: Option<Side>,
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
    back_offs: u64,
}

/// The verdict, and what it rests on.
#[derive(Debug, Serialize)]
struct Verdict {
    rounds: u32,
    seconds: f64,
    measured: Vec<Measured>,
    /// The chance of so many failures of git beside us, if we did not matter.
    chance: f64,
    /// The same without fairness.
    chance_without_fairness: f64,
    worse: bool,
}

/// The whole measurement. `false` when git fares worse beside us.
pub(crate) fn main(args: &NeighboursArgs) -> Result<bool> {
    let version = git::version().map_err(|why| anyhow!("cannot be a neighbour without git: {why}"))?;
    let mut sums = crowds(args).map(|(what, crowd)| (what, crowd, Outcome::default()));
    let mut seconds = 0.0;
    tell(&format!("git {version}, {} rounds of three times {}", args.rounds, told(args)))?;
    for round in 0..args.rounds {
        let time = Time::of_round(args, round);
        seconds += time.length().as_secs_f64();
        for (_, crowd, sum) in &mut sums {
            sum.add(phase::run(*crowd, &time)?);
        }
    }
    let [(_, _, alone), (_, _, beside), (_, _, control)] = &sums;
    let chance =
        |with: &Outcome| chance::of_so_many(alone.git.failed, alone.git.tried, with.git.failed, with.git.tried);
    let (chance, chance_without_fairness) = (chance(beside), chance(control));
    let measured = sums.iter().map(|(what, _, sum)| Measured::of(what, sum, seconds)).collect::<Result<_>>()?;
    let (rounds, worse) = (args.rounds, chance < CHANCE);
    let verdict = Verdict { rounds, seconds, measured, chance, chance_without_fairness, worse };
    verdict.print(args)?;
    Ok(!worse)
}

/// What commits: the first row is what git is used to, the second is judged, the third shows
/// what backing off is for.
fn crowds(args: &NeighboursArgs) -> [(&'static str, Crowd); 3] {
    let fairness = args.fairness == Switch::On;
    let many = args.processes;
    let rare = args.rare.is_some();
    let beside = if rare { 0 } else { many };
    [
        ("git alone", Crowd { rare, git: beside + many, ours: 0, fairness }),
        ("beside us", Crowd { rare, git: beside, ours: many, fairness }),
        ("no fairness", Crowd { rare, git: beside, ours: many, fairness: false }),
    ]
}

/// The length of a round, for people.
fn told(args: &NeighboursArgs) -> String {
    args.rare.map_or_else(|| format!("{} s", args.seconds), |tries| format!("{} tries", tries.div_ceil(args.rounds)))
}

fn tell(line: &str) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}

impl Measured {
    fn of(what: &'static str, sum: &Outcome, seconds: f64) -> Result<Measured> {
        let ours = (sum.ours.tried > 0).then(|| Side::of(&sum.ours, seconds)).transpose()?;
        let crowd = (sum.crowd.tried > 0).then(|| Side::of(&sum.crowd, seconds)).transpose()?;
        Ok(Measured { what, git: Side::of(&sum.git, seconds)?, ours, crowd })
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
            back_offs: tally.metrics.back_offs,
        })
    }

    fn line(&self, what: &str, who: &str) -> String {
        let Side { tried, failed, failed_percent, a_second, p50_ms, p99_ms, max_ms, back_offs } = self;
        format!(
            "{what:<12} {who:<5} {tried:>7} {failed:>7} {failed_percent:>7.2} {a_second:>9.1} {p50_ms:>8.2} {p99_ms:>8.2} {max_ms:>8.2} {back_offs:>10}"
        )
    }
}

impl Verdict {
    fn print(&self, args: &NeighboursArgs) -> Result<()> {
        tell(&format!(
            "{:<12} {:<5} {:>7} {:>7} {:>7} {:>9} {:>8} {:>8} {:>8} {:>10}",
            "", "", "tried", "failed", "%", "a second", "p50 ms", "p99 ms", "max ms", "backed off"
        ))?;
        for measured in &self.measured {
            tell(&measured.git.line(measured.what, "git"))?;
            if let Some(ours) = &measured.ours {
                tell(&ours.line(measured.what, "ours"))?;
            }
            if let Some(crowd) = &measured.crowd {
                tell(&crowd.line(measured.what, "crowd"))?;
            }
        }
        if args.rare.is_some_and(|tries| tries < ENOUGH_TRIES) {
            tell(&format!("fewer than {ENOUGH_TRIES} tries a row say little"))?;
        }
        let (chance, control) = (self.chance, self.chance_without_fairness);
        tell(&format!("chance of so many failures of git: {chance:.4} beside us, {control:.4} without fairness"))?;
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
