//! `reftable-crash`: crash states of real programs.

mod table;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use reftable_crash::trace::{Claim, Report, Trace};
use reftable_crash::{Effort, Model};

/// Crash states of real programs, judged by any command.
#[derive(Debug, Parser)]
#[command(version, after_help = "Exit codes: 0 all holds, 1 a claim is broken, 2 usage, 3 nothing could be said.")]
struct Args {
    #[command(subcommand)]
    command: Words,
}

#[derive(Debug, Subcommand)]
enum Words {
    /// Runs a command, builds every state that a crash may leave, and has each judged.
    Trace(TraceArgs),
}

/// What a crash may destroy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModelName {
    /// Nothing: processes die, the kernel goes on.
    Kill,
    /// All that was not synced: each name, each file, each sector has a fate of its own.
    Synced,
    /// What was not synced; but names survive in order, as on ext4 with `data=ordered`.
    Ordered,
    /// As `ordered`, and extended attributes survive in the order of names.
    Journaled,
    /// As `synced`, and sectors that were being written are half old and half new.
    Torn,
}

const EXAMPLES: &str = "\
Examples:
  # One update of git, seen by git; the next update must succeed.
  reftable-crash trace --dir repo --judge 'git for-each-ref' \\
      --then 'git update-ref refs/heads/next HEAD' -- git update-ref refs/heads/a HEAD

  # The same where git is told to sync all that it writes.
  reftable-crash trace --dir repo --judge 'git for-each-ref' \\
      -- git -c core.fsync=all update-ref refs/heads/a HEAD

  # Several updates, each acknowledged by its process's end.
  reftable-crash trace --dir repo --acknowledge-exits --judge 'git for-each-ref' \\
      -- sh -c 'git update-ref refs/heads/a HEAD; git update-ref refs/heads/b HEAD'";

#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES)]
struct TraceArgs {
    /// The directory that is followed, and that the command runs in. What it has counts as durable.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// A line of the shell that reads a state: it runs in a directory that has it, prints what it
    /// finds there, and ends with 0.
    #[arg(long, value_name = "LINE")]
    judge: String,
    /// A line that must succeed after the judge: that nothing is in the next writer's way.
    #[arg(long, value_name = "LINE")]
    then: Option<String>,
    /// What crashes may destroy; if none is given all but `journaled`, which leaves nothing that
    /// `ordered` does not leave.
    #[arg(long = "model", value_name = "MODEL", value_enum)]
    models: Vec<ModelName>,
    /// The claims that decide the exit code; all if none is given. `usable` needs --then.
    #[arg(long = "claim", value_name = "CLAIM", value_enum, requires_if("usable", "then"))]
    claims: Vec<Claim>,
    /// Processes that end with 0 have acknowledged what they did. Else what the command writes to
    /// its standard output acknowledges what was done before, and its own end does.
    #[arg(long)]
    acknowledge_exits: bool,
    /// How many states of an instant are all built; of those with more some are drawn.
    #[arg(long, value_name = "N", default_value_t = 256)]
    exhaustive: usize,
    /// How many are drawn there, besides all, nothing, and all or nothing but one thing.
    #[arg(long, value_name = "N", default_value_t = 64)]
    samples: usize,
    /// After so many different states of a model a few of each instant are drawn.
    #[arg(long, value_name = "N", default_value_t = 2000)]
    limit: usize,
    /// Draws other states.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Seconds that a judge may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    time: u64,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    /// The command.
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl TraceArgs {
    fn trace(&self) -> Trace {
        let mut trace = Trace::new(&self.dir, self.command.clone(), &self.judge);
        trace.then.clone_from(&self.then);
        if !self.models.is_empty() {
            trace.models = self.models.iter().map(|model| model.model()).collect();
        }
        trace.exits_acknowledge = self.acknowledge_exits;
        let (exhaustive, samples, most_states, seed) = (self.exhaustive, self.samples, self.limit, self.seed);
        trace.effort = Effort { exhaustive, samples, most_states, seed, ..trace.effort };
        trace.time = Duration::from_secs(self.time);
        trace
    }

    /// Whether one of the claims that were asked for is broken.
    fn is_broken(&self, report: &Report) -> bool {
        let counts = |claim: &Claim| self.claims.is_empty() || self.claims.contains(claim);
        report.verdicts.iter().any(|verdict| verdict.broken.keys().any(counts))
    }
}

impl ModelName {
    fn model(self) -> Model {
        match self {
            ModelName::Kill => Model::Kill,
            ModelName::Synced => Model::OnlySynced,
            ModelName::Ordered => Model::Ordered,
            ModelName::Journaled => Model::Journaled,
            ModelName::Torn => Model::TornSectors,
        }
    }
}

fn main() -> ExitCode {
    let Words::Trace(args) = Args::parse().command;
    let bar = bar();
    let result = args.trace().run(&mut |model, share| {
        bar.set_message(model.describe());
        bar.set_position((share * 1000.0) as u64);
    });
    bar.finish_and_clear();
    match result {
        Ok(report) if report.operations == 0 => {
            let dir = args.dir.display();
            let _ = writeln!(std::io::stderr(), "reftable-crash: {dir}: the command has changed nothing in it");
            ExitCode::from(3)
        }
        Ok(report) => {
            let text = if args.json { table::json(&report) } else { table::text(&report, args.then.is_some()) };
            // A reader that has gone wants nothing more.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::from(u8::from(args.is_broken(&report)))
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "reftable-crash: {}: {error}", args.dir.display());
            ExitCode::from(3)
        }
    }
}

/// One that nobody sees where nobody watches.
fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}");
    ProgressBar::new(1000).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
