//! A store in a bucket: what a program holds.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_lite::future;
use parking_lot::Mutex;
use reftable::Snapshot;
use reftable::engine::Changeset;

use crate::backend::Bucket;
use crate::commit::{Commit, Lead, Member};
use crate::error::{Error, ErrorKind, Result};
use crate::opening::Opening;
use crate::options::Options;
use crate::place::Place;
use crate::state::State;

/// A reference store in an object store. Cheap to clone; all clones share what was read, and
/// commit for each other: many tasks that commit at once share a request.
pub struct Store<B>(Arc<Inner<B>>);

impl<B> Clone for Store<B> {
    fn clone(&self) -> Self {
        Store(Arc::clone(&self.0))
    }
}

impl<B> fmt::Debug for Store<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("place", &self.0.place).finish_non_exhaustive()
    }
}

/// What the clones of a handle share.
pub(crate) struct Inner<B> {
    pub(crate) bucket: Arc<B>,
    pub(crate) place: Place,
    pub(crate) options: Options,
    cached: Mutex<Option<Arc<State>>>,
    /// The newest edition that this handle has written: what it has seen may be older.
    pub(crate) written: AtomicU64,
    /// Commits that wait for a leader.
    pub(crate) queue: Mutex<VecDeque<Arc<Member>>>,
    /// Held by the one who does.
    pub(crate) lead: async_lock::Mutex<Lead>,
    /// Why the object store has not answered lately.
    trouble: Mutex<Option<Error>>,
    /// How many answers it has given.
    answers: AtomicU64,
    pub(crate) opening: Opening,
}

impl<B: Bucket> Store<B> {
    /// The store below `prefix`, such as `repos/42`. Sends nothing; the first commit makes a store
    /// where there is none.
    ///
    /// # Errors
    /// `Invalid` for a prefix that is empty, or has parts that are empty, `.` or `..`.
    pub fn new(bucket: Arc<B>, prefix: &str, options: Options) -> Result<Store<B>> {
        Ok(Store(Arc::new(Inner {
            bucket,
            place: Place::new(prefix)?,
            options,
            cached: Mutex::new(None),
            written: AtomicU64::new(0),
            queue: Mutex::new(VecDeque::new()),
            lead: async_lock::Mutex::new(Lead::default()),
            trouble: Mutex::new(None),
            answers: AtomicU64::new(0),
            opening: Opening::default(),
        })))
    }

    /// The newest state: whatever was acknowledged to any process before the call is in it. It
    /// never changes, and needs nothing of the object store any more.
    ///
    /// Costs a conditional request if nothing has changed; otherwise one for the root and one for
    /// each table that is not inline and not open yet.
    ///
    /// # Errors
    /// `Missing` if there is no store, or a table of it is gone; `Corrupt`, with object and offset;
    /// `Unavailable` after the time-out; `Denied`.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let state = self.within_time(self.0.refresh()).await?;
        self.existing(&state)
    }

    /// The same, or what this handle has seen last if that is not older than `age`, nor than a
    /// commit of its own: then no request is sent.
    ///
    /// # Errors
    /// As [`Self::snapshot`].
    pub async fn snapshot_within(&self, age: Duration) -> Result<Snapshot> {
        let now = self.0.bucket.now();
        // A clock that was set back says nothing of the age.
        let is_young = |state: &Arc<State>| now.checked_sub(state.asked_at).is_some_and(|since| since <= age);
        let written = self.0.written.load(Ordering::Acquire);
        match self.0.cached().filter(|state| state.number() >= written && is_young(state)) {
            Some(state) => self.existing(&state),
            None => self.snapshot().await,
        }
    }

    /// Commits all of `changes`, or nothing of it.
    ///
    /// # Errors
    /// `Conflict` with every mismatch, as of a moment after the call; `Invalid` and `TooLarge` for
    /// what cannot be; `Locked` if others had their turns until the time-out; `Unavailable` if the
    /// object store did not answer, `Denied` if it refuses: nothing was changed in any of these
    /// cases. `Indeterminate` if a request may have been carried out, or be under way still.
    pub async fn commit(&self, changes: Changeset) -> Result<Commit> {
        let member = Member::new(changes);
        self.0.queue.lock().push_back(Arc::clone(&member));
        // The caller that drops this future has not been answered; what was not begun is not to
        // happen.
        let _leaving = Leaving(&member);
        let answers = self.0.answers.load(Ordering::Relaxed);
        let commit = async { Some(self.0.drive(&member).await) };
        let end = async {
            self.0.without_progress(self.0.options.timeout).await;
            None
        };
        future::or(commit, end).await.unwrap_or_else(|| self.0.explained(member.give_up(), answers))
    }

    /// Commits what `decide` makes of the newest state, and asks it again, with a newer state, when
    /// that does not fit any more.
    ///
    /// # Errors
    /// Those of `decide` and of [`Self::commit`]; `Conflict` only after the time-out.
    pub async fn transact<E: From<Error>>(
        &self,
        mut decide: impl FnMut(&Snapshot, &mut Changeset) -> Result<(), E>,
    ) -> Result<Commit, E> {
        let end = self.0.bucket.now().saturating_add(self.0.options.timeout);
        loop {
            let state = match self.0.cached() {
                Some(state) => state,
                None => self.within_time(self.0.refresh()).await?,
            };
            let mut changes = Changeset::new();
            decide(&state.snapshot, &mut changes)?;
            match self.commit(changes).await {
                Err(error) if error.kind() == ErrorKind::Conflict && self.0.bucket.now() < end => {}
                result => return result.map_err(E::from),
            }
        }
    }

    fn existing(&self, state: &State) -> Result<Snapshot> {
        if state.edition.is_some() {
            return Ok(state.snapshot.clone());
        }
        let message = "there is no store here; the first commit makes one";
        Err(Error::new(ErrorKind::Missing, message).in_object(&self.0.place.root()))
    }

    pub(crate) async fn within_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.within_time_of(0, work).await
    }

    /// The same for work that moves so many bytes: a second more for each MiB.
    pub(crate) async fn within_time_of<T>(&self, bytes: u64, work: impl Future<Output = Result<T>>) -> Result<T> {
        let limit = self.0.options.timeout.saturating_add(Duration::from_secs(bytes >> 20));
        let end = async {
            self.0.without_progress(limit).await;
            Err(self.0.trouble.lock().clone().unwrap_or_else(silence))
        };
        future::or(work, end).await
    }

    pub(crate) fn inner(&self) -> &Inner<B> {
        &self.0
    }
}

impl<B: Bucket> Inner<B> {
    pub(crate) fn cached(&self) -> Option<Arc<State>> {
        self.cached.lock().clone()
    }

    /// Returns after this time in which nothing large has come. A store of any size is opened as
    /// long as it comes; what moves no tables, such as turns of others, is no progress.
    async fn without_progress(&self, limit: Duration) {
        loop {
            let before = self.opening.parts();
            self.bucket.sleep(limit.saturating_add(self.opening.allowance())).await;
            if self.opening.parts() == before {
                return;
            }
        }
    }

    /// Remembers why the object store did not answer, for callers that give up because of it.
    pub(crate) fn note_trouble(&self, error: &Error) {
        *self.trouble.lock() = Some(error.clone());
    }

    pub(crate) fn trouble_is_over(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        *self.trouble.lock() = None;
    }

    /// The error of a commit that was not begun: if the object store does not answer, that. It had
    /// given so many `answers` before.
    fn explained(&self, result: Result<Commit>, answers: u64) -> Result<Commit> {
        let is_silent = self.answers.load(Ordering::Relaxed) == answers;
        let trouble = self.trouble.lock().clone().or_else(|| is_silent.then(silence));
        result.map_err(|error| trouble.filter(|_| error.kind() == ErrorKind::Locked).unwrap_or(error))
    }

    /// Lets others of this handle use `state`, unless they know of a newer one.
    pub(crate) fn keep(&self, state: State) -> Arc<State> {
        let state = Arc::new(state);
        let mut cached = self.cached.lock();
        let store = |state: &State| state.root().map(|root| root.store);
        // Where there was no store the number is 0, less than that of any that came since.
        let is_newer = |known: &Arc<State>| match (store(known), store(&state)) {
            (Some(known_id), Some(id)) if known_id != id => known.asked_at > state.asked_at,
            _ => (known.number(), known.asked_at) > (state.number(), state.asked_at),
        };
        if !cached.as_ref().is_some_and(is_newer) {
            *cached = Some(Arc::clone(&state));
        }
        state
    }
}

fn silence() -> Error {
    Error::unavailable("the object store has not answered until the time-out")
}

/// Withdraws a member whose caller is gone.
struct Leaving<'a>(&'a Arc<Member>);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let _ = self.0.give_up();
    }
}
