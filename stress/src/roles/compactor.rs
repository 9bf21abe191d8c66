//! Compacts by the rule and altogether, and verifies the whole store while others work on it.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use reftable::ErrorKind;
use reftable::compact::Compact;
use reftable::verify::Severity;

use super::Role;
use crate::worker::Worker;

/// One of so many steps compacts everything.
const ALL: u32 = 8;
/// One of so many steps verifies.
const VERIFY: u32 = 16;
/// The longest pause between two steps, in milliseconds.
const PAUSE: u64 = 30;

/// See the module.
#[derive(Debug)]
pub(super) struct Compactor;

impl Role for Compactor {
    fn step(&mut self, worker: &mut Worker) -> Result<()> {
        let what = if worker.rng.u32(..ALL) == 0 { Compact::all() } else { Compact::Auto };
        match worker.stack.compact(what) {
            Ok(Some(done)) => {
                worker.compactions += 1;
                for left in done.leftovers {
                    worker.other(format!("left over: {left}"))?;
                }
            }
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::Locked => worker.other("compaction: Locked")?,
            Err(error) => return Err(error).context("a compaction failed"),
        }
        let snapshot = worker.snapshot()?;
        super::accounts::read(worker, &snapshot)?;
        if worker.rng.u32(..VERIFY) == 0 {
            let findings = worker.stack.verify().context("cannot verify")?.findings;
            for finding in findings.into_iter().filter(|finding| finding.severity > Severity::Note) {
                worker.violation(format!("verify: {finding}"))?;
            }
        }
        thread::sleep(Duration::from_millis(worker.rng.u64(1..=PAUSE)));
        Ok(())
    }
}
