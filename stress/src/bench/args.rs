//! The options of a run in which programs of any kind are driven.

use std::path::PathBuf;

use clap::ValueEnum;

use super::spec::Spec;

/// Which backend the repository has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RefFormat {
    /// Tables
    Reftable,
    /// A file a reference, and packed-refs: a control, of which other things are promised
    Files,
    /// The drivers' own, of which git knows nothing: the first driver makes the references that all
    /// share, and only drivers (and --list) read
    Own,
}

impl RefFormat {
    /// As it is told.
    pub(crate) fn name(self) -> &'static str {
        match self {
            RefFormat::Reftable => "reftable",
            RefFormat::Files => "files",
            RefFormat::Own => "own",
        }
    }

    /// What git makes the repository with. Of a store that it does not know it has to hold the
    /// objects only.
    pub(crate) fn of_git(self) -> &'static str {
        if self == RefFormat::Own { "files" } else { self.name() }
    }
}

/// The settings of such a run.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Any implementation (docs/bench.md)")]
pub(crate) struct BenchArgs {
    /// Drive a program that speaks `update-ref --stdin`, in N sessions at once (2 if not given);
    /// may be repeated
    ///
    /// The shell runs COMMAND in the repository, so paths in it are to be absolute. Where drivers
    /// are given there are processes of this library and of git's only if --processes and --git say
    /// so.
    #[arg(long, value_name = "[N:]COMMAND")]
    pub(crate) driver: Vec<Spec>,
    /// Drive a program that speaks the lines of docs/bench.md; may be repeated
    #[arg(long, value_name = "[N:]COMMAND")]
    pub(crate) line_driver: Vec<Spec>,
    /// What lists references for those who speak `update-ref --stdin`, as lines "ID NAME"; git's
    /// for-each-ref if not given
    #[arg(long, value_name = "COMMAND")]
    pub(crate) list: Option<String>,
    /// The backend of the repository; files are a control
    #[arg(long, value_enum)]
    pub(crate) ref_format: Option<RefFormat>,
    /// A setting of the repository
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) config: Vec<String>,
    /// With --chaos: milliseconds from one kill to the next, on average (100 if not given)
    #[arg(long, value_name = "MS", requires = "chaos", value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(crate) kill_every: Option<u64>,
    /// Remove locks of drivers that were killed, so that the run goes on; only by evidence
    ///
    /// A lock is removed when its driver was killed with a transaction in flight, no transaction
    /// that is in flight is old enough to have made it, and no process has it open.
    #[arg(long, requires = "chaos")]
    pub(crate) help_dead_locks: bool,
    /// After a kill the others are to go on within so many milliseconds: else it is a violation. If
    /// not given that is measured, and not judged
    #[arg(long, value_name = "MS", requires = "chaos")]
    pub(crate) max_stall: Option<u64>,
    /// Milliseconds that an answer may take (10,000 if not given)
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(crate) patience: Option<u64>,
    /// Write a page with the run, to be looked at with a browser
    #[arg(long, value_name = "FILE", value_parser = file_to_write)]
    pub(crate) html: Option<PathBuf>,
}

/// A file in a directory that is there: else that would be told when the run is over.
pub(super) fn file_to_write(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() && !parent.is_dir() => {
            Err(format!("there is no directory {}", parent.display()))
        }
        _ if path.is_dir() => Err("it is a directory".to_owned()),
        _ => Ok(path),
    }
}

impl BenchArgs {
    /// Whether any of it was asked for.
    pub(crate) fn is_wanted(&self) -> bool {
        !(self.driver.is_empty() && self.line_driver.is_empty())
            || self.list.is_some()
            || self.ref_format.is_some()
            || !self.config.is_empty()
            || self.kill_every.is_some()
            || self.help_dead_locks
            || self.max_stall.is_some()
            || self.patience.is_some()
    }
}
