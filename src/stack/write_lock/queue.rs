//! The wait queue before the list lock: threads of one handle lead one after the other, and the
//! leader may work for those that follow.
//!
//! Some waiting threads have handed in a *job* that the leader may do for them; the others must
//! lead themselves. The leader may take the jobs at the head of the queue, up to the first thread
//! that must lead. When it is done, the head of the queue leads, so none overtakes, none polls, and
//! only one thread is woken.
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

/// The threads that wait for something that one may use at a time. `J` are jobs, `R` their results.
pub struct Queue<J, R> {
    state: Mutex<QueueState<J, R>>,
    /// Signalled when the queue has become shorter.
    room: Condvar,
    limit: usize,
}

struct QueueState<J, R> {
    /// The thread that leads.
    leader: Option<ThreadId>,
    waiting: VecDeque<Arc<Waiter<J, R>>>,
}

struct Waiter<J, R> {
    thread: ThreadId,
    /// Whether a leader may do its job.
    shares: bool,
    slot: Mutex<QueueSlot<J, R>>,
    changed: Condvar,
}

enum QueueSlot<J, R> {
    /// In the queue.
    Waiting(Option<J>),
    /// A leader is doing the job.
    Taken,
    /// This thread leads.
    Lead(Option<J>),
    Done(R),
    /// The leader that was doing the job has panicked, when it may have been done already.
    Abandoned,
}

/// What came of handing in a job.
pub enum Outcome<J, R> {
    /// This thread leads, and here is its job again.
    Lead(Leadership<J, R>, J),
    /// A leader has done it.
    Done(R),
    /// The time was over.
    TimedOut,
    /// This thread leads already: waiting would never end.
    ThisThread,
    /// A leader was doing the job and panicked. It may or may not have been done.
    Abandoned,
}

/// What came of asking for the leadership.
pub enum Admission<J, R> {
    /// It is ours.
    Lead(Leadership<J, R>),
    /// The time was over.
    TimedOut,
    /// This thread leads already: waiting would never end.
    ThisThread,
}

impl<J, R> Queue<J, R> {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::with_limit(MAX_WAITING)
    }

    /// An empty queue in which at most `limit` wait; others wait for room.
    #[must_use]
    pub fn with_limit(limit: usize) -> Arc<Self> {
        let state = QueueState { leader: None, waiting: VecDeque::new() };
        Arc::new(Queue { state: Mutex::new(state), room: Condvar::new(), limit })
    }

    /// Waits until this thread leads, up to `timeout`; `None` waits for ever.
    pub fn enter(self: &Arc<Self>, timeout: Option<Duration>) -> Admission<J, R> {
        match self.enqueue(None, timeout) {
            WaitOutcome::Lead(leadership, _) => Admission::Lead(leadership),
            WaitOutcome::ThisThread => Admission::ThisThread,
            // Without a job there is nothing that could be done or abandoned.
            WaitOutcome::TimedOut | WaitOutcome::Done(_) | WaitOutcome::Abandoned => Admission::TimedOut,
        }
    }

    /// Hands in a job and waits until it is done, or until this thread leads and does it. Once a
    /// leader has taken it the time no longer counts.
    pub fn submit(self: &Arc<Self>, job: J, timeout: Option<Duration>) -> Outcome<J, R> {
        match self.enqueue(Some(job), timeout) {
            WaitOutcome::Lead(leadership, Some(job)) => Outcome::Lead(leadership, job),
            WaitOutcome::Done(result) => Outcome::Done(result),
            WaitOutcome::ThisThread => Outcome::ThisThread,
            WaitOutcome::Abandoned => Outcome::Abandoned,
            WaitOutcome::TimedOut | WaitOutcome::Lead(_, None) => Outcome::TimedOut,
        }
    }

    fn enqueue(self: &Arc<Self>, job: Option<J>, timeout: Option<Duration>) -> WaitOutcome<J, R> {
        let mut state = self.state.lock();
        let deadline = || timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        if state.leader.is_none() {
            state.leader = Some(this_thread());
            drop(state);
            return WaitOutcome::Lead(Leadership { queue: Arc::clone(self) }, job);
        }
        if state.leader == Some(this_thread()) {
            return WaitOutcome::ThisThread;
        }
        let deadline = deadline();
        while state.waiting.len() >= self.limit {
            if wait(&self.room, &mut state, deadline) {
                return WaitOutcome::TimedOut;
            }
        }
        if state.leader.is_none() {
            // They all left while we waited for room.
            state.leader = Some(this_thread());
            drop(state);
            return WaitOutcome::Lead(Leadership { queue: Arc::clone(self) }, job);
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
        self.wait_in_queue(&waiter, deadline)
    }

    /// Waits until something has become of `waiter`, or until it has left the queue in time.
    fn wait_in_queue(self: &Arc<Self>, waiter: &Arc<Waiter<J, R>>, mut deadline: Option<Instant>) -> WaitOutcome<J, R> {
        let mut slot = waiter.slot.lock();
        loop {
            match std::mem::replace(&mut *slot, QueueSlot::Taken) {
                QueueSlot::Lead(job) => return WaitOutcome::Lead(Leadership { queue: Arc::clone(self) }, job),
                QueueSlot::Done(result) => return WaitOutcome::Done(result),
                QueueSlot::Abandoned => return WaitOutcome::Abandoned,
                // Put back: we have only looked.
                unchanged => *slot = unchanged,
            }
            if !wait(&waiter.changed, &mut slot, deadline) {
                continue;
            }
            // The order of locks is queue, then slot.
            drop(slot);
            if self.leave(waiter) || mutant::is_on(Mutant::LeaveThoughTaken) {
                return WaitOutcome::TimedOut;
            }
            // A leader has taken us out of the queue just now; what becomes of us is decided, so
            // wait for it.
            deadline = None;
            slot = waiter.slot.lock();
        }
    }

    /// Lets the head of the queue lead, if nobody does.
    fn pass_on(&self, mut state: MutexGuard<'_, QueueState<J, R>>) {
        if (state.leader.is_none() || mutant::is_on(Mutant::TwoLeaders))
            && let Some(next) = state.waiting.pop_front()
        {
            state.leader = Some(next.thread);
            let mut slot = next.slot.lock();
            let job = match &mut *slot {
                QueueSlot::Waiting(job) => job.take(),
                _ => None,
            };
            *slot = QueueSlot::Lead(job);
            drop(slot);
            next.changed.notify_one();
        }
        drop(state);
        if !mutant::is_on(Mutant::ForgetRoom) {
            self.room.notify_one();
        }
    }

    /// Takes `waiter` out of the queue; false if it is not there any more.
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

enum WaitOutcome<J, R> {
    Lead(Leadership<J, R>, Option<J>),
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

/// The right to do the work. Dropping it passes it on.
pub struct Leadership<J, R> {
    queue: Arc<Queue<J, R>>,
}

impl<J, R> Leadership<J, R> {
    /// Takes the jobs at the head of the queue, at most `limit`, up to the first thread that must
    /// lead itself and the first job that is not `wanted`.
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

impl<J, R> Drop for Leadership<J, R> {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        state.leader = None;
        if !mutant::is_on(Mutant::KeepLeadership) {
            self.queue.pass_on(state);
        }
    }
}

/// Jobs of other threads, to be done by us.
///
/// Dropped without results, as in a panic: before [`Group::decide`] the jobs go back to the head of
/// the queue, as if nobody had taken them; after it their threads are told [`Outcome::Abandoned`].
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
    /// The jobs, in the order of the queue.
    pub fn jobs(&self) -> impl Iterator<Item = &J> {
        self.members.iter().filter_map(|member| member.job.as_ref())
    }

    /// From here on the jobs may have been done.
    pub fn decide(&mut self) {
        self.decided = true;
    }

    /// Gives each member its result, in the order of the jobs.
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
        // A leader that panics may have dropped its leadership first.
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

impl<J, R> fmt::Debug for Leadership<J, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership").finish_non_exhaustive()
    }
}
