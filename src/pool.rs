//! Threads that help with large work: jobs go in, and their results come out in the same order.
//!
//! A [`Pool`] belongs to one piece of work, such as the log section of one table, and ends with it.
//! Its owner hands in jobs and takes results. A thread is started only when jobs pile
//! up, so little work starts none. While its owner waits for a result it does jobs itself: a pool
//! of two threads is its owner and one helper, and in a pool of one its owner does each job when it
//! is handed in. A job knows nothing of the others, so what comes out cannot depend on the number
//! of threads.
//!
//! This is pure synchronisation, without I/O, so that a model can explore it
//! (`loom-tests/tests/pool.rs`).

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::mutant::{self, Mutant};
use crate::sync::{Condvar, Counter, JoinHandle, Mutex, spawn};

/// Bytes that jobs under way hold at most, their results included, if they hold what is expected of
/// them.
const UNDER_WAY: usize = 5 << 20;

/// How many threads may work on something, and how many were started for it.
#[derive(Debug, Clone)]
pub struct ThreadBudget {
    threads: usize,
    started: Arc<Counter>,
}

impl ThreadBudget {
    /// As many threads as that, the one that asks for the work included; at least that one.
    #[must_use]
    pub fn new(threads: usize) -> ThreadBudget {
        ThreadBudget::counted(threads, Arc::default())
    }

    /// Only the thread that asks for the work.
    #[must_use]
    pub fn single() -> ThreadBudget {
        ThreadBudget::new(1)
    }

    /// The same as [`Self::new`]; threads that are started are added to `started`.
    pub(crate) fn counted(threads: usize, started: Arc<Counter>) -> ThreadBudget {
        ThreadBudget { threads: threads.max(1), started }
    }

    /// How many threads may work, the one that asks for it included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// How many jobs may be under way that come to about so many bytes each: one for each thread,
    /// and one more so that none waits, but not so many that memory grows with the number of
    /// threads. At least two.
    pub(crate) fn jobs_of(&self, bytes: usize) -> usize {
        (UNDER_WAY / bytes.max(1)).clamp(2, self.threads + 1)
    }

    /// Notes that a thread was started.
    pub(crate) fn note_start(&self) {
        self.started.add(1);
    }

    /// How many threads were started.
    #[cfg(any(test, loom))]
    #[must_use]
    pub fn started(&self) -> u64 {
        self.started.get()
    }
}

/// Jobs of one kind that are under way, in a queue. `S` is what each thread keeps from job to job,
/// `J` are jobs, `R` their results.
///
/// Dropping it ends its threads: jobs that nobody has begun are forgotten, and those that are being
/// done are waited for.
pub struct Pool<S, J, R> {
    shared: Arc<SharedState<J, R>>,
    work: fn(&mut S, J) -> R,
    /// The owner's.
    state: S,
    helpers: Vec<JoinHandle<()>>,
    budget: ThreadBudget,
    /// How many jobs may be under way.
    limit: usize,
}

struct SharedState<J, R> {
    queue: Mutex<JobQueue<J, R>>,
    /// Signalled when there is a job to do, or no more will come.
    job: Condvar,
    /// Signalled when the first result in the queue is there. Only the owner waits for it.
    result: Condvar,
}

struct JobQueue<J, R> {
    slots: VecDeque<JobSlot<J, R>>,
    /// How many from the front a thread has begun.
    begun: usize,
    /// How many have left the queue.
    gone: u64,
    /// Whether the owner has left.
    closed: bool,
}

enum JobSlot<J, R> {
    Waiting(J),
    /// A thread is doing the job.
    Begun,
    Done(Result<R>),
}

impl<S, J, R> Pool<S, J, R>
where
    S: Default + 'static,
    J: Send + 'static,
    R: Send + 'static,
{
    /// A pool without threads so far. At most `limit` jobs are under way, results that nobody has
    /// taken included: what they hold is what the pool holds. There are no more threads than jobs.
    /// A budget of one thread does each job when it is handed in.
    #[must_use]
    pub fn new(budget: &ThreadBudget, limit: usize, work: fn(&mut S, J) -> R) -> Self {
        let queue = JobQueue { slots: VecDeque::new(), begun: 0, gone: 0, closed: false };
        let shared = SharedState { queue: Mutex::new(queue), job: Condvar::new(), result: Condvar::new() };
        Pool { shared: Arc::new(shared), work, state: S::default(), helpers: Vec::new(), budget: budget.clone(), limit }
    }

    /// Hands in a job. If too many are under way then, waits for the oldest result, and returns it.
    ///
    /// # Errors
    /// `Panicked`, if the oldest job has.
    pub fn put(&mut self, job: J) -> Result<Option<R>> {
        if self.budget.threads == 1 {
            return perform(self.work, &mut self.state, job).map(Some);
        }
        let mut queue = self.shared.queue.lock();
        let piles_up = queue.begun < queue.slots.len();
        queue.slots.push_back(JobSlot::Waiting(job));
        let is_full = queue.slots.len() > self.limit && !mutant::is_on(Mutant::ExceedLimit);
        drop(queue);
        self.shared.job.notify_one();
        if piles_up && self.helpers.len() + 1 < self.budget.threads.min(self.limit + 1) {
            self.start_helper();
        }
        if is_full { self.take() } else { Ok(None) }
    }

    /// Waits for the oldest result, and works meanwhile. `None` when all have been taken.
    ///
    /// # Errors
    /// `Panicked`, if the oldest job has.
    pub fn take(&mut self) -> Result<Option<R>> {
        if self.budget.threads == 1 {
            return Ok(None);
        }
        let shared = &*self.shared;
        let mut queue = shared.queue.lock();
        while !queue.slots.is_empty() {
            if let Some(result) = queue.pop() {
                return result.map(Some);
            }
            match queue.begin() {
                Some((number, job)) => {
                    drop(queue);
                    let done = perform(self.work, &mut self.state, job);
                    queue = shared.queue.lock();
                    queue.finish(number, done);
                }
                None => shared.result.wait(&mut queue),
            }
        }
        Ok(None)
    }

    /// Starts a thread. If the system gives none, those that are there do the work.
    fn start_helper(&mut self) {
        let (shared, work) = (Arc::clone(&self.shared), self.work);
        if let Ok(helper) = spawn("reftable-pool", move || shared.help(work)) {
            self.helpers.push(helper);
            self.budget.note_start();
        }
    }
}

impl<J, R> SharedState<J, R> {
    /// What a helper does, until the owner leaves.
    fn help<S: Default>(&self, work: fn(&mut S, J) -> R) {
        let mut state = S::default();
        while let Some((number, job)) = self.next_job() {
            let done = perform(work, &mut state, job);
            if done.is_err() && mutant::is_on(Mutant::ForgetPanic) {
                continue;
            }
            let mut queue = self.queue.lock();
            queue.finish(number, done);
            if queue.gone == number && !mutant::is_on(Mutant::KeepResult) {
                self.result.notify_one();
            }
        }
    }

    /// Waits for a job. `None` when no more will come.
    fn next_job(&self) -> Option<(u64, J)> {
        let mut queue = self.queue.lock();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(next) = queue.begin() {
                return Some(next);
            }
            self.job.wait(&mut queue);
        }
    }
}

impl<J, R> JobQueue<J, R> {
    /// The first job that nobody has begun, and its number.
    fn begin(&mut self) -> Option<(u64, J)> {
        let slot = self.slots.get_mut(self.begun)?;
        let JobSlot::Waiting(job) = std::mem::replace(slot, JobSlot::Begun) else { return None };
        let number = self.gone + self.begun as u64;
        self.begun += 1;
        Some((number, job))
    }

    /// Puts a result where its job was, unless the owner has left.
    fn finish(&mut self, number: u64, done: Result<R>) {
        let mut at = number.checked_sub(self.gone).and_then(|at| usize::try_from(at).ok());
        if mutant::is_on(Mutant::MixUpOrder) {
            at = self.slots.iter().position(|slot| matches!(slot, JobSlot::Begun));
        }
        if let Some(slot) = at.and_then(|at| self.slots.get_mut(at)) {
            *slot = JobSlot::Done(done);
        }
    }

    /// The result at the head of the queue, if it is there.
    fn pop(&mut self) -> Option<Result<R>> {
        match self.slots.pop_front()? {
            JobSlot::Done(result) => {
                self.begun -= 1;
                self.gone += 1;
                Some(result)
            }
            unfinished => {
                self.slots.push_front(unfinished);
                None
            }
        }
    }
}

/// Does a job. A panic must not be lost with its thread.
fn perform<S, J, R>(work: fn(&mut S, J) -> R, state: &mut S, job: J) -> Result<R> {
    // Nobody looks at what a panic leaves half done: results after it are not taken any more.
    catch_unwind(AssertUnwindSafe(|| work(state, job))).map_err(|panic| {
        let message = format!("a part of the work has panicked: {}", words_of(&*panic));
        Error::new(ErrorKind::Panicked, message).way_out("this is a defect of the library; nothing was changed")
    })
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}

impl<S, J, R> Drop for Pool<S, J, R> {
    fn drop(&mut self) {
        if self.helpers.is_empty() {
            return;
        }
        let mut queue = self.shared.queue.lock();
        queue.closed = true;
        let forgotten = std::mem::take(&mut queue.slots);
        drop(queue);
        // Not under the lock: it is not known what dropping them does.
        drop(forgotten);
        if !mutant::is_on(Mutant::CloseSilently) {
            self.shared.job.notify_all();
        }
        if !mutant::is_on(Mutant::LeaveHelpers) {
            // A helper catches the panics of its jobs, and has none of its own.
            self.helpers.drain(..).for_each(|helper| drop(helper.join()));
        }
    }
}

impl<S, J, R> fmt::Debug for Pool<S, J, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("budget", &self.budget).field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(done: &mut u64, job: u64) -> (u64, u64) {
        assert_ne!(job, 700, "no squares of {job}");
        *done += 1;
        (job * job, *done)
    }

    /// The results until the first failure, and the failure.
    fn squares(budget: &ThreadBudget, jobs: u64) -> (Vec<(u64, u64)>, Option<Error>) {
        let mut pool = Pool::new(budget, 4, square);
        let mut results = Vec::new();
        let all = (0..jobs).try_for_each(|job| pool.put(job).map(|result| results.extend(result)));
        let all = all.and_then(|()| {
            while let Some(result) = pool.take()? {
                results.push(result);
            }
            Ok(())
        });
        (results, all.err())
    }

    #[test]
    fn any_number_of_threads_gives_the_same_results() {
        for threads in [0, 1, 2, 3, 8] {
            let budget = ThreadBudget::new(threads);
            let (results, error) = squares(&budget, 500);
            assert!(error.is_none());
            assert!(results.iter().map(|(square, _)| *square).eq((0..500).map(|job| job * job)));
            assert_eq!(budget.started(), threads.clamp(1, 5) as u64 - 1, "jobs pile up");
            let alone = results.last().is_some_and(|(_, done)| *done == 500);
            assert!(alone || threads > 1);
        }
    }

    #[test]
    fn little_work_starts_no_thread() {
        let budget = ThreadBudget::new(8);
        assert_eq!(squares(&budget, 1).0, [(0, 1)]);
        assert_eq!(budget.started(), 0);
    }

    #[test]
    fn what_is_under_way_does_not_grow_with_the_threads() {
        let jobs_of = |threads: usize, bytes| ThreadBudget::new(threads).jobs_of(bytes);
        assert_eq!((jobs_of(1, 0), jobs_of(4, 1 << 20), jobs_of(8, 100_000)), (2, 5, 9));
        assert_eq!((jobs_of(8, 1 << 20), jobs_of(1000, 1 << 20), jobs_of(8, usize::MAX)), (5, 5, 2));
    }

    #[test]
    fn a_panic_becomes_an_error() {
        for threads in [1, 4] {
            let (results, error) = squares(&ThreadBudget::new(threads), 1000);
            assert_eq!(results.len(), 700);
            let error = error.unwrap();
            assert_eq!(error.kind(), ErrorKind::Panicked);
            assert!(error.message().contains("no squares of 700"), "{error}");
        }
    }
}
