//! Entries are taken out of a log.

use reftable::{Expect, Log, LogEntry, ObjectId, Target, Transaction};

use crate::error::Result;
use crate::names::Place;
use crate::stores::Stores;
use crate::view::View;

/// How entries are taken out of a log, beside that they go: what `git reflog delete` and `expire`
/// can be asked for.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LogEdit {
    /// Nothing goes, it is only said what would.
    pub dry_run: bool,
    /// The old id of each entry that stays becomes the new one of the entry that stays before it.
    pub rewrites: bool,
    /// The reference is set to the new id of the newest entry that stays; not if it is symbolic.
    pub updates_reference: bool,
}

/// What became of an entry.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Verdict {
    /// The entry as it stood in the log.
    pub entry: LogEntry,
    /// Whether it went, or would go.
    pub is_expired: bool,
}

impl LogEdit {
    /// Takes entries out of the log of `name`: those of which `is_doomed`, which gets all of them,
    /// newest first, says so, in that order. Says what became of each, oldest first. A log that
    /// loses all entries still exists. If another commit is faster it is decided a second time,
    /// under the lock.
    ///
    /// # Errors
    /// Those of `is_doomed`, and if the log cannot be read or written.
    pub fn run(
        &self,
        name: &[u8],
        stores: &Stores,
        mut is_doomed: impl FnMut(&[Log], &View) -> Result<Vec<bool>>,
    ) -> Result<Vec<Verdict>> {
        let stack = stores.at(Place::of(name));
        let mut locked = None;
        loop {
            let view = stores.view()?;
            let mut logs = Vec::new();
            let mut found = view.log(name)?;
            while let Some(log) = found.next()? {
                logs.push(log.to_log());
            }
            let doomed = is_doomed(&logs, &view)?;
            if !self.dry_run && doomed.contains(&true) {
                let (transaction, is_rewritten) = self.plan(name, &logs, &doomed, stores, &view)?;
                let newest = logs.first().map(|log| log.update_index).filter(|_| is_rewritten);
                if let Some(locked) = locked.take() {
                    let locked: reftable::transaction::Locked = locked;
                    locked.prepare(transaction)?.commit()?;
                } else if !commit_after(transaction, name, newest)? {
                    locked = Some(stack.lock()?);
                    continue;
                }
            }
            let verdict = |(log, is_expired): (Log, bool)| Verdict { entry: log.entry, is_expired };
            return Ok(logs.into_iter().zip(doomed).map(verdict).rev().collect());
        }
    }

    /// The transaction, and whether it rests on that no entry is added meanwhile.
    fn plan(
        &self,
        name: &[u8],
        logs: &[Log],
        doomed: &[bool],
        stores: &Stores,
        view: &View,
    ) -> Result<(Transaction, bool)> {
        let mut transaction = stores.at(Place::of(name)).transaction();
        let mut kept: Option<ObjectId> = None;
        let mut is_rewritten = false;
        for (log, is_doomed) in logs.iter().zip(doomed).rev() {
            if *is_doomed {
                transaction.delete_log_entry(name, log.update_index);
                continue;
            }
            let before = kept.replace(log.entry.new);
            let old = before.filter(|_| self.rewrites).unwrap_or(log.entry.old);
            // From the first that changes on, all are written anew: what is newer comes later.
            is_rewritten |= old != log.entry.old;
            if is_rewritten {
                transaction.delete_log_entry(name, log.update_index);
                transaction.append_log(name, LogEntry { old, ..log.entry.clone() });
            }
        }
        let current = view.stored(name)?.map(|found| found.target);
        let current = current.filter(|current| self.updates_reference && !matches!(current, Target::Symbolic(_)));
        if let (Some(kept), Some(current)) = (kept, current)
            && current.id() != Some(kept)
        {
            transaction.set(name, Expect::Is(current), stores.checked(name, &Target::Id(kept))?);
        }
        Ok((transaction, is_rewritten))
    }
}

/// Commits, unless something is not as expected under the lock: the reference, or the number of the
/// `newest` entry, if that counts.
fn commit_after(transaction: Transaction, name: &[u8], newest: Option<u64>) -> Result<bool> {
    match transaction.prepare() {
        Ok(prepared) => {
            let found = prepared.snapshot().log(name)?.next()?.map(|log| log.update_index);
            let is_right = newest.is_none() || found == newest;
            if is_right {
                prepared.commit()?;
            }
            Ok(is_right)
        }
        Err(error) if error.kind() == reftable::ErrorKind::Conflict => Ok(false),
        Err(error) => Err(error.into()),
    }
}
