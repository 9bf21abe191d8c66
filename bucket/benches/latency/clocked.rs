//! An object store whose requests take time on a simulated clock, and whose answers may be lost.
//! A run of an hour takes seconds, and the same seed gives the same run.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use reftable_bucket::{Bucket, Error, ErrorKind, Memory, Patience, Read, Result, Swap, Tag};

/// How long requests take, and how many of a thousand are lost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) write: Duration,
    pub(crate) read: Duration,
    pub(crate) lost: u64,
    /// How long a client waits at most for an answer that does not come.
    pub(crate) patience: Duration,
}

/// Counts and clock.
#[derive(Debug, Default)]
struct World {
    now: Duration,
    random: u64,
    /// What happens when, in order: the second number tells events of one moment apart.
    events: BTreeMap<(Duration, u64), Event>,
    next: u64,
    reads: u64,
    writes: u64,
}

#[derive(Debug)]
enum Event {
    /// A task goes on.
    Wake(Waker),
    /// A write arrives that nobody waits for any more.
    Late(String, Bytes, Option<Tag>),
}

pub(crate) struct Clocked {
    pub(crate) memory: Memory,
    weather: Weather,
    world: Mutex<World>,
    reads: Patience,
    writes: Patience,
}

/// What becomes of a request.
#[derive(PartialEq)]
enum Fate {
    Answered,
    NeverArrives,
    AnswerLost,
    Late,
}

impl Clocked {
    pub(crate) fn new(weather: Weather, seed: u64) -> Clocked {
        let world = World { random: seed, ..World::default() };
        let (reads, writes) = (Patience::new(weather.patience), Patience::new(weather.patience));
        Clocked { memory: Memory::new(), weather, world: Mutex::new(world), reads, writes }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads and writes so far.
    pub(crate) fn requests(&self) -> (u64, u64) {
        let world = self.world();
        (world.reads, world.writes)
    }

    /// Goes on at `time`.
    async fn until(&self, time: Duration) {
        let mut is_set = false;
        poll_fn(|context| {
            let mut world = self.world();
            if world.now >= time {
                return Poll::Ready(());
            }
            if !std::mem::replace(&mut is_set, true) {
                let next = world.next;
                world.next += 1;
                world.events.insert((time, next), Event::Wake(context.waker().clone()));
            }
            Poll::Pending
        })
        .await;
    }

    /// 40 % jitter either way; one of a hundred takes five times as long. Half of it is the way
    /// there.
    fn ways(&self, usual: Duration) -> (Duration, Duration) {
        let mut world = self.world();
        let thousandths = 600 + u32::try_from(world.draw() % 801).unwrap_or_default();
        let slow = if world.draw().is_multiple_of(100) { 5 } else { 1 };
        let half = usual * thousandths / 2000 * slow;
        (world.now + half, world.now + half * 2)
    }

    fn fate(&self) -> Fate {
        let mut world = self.world();
        if world.draw() % 1000 >= self.weather.lost {
            return Fate::Answered;
        }
        match world.draw() % 3 {
            0 => Fate::NeverArrives,
            1 => Fate::AnswerLost,
            _ => Fate::Late,
        }
    }

    /// Runs all tasks to their end.
    pub(crate) fn run(&self, tasks: Vec<Task<'_>>) {
        let mut tasks: Vec<_> = tasks.into_iter().map(|task| (Some(task), Arc::new(Woken(true.into())))).collect();
        loop {
            while let Some((task, woken)) = tasks.iter_mut().find(|(_, woken)| woken.0.load(Ordering::Relaxed)) {
                woken.0.store(false, Ordering::Relaxed);
                let waker = Waker::from(Arc::clone(woken));
                let is_done =
                    task.as_mut().is_some_and(|task| task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
                if is_done {
                    *task = None;
                }
            }
            if tasks.iter().all(|(task, _)| task.is_none()) {
                return;
            }
            let event = {
                let mut world = self.world();
                let Some(((time, _), event)) = world.events.pop_first() else { return };
                world.now = world.now.max(time);
                event
            };
            match event {
                Event::Wake(waker) => waker.wake(),
                Event::Late(key, bytes, base) => {
                    let _ = futures_lite::future::block_on(self.memory.swap(&key, bytes, base.as_ref()));
                }
            }
        }
    }
}

/// What is to be run.
pub(crate) type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl World {
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

fn no_answer() -> Error {
    Error::new(ErrorKind::Unavailable, "no answer")
}

impl Clocked {
    /// Gives `answer` when it is there, unless that is later than anybody waits.
    async fn in_time<T>(&self, patience: &Patience, sent: Duration, back: Duration, answer: Option<T>) -> Option<T> {
        let limit = patience.limit();
        match answer.filter(|_| back.saturating_sub(sent) <= limit) {
            Some(answer) => {
                self.until(back).await;
                patience.answered(back.saturating_sub(sent));
                Some(answer)
            }
            None => {
                self.until(sent + limit).await;
                patience.silent();
                None
            }
        }
    }
}

impl Bucket for Clocked {
    async fn read(&self, key: &str, known: Option<&Tag>) -> Result<Read> {
        self.world().reads += 1;
        let (sent, (there, back), fate) = (self.now(), self.ways(self.weather.read), self.fate());
        self.until(there).await;
        let read = self.memory.read(key, known).await?;
        let answer = Some(read).filter(|_| fate == Fate::Answered);
        self.in_time(&self.reads, sent, back, answer).await.ok_or_else(no_answer)
    }

    async fn swap(&self, key: &str, bytes: Bytes, base: Option<&Tag>) -> Result<Swap> {
        self.world().writes += 1;
        let (sent, (there, back), fate) = (self.now(), self.ways(self.weather.write), self.fate());
        self.until(there).await;
        let answer = match fate {
            Fate::Answered | Fate::AnswerLost => Some(self.memory.swap(key, bytes, base).await?),
            Fate::NeverArrives => None,
            Fate::Late => {
                let mut world = self.world();
                let arrives = world.now + Duration::from_millis(world.draw() % 3000);
                let next = world.next;
                world.next += 1;
                world.events.insert((arrives, next), Event::Late(key.to_owned(), bytes, base.cloned()));
                None
            }
        };
        let answer = answer.filter(|_| fate == Fate::Answered);
        let answer = self.in_time(&self.writes, sent, back, answer).await;
        Ok(answer.unwrap_or_else(|| Swap::Unknown("no answer".to_owned())))
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let (there, back) = self.ways(self.weather.write);
        self.until(there).await;
        self.memory.delete(key).await?;
        self.until(back).await;
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.memory.list(prefix).await
    }

    async fn sleep(&self, time: Duration) {
        let until = self.world().now + time;
        self.until(until).await;
    }

    fn now(&self) -> Duration {
        self.world().now
    }

    fn random(&self) -> Result<u64> {
        Ok(self.world().draw())
    }
}

/// The value that so many of a thousand do not exceed.
pub(crate) fn quantile(sorted: &[Duration], thousandths: usize) -> Duration {
    let at = (sorted.len() * thousandths / 1000).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

/// Sorts, the slowest last.
pub(crate) fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    times.sort();
    times
}
