//! Group commit: the lock holder commits for all that wait.

use std::io;
use std::time::Duration;

use super::prepared::{Commit, write};
use crate::changeset::{Applied, Changeset, decode, decode_replaced, encode, encode_replaced};
use crate::engine::WriteGroup;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::Holder;
use crate::snapshot::Snapshot;
use crate::stack::queue::{Leadership, Outcome};
use crate::stack::request::Planned;
use crate::stack::{Admitted, ListLock, Stack};

/// How many transactions share a table at most.
const MAX_MEMBERS: usize = 512;

/// Transactions with more changes than this are written alone, so that nobody waits for their bulk.
const MAX_CHANGES: usize = 4096;

/// Commits `changes`, which are in order, or lets another thread do it.
pub(super) fn commit(stack: &Stack, changes: Changeset) -> Result<Commit> {
    let shared = &stack.shared;
    let (start, timeout) = (shared.env.dir.now(), shared.env.options.lock_timeout);
    match shared.write_lock.queue.submit(changes, timeout) {
        Outcome::Lead(leadership, changes) => lead(stack, leadership, start, changes),
        Outcome::Done(result) => result.map(Commit::alone),
        Outcome::TimedOut => Err(shared.write_lock.list_is_locked(Holder::Alive(shared.env.dir.process_id()), start)),
        Outcome::ThisThread => Err(shared.write_lock.list_is_locked(Holder::ThisThread, start)),
        Outcome::Abandoned => {
            let message = "the thread that was publishing this transaction with its own has panicked";
            let error = Error::new(ErrorKind::Indeterminate, message).in_file(stack.path());
            Err(error.way_out("look whether the change is there"))
        }
    }
}

/// Commits transactions as one group.
pub(super) fn commit_all(stack: &Stack, all: Vec<Result<Changeset>>) -> Vec<Result<Commit>> {
    let mut valid = Vec::new();
    let mut refused = Vec::new();
    for changes in all {
        match changes {
            Ok(changes) => {
                valid.push(changes);
                refused.push(None);
            }
            Err(error) => refused.push(Some(error)),
        }
    }
    let (results, after) = match stack.shared.write_lock.lock_list() {
        Ok((lock, base)) => run(stack, lock, base, valid, || ()),
        Err(error) => (Members::new(valid).fail(&error), None),
    };
    let mut results: Vec<Result<Commit>> = results.into_iter().map(|result| result.map(Commit::alone)).collect();
    if let Some(Ok(commit)) = results.iter_mut().find(|result| result.is_ok()) {
        commit.compaction = after.and_then(|after| stack.compact_after_commit(&after));
    }
    let mut results = results.into_iter();
    let each = refused.into_iter().map(|refused| match refused {
        Some(error) => Some(Err(error)),
        None => results.next(),
    });
    each.flatten().collect()
}

/// Commits our own transaction, and with it those of all that wait.
///
/// 1. We wait for the list lock. Others arrive.
/// 2. We have it, and take those that wait: as late as possible. Those of other processes, too, if
///    they are there; or one of them does ours.
/// 3. We publish one table for all. The lock, and with it our leadership, goes on to the next
///    before the last sync.
/// 4. All is durable: they get their results. What is left to do is ours.
fn lead(
    stack: &Stack,
    leadership: Leadership<Changeset, Result<Applied>>,
    start: Duration,
    own: Changeset,
) -> Result<Commit> {
    let shared = &stack.shared;
    let (mut lock, base) = match shared.write_lock.lock_list_or_delegate(leadership, start, || encode(&own))? {
        Admitted::Lock(lock, base) => (lock, base),
        Admitted::Delegated(update_index, asked) => {
            let told = own.asks_replaced.and_then(|_| asked?.replaced());
            let replaced = told.and_then(|told| decode_replaced(&told, &own.updates).ok());
            return Ok(Commit::alone(Applied { update_index, replaced }));
        }
    };
    let mut group =
        lock.leadership.take(MAX_MEMBERS, |changes| own.len() <= MAX_CHANGES && changes.len() <= MAX_CHANGES);
    let mut jobs: Vec<Changeset> = std::iter::once(own).chain(group.jobs().cloned()).collect();
    if jobs.iter().all(|changes| changes.len() <= MAX_CHANGES) {
        let room = MAX_MEMBERS.saturating_sub(jobs.len());
        jobs.extend(shared.write_lock.take_requests(&mut lock, &base, room, |payload| decode(payload).ok()));
    }
    let (results, after) = run(stack, lock, base, jobs, || group.decide());
    let mut results = results.into_iter();
    let mine = results.next();
    group.finish(results);
    let compaction = after.and_then(|after| stack.compact_after_commit(&after));
    let mine = mine.unwrap_or_else(|| Err(Error::invalid("there was no transaction")));
    mine.map(|applied| Commit { compaction, ..Commit::alone(applied) })
}

/// Publishes `jobs` as one table, as far as they fit. Returns one result for each, and the state
/// after if anything was published.
fn run(
    stack: &Stack,
    mut lock: ListLock,
    base: Snapshot,
    jobs: Vec<Changeset>,
    decide: impl FnOnce(),
) -> (Vec<Result<Applied>>, Option<Snapshot>) {
    let mut members = Members::new(jobs);
    let written = loop {
        let batch = members.admit(&base);
        match write(&stack.shared, &base, &batch) {
            Ok(written) => break Ok(written),
            Err(error) => match error.kind() {
                // Something is too large: one of them is, the others must not suffer.
                ErrorKind::TooLarge | ErrorKind::Invalid => members.refuse_offenders(stack, &base, &error),
                _ => break Err(error),
            },
        }
    };
    if let Ok(Some(table)) = &written {
        let planned = members.planned();
        let ours = planned.len().saturating_sub(lock.claimed.len());
        lock.claimed.plan(&table.name, planned.skip(ours));
        stack.shared.env.counters.committed_for_others.add(lock.claimed.len() as u64);
    }
    // A panic from here on must not have them published twice.
    decide();
    let published = written.and_then(|written| match written {
        Some(table) => {
            let after = stack.shared.publisher.append(lock, &base, vec![table])?;
            after.trust_newest_logs();
            Ok(Some(after))
        }
        None => Ok(None),
    });
    match published {
        Ok(after) => {
            let results = members.succeed();
            if after.is_some() {
                stack.shared.env.counters.published(results.iter().filter(|result| result.is_ok()).count());
            }
            (results, after)
        }
        Err(error) => (members.fail(&error), None),
    }
}

/// The transactions of a group, and what has become of each.
struct Members(Vec<GroupMember>);

struct GroupMember {
    /// `None` once it was moved into the batch, which is only done when it is alone.
    changes: Option<Changeset>,
    result: Result<Applied>,
}

impl Members {
    fn new(jobs: Vec<Changeset>) -> Members {
        let member = |changes| GroupMember { changes: Some(changes), result: Ok(Applied::default()) };
        Members(jobs.into_iter().map(member).collect())
    }

    /// Admits all that were not refused yet to a new batch.
    fn admit<'a>(&mut self, base: &'a Snapshot) -> WriteGroup<'a> {
        let mut batch = WriteGroup::new(base);
        let is_alone = self.0.len() == 1;
        for member in self.0.iter_mut().filter(|member| member.result.is_ok()) {
            let changes = if is_alone { member.changes.take() } else { member.changes.clone() };
            if let Some(changes) = changes {
                member.result = batch.admit_checked(changes);
            }
        }
        batch
    }

    /// Refuses those that cannot be written even alone; if there is none, the last one. One at
    /// least.
    fn refuse_offenders(&mut self, stack: &Stack, base: &Snapshot, error: &Error) {
        let mut found = false;
        for member in self.0.iter_mut().filter(|member| member.result.is_ok()) {
            let Some(changes) = member.changes.clone() else { continue };
            let mut batch = WriteGroup::new(base);
            let alone =
                batch.admit_checked(changes).and_then(|_| batch.write(io::sink(), &stack.shared.env.options.write));
            if let Err(alone) = alone.map_err(|alone| alone.in_file(stack.path())) {
                // A conflict here is with those before it, and says nothing.
                if alone.kind() != ErrorKind::Conflict {
                    member.result = Err(alone);
                    found = true;
                }
            }
        }
        if let Some(last) = self.0.iter_mut().rfind(|member| !found && member.result.is_ok()) {
            last.result = Err(error.duplicate());
        }
    }

    /// What processes are told of theirs, of each that fits.
    fn planned(&self) -> impl ExactSizeIterator<Item = Option<Planned>> {
        self.0.iter().map(|member| {
            let Applied { update_index, replaced } = member.result.as_ref().ok()?;
            let replaced = replaced.as_deref().map(encode_replaced);
            Some(Planned { update_index: *update_index, replaced })
        })
    }

    fn succeed(self) -> Vec<Result<Applied>> {
        self.0.into_iter().map(|member| member.result).collect()
    }

    fn fail(self, error: &Error) -> Vec<Result<Applied>> {
        self.0.into_iter().map(|member| member.result.and_then(|_| Err(error.duplicate()))).collect()
    }
}
