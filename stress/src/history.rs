//! What each process writes down: what it is about to do, and what it was told about it.
//!
//! One file a thread of a process, one JSON object a line, each line written with one call: a
//! process that is killed leaves at most one cut-off line, the last.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;
use crate::roles::RoleKind;

/// One change of a transaction. Everything that a transaction of this library or of git's is made
/// from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "c", rename_all = "snake_case")]
pub(crate) enum Change {
    /// Points a reference at an id; the old one is expected (`None`: absent).
    Set { name: String, old: Option<String>, new: String },
    /// Points a reference at another one.
    Symbolic { name: String, old: Option<String>, new: String },
    /// Deletes a reference that points at an id.
    Delete { name: String, old: String },
    /// Deletes a symbolic reference.
    DeleteSymbolic { name: String, old: String },
    /// Appends a log entry.
    Append { name: String, old: Option<String>, new: String },
    /// Deletes all log entries there were before.
    ClearLog { name: String },
}

impl Change {
    /// The reference it is about.
    pub(crate) fn name(&self) -> &str {
        match self {
            Change::Set { name, .. }
            | Change::Symbolic { name, .. }
            | Change::Delete { name, .. }
            | Change::DeleteSymbolic { name, .. }
            | Change::Append { name, .. }
            | Change::ClearLog { name } => name,
        }
    }
}

/// A transaction before it is tried.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Draft {
    /// What it changes.
    pub(crate) changes: Vec<Change>,
    /// Whether each `Set` is logged.
    pub(crate) logged: bool,
    /// The message of its log entries.
    pub(crate) message: String,
    /// The messages of the commits whose ids it uses first.
    pub(crate) minted: Vec<String>,
}

/// A log entry that a transaction makes.
#[derive(Debug, Clone)]
pub(crate) struct NewEntry<'a> {
    /// The reference.
    pub(crate) name: &'a str,
    /// The id before; `None` for null.
    pub(crate) old: Option<&'a str>,
    /// The id after.
    pub(crate) new: &'a str,
    /// How far its update index is beyond that of the transaction.
    pub(crate) offset: u64,
}

impl Draft {
    /// The log entries it makes, in order: the appended ones get consecutive update indexes for
    /// each name.
    pub(crate) fn entries(&self) -> Vec<NewEntry<'_>> {
        let mut used: BTreeMap<&str, u64> = BTreeMap::new();
        let mut entries = Vec::new();
        let appended = |change: &&Change| matches!(change, Change::Append { .. });
        let set = |change: &&Change| self.logged && matches!(change, Change::Set { .. });
        for change in self.changes.iter().filter(appended).chain(self.changes.iter().filter(set)) {
            if let Change::Append { name, old, new } | Change::Set { name, old, new } = change {
                let next = used.entry(name).or_default();
                entries.push(NewEntry { name, old: old.as_deref(), new, offset: *next });
                *next += 1;
            }
        }
        entries
    }

    /// How many update indexes it takes.
    pub(crate) fn span(&self) -> u64 {
        self.entries().iter().map(|entry| entry.offset + 1).max().unwrap_or(1)
    }
}

/// A line of a history.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "snake_case")]
pub(crate) enum Record {
    /// The first line.
    Start { process: String, role: RoleKind, seed: u64 },
    /// About to commit transaction number `n` of this process.
    Intent { n: u64, at: u64, draft: Draft },
    /// It was acknowledged; `first` is its update index where that is told.
    Ack { n: u64, at: u64, first: Option<u64>, micros: u64 },
    /// It was refused: nothing has changed.
    Fail { n: u64, at: u64, why: String },
    /// Nobody can say whether it happened.
    Unknown { n: u64, at: u64, why: String },
    /// Something else did not succeed, which is allowed.
    Other { why: String },
    /// It read all accounts.
    Saw(Saw),
    /// Totals so far.
    Tally { reads: u64, compactions: u64 },
    /// What the stack counted so far, for all threads.
    Metrics(Metrics),
    /// Something that must never happen.
    Violation { what: String },
    /// The last line of a process that came to its end.
    Done,
}

/// A digest of what all accounts point at. Only compared between processes of one program.
pub(crate) fn digest<'a>(accounts: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for account in accounts {
        account.hash(&mut hasher);
    }
    hasher.finish()
}

/// A state of all accounts that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saw {
    /// When the reading began; if it was read several times in a row, the last of them.
    pub(crate) since: u64,
    /// The update index of the snapshot; git does not tell.
    pub(crate) index: Option<u64>,
    /// When that reading was over.
    pub(crate) until: u64,
    /// What each account pointed at, by name.
    pub(crate) accounts: Vec<(String, String)>,
}

impl Saw {
    /// See [`digest`].
    pub(crate) fn digest(&self) -> u64 {
        digest(self.accounts.iter().map(|(name, id)| (name.as_str(), id.as_str())))
    }
}

/// Nanoseconds since 1970, to compare moments in different processes.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Writes a history.
#[derive(Debug)]
pub(crate) struct Writer {
    file: File,
    line: Vec<u8>,
}

impl Writer {
    /// Starts a history in a new file.
    pub(crate) fn create(path: &Path) -> Result<Writer> {
        let file = File::create_new(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Writer { file, line: Vec::new() })
    }

    /// Adds a line. It is with the operating system when this returns.
    pub(crate) fn record(&mut self, record: &Record) -> Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, record)?;
        self.line.push(b'\n');
        self.file.write_all(&self.line).context("cannot write the history")
    }
}

/// How a transaction ended, as far as its process knew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is there, and stays.
    Acked { first: Option<u64>, at: u64, latency: Duration },
    /// It is not there.
    Failed,
    /// It may be there or not: it was told so, or the process ended before it was told anything.
    Unknown,
}

/// A transaction and how it ended.
#[derive(Debug, Clone)]
pub(crate) struct Op {
    /// When it was begun.
    pub(crate) at: u64,
    /// What it was to do.
    pub(crate) draft: Draft,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// When its process was told that it was not acknowledged.
    pub(crate) refused_at: Option<u64>,
}

impl Op {
    /// The update index, if it was acknowledged with one.
    pub(crate) fn index(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Acked { first, .. } => first,
            _ => None,
        }
    }
}

/// The history of one process, or of one of its threads.
#[derive(Debug, Clone)]
pub(crate) struct History {
    /// Its name.
    pub(crate) process: String,
    /// What it did.
    pub(crate) role: RoleKind,
    /// Its transactions, in order.
    pub(crate) ops: Vec<Op>,
    /// What was refused or failed, by kind.
    pub(crate) failures: BTreeMap<String, u64>,
    /// The states that it saw of all accounts; in order.
    pub(crate) saw: Vec<Saw>,
    /// Snapshots it read and checked.
    pub(crate) reads: u64,
    /// Compactions it did itself.
    pub(crate) compactions: u64,
    /// What its stack counted; told by the first thread of a process.
    pub(crate) metrics: Option<Metrics>,
    /// What it saw that must never happen.
    pub(crate) violations: Vec<String>,
    /// Whether its process was killed.
    pub(crate) was_killed: bool,
    /// Whether it is that of the first thread of its process.
    pub(crate) is_first: bool,
    /// Whether it came to its end.
    pub(crate) done: bool,
}

impl History {
    /// Reads a history.
    pub(crate) fn load(path: &Path, process: &str, role: RoleKind) -> Result<History> {
        let contents = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut history = History {
            process: process.to_owned(),
            role,
            ops: Vec::new(),
            failures: BTreeMap::new(),
            saw: Vec::new(),
            reads: 0,
            compactions: 0,
            metrics: None,
            violations: Vec::new(),
            was_killed: false,
            is_first: true,
            done: false,
        };
        // What follows the last newline was cut off with its process.
        let whole = contents.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        for line in contents.get(..whole).unwrap_or_default().split_inclusive(|&byte| byte == b'\n') {
            let record = serde_json::from_slice(line).with_context(|| format!("in {}", path.display()))?;
            history.apply(record);
        }
        Ok(history)
    }

    fn apply(&mut self, record: Record) {
        match record {
            Record::Start { .. } => {}
            Record::Intent { at, draft, .. } => {
                self.ops.push(Op { at, draft, outcome: Outcome::Unknown, refused_at: None })
            }
            Record::Ack { n, at, first, micros } => {
                self.settle(n, Outcome::Acked { first, at, latency: Duration::from_micros(micros) });
            }
            Record::Fail { n, at, why } => {
                self.settle(n, Outcome::Failed);
                self.refused(n, at);
                self.failed(why);
            }
            Record::Unknown { n, at, why } => {
                self.refused(n, at);
                self.failed(format!("unknown outcome: {why}"));
            }
            Record::Other { why } => self.failed(why),
            Record::Saw(saw) => self.saw.push(saw),
            Record::Tally { reads, compactions } => (self.reads, self.compactions) = (reads, compactions),
            Record::Metrics(metrics) => self.metrics = Some(metrics),
            Record::Violation { what } => self.violations.push(what),
            Record::Done => self.done = true,
        }
    }

    fn settle(&mut self, n: u64, outcome: Outcome) {
        let op = usize::try_from(n).ok().and_then(|n| self.ops.get_mut(n));
        match op {
            Some(op) => op.outcome = outcome,
            None => self.violations.push(format!("the history settles transaction {n}, which was never begun")),
        }
    }

    fn refused(&mut self, n: u64, at: u64) {
        if let Some(op) = usize::try_from(n).ok().and_then(|n| self.ops.get_mut(n)) {
            op.refused_at = Some(at);
        }
    }

    fn failed(&mut self, why: String) {
        *self.failures.entry(why).or_default() += 1;
    }

    /// The transactions that are known to be there.
    pub(crate) fn acked(&self) -> impl Iterator<Item = &Op> {
        self.ops.iter().filter(|op| matches!(op.outcome, Outcome::Acked { .. }))
    }
}
