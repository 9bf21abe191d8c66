//! The histories of a run as one that others can read: see docs/bench.md.
//!
//! References that point at ids are in it; symbolic ones and logs are not.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use crate::checker::Disturbances;
use crate::history::{Change, History, Op, Outcome};
use crate::judge::event::{Event, Kind, MicroOp, Process, What};
use crate::names::{ACCOUNTS, account};
use crate::object::commit_id;

/// All that is known of a run.
pub(crate) struct Source<'a> {
    /// When it began, as histories have times.
    pub(crate) begin: u64,
    pub(crate) hash: reftable::HashKind,
    /// The commits that the accounts start from, as messages.
    pub(crate) opening: &'a [String],
    pub(crate) histories: &'a [History],
    pub(crate) disturbances: Option<&'a Disturbances>,
}

/// The events of a run, in the order of the clock.
pub(crate) fn events(source: &Source<'_>) -> Vec<Event> {
    let mut out = Out { begin: source.begin, processes: 0, last: None, events: Vec::new() };
    out.opening(source);
    for history in source.histories {
        out.history(history);
    }
    for kill in source.disturbances.iter().flat_map(|done| &done.kills) {
        let what = What::Other { f: "kill".to_owned(), value: json!({ "driver": kill.process }) };
        out.nemesis(kill.at, what);
    }
    // What was begun at the moment at which something else was over did not surely come after it.
    out.events.sort_by_key(|event| (event.time, event.kind != Kind::Invoke));
    out.events
}

/// Leaves events as a file.
pub(crate) fn write(path: &Path, events: &[Event]) -> Result<()> {
    let lines = (0..).zip(events).map(|(index, event)| event.to_line(index)).collect::<Result<Vec<_>>>()?;
    fs::write(path, lines.join("\n") + "\n").with_context(|| format!("cannot write {}", path.display()))
}

struct Out {
    begin: u64,
    processes: u64,
    /// The last moment of the process that is told of.
    last: Option<u64>,
    events: Vec<Event>,
}

impl Out {
    fn process(&mut self) -> u64 {
        self.last = None;
        self.processes += 1;
        self.processes - 1
    }

    fn opening(&mut self, source: &Source<'_>) {
        let process = self.process();
        let id = |text: &String| commit_id(source.hash, text).to_string();
        let opened = (0..ACCOUNTS).zip(source.opening);
        let swaps: Vec<MicroOp> = opened
            .map(|(number, text)| MicroOp::Swap { name: account(number), old: None, new: Some(id(text)) })
            .collect();
        for kind in [Kind::Invoke, Kind::Ok] {
            self.add((self.begin, kind), (process, "opening"), swaps.clone(), None);
        }
    }

    /// One process does one thing after the other, and ends with what nobody knows. Readings are
    /// another one's: of many alike only the last was written down.
    fn history(&mut self, history: &History) {
        let (name, mut process) = (history.process.as_str(), self.process());
        for op in &history.ops {
            let swaps: Vec<MicroOp> = op.draft.changes.iter().filter_map(swap).collect();
            if swaps.is_empty() {
                continue;
            }
            self.add((op.at, Kind::Invoke), (process, name), swaps.clone(), None);
            let (kind, at) = completion(op);
            if let Some(at) = at {
                self.add((at, kind), (process, name), swaps, None);
            }
            if kind == Kind::Info {
                process = self.process();
            }
        }
        let reader = self.process();
        for saw in &history.saw {
            let reads = |is_known: bool| -> Vec<MicroOp> {
                let value =
                    |name: &String| saw.accounts.iter().find(|(found, _)| found == name).map(|(_, id)| id.clone());
                let names = (0..ACCOUNTS).map(account);
                names.map(|name| MicroOp::Read { value: value(&name).filter(|_| is_known), name }).collect()
            };
            self.add((saw.since, Kind::Invoke), (reader, name), reads(false), None);
            self.add((saw.until, Kind::Ok), (reader, name), reads(true), None);
        }
    }

    fn add(&mut self, (at, kind): (u64, Kind), who: (u64, &str), micro_ops: Vec<MicroOp>, error: Option<String>) {
        let (process, driver) = (Process::Client(who.0), Some(who.1.to_owned()));
        // A process does one thing after the other, however coarse the clock is.
        let time = at.saturating_sub(self.begin).max(self.last.map_or(0, |last| last + 1));
        self.last = Some(time);
        self.events.push(Event { time, kind, process, driver, error, what: What::Transaction(micro_ops) });
    }

    fn nemesis(&mut self, at: u64, what: What) {
        let time = at.saturating_sub(self.begin);
        let process = Process::Nemesis;
        self.events.push(Event { time, kind: Kind::Info, process, driver: None, error: None, what });
    }
}

/// How it ended, and when, if its process lived to see it.
fn completion(op: &Op) -> (Kind, Option<u64>) {
    match op.outcome {
        Outcome::Acked { at, .. } => (Kind::Ok, Some(at)),
        Outcome::Failed => (Kind::Fail, op.refused_at),
        Outcome::Unknown => (Kind::Info, op.refused_at),
    }
}

fn swap(change: &Change) -> Option<MicroOp> {
    match change {
        Change::Set { name, old, new } => {
            Some(MicroOp::Swap { name: name.clone(), old: old.clone(), new: Some(new.clone()) })
        }
        Change::Delete { name, old } => Some(MicroOp::Swap { name: name.clone(), old: Some(old.clone()), new: None }),
        Change::Symbolic { .. } | Change::DeleteSymbolic { .. } | Change::Append { .. } | Change::ClearLog { .. } => {
            None
        }
    }
}
