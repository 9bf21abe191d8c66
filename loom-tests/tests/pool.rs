//! The worker pool: jobs go in, results come out in order, and no thread is left. Jobs are numbers.

#![cfg(loom)]
#![cfg(test)]

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use loom_tests::explore;
use reftable::ErrorKind;
use reftable::pool::{Pool, ThreadBudget};

/// The job that panics.
const BAD: u8 = 13;

// A model runs all of its threads on one of the system's, so this is shared by them, and by nobody
// else.
thread_local! {
    /// Threads that have a state, the owner included.
    static AT_WORK: Cell<u32> = const { Cell::new(0) };
    static DONE: Cell<u32> = const { Cell::new(0) };
}

/// What each thread keeps from job to job.
struct State {
    jobs: u8,
}

impl Default for State {
    fn default() -> State {
        AT_WORK.set(AT_WORK.get() + 1);
        State { jobs: 0 }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        AT_WORK.set(AT_WORK.get() - 1);
    }
}

/// A job and how many its thread had done before.
fn work(state: &mut State, job: u8) -> (u8, u8) {
    if job == BAD {
        // Without a word on the screen.
        std::panic::resume_unwind(Box::new("this job panics"));
    }
    DONE.set(DONE.get() + 1);
    state.jobs += 1;
    (job, state.jobs - 1)
}

/// How the owner of a pool goes about it.
#[derive(Clone, Copy)]
struct Plan {
    threads: usize,
    limit: usize,
    jobs: &'static [u8],
    /// Whether it leaves without having taken all results.
    leaves: bool,
}

/// What happened, over all executions of a model: what never happens is not checked.
#[derive(Default)]
struct Seen {
    /// Executions in which one thread did all jobs.
    alone: AtomicU32,
    /// ... in which several did.
    shared: AtomicU32,
    most_helpers: AtomicU32,
}

/// What came out of a pool: the results, the message of a panic, and the most jobs that were under
/// way.
#[derive(Default)]
struct Outcome {
    results: Vec<(u8, u8)>,
    panic: Option<(ErrorKind, String)>,
    under_way: usize,
}

fn carry_out(plan: Plan, budget: &ThreadBudget) -> Outcome {
    // A model that has failed cannot wait for its threads any more.
    let mut pool = ManuallyDrop::new(Pool::new(budget, plan.limit, work));
    let outcome = use_pool(plan, &mut pool);
    drop(ManuallyDrop::into_inner(pool));
    outcome
}

fn use_pool(plan: Plan, pool: &mut Pool<State, u8, (u8, u8)>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut under_way: usize = 0;
    for job in plan.jobs {
        under_way += 1;
        match pool.put(*job) {
            Ok(None) => {}
            Ok(Some(result)) => {
                under_way -= 1;
                outcome.results.push(result);
            }
            Err(error) => {
                outcome.panic = Some((error.kind(), error.to_string()));
                return outcome;
            }
        }
        outcome.under_way = outcome.under_way.max(under_way);
    }
    if plan.leaves {
        return outcome;
    }
    loop {
        match pool.take() {
            Ok(Some(result)) => outcome.results.push(result),
            Ok(None) => break,
            Err(error) => {
                outcome.panic = Some((error.kind(), error.to_string()));
                break;
            }
        }
    }
    outcome
}

fn model(plan: Plan, seen: &Seen) {
    AT_WORK.set(0);
    DONE.set(0);
    let budget = ThreadBudget::new(plan.threads);
    let outcome = carry_out(plan, &budget);
    assert_eq!(AT_WORK.get(), 0, "no thread is left when the pool is dropped");
    assert!(outcome.under_way <= plan.limit, "{} jobs are under way", outcome.under_way);
    let before_the_bad = plan.jobs.iter().copied().take_while(|job| *job != BAD);
    let expected: Vec<u8> = before_the_bad.clone().take(if plan.leaves { outcome.results.len() } else { 9 }).collect();
    assert_eq!(outcome.results.iter().map(|(job, _)| *job).collect::<Vec<_>>(), expected, "each once, in order");
    let panics = before_the_bad.count() < plan.jobs.len();
    match outcome.panic {
        Some((kind, message)) => {
            assert_eq!(kind, ErrorKind::Panicked);
            assert!(panics && message.contains("this job panics"), "{message}");
        }
        None => assert!(!panics || plan.leaves),
    }
    assert!(DONE.get() <= plan.jobs.len() as u32);
    seen.most_helpers.fetch_max(u32::try_from(budget.started()).expect("few"), Ordering::Relaxed);
    let first_jobs = outcome.results.iter().filter(|(_, before)| *before == 0).count();
    let counter = if first_jobs > 1 { &seen.shared } else { &seen.alone };
    counter.fetch_add(1, Ordering::Relaxed);
}

fn explored(name: &str, preemptions: usize, plan: Plan) -> Arc<Seen> {
    let seen = Arc::new(Seen::default());
    let counted = Arc::clone(&seen);
    explore(name, preemptions, move || model(plan, &counted));
    seen
}

const IN_ORDER: Plan = Plan { threads: 2, limit: 3, jobs: &[0, 1, 2], leaves: false };
const BOUNDED: Plan = Plan { threads: 2, limit: 1, jobs: &[0, 1, 2], leaves: false };
const TWO_HELPERS: Plan = Plan { threads: 3, limit: 3, jobs: &[0, 1, 2], leaves: false };
const PANICS: Plan = Plan { threads: 2, limit: 3, jobs: &[0, BAD, 2], leaves: false };
const PANICS_FIRST: Plan = Plan { threads: 2, limit: 3, jobs: &[BAD, 1, 2], leaves: false };
const LEAVES: Plan = Plan { threads: 2, limit: 3, jobs: &[0, 1, 2], leaves: true };
const LEAVES_A_PANIC: Plan = Plan { threads: 2, limit: 3, jobs: &[0, 1, BAD], leaves: true };
const ALONE: Plan = Plan { threads: 1, limit: 3, jobs: &[0, 1, 2], leaves: false };

#[test]
fn results_come_in_the_order_of_jobs() {
    let seen = explored("pool of two threads", 4, IN_ORDER);
    assert_eq!(seen.most_helpers.load(Ordering::Relaxed), 1);
    assert!(seen.alone.load(Ordering::Relaxed) > 0 && seen.shared.load(Ordering::Relaxed) > 0);
    let seen = explored("pool of three threads", 2, TWO_HELPERS);
    assert_eq!(seen.most_helpers.load(Ordering::Relaxed), 2);
    assert!(seen.shared.load(Ordering::Relaxed) > 0);
}

#[test]
fn no_more_jobs_are_under_way_than_may_be() {
    explored("pool with room for one job", 4, BOUNDED);
}

#[test]
fn a_panic_is_the_result_of_its_job() {
    explored("pool, a job panics", 4, PANICS);
    explored("pool, the first job panics", 4, PANICS_FIRST);
}

#[test]
fn who_leaves_early_leaves_no_thread() {
    explored("pool, its owner leaves", 4, LEAVES);
    explored("pool, its owner leaves when a job panics", 4, LEAVES_A_PANIC);
}

#[test]
fn one_thread_alone_starts_none() {
    let seen = explored("pool of one thread", 4, ALONE);
    assert_eq!(seen.most_helpers.load(Ordering::Relaxed), 0);
}

#[cfg(reftable_mutants)]
#[test]
fn mutants_are_caught() {
    use reftable::mutant::{Mutant, POOL};
    let caught = [
        (Mutant::MixUpOrder, IN_ORDER),
        (Mutant::KeepResult, IN_ORDER),
        (Mutant::ForgetPanic, PANICS),
        (Mutant::ExceedLimit, BOUNDED),
        (Mutant::CloseSilently, IN_ORDER),
        (Mutant::LeaveHelpers, LEAVES),
    ];
    assert_eq!(caught.map(|(mutant, _)| mutant), POOL, "each mistake has its model");
    let also = [(Mutant::CloseSilently, LEAVES), (Mutant::LeaveHelpers, IN_ORDER), (Mutant::ForgetPanic, PANICS_FIRST)];
    for (mutant, plan) in caught.into_iter().chain(also) {
        loom_tests::catches(mutant, || drop(explored("mutant", 3, plan)));
    }
}
