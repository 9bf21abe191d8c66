//! A line that tells what is going on, made from the histories as they grow.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::history::Record;

/// The progress of a run. Shows nothing unless standard error is a terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
    tails: BTreeMap<PathBuf, Tail>,
}

impl Progress {
    /// Of a run of so many seconds.
    pub(crate) fn new(seconds: u64) -> Progress {
        let bar = ProgressBar::new(seconds);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} s  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Progress { bar, tails: BTreeMap::new() }
    }

    /// Reads these histories on, and shows where things are.
    pub(crate) fn update(&mut self, elapsed: Duration, histories: impl FnOnce() -> Vec<PathBuf>) {
        if self.bar.is_hidden() {
            return;
        }
        for path in histories() {
            self.tails.entry(path.clone()).or_insert_with(|| Tail::new(path)).read();
        }
        let sum = |count: fn(&Tail) -> u64| self.tails.values().map(count).sum::<u64>();
        let (commits, reads, refused) = (sum(|tail| tail.commits), sum(|tail| tail.reads), sum(|tail| tail.refused));
        let violations = sum(|tail| tail.violations);
        self.bar.set_position(elapsed.as_secs().min(self.bar.length().unwrap_or_default()));
        self.bar.set_message(format!("{commits} commits, {reads} reads, {refused} refused, {violations} violations"));
    }

    /// Says what comes after the processes.
    pub(crate) fn checking(&self) {
        self.bar.set_message("checking");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// One history, as far as it was read.
struct Tail {
    path: PathBuf,
    file: Option<BufReader<File>>,
    line: Vec<u8>,
    commits: u64,
    reads: u64,
    refused: u64,
    violations: u64,
}

impl Tail {
    fn new(path: PathBuf) -> Tail {
        Tail { path, file: None, line: Vec::new(), commits: 0, reads: 0, refused: 0, violations: 0 }
    }

    /// What cannot be read is not shown; the checks read everything again.
    fn read(&mut self) {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok().map(BufReader::new);
        }
        while let Some(file) = &mut self.file {
            let more = file.read_until(b'\n', &mut self.line).unwrap_or(0);
            if more == 0 || self.line.last() != Some(&b'\n') {
                return;
            }
            let record = serde_json::from_slice(&self.line);
            self.line.clear();
            match record {
                Ok(Record::Ack { .. }) => self.commits += 1,
                Ok(Record::Fail { .. } | Record::Unknown { .. }) => self.refused += 1,
                Ok(Record::Violation { .. }) => self.violations += 1,
                Ok(Record::Tally { reads, .. }) => self.reads = reads,
                _ => {}
            }
        }
    }
}
