//! Crash states of real programs.
//!
//! [`Trace`] runs a command in a directory, records what it and all that it starts do to that
//! directory, builds the states that a crash may leave at every instant, puts each of them into a
//! real directory, and asks a command what it finds there.
//!
//! The recording is exact: the calls that change something are let through one after the other, and
//! after each of them the directory is looked at. What cannot be seen (memory that is mapped and
//! written, io_uring, programs that are not traced) is an error, never left out.

mod calls;
mod claims;
mod explore;
mod judge;
mod look;
mod record;
mod tracer;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

pub use claims::Claim;
pub use explore::{BrokenStates, Verdict};

use crate::{Effort, Model};
use explore::Run;
use judge::Judge;
use record::{Recorder, Recording};
use tracer::{Ended, Tracee};

/// What to run, and how to judge it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Trace {
    /// The directory that is followed; the command runs in it. What is there counts as durable.
    pub dir: PathBuf,
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// A command line of the shell that reads the state it is started in, prints what it finds, and
    /// ends with 0.
    pub judge: String,
    /// One that must succeed after it, such as the next update.
    pub then: Option<String>,
    /// What crashes may destroy.
    pub models: Vec<Model>,
    /// A process of the command that ends with 0 has acknowledged what it did, too.
    pub exits_acknowledge: bool,
    /// How hard to look.
    pub effort: Effort,
    /// How long a command that judges may take.
    pub time: Duration,
}

/// Everything that was found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// Calls that changed something or made it durable, and acknowledgements.
    pub operations: usize,
    /// Whether the judge reads after the command what it read before.
    pub is_without_effect: bool,
    /// By model, in the order that was asked for.
    pub verdicts: Vec<Verdict>,
}

impl Trace {
    /// A trace of `command` in `dir`, judged by `judge`, under all models.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, command: Vec<OsString>, judge: impl Into<String>) -> Trace {
        Trace {
            dir: dir.into(),
            command,
            judge: judge.into(),
            then: None,
            models: Model::ALL.to_vec(),
            exits_acknowledge: false,
            effort: Effort { exhaustive: 256, samples: 64, most_states: 2_000, ..Effort::default() },
            time: Duration::from_secs(10),
        }
    }

    /// Runs the command once, and has its crash states judged. `progress` hears of each model and
    /// the share of instants that are done, from 0 to 1.
    ///
    /// What the command prints goes to standard error.
    ///
    /// # Errors
    ///
    /// The command cannot be started or fails; a change was made that cannot be seen; the judge
    /// fails where nothing has crashed; the directory or a state cannot be read or made.
    pub fn run(&self, progress: &mut dyn FnMut(Model, f64)) -> io::Result<Report> {
        let recording = self.record_alone()?;
        let mut judge = Judge::new(&self.dir, self.judge.clone(), self.then.clone(), self.time)?;
        let run = Run::new(&recording, &mut judge)?;
        let operations = recording.log.len();
        let mut verdicts = Vec::new();
        for model in &self.models {
            let mut told = |done: usize| progress(*model, done as f64 / operations.max(1) as f64);
            verdicts.push(run.crash(*model, self.effort, &mut judge, &mut told)?);
        }
        Ok(Report { operations, is_without_effect: !run.changes_something(), verdicts })
    }

    /// A thread that traces waits for whatever it has started: this one has nothing else.
    fn record_alone(&self) -> io::Result<Recording> {
        let recorded = thread::scope(|scope| scope.spawn(|| self.record()).join());
        recorded.unwrap_or_else(|_| Err(io::Error::other("the recording has failed")))
    }

    fn record(&self) -> io::Result<Recording> {
        let dir = std::fs::canonicalize(&self.dir)?;
        let (tracee, mut output) = Tracee::start(&self.command, &dir)?;
        let mut recorder = Recorder::new(&dir, output.as_raw_fd(), self.exits_acknowledge)?;
        let before = recorder.tree();
        let pass_on = thread::spawn(move || pass_on(&mut output));
        let ended = tracee.run(&mut recorder)?;
        let _ = pass_on.join();
        match ended {
            Ended::Code(0) => recorder.finish(before),
            Ended::Code(code) => Err(io::Error::other(format!("the command has failed with exit code {code}"))),
            Ended::Signal(signal) => Err(io::Error::other(format!("the command was killed by {signal}"))),
        }
    }
}

/// Shows what the command prints as it comes. The report is on standard output.
fn pass_on(output: &mut impl Read) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = output.read(&mut buffer) {
        let _ = io::stderr().write_all(buffer.get(..read).unwrap_or_default());
    }
}
