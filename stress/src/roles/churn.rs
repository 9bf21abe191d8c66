//! Creates, deletes and recreates references, alone and many at once; moves symbolic ones; appends
//! to logs and clears them. All of them belong to this process alone.

use std::collections::BTreeMap;

use anyhow::Result;
use reftable::Target;

use super::Role;
use crate::history::{Change, Draft};
use crate::names::{account, own};
use crate::worker::{Ended, Worker};

/// References that come and go.
const TEMPORARY: u32 = 12;
/// Symbolic references.
const LINKS: u32 = 4;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Churn {
    /// What its references point at, as far as this process knows.
    known: BTreeMap<String, Target>,
    /// The id of the newest entry in the journal.
    newest: Option<String>,
}

impl Role for Churn {
    fn step(&mut self, worker: &mut Worker) -> Result<()> {
        let mut draft = Draft { message: worker.args.name.clone(), logged: worker.rng.bool(), ..Draft::default() };
        match worker.rng.u32(..10) {
            0..=3 => self.flip(worker, &mut draft, 1),
            4 => self.flip(worker, &mut draft, 6),
            5 | 6 => self.link(worker, &mut draft),
            _ => self.append(worker, &mut draft),
        }
        match worker.commit(&draft, true)? {
            Ended::Acked => self.remember(&draft),
            Ended::Failed => {}
            Ended::Conflict | Ended::Unknown => self.refresh(worker)?,
        }
        Ok(())
    }
}

impl Churn {
    /// Creates `count` references, or deletes those of them that exist, with their logs or without.
    fn flip(&mut self, worker: &mut Worker, draft: &mut Draft, count: u32) {
        let start = worker.rng.u32(..TEMPORARY);
        for number in (start..).take(count as usize) {
            let name = own(&worker.args.name, &format!("temporary-{:02}", number % TEMPORARY));
            match self.known.get(&name) {
                Some(old) => {
                    if worker.rng.bool() {
                        draft.changes.push(Change::ClearLog { name: name.clone() });
                    }
                    draft.changes.push(Change::Delete { name, old: old.to_string() });
                }
                None => {
                    let minted = worker.mint.plain();
                    draft.changes.push(Change::Set { name, old: None, new: minted.id.to_string() });
                    draft.minted.push(minted.text);
                }
            }
        }
    }

    /// Points a symbolic reference at an account, or deletes it.
    fn link(&mut self, worker: &mut Worker, draft: &mut Draft) {
        let name = own(&worker.args.name, &format!("link-{}", worker.rng.u32(..LINKS)));
        let old = match self.known.get(&name) {
            Some(Target::Symbolic(old)) => Some(String::from_utf8_lossy(old).into_owned()),
            _ => None,
        };
        draft.changes.push(match old {
            Some(old) if worker.rng.u32(..3) == 0 => Change::DeleteSymbolic { name, old },
            old => Change::Symbolic { name, old, new: account(worker.rng.u8(..crate::names::ACCOUNTS)) },
        });
    }

    /// Appends one to three entries to the journal, and rarely clears it first.
    fn append(&mut self, worker: &mut Worker, draft: &mut Draft) {
        let name = own(&worker.args.name, "journal");
        if worker.rng.u32(..100) == 0 {
            draft.changes.push(Change::ClearLog { name: name.clone() });
        }
        let mut old = self.newest.clone();
        for _ in 0..worker.rng.u32(1..=3) {
            let minted = worker.mint.plain();
            let new = minted.id.to_string();
            draft.changes.push(Change::Append { name: name.clone(), old, new: new.clone() });
            draft.minted.push(minted.text);
            old = Some(new);
        }
        // The reference itself appears with the first entries: git shows no log without one.
        if let (Some(new), None) = (old, self.known.get(&name)) {
            draft.changes.push(Change::Set { name, old: None, new });
            draft.logged = false;
        }
    }

    fn remember(&mut self, draft: &Draft) {
        for change in &draft.changes {
            match change {
                Change::Set { name, new, .. } => {
                    if let Ok(id) = crate::repo::parse(new) {
                        self.known.insert(name.clone(), id.into());
                    }
                }
                Change::Symbolic { name, new, .. } => {
                    self.known.insert(name.clone(), Target::symbolic(new));
                }
                Change::Delete { name, .. } | Change::DeleteSymbolic { name, .. } => {
                    self.known.remove(name);
                }
                Change::Append { new, .. } => self.newest = Some(new.clone()),
                Change::ClearLog { .. } => {}
            }
        }
    }

    fn refresh(&mut self, worker: &mut Worker) -> Result<()> {
        self.known.clear();
        for found in worker.snapshot()?.prefix(own(&worker.args.name, ""))? {
            let found = found?;
            self.known.insert(found.name_lossy().into_owned(), found.target);
        }
        Ok(())
    }
}
