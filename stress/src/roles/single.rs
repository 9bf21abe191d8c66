//! Commits one reference at a time: counters that only this process moves.

use std::collections::BTreeMap;

use anyhow::Result;

use super::Role;
use crate::history::{Change, Draft};
use crate::names::own;
use crate::worker::{Ended, Worker};

/// How many references it has.
const COUNTERS: u32 = 16;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Single {
    /// What each counter points at, as far as this process knows.
    counters: BTreeMap<String, String>,
}

impl Role for Single {
    fn step(&mut self, worker: &mut Worker) -> Result<()> {
        let name = own(&worker.args.name, &format!("counter-{:02}", worker.rng.u32(..COUNTERS)));
        let minted = worker.mint.plain();
        let new = minted.id.to_string();
        let draft = Draft {
            changes: vec![Change::Set { name: name.clone(), old: self.counters.get(&name).cloned(), new: new.clone() }],
            logged: worker.rng.bool(),
            message: worker.args.name.clone(),
            minted: vec![minted.text],
        };
        match worker.commit(&draft, true)? {
            Ended::Acked => drop(self.counters.insert(name, new)),
            Ended::Failed => {}
            Ended::Conflict | Ended::Unknown => self.refresh(worker, &name)?,
        }
        Ok(())
    }
}

impl Single {
    fn refresh(&mut self, worker: &mut Worker, name: &str) -> Result<()> {
        let found = worker.snapshot()?.get(name)?.and_then(|found| found.target.id());
        match found {
            Some(id) => drop(self.counters.insert(name.to_owned(), id.to_string())),
            None => drop(self.counters.remove(name)),
        }
        Ok(())
    }
}
