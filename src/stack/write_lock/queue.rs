//! The queue before the list lock: threads of one handle take turns, and who has the turn may work
//! for those behind.
//!
//! Waiting threads stand in one line. Some have handed in a *job* that anybody may do for them; the
//! others need a turn of their own. Whoever has the turn may take the jobs at the head of the line,
//! up to the first that needs a turn. When the turn ends it goes to the head of the line, so nobody
//! overtakes and nobody polls.
//!
//! This is pure synchronisation, without I/O, so that a model can explore it
//! (`loom-tests/tests/queue.rs`).

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::mutant::{self, Mutant};
use crate::sync::{Condvar, Mutex, MutexGuard, ThreadId, this_thread};

/// How many may wait; more wait for room. A bound, so that memory has one; beyond any sensible
/// number of threads.
const MAX_WAITING: usize = 4096;

/// The line of threads before something that one may use at a time. `J` are jobs, `R` their
/// results.
pub struct Queue<J, R> {
    state: Mutex<QueueState<J, R>>,
    /// Signalled when the line has become shorter.
    room: Condvar,
    limit: usize,
}

struct QueueState<J, R> {
    /// The thread that has the turn.
    holder: Option<ThreadId>,
    waiting: VecDeque<Arc<Waiter<J, R>>>,
}

struct Waiter<J, R> {
    thread: ThreadId,
    /// Whether somebody else may do its job.
    shares: bool,
    slot: Mutex<QueueSlot<J, R>>,
    changed: Condvar,
}

enum QueueSlot<J, R> {
    /// In the line.
    Waiting(Option<J>),
    /// Somebody is doing the job.
    Taken,
    /// It is this thread's turn.
    Turn(Option<J>),
    Done(R),
    /// Who was doing the job has panicked, when it may have been done already.
    Abandoned,
}

/// What came of handing in a job.
pub enum Outcome<J, R> {
    /// It is our turn, and here is the job again.
    Turn(Turn<J, R>, J),
    /// Somebody else has done it.
    Done(R),
    /// The time was over.
    TimedOut,
    /// This thread has the turn already: waiting would never end.
    ThisThread,
    /// Somebody else was doing the job and panicked. It may or may not have been done.
    Abandoned,
}

/// What came of asking for a turn.
pub enum Admission<J, R> {
    /// It is ours.
    Turn(Turn<J, R>),
    /// The time was over.
    TimedOut,
    /// This thread has the turn already: waiting would never end.
    ThisThread,
}

impl<J, R> Queue<J, R> {
    /// An empty line.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::with_limit(MAX_WAITING)
    }

    /// An empty line in which at most `limit` wait; others wait for room.
    #[must_use]
    pub fn with_limit(limit: usize) -> Arc<Self> {
        let state = QueueState { holder: None, waiting: VecDeque::new() };
        Arc::new(Queue { state: Mutex::new(state), room: Condvar::new(), limit })
    }

    /// Waits for a turn of our own, up to `timeout`; `None` waits for ever.
    pub fn enter(self: &Arc<Self>, timeout: Option<Duration>) -> Admission<J, R> {
        match self.stand(None, timeout) {
            Stood::Turn(turn, _) => Admission::Turn(turn),
            Stood::ThisThread => Admission::ThisThread,
            // Without a job there is nothing that could be done or abandoned.
            Stood::TimedOut | Stood::Done(_) | Stood::Abandoned => Admission::TimedOut,
        }
    }

    /// Hands in a job and waits until it is done, or until it is our turn to do it. Once somebody
    /// does it the time no longer counts.
    pub fn submit(self: &Arc<Self>, job: J, timeout: Option<Duration>) -> Outcome<J, R> {
        match self.stand(Some(job), timeout) {
            Stood::Turn(turn, Some(job)) => Outcome::Turn(turn, job),
            Stood::Done(result) => Outcome::Done(result),
            Stood::ThisThread => Outcome::ThisThread,
            Stood::Abandoned => Outcome::Abandoned,
            Stood::TimedOut | Stood::Turn(_, None) => Outcome::TimedOut,
        }
    }

    fn stand(self: &Arc<Self>, job: Option<J>, timeout: Option<Duration>) -> Stood<J, R> {
        let mut state = self.state.lock();
        let deadline = || timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        if state.holder.is_none() {
            state.holder = Some(this_thread());
            drop(state);
            return Stood::Turn(Turn { queue: Arc::clone(self) }, job);
        }
        if state.holder == Some(this_thread()) {
            return Stood::ThisThread;
        }
        let deadline = deadline();
        while state.waiting.len() >= self.limit {
            if wait(&self.room, &mut state, deadline) {
                return Stood::TimedOut;
            }
        }
        if state.holder.is_none() {
            // They all left while we waited for room.
            state.holder = Some(this_thread());
            drop(state);
            return Stood::Turn(Turn { queue: Arc::clone(self) }, job);
        }
        let shares = job.is_some();
        let waiter = Arc::new(Waiter {
            thread: this_thread(),
            shares,
            slot: Mutex::new(QueueSlot::Waiting(job)),
            changed: Condvar::new(),
        });
        state.waiting.push_back(Arc::clone(&waiter));
        drop(state);
        self.wait_in_line(&waiter, deadline)
    }

    /// Waits until something has become of `waiter`, or until it has left the line in time.
    fn wait_in_line(self: &Arc<Self>, waiter: &Arc<Waiter<J, R>>, mut deadline: Option<Instant>) -> Stood<J, R> {
        let mut slot = waiter.slot.lock();
        loop {
            match std::mem::replace(&mut *slot, QueueSlot::Taken) {
                QueueSlot::Turn(job) => return Stood::Turn(Turn { queue: Arc::clone(self) }, job),
                QueueSlot::Done(result) => return Stood::Done(result),
                QueueSlot::Abandoned => return Stood::Abandoned,
                // Put back: we have only looked.
                unchanged => *slot = unchanged,
            }
            if !wait(&waiter.changed, &mut slot, deadline) {
                continue;
            }
            // The order of locks is line, then slot.
            drop(slot);
            if self.leave(waiter) || mutant::is_on(Mutant::LeaveThoughTaken) {
                return Stood::TimedOut;
            }
            // Somebody has taken us out of the line just now; what becomes of us is decided, so
            // wait for it.
            deadline = None;
            slot = waiter.slot.lock();
        }
    }

    /// Gives the turn to the head of the line, if nobody has it.
    fn pass_on(&self, mut state: MutexGuard<'_, QueueState<J, R>>) {
        if (state.holder.is_none() || mutant::is_on(Mutant::TurnForTwo))
            && let Some(next) = state.waiting.pop_front()
        {
            state.holder = Some(next.thread);
            let mut slot = next.slot.lock();
            let job = match &mut *slot {
                QueueSlot::Waiting(job) => job.take(),
                _ => None,
            };
            *slot = QueueSlot::Turn(job);
            drop(slot);
            next.changed.notify_one();
        }
        drop(state);
        if !mutant::is_on(Mutant::ForgetRoom) {
            self.room.notify_one();
        }
    }

    /// Takes `waiter` out of the line; false if it is not there any more.
    fn leave(&self, waiter: &Arc<Waiter<J, R>>) -> bool {
        let mut state = self.state.lock();
        let position = state.waiting.iter().position(|other| Arc::ptr_eq(other, waiter));
        let left = position.and_then(|position| state.waiting.remove(position)).is_some();
        drop(state);
        if left {
            self.room.notify_one();
        }
        left
    }
}

enum Stood<J, R> {
    Turn(Turn<J, R>, Option<J>),
    Done(R),
    TimedOut,
    ThisThread,
    Abandoned,
}

/// Waits for a change, up to the deadline. True when it is over.
fn wait<T>(changed: &Condvar, guard: &mut MutexGuard<'_, T>, deadline: Option<Instant>) -> bool {
    match deadline {
        Some(deadline) => changed.wait_for(guard, deadline.saturating_duration_since(Instant::now())).timed_out(),
        None => {
            changed.wait(guard);
            false
        }
    }
}

/// The turn. Dropping it passes it on.
pub struct Turn<J, R> {
    queue: Arc<Queue<J, R>>,
}

impl<J, R> Turn<J, R> {
    /// Takes the jobs at the head of the line, at most `limit`, up to the first thread that needs a
    /// turn of its own and the first job that is not `wanted`.
    pub fn take(&self, limit: usize, mut wanted: impl FnMut(&J) -> bool) -> Group<J, R> {
        let mut members = Vec::new();
        let mut state = self.queue.state.lock();
        while members.len() < limit {
            let Some(waiter) = state.waiting.front().filter(|waiter| waiter.shares).cloned() else { break };
            let mut slot = waiter.slot.lock();
            let QueueSlot::Waiting(job) = &mut *slot else { break };
            let Some(taken) = job.take_if(|job| wanted(job)) else { break };
            *slot = QueueSlot::Taken;
            drop(slot);
            if !mutant::is_on(Mutant::TakeTwice) {
                state.waiting.pop_front();
            }
            members.push(TakenJob { waiter, job: Some(taken) });
        }
        drop(state);
        for _ in &members {
            self.queue.room.notify_one();
        }
        Group { queue: Arc::clone(&self.queue), members, decided: false }
    }
}

impl<J, R> Drop for Turn<J, R> {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        state.holder = None;
        if !mutant::is_on(Mutant::KeepTurn) {
            self.queue.pass_on(state);
        }
    }
}

/// Jobs of other threads, to be done by us.
///
/// Dropped without results, as in a panic: before [`Group::decide`] the jobs go back to the head of
/// the line, as if nobody had taken them; after it their threads are told [`Outcome::Abandoned`].
pub struct Group<J, R> {
    queue: Arc<Queue<J, R>>,
    members: Vec<TakenJob<J, R>>,
    decided: bool,
}

struct TakenJob<J, R> {
    waiter: Arc<Waiter<J, R>>,
    /// `None` once its result is out.
    job: Option<J>,
}

impl<J, R> Group<J, R> {
    /// The jobs, in the order of the line.
    pub fn jobs(&self) -> impl Iterator<Item = &J> {
        self.members.iter().filter_map(|member| member.job.as_ref())
    }

    /// From here on the jobs may have been done.
    pub fn decide(&mut self) {
        self.decided = true;
    }

    /// Hands out the results, in the order of the jobs.
    pub fn finish(mut self, results: impl IntoIterator<Item = R>) {
        self.decided = true;
        if mutant::is_on(Mutant::MixUpResults) {
            self.members.reverse();
        }
        for (member, result) in self.members.iter_mut().zip(results) {
            member.job = None;
            member.waiter.put(QueueSlot::Done(result));
        }
    }
}

impl<J, R> Drop for Group<J, R> {
    fn drop(&mut self) {
        let unfinished = self.members.drain(..).rev().filter(|member| member.job.is_some());
        if self.decided && !mutant::is_on(Mutant::GiveBackDecided) {
            unfinished.for_each(|member| member.waiter.put(QueueSlot::Abandoned));
            return;
        }
        let mut state = self.queue.state.lock();
        for member in unfinished {
            *member.waiter.slot.lock() = QueueSlot::Waiting(member.job);
            state.waiting.push_front(member.waiter);
        }
        // Who panics may have dropped the turn first.
        if !mutant::is_on(Mutant::GiveBackSilently) {
            self.queue.pass_on(state);
        }
    }
}

impl<J, R> Waiter<J, R> {
    fn put(&self, slot: QueueSlot<J, R>) {
        *self.slot.lock() = slot;
        self.changed.notify_one();
    }
}

impl<J, R> fmt::Debug for Queue<J, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl<J, R> fmt::Debug for Turn<J, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").finish_non_exhaustive()
    }
}
