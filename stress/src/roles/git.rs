//! Real git, through `git update-ref --stdin`: its own references, and transfers between the
//! accounts of all.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Role;
use super::accounts::{self, Balances};
use crate::git::{Failure, Session, kind_of, output};
use crate::history::{Change, Draft};
use crate::names::{ACCOUNT_PREFIX, own};
use crate::repo::parse;
use crate::worker::Worker;

/// References of its own.
const COUNTERS: u32 = 8;
/// Between two transactions of a rare one, in milliseconds.
const PAUSE: RangeInclusive<u64> = 500..=2000;

/// See the module.
#[derive(Debug)]
pub(super) struct Git {
    /// Whether one process does many transactions, and accounts are read through our library; else
    /// each transaction has a process, and git reads the accounts as well.
    long_running: bool,
    session: Option<Session>,
    /// What its own references point at, as far as this process knows.
    counters: BTreeMap<String, String>,
}

/// One that commits now and then, as people do: our processes have forgotten it when it comes
/// again.
#[derive(Debug)]
pub(super) struct Rare(Git);

impl Default for Rare {
    fn default() -> Rare {
        Rare(Git::new(false))
    }
}

impl Role for Rare {
    fn step(&mut self, worker: &mut Worker) -> Result<()> {
        let pause = Duration::from_millis(worker.rng.u64(PAUSE));
        thread::sleep(pause.min(worker.time_left()));
        if worker.time_left().is_zero() { Ok(()) } else { self.0.step(worker) }
    }
}

impl Role for Git {
    fn step(&mut self, worker: &mut Worker) -> Result<()> {
        if worker.rng.u32(..3) == 0 {
            let balances = self.balances(worker)?;
            if let Some(draft) = accounts::transfer(worker, &balances)? {
                self.commit(worker, &draft, false)?;
            }
            return Ok(());
        }
        let draft = self.own_change(worker);
        self.commit(worker, &draft, true)
    }
}

impl Git {
    /// A driver of one process, or of many.
    pub(super) fn new(long_running: bool) -> Git {
        Git { long_running, session: None, counters: BTreeMap::new() }
    }

    fn balances(&self, worker: &mut Worker) -> Result<Balances> {
        if self.long_running {
            let snapshot = worker.snapshot()?;
            return accounts::read(worker, &snapshot);
        }
        worker.begin_read();
        let args = ["for-each-ref", "--format=%(refname) %(objectname)", ACCOUNT_PREFIX];
        let listed = output(&worker.layout.work_tree(), &args)?;
        let parse_line = |line: &str| {
            let (name, id) = line.split_once(' ').context("git lists references in an unknown form")?;
            Ok((name.to_owned(), parse(id)?))
        };
        let balances = listed.lines().map(parse_line).collect::<Result<Balances>>()?;
        worker.count_read();
        accounts::check(worker, &balances, None)?;
        Ok(balances)
    }

    /// Moves, creates or deletes one of its own references.
    fn own_change(&self, worker: &mut Worker) -> Draft {
        let name = own(&worker.args.name, &format!("counter-{}", worker.rng.u32(..COUNTERS)));
        let old = self.counters.get(&name).cloned();
        let mut draft = Draft { logged: true, message: worker.args.name.clone(), ..Draft::default() };
        match old {
            Some(old) if worker.rng.u32(..8) == 0 => {
                // With a reference, git deletes its log.
                draft.changes.push(Change::ClearLog { name: name.clone() });
                draft.changes.push(Change::Delete { name, old });
            }
            old => {
                let minted = worker.mint.plain();
                draft.changes.push(Change::Set { name, old, new: minted.id.to_string() });
                draft.minted.push(minted.text);
            }
        }
        draft
    }

    fn commit(&mut self, worker: &mut Worker, draft: &Draft, owned: bool) -> Result<()> {
        for text in &draft.minted {
            crate::pack::write_loose(&worker.layout.git_dir(), worker.args.shared.hash(), text)?;
        }
        let n = worker.begin(draft)?;
        let begun = Instant::now();
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::start(&worker.layout.work_tree(), &worker.args.name)?,
        };
        match session.transact(&draft.changes) {
            Ok(()) => {
                worker.acked(n, None, begun.elapsed())?;
                self.session = self.long_running.then_some(session);
                self.remember(draft, owned);
                Ok(())
            }
            Err(Failure::Refused(said)) => {
                worker.failed(n, kind_of(&said).map_or_else(|| first_line(&said), str::to_owned))?;
                self.judge(worker, &said, owned)
            }
            Err(Failure::Unclear(said)) => {
                worker.unknown(n, kind_of(&said).map_or_else(|| first_line(&said), str::to_owned))?;
                self.refresh(worker)?;
                self.judge(worker, &said, owned)
            }
        }
    }

    /// Whether git may fail like this.
    fn judge(&mut self, worker: &mut Worker, said: &str, owned: bool) -> Result<()> {
        match kind_of(said) {
            Some("conflict") if owned => {
                worker.violation(format!("git finds its own references changed: {said}"))?;
                self.refresh(worker)
            }
            Some(_) => Ok(()),
            None => worker.violation(format!("git failed: {said}")),
        }
    }

    fn remember(&mut self, draft: &Draft, owned: bool) {
        if !owned {
            return;
        }
        for change in &draft.changes {
            match change {
                Change::Set { name, new, .. } => drop(self.counters.insert(name.clone(), new.clone())),
                Change::Delete { name, .. } => drop(self.counters.remove(name)),
                _ => {}
            }
        }
    }

    fn refresh(&mut self, worker: &mut Worker) -> Result<()> {
        self.counters.clear();
        for found in worker.snapshot()?.prefix(own(&worker.args.name, ""))? {
            let found = found?;
            self.counters.insert(found.name_lossy().into_owned(), found.target.to_string());
        }
        Ok(())
    }
}

fn first_line(said: &str) -> String {
    said.lines().next().unwrap_or("no reason given").to_owned()
}
