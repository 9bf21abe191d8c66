//! Runs tasks in every order that a bound allows: each request carried out, lost before or after,
//! late; each task dropped where it waits.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::bucket::{Answer, Call, Shared, SimBucket};

/// Pauses are shorter, time-outs longer.
const LONG: Duration = Duration::from_secs(5);

/// Since the Unix epoch.
const START: Duration = Duration::from_secs(1_700_000_000);

pub(crate) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// What may go wrong in one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    /// Answers that are lost, requests that never arrive or arrive late.
    pub(crate) lost: u32,
    /// Tasks that are dropped, and callers whose time is over.
    pub(crate) killed: u32,
}

/// In which order runs come.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// Depth first, every run that there is or so many.
    First(u64),
    /// So many, drawn with this seed.
    Drawn(u64, u64),
}

/// The choices of a run: which of how many.
#[derive(Debug)]
struct Path {
    order: Order,
    made: Vec<(usize, usize)>,
    at: usize,
    random: u64,
}

impl Path {
    fn new(order: Order) -> Path {
        let random = if let Order::Drawn(_, seed) = order { seed } else { 0 };
        Path { order, made: Vec::new(), at: 0, random }
    }

    fn is_drawn(&self) -> bool {
        matches!(self.order, Order::Drawn(..))
    }

    fn choose(&mut self, of: usize) -> usize {
        assert!(of > 0);
        if let Order::Drawn(..) = self.order {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            return (self.random >> 33) as usize % of;
        }
        if self.at == self.made.len() {
            self.made.push((0, of));
        }
        let (choice, was_of) = self.made[self.at];
        assert_eq!(of, was_of, "a run repeats its choices");
        self.at += 1;
        choice
    }

    /// Goes to the next run; `false` after the last.
    fn advance(&mut self, runs: u64) -> bool {
        let (Order::First(most) | Order::Drawn(most, _)) = self.order;
        if runs == most || self.is_drawn() {
            return runs < most;
        }
        self.at = 0;
        while let Some((choice, of)) = self.made.pop() {
            if choice + 1 < of {
                self.made.push((choice + 1, of));
                return true;
            }
        }
        false
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Answered,
    AnswerLost,
    NeverArrives,
    Late,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Request(u64, Fate),
    /// A request arrives whose sender does not wait any more.
    Arrives(usize),
    /// Time passes for one that sleeps.
    Wakes(u64),
    Kill(usize),
}

/// Runs `make`'s tasks again and again. After each run `check` looks at what is left, and says what
/// is wrong. Returns the number of runs and the first violation.
pub(crate) fn explore<S>(
    faults: Faults,
    order: Order,
    mut make: impl FnMut(&Shared) -> (Vec<Task>, S),
    mut check: impl FnMut(&Shared, S) -> Result<(), String>,
) -> (u64, Option<String>) {
    let mut path = Path::new(order);
    let mut runs = 0;
    loop {
        let bucket = Shared::default();
        bucket.pass(START);
        let (tasks, state) = make(&bucket);
        let mut run = Run { bucket: &bucket, tasks: tasks.into_iter().map(Some).collect(), faults, story: Vec::new() };
        run.play(&mut path);
        let story = std::mem::take(&mut run.story);
        drop(run);
        runs += 1;
        if let Err(violation) = check(&bucket, state) {
            return (runs, Some(format!("{violation}\nafter {runs} runs:\n{}", story.join("\n"))));
        }
        if !path.advance(runs) {
            return (runs, None);
        }
    }
}

struct Run<'a> {
    bucket: &'a SimBucket,
    tasks: Vec<Option<Task>>,
    faults: Faults,
    story: Vec<String>,
}

impl Run<'_> {
    fn play(&mut self, path: &mut Path) {
        for task in 0..self.tasks.len() {
            self.poll(task);
        }
        while self.tasks.iter().any(Option::is_some) {
            let steps = self.steps();
            if steps.is_empty() {
                self.wake_the_first();
                continue;
            }
            // In runs that are drawn faults are to be rare, so that they come late, too.
            let usual = steps.iter().filter(|step| matches!(step, Step::Request(_, Fate::Answered))).copied();
            let usual: Vec<Step> = usual.collect();
            let steps = if path.is_drawn() && path.choose(8) > 0 { usual } else { steps };
            let step = steps[path.choose(steps.len())];
            self.take(step);
        }
        // What is under way still arrives, or never does.
        while !self.bucket.world().late.is_empty() {
            match path.choose(2) {
                0 => self.take(Step::Arrives(0)),
                _ => drop(self.bucket.world().late.remove(0)),
            }
        }
    }

    /// What can happen next.
    fn steps(&self) -> Vec<Step> {
        let world = self.bucket.world();
        let (mut steps, mut wakes) = (Vec::new(), Vec::new());
        for id in world.open() {
            let call = &world.requests[&id].call;
            if let Call::Sleep { until } = call {
                // A pause may end at any time; that a time-out ends early is a fault.
                if until.saturating_sub(world.now) < LONG || self.faults.killed > 0 {
                    wakes.push(Step::Wakes(id));
                }
                continue;
            }
            steps.push(Step::Request(id, Fate::Answered));
            if self.faults.lost > 0 {
                let is_write = matches!(call, Call::Swap { .. });
                steps.push(Step::Request(id, Fate::NeverArrives));
                if is_write {
                    steps.push(Step::Request(id, Fate::AnswerLost));
                    steps.push(Step::Request(id, Fate::Late));
                }
            }
        }
        if !steps.is_empty() {
            steps.extend(wakes);
            steps.extend((0..world.late.len()).map(Step::Arrives));
            if self.faults.killed > 0 {
                let alive = self.tasks.iter().enumerate().filter(|(_, task)| task.is_some());
                steps.extend(alive.map(|(task, _)| Step::Kill(task)));
            }
        }
        steps
    }

    fn take(&mut self, step: Step) {
        let mut world = self.bucket.world();
        match step {
            Step::Request(id, fate) => {
                let (task, call) = (world.requests[&id].task, world.requests[&id].call.clone());
                self.story.push(format!("task {task}: {} {fate:?}", told(&call)));
                let answer = match fate {
                    Fate::Answered => world.carry_out(&call),
                    Fate::AnswerLost => {
                        let _ = world.carry_out(&call);
                        Answer::Nothing
                    }
                    Fate::NeverArrives => Answer::Nothing,
                    Fate::Late => {
                        world.late.push(call);
                        Answer::Nothing
                    }
                };
                self.faults.lost -= u32::from(!matches!(fate, Fate::Answered));
                world.answer(id, answer);
                drop(world);
                self.poll(task);
            }
            Step::Wakes(id) => {
                let (task, call) = (world.requests[&id].task, world.requests[&id].call.clone());
                let Call::Sleep { until } = call else { unreachable!("only sleepers wake") };
                if until.saturating_sub(world.now) >= LONG {
                    self.faults.killed -= 1;
                    self.story.push(format!("task {task}: its time is over"));
                } else {
                    self.story.push(format!("task {task}: goes on"));
                    world.now = until;
                }
                world.answer(id, Answer::Done);
                drop(world);
                self.poll(task);
            }
            Step::Arrives(position) => {
                let call = world.late.remove(position);
                let answer = world.carry_out(&call);
                self.story.push(format!("late: {} {}", told(&call), outcome(&answer)));
            }
            Step::Kill(task) => {
                drop(world);
                self.story.push(format!("task {task} is dropped"));
                self.faults.killed -= 1;
                self.tasks[task] = None;
                self.poll_all();
            }
        }
    }

    /// All wait for time to pass.
    fn wake_the_first(&mut self) {
        let task = {
            let mut world = self.bucket.world();
            let sleeps = world.open().into_iter().filter_map(|id| match world.requests[&id].call {
                Call::Sleep { until } => Some((until, id)),
                _ => None,
            });
            let (until, id) = sleeps.min().expect("tasks wait for something");
            world.now = world.now.max(until);
            let task = world.requests[&id].task;
            world.answer(id, Answer::Done);
            task
        };
        self.poll(task);
    }

    fn poll(&mut self, task: usize) {
        self.poll_one(task);
        self.poll_all();
    }

    /// A lock that one task lets go of is another's to take.
    fn poll_all(&mut self) {
        loop {
            let before = self.progress();
            (0..self.tasks.len()).for_each(|task| self.poll_one(task));
            if self.progress() == before {
                return;
            }
        }
    }

    /// Grows when a task ends, asks or hears something.
    fn progress(&self) -> (usize, u64, usize) {
        let world = self.bucket.world();
        (self.tasks.iter().filter(|task| task.is_none()).count(), world.asked(), usize::MAX - world.requests.len())
    }

    fn poll_one(&mut self, task: usize) {
        self.bucket.world().task = task;
        let Some(future) = &mut self.tasks[task] else { return };
        if let Poll::Ready(()) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            self.tasks[task] = None;
        }
    }
}

fn told(call: &Call) -> String {
    match call {
        Call::Read { key, .. } => format!("reads {key}"),
        Call::Swap { key, base, bytes } => {
            let edition = bytes.split(|byte| *byte == b'\n').nth(2).map(String::from_utf8_lossy).unwrap_or_default();
            let what = if key.ends_with("/root") { format!(" ({edition})") } else { String::new() };
            format!("writes {key}{what} upon {:?}", base.as_ref().map(|tag| tag.as_str().to_owned()))
        }
        Call::Delete { key } => format!("deletes {key}"),
        Call::List { .. } => "lists".to_owned(),
        Call::Sleep { until } => format!("sleeps until {until:?}"),
    }
}

fn outcome(answer: &Answer) -> &'static str {
    match answer {
        Answer::Swap(reftable_bucket::Swap::Refused) => "is refused",
        _ => "is carried out",
    }
}
