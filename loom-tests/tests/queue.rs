//! The queue of threads before the list lock. Jobs are numbers; those with the same tens exclude
//! each other, so the first one of them is accepted and the others are refused.

#![cfg(loom)]
#![cfg(test)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use loom_tests::{explore, process};
use reftable::queue::{Admission, Group, Leadership, Outcome, Queue};

/// For a thread that does not wait for ever. Time has no length here: it lets others run, and gives
/// up.
const A_WHILE: Option<Duration> = Some(Duration::from_secs(1));

/// A job, and whether it was accepted.
type Done = (u8, bool);

/// What a thread was told of its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Done(Done),
    TimedOut,
    Abandoned,
    /// It panicked before it did anything, so to speak.
    Panicked,
}

/// How the leader of a group fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fails {
    No,
    /// Before it did anything, and it lets go of the group first.
    GroupFirst,
    /// The same, but of the leadership.
    TurnFirst,
    /// When all is done, and nobody was told.
    AfterAll,
}

/// What happened, over all executions of a model: what never happens is not checked.
#[derive(Default)]
struct Seen {
    led: AtomicU32,
    done_by_others: AtomicU32,
    timed_out: AtomicU32,
    abandoned: AtomicU32,
    largest_group: AtomicU32,
}

impl Seen {
    fn count(counter: &AtomicU32) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn all(counters: &[&AtomicU32]) -> bool {
        counters.iter().all(|counter| counter.load(Ordering::Relaxed) > 0)
    }
}

/// What is used by one thread at a time, and what it was used for. Nothing here is a scheduling
/// point.
#[derive(Default)]
struct Ledger {
    leaders: u8,
    done: Vec<Done>,
    told: Vec<(u8, Told)>,
    violation: Option<&'static str>,
}

/// Three threads at a queue.
type Model = fn(&Arc<Seen>);

#[derive(Clone)]
struct Scene {
    queue: Arc<Queue<u8, Done>>,
    ledger: Arc<Mutex<Ledger>>,
    seen: Arc<Seen>,
}

impl Scene {
    fn new(queue: Arc<Queue<u8, Done>>, seen: &Arc<Seen>) -> Scene {
        Scene { queue, ledger: Arc::default(), seen: Arc::clone(seen) }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A violation is noted, not thrown: the leadership is given back first.
    fn begin(&self) {
        let mut ledger = self.ledger();
        ledger.leaders += 1;
        if ledger.leaders > 1 {
            ledger.violation = Some("two threads lead");
        }
    }

    fn end(&self) {
        self.ledger().leaders -= 1;
    }

    fn perform(&self, job: u8) -> Done {
        let mut ledger = self.ledger();
        let is_free = !ledger.done.iter().any(|(other, accepted)| *accepted && other / 10 == job / 10);
        ledger.done.push((job, is_free));
        (job, is_free)
    }

    /// One thread: hands in a job, and does it, with those of others, if it comes to that.
    fn submit(&self, job: u8, timeout: Option<Duration>, fails: Fails) {
        let told = match self.queue.submit(job, timeout) {
            Outcome::Lead(leadership, job) => self.lead(leadership, job, fails),
            Outcome::Done(result) => {
                Seen::count(&self.seen.done_by_others);
                Told::Done(result)
            }
            Outcome::TimedOut => {
                Seen::count(&self.seen.timed_out);
                Told::TimedOut
            }
            Outcome::Abandoned => {
                Seen::count(&self.seen.abandoned);
                Told::Abandoned
            }
            Outcome::ThisThread => panic!("this thread does not lead"),
        };
        self.ledger().told.push((job, told));
    }

    /// In the order of a commit: the leadership goes on before the results are out.
    fn lead(&self, leadership: Leadership<u8, Done>, own: u8, fails: Fails) -> Told {
        Seen::count(&self.seen.led);
        self.begin();
        let mut group = leadership.take(8, |_| true);
        let jobs: Vec<u8> = std::iter::once(own).chain(group.jobs().copied()).collect();
        self.seen.largest_group.fetch_max(jobs.len() as u32, Ordering::Relaxed);
        if fails == Fails::GroupFirst || fails == Fails::TurnFirst {
            return self.panic(leadership, group, fails);
        }
        group.decide();
        let mut results = jobs.into_iter().map(|job| self.perform(job)).collect::<Vec<_>>().into_iter();
        self.end();
        drop(leadership);
        let mine = results.next().map_or(Told::Panicked, Told::Done);
        if fails != Fails::AfterAll {
            group.finish(results);
        }
        mine
    }

    fn panic(&self, leadership: Leadership<u8, Done>, group: Group<u8, Done>, fails: Fails) -> Told {
        if fails == Fails::TurnFirst {
            self.end();
            drop(leadership);
            drop(group);
        } else {
            drop(group);
            self.end();
            drop(leadership);
        }
        Told::Panicked
    }

    /// One thread: leads without a job, and does nothing with
    /// it.
    fn prepare(&self) {
        let Admission::Lead(leadership) = self.queue.enter(None) else { panic!("nobody else makes it end") };
        self.begin();
        let again = self.queue.submit(99, None);
        self.end();
        drop(leadership);
        assert!(matches!(again, Outcome::ThisThread), "a thread waits for itself");
    }

    /// When all threads have ended: every thread was told the truth, and the queue is free.
    fn check(&self) {
        self.submit(90, None, Fails::No);
        let ledger = self.ledger();
        assert_eq!(ledger.violation, None);
        for (job, told) in &ledger.told {
            let done: Vec<Told> =
                ledger.done.iter().filter(|(done, _)| done == job).map(|done| Told::Done(*done)).collect();
            match told {
                Told::Done(_) => assert_eq!(done, [*told], "each job is done once, and each thread told of its own"),
                Told::Abandoned => assert_eq!(done.len(), 1, "what may have been done is not done again"),
                Told::TimedOut | Told::Panicked => assert_eq!(done, [], "{told:?}, and done all the same"),
            }
        }
    }
}

/// Three threads. The first one may fail, the second one may give up.
fn three(scene: &Scene, fails: Fails, timeout: Option<Duration>) {
    let (one, other) = (scene.clone(), scene.clone());
    let one = process(move || one.submit(10, None, fails));
    let other = process(move || other.submit(11, timeout, Fails::No));
    scene.submit(20, None, Fails::No);
    one.join().expect("it ends");
    other.join().expect("it ends");
    scene.check();
}

fn delegation(seen: &Arc<Seen>) {
    three(&Scene::new(Queue::new(), seen), Fails::No, None);
}

fn gives_up(seen: &Arc<Seen>) {
    three(&Scene::new(Queue::new(), seen), Fails::No, A_WHILE);
}

fn panics_and_drops_the_group_first(seen: &Arc<Seen>) {
    three(&Scene::new(Queue::new(), seen), Fails::GroupFirst, None);
}

fn panics_and_drops_the_leadership_first(seen: &Arc<Seen>) {
    three(&Scene::new(Queue::new(), seen), Fails::TurnFirst, None);
}

fn panics_beside_one_that_gives_up(seen: &Arc<Seen>) {
    three(&Scene::new(Queue::new(), seen), Fails::TurnFirst, A_WHILE);
}

fn panics_after_all(seen: &Arc<Seen>) {
    three(&Scene::new(Queue::new(), seen), Fails::AfterAll, None);
}

fn bounded(seen: &Arc<Seen>) {
    three(&Scene::new(Queue::with_limit(1), seen), Fails::No, None);
}

fn bounded_beside_one_that_gives_up(seen: &Arc<Seen>) {
    three(&Scene::new(Queue::with_limit(1), seen), Fails::No, A_WHILE);
}

/// One of three wants to lead itself, and does nothing with it.
fn drops_its_leadership(seen: &Arc<Seen>) {
    let scene = Scene::new(Queue::new(), seen);
    let (one, other) = (scene.clone(), scene.clone());
    let one = process(move || one.prepare());
    let other = process(move || other.submit(20, None, Fails::No));
    scene.submit(30, None, Fails::No);
    one.join().expect("it ends");
    other.join().expect("it ends");
    scene.check();
}

fn explored(name: &str, preemptions: usize, model: Model) -> Arc<Seen> {
    let seen = Arc::new(Seen::default());
    let counted = Arc::clone(&seen);
    explore(name, preemptions, move || model(&counted));
    seen
}

#[test]
fn the_leadership_is_passed_on_and_each_has_its_own_result() {
    let seen = explored("queue of three threads", 3, delegation);
    assert!(Seen::all(&[&seen.led, &seen.done_by_others]), "some lead, some follow");
    assert_eq!(seen.largest_group.load(Ordering::Relaxed), 3, "all three at once, among others");
}

#[test]
fn what_is_given_up_was_not_done() {
    let seen = explored("queue, one gives up", 3, gives_up);
    assert!(Seen::all(&[&seen.timed_out, &seen.done_by_others]), "some give up, some follow");
}

#[test]
fn a_turn_of_ones_own_may_be_dropped() {
    let seen = explored("queue, one drops its leadership", 3, drops_its_leadership);
    assert!(Seen::all(&[&seen.led, &seen.done_by_others]), "some lead, some follow");
}

#[test]
fn jobs_of_a_failed_leader_go_back() {
    let models: [(&str, Model); 2] = [
        ("queue, one fails before: group dropped first", panics_and_drops_the_group_first),
        ("queue, one fails before: leadership dropped first", panics_and_drops_the_leadership_first),
    ];
    for (name, model) in models {
        let seen = explored(name, 3, model);
        assert!(Seen::all(&[&seen.led, &seen.done_by_others]), "some lead, some follow");
        assert_eq!(seen.largest_group.load(Ordering::Relaxed), 3, "two were given back, among others");
    }
}

#[test]
fn jobs_that_go_back_may_still_give_up() {
    let seen = explored("queue, one fails before, another gives up", 3, panics_beside_one_that_gives_up);
    assert!(Seen::all(&[&seen.timed_out, &seen.done_by_others]), "some give up, some follow");
}

#[test]
fn jobs_that_may_have_been_done_are_not_done_again() {
    let seen = explored("queue, one fails after", 3, panics_after_all);
    assert!(Seen::all(&[&seen.abandoned, &seen.done_by_others]), "some are told nothing, some follow");
}

#[test]
fn who_waits_for_room_gets_it() {
    let seen = explored("queue with room for one", 3, bounded);
    assert!(Seen::all(&[&seen.led, &seen.done_by_others]), "some lead, some follow");
    let seen = explored("queue with room for one, one gives up", 3, bounded_beside_one_that_gives_up);
    assert!(Seen::all(&[&seen.timed_out, &seen.done_by_others]), "some give up, some follow");
}

#[cfg(reftable_mutants)]
#[test]
fn mutants_are_caught() {
    use reftable::mutant::{Mutant, QUEUE};
    let caught: [(Mutant, Model); 8] = [
        (Mutant::KeepLeadership, delegation),
        (Mutant::TwoLeaders, panics_and_drops_the_group_first),
        (Mutant::LeaveThoughTaken, gives_up),
        (Mutant::TakeTwice, delegation),
        (Mutant::GiveBackDecided, panics_after_all),
        (Mutant::GiveBackSilently, panics_and_drops_the_leadership_first),
        (Mutant::MixUpResults, delegation),
        (Mutant::ForgetRoom, bounded),
    ];
    assert_eq!(caught.map(|(mutant, _)| mutant), QUEUE, "each mistake has its model");
    let also: [(Mutant, Model); 3] = [
        (Mutant::KeepLeadership, drops_its_leadership),
        (Mutant::GiveBackSilently, panics_beside_one_that_gives_up),
        (Mutant::ForgetRoom, bounded_beside_one_that_gives_up),
    ];
    for (mutant, model) in caught.into_iter().chain(also) {
        loom_tests::catches(mutant, || drop(explored("mutant", 3, model)));
    }
}
