//! Delegated commits (flat combining): having a transaction committed by the process that has the
//! list lock, and committing those of others. See [`super::request`].

use std::time::Duration;

use super::queue::Leadership;
use super::request::{OpenRequest, OwnRequest, RequestOutcome, RequestState, find};
use super::{ListLock, WriteLock};
use crate::changeset::{Applied, Changeset};
use crate::dir::Room;
use crate::error::{Error, ErrorKind, Result};
use crate::list::LIST_LOCK;
use crate::lock::Polled;
use crate::mutant::{self, Mutant};
use crate::snapshot::Snapshot;
use crate::stack::env::sync_published;
use crate::stack::options::Durability;
use crate::sync::Mutex;

/// A leader that has published for us is about to sync the directory, for both. After this time we
/// do it ourselves.
const PATIENCE_FOR_SYNC: Duration = Duration::from_millis(5);

/// How often we look whether that has happened.
const LOOK: Duration = Duration::from_micros(150);

/// A process that gets the lock at once looks for requests this often: one that never waits would
/// never see that others do.
const LOOK_OUT: Duration = Duration::from_millis(2);

/// Descriptors that our own commit may need: a table, a list, the directory, and tables of others
/// that are new to us.
const OWN_DESCRIPTORS: u64 = 8;
/// Bytes that our own commit may need in one file.
const OWN_BYTES: u64 = 64 * 1024;
/// Bytes of a table for each byte of a request, at most: blocks are padded, and references become
/// log entries, too.
const GROWTH: u64 = 4;

/// How many of the requests, which are open and want so many bytes, a leader can serve without
/// failing for them: they must leave it `room` for what it wants itself.
fn fitting(sizes: &[usize], room: Room) -> usize {
    let missing = room.descriptors.map_or(0, |left| OWN_DESCRIPTORS.saturating_sub(left));
    let fitting = sizes.len().saturating_sub(usize::try_from(missing).unwrap_or(usize::MAX));
    let Some(bytes) = room.file_size.map(|bytes| bytes.saturating_sub(OWN_BYTES) / GROWTH) else { return fitting };
    let mut sum = 0u64;
    let fits = sizes.iter().take_while(|size| {
        sum = sum.saturating_add(**size as u64);
        sum <= bytes
    });
    fitting.min(fits.count())
}

/// When to look for requests.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    state: Mutex<(Option<Duration>, bool)>,
}

impl Lookout {
    /// Whether it is time, at `now`.
    fn is_due(&self, now: Duration) -> bool {
        let (last, found) = *self.state.lock();
        found || last.is_none_or(|last| now.saturating_sub(last) >= LOOK_OUT)
    }

    fn looked(&self, now: Duration, found: bool) {
        *self.state.lock() = (Some(now), found);
    }
}

/// What waiting with a transaction has come to.
pub(crate) enum Admitted {
    /// We have the lock, and commit it ourselves.
    Lock(ListLock, Snapshot),
    /// Another process has committed it, with this update index. The request has the rest.
    Delegated(u64, Option<OwnRequest>),
}

impl WriteLock {
    /// Takes the list lock for the thread that leads, or has another process commit the
    /// `payload`. The time counts from `start`.
    pub(crate) fn lock_list_or_delegate(
        &self,
        leadership: Leadership<Changeset, Result<Applied>>,
        start: Duration,
        payload: impl FnOnce() -> Vec<u8>,
    ) -> Result<Admitted> {
        let timeout = self.env.options.lock_timeout;
        if timeout == Some(Duration::ZERO) || !self.delegates() {
            return self.lock_list_as_leader(leadership, start, timeout).map(|(lock, base)| Admitted::Lock(lock, base));
        }
        let mut asked = None;
        let admitted = self.request(leadership, start, payload, &mut asked);
        admitted.map_err(|error| Self::after_asking(error, asked))
    }

    /// Takes the list lock, or waits for the answer to what is `asked` as soon as the lock was
    /// found taken.
    fn request(
        &self,
        leadership: Leadership<Changeset, Result<Applied>>,
        start: Duration,
        payload: impl FnOnce() -> Vec<u8>,
        asked: &mut Option<OwnRequest>,
    ) -> Result<Admitted> {
        let timeout = self.env.options.lock_timeout;
        let mut payload = Some(payload);
        let mut otherwise = |asked: &mut Option<OwnRequest>| {
            if let Some(payload) = payload.take() {
                // Without a request we wait for the lock itself.
                *asked = OwnRequest::place(&self.env.dir, &self.compatibility_key(), &payload()).unwrap_or(None);
            }
            self.answer(asked)
        };
        let mut waited = self.wait_for_list(start, timeout, || otherwise(asked));
        if let (Err(error), Some(request)) = (&waited, asked.as_mut())
            && error.kind() == ErrorKind::Locked
            && !matches!(request.withdraw()?, RequestState::Open | RequestState::Closed)
        {
            // Too late: a leader is committing it. One that dies leaves the lock to be taken over,
            // so go on polling.
            let limit = timeout.map(|timeout| timeout.saturating_add(self.env.options.patience_for_outcome()));
            waited = self.poll_list(start, limit, || self.answer(asked)).or_else(|error| match asked {
                Some(request) if error.kind() == ErrorKind::Locked => self.published_all_the_same(request),
                _ => Err(error),
            });
        }
        match waited? {
            Polled::Instead(update_index) => self.delegated(asked.take(), update_index),
            Polled::Taken(lock, polls) => {
                let (lock, base) = self.locked_list(lock, polls, start, leadership, None)?;
                match self.outcome(asked.as_ref(), &base)? {
                    _ if mutant::is_on(Mutant::DoAgain) => Ok(Admitted::Lock(lock, base)),
                    RequestOutcome::NotPublished => Ok(Admitted::Lock(lock, base)),
                    RequestOutcome::Unknown => Err(self.outcome_is_unknown()),
                    RequestOutcome::Published { update_index } => {
                        drop(lock);
                        self.delegated(asked.take(), update_index)
                    }
                }
            }
        }
    }

    /// What has become of what was `asked` for, while we have the list lock ourselves and `base` is
    /// the state. If its leader has died and no process of this library has taken its lock over,
    /// the list tells.
    fn outcome(&self, asked: Option<&OwnRequest>, base: &Snapshot) -> Result<RequestOutcome> {
        Ok(match asked.map(OwnRequest::state).transpose()? {
            None | Some(RequestState::Open | RequestState::Closed) => RequestOutcome::NotPublished,
            Some(RequestState::Published { update_index } | RequestState::Durable { update_index }) => {
                RequestOutcome::Published { update_index }
            }
            Some(RequestState::Claimed(claim)) => claim.outcome(base.table_names()),
            Some(RequestState::Unknown) => RequestOutcome::Unknown,
        })
    }

    /// No leader will answer any more. Is it there all the same?
    fn published_all_the_same(&self, request: &OwnRequest) -> Result<Polled<u64>> {
        let published = match request.state()? {
            RequestState::Published { update_index } | RequestState::Durable { update_index } => Some(update_index),
            RequestState::Claimed(claim) => claim.is_published(self.state.snapshot()?.table_names()),
            _ => None,
        };
        published.map(Polled::Instead).ok_or_else(|| self.outcome_is_unknown())
    }

    /// The error of a wait in which something was `asked`: unless that is withdrawn, a leader may
    /// commit it yet, or have committed it.
    fn after_asking(error: Error, asked: Option<OwnRequest>) -> Error {
        match asked.map(|mut request| request.withdraw()) {
            None | Some(Ok(RequestState::Closed)) => error,
            _ => error.with_kind(ErrorKind::Indeterminate).way_out("look whether the change is there"),
        }
    }

    /// Whether processes commit for one another here. A process that takes the lock over must know
    /// what the dead owner has done, and records must be appended in one order for all: that is so
    /// where one kernel alone writes to the directory.
    fn delegates(&self) -> bool {
        self.env.options.delegation && self.locker.is_robust() && self.env.is_local()
    }

    /// What must be the same in two processes for one to commit for the other: the options that
    /// matter, and the run of the kernel.
    ///
    /// After a power failure a request may be there again without the log of what became of it. Its
    /// follower is dead, but does not look so as long as a cleaner has its file locked.
    fn compatibility_key(&self) -> Vec<u8> {
        let mut key = self.env.options.compatibility_key();
        if !mutant::is_on(Mutant::ClaimFromEarlierBoots) {
            key.extend(self.env.dir.boot().unwrap_or_default().bytes());
        }
        key
    }

    /// The update index of what was asked for, once it is published. Forgets a request that nobody
    /// will answer.
    fn answer(&self, asked: &mut Option<OwnRequest>) -> Result<Option<u64>> {
        let Some(request) = asked else { return Ok(None) };
        match request.state()? {
            RequestState::Published { update_index } | RequestState::Durable { update_index } => Ok(Some(update_index)),
            RequestState::Claimed(claim) if mutant::is_on(Mutant::TrustPlan) => Ok(claim.planned_index()),
            // The new lock holder could not answer, or does not understand: no other process will.
            RequestState::Claimed(_) | RequestState::Unknown if !request.has_name() => {
                match self.published_all_the_same(request)? {
                    Polled::Instead(update_index) => Ok(Some(update_index)),
                    Polled::Taken(..) => Ok(None),
                }
            }
            RequestState::Closed => {
                *asked = None;
                Ok(None)
            }
            RequestState::Open | RequestState::Claimed(_) | RequestState::Unknown => Ok(None),
        }
    }

    /// Our transaction is published. Waits until it is durable, too.
    fn delegated(&self, asked: Option<OwnRequest>, update_index: u64) -> Result<Admitted> {
        self.env.counters.delegated.add(1);
        self.env.counters.commits.add(1);
        if self.env.options.durability == Durability::Full && !mutant::is_on(Mutant::TrustPublished) {
            let since = self.env.dir.now();
            let is_durable = || matches!(asked.as_ref().map(OwnRequest::state), Some(Ok(RequestState::Durable { .. })));
            while !is_durable() {
                if self.env.dir.now().saturating_sub(since) >= PATIENCE_FOR_SYNC {
                    sync_published(&*self.env.dir)?;
                    break;
                }
                self.env.dir.sleep(LOOK);
            }
        }
        Ok(Admitted::Delegated(update_index, asked))
    }

    fn outcome_is_unknown(&self) -> Error {
        let message =
            "another process has taken this transaction along with its own, and has not said what became of it";
        let error = Error::new(ErrorKind::Indeterminate, message).in_file(&self.env.dir.path().join(LIST_LOCK));
        error.way_out("look whether the change is there")
    }

    /// The transactions of other processes that are to go with ours, at most `limit`. They are
    /// claimed, upon `base`.
    pub(crate) fn take_requests(
        &self,
        lock: &mut ListLock,
        base: &Snapshot,
        limit: usize,
        read: impl Fn(&[u8]) -> Option<Changeset>,
    ) -> Vec<Changeset> {
        let now = self.env.dir.now();
        let is_time = lock.has_waited || self.lookout.is_due(now);
        if !is_time || limit == 0 || !self.delegates() {
            return Vec::new();
        }
        // Upon an empty list nothing can be claimed: a new lock holder that finds it empty again
        // would know nothing.
        let Some(newest) = base.table_names().next_back() else { return Vec::new() };
        let mut found = find(&self.env.dir, &self.compatibility_key(), limit);
        self.lookout.looked(now, !found.is_empty());
        if !found.is_empty() {
            self.fairness.saw_ours(now);
            let sizes: Vec<usize> = found.iter().map(|found| found.payload().len()).collect();
            found.truncate(fitting(&sizes, self.env.dir.room()));
        }
        let take = |found: OpenRequest| {
            let changes = read(found.payload())?;
            lock.claimed.claim(found, newest).then_some(changes)
        };
        found.into_iter().filter_map(take).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Expect, ObjectId, Options, Stack};

    /// As one is whose follower has a later version, with changes that are not known here.
    #[test]
    fn what_is_not_understood_stays_open_for_its_follower() {
        let temp = tempfile::tempdir().unwrap();
        let stack = Stack::open(temp.path(), Options::default().durability(Durability::Off)).unwrap();
        let set = |name: &str| {
            let mut tx = stack.transaction();
            tx.set(name, Expect::Any, ObjectId::from_bytes(&[1; 20]).unwrap());
            tx.commit().unwrap();
        };
        set("refs/heads/first");
        let lock = &stack.shared.write_lock;
        let ask =
            |payload: &[u8]| OwnRequest::place(&lock.env.dir, &lock.compatibility_key(), payload).unwrap().unwrap();
        let (known, unknown) = (ask(&[0, 0, 0]), ask(&[1, 1, b'a', 255, 2, 0, 0]));
        std::thread::sleep(LOOK_OUT);
        set("refs/heads/second");
        assert_eq!(unknown.state().unwrap(), RequestState::Open);
        assert_ne!(known.state().unwrap(), RequestState::Open, "it looks for requests");
    }

    #[test]
    fn a_leader_serves_only_what_leaves_it_room() {
        let room = |descriptors, file_size| Room { descriptors, file_size };
        assert_eq!(fitting(&[100; 5], Room::default()), 5);
        assert_eq!(fitting(&[100; 5], room(Some(8), None)), 5);
        assert_eq!(fitting(&[100; 5], room(Some(6), None)), 3, "each that is let go of gives back one");
        assert_eq!(fitting(&[100; 5], room(Some(0), None)), 0);
        assert_eq!(fitting(&[100; 5], room(None, Some(OWN_BYTES + 4 * 250))), 2);
        assert_eq!(fitting(&[100; 5], room(None, Some(1000))), 0);
        assert_eq!(fitting(&[usize::MAX; 5], room(None, Some(u64::MAX))), 0);
    }
}
