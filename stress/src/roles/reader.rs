//! Reads without pause, and believes nothing.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use reftable::{Snapshot, Stack};

use super::Role;
use super::accounts::{self, Balances};
use crate::names::{ACCOUNTS, PREFIX, account};
use crate::worker::Worker;

/// After so many reads, on average, an old snapshot is looked at again and another one kept.
const KEEP: u32 = 200;
/// One of so many reads scans all references and compares scan and look-up.
const WALK: u32 = 50;
/// Handles that a reader has beside its own. Each is used seldom, so it knows few of the tables
/// when it is, and must open them while others remove them.
const IDLE: usize = 64;
/// Readers are to be many, and are not to leave the writers without a processor.
const PAUSE: Duration = Duration::from_micros(100);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Reader {
    idle: Vec<Stack>,
    kept: Option<(Snapshot, Balances)>,
}

impl Role for Reader {
    fn step(&mut self, worker: &mut Worker) -> Result<()> {
        let snapshot = self.snapshot(worker)?;
        let balances = accounts::read(worker, &snapshot)?;
        newest_entry(worker, &snapshot, &balances)?;
        if worker.rng.u32(..WALK) == 0 {
            walk(worker, &snapshot)?;
        }
        if worker.rng.u32(..KEEP) == 0 {
            self.look_again(worker)?;
            self.kept = Some((snapshot, balances));
        }
        thread::sleep(PAUSE);
        Ok(())
    }
}

impl Reader {
    /// Most snapshots come from a handle that has been idle; at first from one just opened.
    fn snapshot(&mut self, worker: &mut Worker) -> Result<Snapshot> {
        let number = worker.rng.usize(..IDLE + IDLE / 8);
        match self.idle.get(number) {
            Some(stack) => worker.snapshot_of(stack),
            None if self.idle.len() < IDLE => {
                let stack = worker.open()?;
                let snapshot = worker.snapshot_of(&stack);
                self.idle.push(stack);
                snapshot
            }
            None => worker.snapshot(),
        }
    }

    /// A snapshot never changes, whatever became of its tables.
    fn look_again(&mut self, worker: &mut Worker) -> Result<()> {
        let Some((snapshot, before)) = self.kept.take() else { return Ok(()) };
        if accounts::collect(&snapshot)? != before {
            worker.violation(format!("the snapshot at {} has changed", snapshot.update_index()))?;
        }
        Ok(())
    }
}

/// A reference and its newest log entry are written together, so they agree.
fn newest_entry(worker: &mut Worker, snapshot: &Snapshot, balances: &Balances) -> Result<()> {
    let name = account(worker.rng.u8(..ACCOUNTS));
    let Some((_, id)) = balances.iter().find(|(found, _)| *found == name) else { return Ok(()) };
    let newest = snapshot.log(&name)?.next()?.map(|log| log.entry.new);
    if newest != Some(*id) {
        let at = snapshot.update_index();
        worker.violation(format!("at {at}, {name} is {id}, its newest log entry says {newest:?}"))?;
    }
    let looked_up = snapshot.get(&name)?.and_then(|found| found.target.id());
    if looked_up != Some(*id) {
        worker.violation(format!("{name} is {id} in a scan and {looked_up:?} when looked up"))?;
    }
    Ok(())
}

/// Every reference of a scan is found by a look-up, the same.
fn walk(worker: &mut Worker, snapshot: &Snapshot) -> Result<()> {
    for found in snapshot.prefix(PREFIX)? {
        let found = found?;
        if snapshot.get(&found.name)?.as_ref() != Some(&found) {
            worker.violation(format!("{} differs between walk and lookup", found.name_lossy()))?;
        }
    }
    Ok(())
}
