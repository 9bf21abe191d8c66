//! Writes the history of a run while it goes on.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::judge::event::{Event, Kind, MicroOp, Process, What};

/// One file for all: the order of its lines is the order in which things happened.
pub(crate) struct Recorder {
    begin: Instant,
    state: Mutex<State>,
}

struct State {
    file: File,
    index: u64,
    clients: u64,
}

impl Recorder {
    /// Starts a history in a new file.
    pub(crate) fn create(path: &Path) -> Result<Recorder> {
        let file = File::create_new(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Recorder { begin: Instant::now(), state: Mutex::new(State { file, index: 0, clients: 0 }) })
    }

    /// The number of a process that is not used yet.
    pub(crate) fn client(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clients += 1;
        state.clients - 1
    }

    /// Adds a line of a transaction.
    pub(crate) fn transaction(
        &self,
        kind: Kind,
        (process, driver): (u64, &str),
        micro_ops: Vec<MicroOp>,
        error: Option<String>,
    ) -> Result<()> {
        let (process, what) = (Process::Client(process), What::Transaction(micro_ops));
        self.add(Event { time: 0, kind, process, driver: Some(driver.to_owned()), error, what })
    }

    /// Adds a line of what no client did.
    pub(crate) fn nemesis(&self, f: &str, value: Value) -> Result<()> {
        let what = What::Other { f: f.to_owned(), value };
        self.add(Event { time: 0, kind: Kind::Info, process: Process::Nemesis, driver: None, error: None, what })
    }

    /// The time is taken with the lock: lines and times have one order.
    fn add(&self, mut event: Event) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        event.time = u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut line = event.to_line(state.index)?;
        line.push('\n');
        state.index += 1;
        state.file.write_all(line.as_bytes()).context("cannot write the history")
    }
}
