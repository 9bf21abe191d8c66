//! A bucket whose every request waits until the explorer says what becomes of it.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use reftable_bucket::{Bucket, Error, ErrorKind, Read, Result, Swap, Tag};

/// No time-out and no pause is longer.
const LONGEST: Duration = Duration::from_secs(100);

/// What a task asks for.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Read { key: String, known: Option<Tag> },
    Swap { key: String, bytes: Bytes, base: Option<Tag> },
    Delete { key: String },
    List { prefix: String },
    Sleep { until: Duration },
}

/// What it hears.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Read(Read),
    Swap(Swap),
    Keys(Vec<String>),
    Done,
    /// The request, or its answer, was lost.
    Nothing,
}

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) task: usize,
    pub(crate) call: Call,
    answer: Option<Answer>,
}

#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) objects: BTreeMap<String, (u64, Bytes)>,
    writes: u64,
    /// The time that really passes.
    pub(crate) now: Duration,
    /// How far the clocks of tasks are ahead of it.
    ahead: BTreeMap<usize, Duration>,
    drawn: u64,
    next_request: u64,
    /// Whose request comes next.
    pub(crate) task: usize,
    pub(crate) requests: BTreeMap<u64, Request>,
    /// Requests whose sender has given up, and which may be carried out all the same.
    pub(crate) late: Vec<Call>,
}

impl World {
    /// Carries a call out.
    pub(crate) fn carry_out(&mut self, call: &Call) -> Answer {
        match call {
            Call::Read { key, known } => Answer::Read(match self.objects.get(key) {
                None => Read::Missing,
                Some((version, _)) if known.as_ref() == Some(&tag(*version)) => Read::Unchanged,
                Some((version, bytes)) => Read::Object { bytes: bytes.clone(), tag: tag(*version) },
            }),
            Call::Swap { key, bytes, base } => {
                let now = self.objects.get(key).map(|(version, _)| tag(*version));
                if now != *base {
                    return Answer::Swap(Swap::Refused);
                }
                self.writes += 1;
                self.objects.insert(key.clone(), (self.writes, bytes.clone()));
                Answer::Swap(Swap::Done(tag(self.writes)))
            }
            Call::Delete { key } => {
                self.objects.remove(key);
                Answer::Done
            }
            Call::List { prefix } => {
                Answer::Keys(self.objects.keys().filter(|key| key.starts_with(prefix)).cloned().collect())
            }
            Call::Sleep { until } => {
                self.now = self.now.max(*until);
                Answer::Done
            }
        }
    }

    pub(crate) fn answer(&mut self, request: u64, answer: Answer) {
        self.requests.get_mut(&request).expect("it waits").answer = Some(answer);
    }

    /// How many requests there were.
    pub(crate) fn asked(&self) -> u64 {
        self.next_request
    }

    /// Those that wait for the explorer.
    pub(crate) fn open(&self) -> Vec<u64> {
        self.requests.iter().filter(|(_, request)| request.answer.is_none()).map(|(id, _)| *id).collect()
    }
}

fn tag(version: u64) -> Tag {
    Tag::new(format!("\"{version}\""))
}

/// What the tasks hold.
#[derive(Debug, Default)]
pub(crate) struct SimBucket(Mutex<World>);

impl SimBucket {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// Time passes in which the caller does nothing.
    pub(crate) fn pass(&self, time: Duration) {
        self.world().now += time;
    }

    /// Sets the clock of the task that calls.
    pub(crate) fn set_clock_ahead(&self, time: Duration) {
        let mut world = self.world();
        let task = world.task;
        world.ahead.insert(task, time);
    }

    async fn ask(&self, call: Call) -> Answer {
        let id = {
            let mut world = self.world();
            let (id, task) = (world.next_request, world.task);
            world.next_request += 1;
            world.requests.insert(id, Request { task, call, answer: None });
            id
        };
        // The caller that drops this future does not hear the answer; the request goes its way.
        let _pending = Pending { bucket: self, id };
        poll_fn(|_| match self.world().requests.get(&id).and_then(|request| request.answer.clone()) {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await
    }
}

/// A request that is waited for.
struct Pending<'a> {
    bucket: &'a SimBucket,
    id: u64,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let mut world = self.bucket.world();
        let Some(request) = world.requests.remove(&self.id) else { return };
        if request.answer.is_none() && matches!(request.call, Call::Swap { .. } | Call::Delete { .. }) {
            world.late.push(request.call);
        }
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Unavailable, "no answer")
}

impl Bucket for SimBucket {
    async fn read(&self, key: &str, known: Option<&Tag>) -> Result<Read> {
        match self.ask(Call::Read { key: key.to_owned(), known: known.cloned() }).await {
            Answer::Read(read) => Ok(read),
            _ => Err(lost()),
        }
    }

    async fn swap(&self, key: &str, bytes: Bytes, base: Option<&Tag>) -> Result<Swap> {
        match self.ask(Call::Swap { key: key.to_owned(), bytes, base: base.cloned() }).await {
            Answer::Swap(swap) => Ok(swap),
            _ => Ok(Swap::Unknown("no answer".to_owned())),
        }
    }

    async fn delete(&self, key: &str) -> Result<()> {
        match self.ask(Call::Delete { key: key.to_owned() }).await {
            Answer::Done => Ok(()),
            _ => Err(lost()),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        match self.ask(Call::List { prefix: prefix.to_owned() }).await {
            Answer::Keys(keys) => Ok(keys),
            _ => Err(lost()),
        }
    }

    async fn sleep(&self, time: Duration) {
        assert!(time <= LONGEST, "nobody waits for {time:?}");
        let until = self.world().now + time;
        self.ask(Call::Sleep { until }).await;
    }

    fn now(&self) -> Duration {
        let world = self.world();
        world.now + world.ahead.get(&world.task).copied().unwrap_or_default()
    }

    fn random(&self) -> Result<u64> {
        let mut world = self.world();
        world.drawn += 1;
        let mixed = world.drawn.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Ok((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9))
    }
}

pub(crate) type Shared = Arc<SimBucket>;
