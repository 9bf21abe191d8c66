//! Moves amounts between accounts. Conflicts are normal: the next step reads anew, or `transact`
//! does.

use std::time::Instant;

use anyhow::{Error, Result};

use super::{Role, accounts};
use crate::worker::Worker;

/// See the module.
#[derive(Debug)]
pub(super) struct Transfer;

impl Role for Transfer {
    fn step(&mut self, worker: &mut Worker) -> Result<()> {
        // `transact` commits by itself, out of reach of the option that takes transfers apart.
        if !worker.args.shared.break_atomicity && worker.rng.bool() {
            return transact(worker);
        }
        let snapshot = worker.snapshot()?;
        let balances = accounts::read(worker, &snapshot)?;
        if let Some(draft) = accounts::transfer(worker, &balances)? {
            worker.commit(&draft, false)?;
        }
        Ok(())
    }
}

/// A transfer that is decided anew when another commit was faster. Each decision is a transaction
/// of its own in the history.
fn transact(worker: &mut Worker) -> Result<()> {
    let stack = worker.stack.clone();
    let mut open = None;
    worker.begin_read();
    let result = stack.transact(|snapshot, tx| {
        if let Some((n, _)) = open.take() {
            worker.failed(n, "Conflict")?;
        }
        worker.count_read();
        let balances = accounts::read(worker, snapshot)?;
        if let Some(draft) = accounts::transfer(worker, &balances)? {
            open = Some((worker.begin(&draft)?, Instant::now()));
            worker.fill_in(tx, &draft, &draft.changes);
        }
        // The next state is read after this at the earliest.
        worker.begin_read();
        Ok::<(), Error>(())
    });
    match (result, open) {
        (Ok(()), Some((n, begun))) => worker.acked(n, None, begun.elapsed()),
        (Ok(()), None) => Ok(()),
        (Err(error), open) => match (error.downcast_ref::<reftable::Error>(), open) {
            (Some(why), Some((n, _))) => worker.refused(n, why, false).map(drop),
            _ => Err(error),
        },
    }
}
