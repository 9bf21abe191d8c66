//! Moves amounts between accounts. Conflicts are normal: the next step reads anew.

use anyhow::Result;

use super::{Role, accounts};
use crate::worker::Worker;

/// See the module.
#[derive(Debug)]
pub(super) struct Transfer;

impl Role for Transfer {
    fn step(&mut self, worker: &mut Worker) -> Result<()> {
        let snapshot = worker.snapshot()?;
        let balances = accounts::read(worker, &snapshot)?;
        if let Some(draft) = accounts::transfer(worker, &balances)? {
            worker.commit(&draft, false)?;
        }
        Ok(())
    }
}
