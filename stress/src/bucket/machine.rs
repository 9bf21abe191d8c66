//! One of the processes: some threads that commit, and write down what they did and were told.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use reftable::{Expect, HashKind, Ident, LogEntry, ObjectId, Target};
use reftable_bucket::{Blocking, Changeset, Client, ErrorKind, Options, Store};
use serde_json::json;

use super::args::MachineArgs;
use crate::judge::event::{Event, Kind, MicroOp, Process, What};

/// References that all threads of all machines change.
pub(super) const SHARED: u64 = 16;

/// One in so many commits also changes one of them.
const SHARED_EVERY: u64 = 8;

/// Carries it out. The last line of its output says how long commits took.
pub(crate) fn main(args: &MachineArgs) -> Result<bool> {
    super::guard::end_with_parent();
    let store = store(Client::open(&args.address)?, args.wait)?;
    let file = File::create(&args.history).context("cannot make a history")?;
    let book = Arc::new(Book { began: args.began, file: Mutex::new(BufWriter::new(file)) });
    let tallies: Vec<Result<Tally>> = thread::scope(|scope| {
        let start = |task| {
            let (store, book) = (store.clone(), Arc::clone(&book));
            scope.spawn(move || Task::new(args, task, store, &book).run())
        };
        let tasks: Vec<_> = (0..args.tasks).map(start).collect();
        tasks
            .into_iter()
            .map(|task| task.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread has died"))))
            .collect()
    });
    let mut all = Tally::default();
    for tally in tallies {
        all.add(tally?);
    }
    book.file.lock().unwrap_or_else(PoisonError::into_inner).flush()?;
    crate::run::tell(&serde_json::to_string(&all)?)?;
    Ok(true)
}

/// A handle, as each machine has one.
pub(super) fn store((client, prefix): (Client, String), wait: u64) -> Result<Blocking<Client>> {
    let options = Options::default().timeout(Duration::from_secs(wait)).history(Duration::from_secs(2 * wait + 10));
    Ok(Store::new(Arc::new(client), &prefix, options)?.blocking())
}

/// What callers were told.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Tally {
    pub(super) done: u64,
    pub(super) rescued: u64,
    pub(super) rounds: u64,
    pub(super) conflicts: u64,
    /// Of a reference that nobody else writes, which was as expected.
    pub(super) false_conflicts: u64,
    pub(super) indeterminate: u64,
    pub(super) given_up: u64,
    pub(super) micros: Vec<u64>,
}

impl Tally {
    pub(super) fn add(&mut self, other: Tally) {
        self.done += other.done;
        self.rescued += other.rescued;
        self.rounds += other.rounds;
        self.conflicts += other.conflicts;
        self.false_conflicts += other.false_conflicts;
        self.indeterminate += other.indeterminate;
        self.given_up += other.given_up;
        self.micros.extend(other.micros);
    }
}

/// Where a machine writes down what happens.
struct Book {
    began: u64,
    file: Mutex<BufWriter<File>>,
}

impl Book {
    /// The clock is that of all processes of this machine.
    fn write(
        &self,
        kind: Kind,
        (process, driver): (u64, &str),
        ops: Vec<MicroOp>,
        error: Option<String>,
    ) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let time = u64::try_from(now).unwrap_or(u64::MAX).saturating_sub(self.began);
        let (process, what) = (Process::Client(process), What::Transaction(ops));
        let event = Event { time, kind, process, driver: Some(driver.to_owned()), error, what };
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(file, "{}", event.to_line(0)?).context("cannot write the history")
    }
}

struct Task<'a> {
    store: Blocking<Client>,
    book: &'a Book,
    process: u64,
    /// Processes of a history end when nobody knows what became of them.
    next_process: u64,
    driver: String,
    name: String,
    commits: u64,
    dice: fastrand::Rng,
    tally: Tally,
    /// What the reference of this task points at.
    at: Option<ObjectId>,
}

impl<'a> Task<'a> {
    fn new(args: &MachineArgs, task: u64, store: Blocking<Client>, book: &'a Book) -> Task<'a> {
        let number = args.machine * 1000 + task;
        Task {
            store,
            book,
            process: number * 100_000,
            next_process: number * 100_000 + 1,
            driver: format!("machine-{}/{task}", args.machine),
            name: format!("refs/stress/own/{}-{task}", args.machine),
            commits: args.commits,
            dice: fastrand::Rng::with_seed(args.seed.wrapping_mul(7919).wrapping_add(number)),
            tally: Tally::default(),
            at: None,
        }
    }

    fn run(mut self) -> Result<Tally> {
        for number in 0..self.commits {
            let shared = (self.dice.u64(0..SHARED_EVERY) == 0).then(|| self.dice.u64(0..SHARED));
            self.commit(number, shared)?;
        }
        Ok(self.tally)
    }

    /// Ids that no other commit uses.
    fn id(&self, number: u64, part: u64) -> Result<ObjectId> {
        let text = format!("{:016x}{:016x}{part:08x}", self.process, number + 1);
        Ok(ObjectId::from_hex(text.as_bytes())?)
    }

    fn commit(&mut self, number: u64, shared: Option<u64>) -> Result<()> {
        let mut changes = Changeset::new();
        let mut ops = Vec::new();
        let new = self.id(number, 1)?;
        self.put(&mut changes, &mut ops, &self.name, self.at, new);
        if let Some(shared) = shared {
            let name = format!("refs/stress/shared/{shared}");
            let snapshot = match self.store.snapshot_within(Duration::from_millis(200)) {
                Ok(snapshot) => Some(snapshot),
                // Nothing of this task has been acknowledged: perhaps nothing of anyone has.
                Err(error) if error.kind() == ErrorKind::Missing && self.at.is_none() => None,
                Err(error) if error.kind() == ErrorKind::Unavailable => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let found = snapshot.map(|snapshot| snapshot.get(&name)).transpose()?.flatten();
            let old = found.and_then(|found| found.target.id());
            let other = self.id(number, 2)?;
            self.put(&mut changes, &mut ops, &name, old, other);
        }
        self.note(Kind::Invoke, &ops, None)?;
        let began = Instant::now();
        let told = self.store.commit(changes);
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        match told {
            Ok(commit) => {
                self.tally.done += 1;
                self.tally.rescued += u64::from(commit.rescued);
                self.tally.rounds += u64::from(commit.rounds);
                self.tally.micros.push(micros);
                self.at = Some(new);
                self.note(Kind::Ok, &ops, None)
            }
            Err(error) => self.refused(&error, &ops),
        }
    }

    fn put(&self, changes: &mut Changeset, ops: &mut Vec<MicroOp>, name: &str, old: Option<ObjectId>, new: ObjectId) {
        let expect = old.map_or(Expect::Absent, |old| Expect::Is(Target::Id(old)));
        changes.set(name, expect, new);
        let text = |id: ObjectId| id.to_string();
        ops.push(MicroOp::Swap { name: name.to_owned(), old: old.map(text), new: Some(text(new)) });
        let old = old.unwrap_or(ObjectId::null(HashKind::Sha1));
        let committer = Ident::new("stress", "stress@localhost", 1);
        changes.append_log(name, LogEntry { old, new, committer, message: self.driver.clone().into_bytes() });
    }

    fn refused(&mut self, error: &reftable_bucket::Error, ops: &[MicroOp]) -> Result<()> {
        let why = json!(error.to_string()).to_string();
        match error.kind() {
            ErrorKind::Conflict => {
                self.tally.conflicts += 1;
                let is_false = error.conflicts().iter().any(|conflict| conflict.name == self.name.as_bytes());
                self.tally.false_conflicts += u64::from(is_false);
                self.note(Kind::Fail, ops, Some(why))
            }
            ErrorKind::Locked | ErrorKind::Unavailable => {
                self.tally.given_up += 1;
                self.note(Kind::Fail, ops, Some(why))
            }
            ErrorKind::Indeterminate => {
                self.tally.indeterminate += 1;
                self.note(Kind::Info, ops, Some(why))?;
                self.process = self.next_process;
                self.next_process += 1;
                // What became of it is what the store says now, or later: this reference is over.
                self.name.push_str("-next");
                self.at = None;
                Ok(())
            }
            _ => Err(anyhow::anyhow!("{error}")),
        }
    }

    fn note(&self, kind: Kind, ops: &[MicroOp], error: Option<String>) -> Result<()> {
        self.book.write(kind, (self.process, &self.driver), ops.to_vec(), error)
    }
}
