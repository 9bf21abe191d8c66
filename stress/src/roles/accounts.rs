//! Reading all accounts, and planning a transfer.

use anyhow::{Context, Result};
use reftable::{ObjectId, Snapshot};

use crate::history::{Change, Draft};
use crate::names::{ACCOUNT_PREFIX, ACCOUNTS, TOTAL, account};
use crate::object::amount_of;
use crate::worker::Worker;

/// No transfer moves more.
const LARGEST: u8 = 20;

/// What each account points at, by number.
pub(super) type Balances = Vec<(String, ObjectId)>;

/// Reads all accounts from `snapshot`, checks that the sum is whole, and notes what was read.
pub(super) fn read(worker: &mut Worker, snapshot: &Snapshot) -> Result<Balances> {
    let balances = collect(snapshot)?;
    check(worker, &balances, Some(snapshot.update_index()))?;
    Ok(balances)
}

/// Reads all accounts from `snapshot`.
pub(super) fn collect(snapshot: &Snapshot) -> Result<Balances> {
    let mut balances = Vec::with_capacity(usize::from(ACCOUNTS));
    let mut refs = snapshot.prefix(ACCOUNT_PREFIX)?;
    while let Some(found) = refs.next()? {
        let name = String::from_utf8_lossy(found.name).into_owned();
        let id = found.target.id().with_context(|| format!("{name} is symbolic"))?;
        balances.push((name, id));
    }
    Ok(balances)
}

/// Checks that the sum is whole, and notes what was read: in the end it must be one of the states
/// that the accounts went through, the one at this update index. `None`: as git reads it, which
/// does not tell.
pub(super) fn check(worker: &mut Worker, balances: &Balances, at: Option<u64>) -> Result<()> {
    let sum: u64 = balances.iter().map(|(_, id)| u64::from(amount_of(id))).sum();
    if balances.len() != usize::from(ACCOUNTS) || sum != TOTAL {
        let count = balances.len();
        let at = at.map_or("as git lists it".to_owned(), |at| format!("at update index {at}"));
        worker.violation(format!("broken sum {at}: {count} accounts hold {sum} instead of {TOTAL}"))?;
    }
    worker.saw(at, balances.iter().map(|(name, id)| (name.clone(), id.to_string())).collect())
}

/// A transfer between two accounts of `balances`; `None` if the two that were chosen cannot do it.
pub(super) fn transfer(worker: &mut Worker, balances: &Balances) -> Result<Option<Draft>> {
    let (from, to) = (worker.rng.u8(..ACCOUNTS), worker.rng.u8(..ACCOUNTS));
    let amount = worker.rng.u8(1..=LARGEST);
    let find = |number: u8| balances.iter().find(|(name, _)| *name == account(number));
    let (Some((from, from_id)), Some((to, to_id))) = (find(from), find(to)) else { return Ok(None) };
    let after = (amount_of(from_id).checked_sub(amount), amount_of(to_id).checked_add(amount));
    let (Some(less), Some(more)) = after else { return Ok(None) };
    if from == to {
        return Ok(None);
    }
    let mut draft = Draft { logged: true, message: worker.args.name.clone(), ..Draft::default() };
    for (name, old, amount) in [(from, from_id, less), (to, to_id, more)] {
        let minted = worker.mint.with_amount(amount)?;
        let change = Change::Set { name: name.clone(), old: Some(old.to_string()), new: minted.id.to_string() };
        draft.changes.push(change);
        draft.minted.push(minted.text);
    }
    Ok(Some(draft))
}
