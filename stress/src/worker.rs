//! One process of a run: what all roles have in common.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use reftable::{Commit, ErrorKind, Expect, LogEntry, ObjectId, Snapshot, Stack, Target, Transaction};

use crate::args::WorkerArgs;
use crate::history::{Change, Draft, Record, Saw, Writer, now};
use crate::metrics::Metrics;
use crate::names;
use crate::object::Mint;
use crate::repo::{Layout, ident, parse};
use crate::roles;

/// With `--break-acks`, one of so many commits is dropped and acknowledged.
const BROKEN_ACK: u32 = 20;
/// A worker that did not get the lock tries again so much later.
const AGAIN: Duration = Duration::from_millis(2);
/// How often totals are written down.
const TALLY: Duration = Duration::from_millis(200);
/// After so many violations a process gives up.
const ENOUGH: u64 = 100;

/// A process at work, or one of its threads.
pub(crate) struct Worker {
    /// Its settings.
    pub(crate) args: WorkerArgs,
    /// Where things are.
    pub(crate) layout: Layout,
    /// The handle on the store that all threads of the process share.
    pub(crate) stack: Stack,
    /// Decides everything it chooses.
    pub(crate) rng: fastrand::Rng,
    /// Makes its ids.
    pub(crate) mint: Mint,
    /// Compactions it did itself.
    pub(crate) compactions: u64,
    is_first: bool,
    history: Writer,
    next: u64,
    seen: u64,
    reads: u64,
    read_began: u64,
    last_saw: Option<Saw>,
    violations: u64,
    end: Instant,
    tally_due: Instant,
}

/// How a commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Acknowledged.
    Acked,
    /// Refused because an expectation did not hold.
    Conflict,
    /// Refused for another reason, such as the lock.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// The `worker` command. `false` when it saw a violation.
pub(crate) fn main(args: &WorkerArgs) -> Result<bool> {
    let layout = Layout { root: args.root.clone() };
    let stack = Stack::open(layout.store(), args.options()).context("cannot open the store")?;
    let mut first = Worker::new(args, 0, &stack)?;
    let others = 1..args.shared.threads_of(args.role);
    let others = others.map(|number| Worker::new(args, number, &stack)).collect::<Result<Vec<_>>>()?;
    thread::scope(|scope| {
        let start = |mut worker: Worker| {
            scope.spawn(move || {
                worker.work()?;
                worker.finish()
            })
        };
        let others: Vec<_> = others.into_iter().map(start).collect();
        first.work()?;
        let mut is_clean = true;
        for other in others {
            is_clean &= other.join().map_err(|_| anyhow!("a thread has panicked"))??;
        }
        // Last, so that the numbers of the shared stack are complete.
        Ok(first.finish()? && is_clean)
    })
}

impl Worker {
    /// The thread `number` of a process.
    fn new(process: &WorkerArgs, number: u32, stack: &Stack) -> Result<Worker> {
        let name = names::thread(&process.name, number);
        let args = WorkerArgs { name, seed: process.seed.wrapping_add(number.into()), ..process.clone() };
        let layout = Layout { root: args.root.clone() };
        let mut history = Writer::create(&layout.history(&args.name))?;
        history.record(&Record::Start { process: args.name.clone(), role: args.role, seed: args.seed })?;
        let begin = Instant::now();
        Ok(Worker {
            is_first: number == 0,
            rng: fastrand::Rng::with_seed(args.seed),
            mint: Mint::new(args.shared.hash(), &args.name),
            end: begin + Duration::from_millis(args.millis),
            args,
            layout,
            stack: stack.clone(),
            compactions: 0,
            history,
            next: 0,
            seen: 0,
            reads: 0,
            read_began: 0,
            last_saw: None,
            violations: 0,
            tally_due: begin + TALLY,
        })
    }

    /// Does its role's steps until the time is over.
    fn work(&mut self) -> Result<()> {
        let mut role = roles::create(self.args.role);
        while Instant::now() < self.end && self.violations < ENOUGH {
            if let Err(error) = role.step(self) {
                self.violation(format!("{error:#}"))?;
            }
            self.tally(false)?;
        }
        Ok(())
    }

    /// Writes the end of its history. `false` when it saw a violation.
    fn finish(&mut self) -> Result<bool> {
        self.tally(true)?;
        if let Some(last) = self.last_saw.take() {
            self.history.record(&Record::Saw(last))?;
        }
        self.history.record(&Record::Done)?;
        Ok(self.violations == 0)
    }

    /// Until its time is over.
    pub(crate) fn time_left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Notes something that must never happen.
    pub(crate) fn violation(&mut self, what: impl Into<String>) -> Result<()> {
        self.violations += 1;
        self.history.record(&Record::Violation { what: what.into() })
    }

    /// Counts a failure that is allowed.
    pub(crate) fn other(&mut self, why: impl Into<String>) -> Result<()> {
        self.history.record(&Record::Other { why: why.into() })
    }

    /// Says that the reading of a state begins now.
    pub(crate) fn begin_read(&mut self) {
        self.read_began = now();
    }

    /// Notes what all accounts pointed at. The same state many times in a row makes one line.
    pub(crate) fn saw(&mut self, index: Option<u64>, accounts: Vec<(String, String)>) -> Result<()> {
        let saw = Saw { since: self.read_began, until: now(), index, accounts };
        if let Some(last) = self.last_saw.take_if(|last| last.index != index || last.accounts != saw.accounts) {
            self.history.record(&Record::Saw(last))?;
        }
        self.last_saw = Some(saw);
        Ok(())
    }

    /// Counts one more state that was read and checked.
    pub(crate) fn count_read(&mut self) {
        self.reads += 1;
    }

    /// The newest state, which must not be older than one that this process knows of.
    pub(crate) fn snapshot(&mut self) -> Result<Snapshot> {
        self.begin_read();
        let snapshot = self.stack.snapshot().context("reading failed")?;
        self.seen(snapshot)
    }

    /// Another handle on the store.
    pub(crate) fn open(&self) -> Result<Stack> {
        Stack::open(self.layout.store(), self.args.options()).context("opening failed")
    }

    /// [`Self::snapshot`], through another handle.
    pub(crate) fn snapshot_of(&mut self, stack: &Stack) -> Result<Snapshot> {
        self.begin_read();
        let snapshot = stack.snapshot().context("reading failed")?;
        self.seen(snapshot)
    }

    fn seen(&mut self, snapshot: Snapshot) -> Result<Snapshot> {
        self.reads += 1;
        let (index, seen) = (snapshot.update_index(), self.seen);
        if index < seen {
            self.violation(format!("the update index went back from {seen} to {index}"))?;
        }
        self.seen = index.max(seen);
        Ok(snapshot)
    }

    fn tally(&mut self, last: bool) -> Result<()> {
        if !last && Instant::now() < self.tally_due {
            return Ok(());
        }
        self.tally_due = Instant::now() + TALLY;
        if self.is_first && !self.args.role.is_git() {
            self.history.record(&Record::Metrics(Metrics::of(&self.stack)))?;
        }
        self.history.record(&Record::Tally { reads: self.reads, compactions: self.compactions })
    }

    /// Notes what is about to be done; returns its number.
    pub(crate) fn begin(&mut self, draft: &Draft) -> Result<u64> {
        let n = self.next;
        self.next += 1;
        self.history.record(&Record::Intent { n, at: now(), draft: draft.clone() })?;
        Ok(n)
    }

    /// Notes that it was acknowledged.
    pub(crate) fn acked(&mut self, n: u64, first: Option<u64>, took: Duration) -> Result<()> {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.history.record(&Record::Ack { n, at: now(), first, micros })
    }

    /// Notes that it was refused.
    pub(crate) fn failed(&mut self, n: u64, why: impl Into<String>) -> Result<()> {
        self.history.record(&Record::Fail { n, at: now(), why: why.into() })
    }

    /// Notes that nobody knows.
    pub(crate) fn unknown(&mut self, n: u64, why: impl Into<String>) -> Result<()> {
        self.history.record(&Record::Unknown { n, at: now(), why: why.into() })
    }

    /// Commits through the library. `owned` says that nobody else touches these references.
    pub(crate) fn commit(&mut self, draft: &Draft, owned: bool) -> Result<Ended> {
        let n = self.begin(draft)?;
        let begun = Instant::now();
        if self.args.shared.break_acks && self.rng.u32(..BROKEN_ACK) == 0 {
            let invented = self.stack.snapshot()?.update_index() + 1;
            self.acked(n, Some(invented), begun.elapsed())?;
            return Ok(Ended::Acked);
        }
        match self.publish(draft) {
            Ok(done) => {
                self.acked(n, Some(done.update_index), begun.elapsed())?;
                self.followed_by(done.compaction)?;
                self.check_visible(draft, done.update_index, owned)?;
                Ok(Ended::Acked)
            }
            Err(error) => self.refused(n, &error, owned),
        }
    }

    fn publish(&self, draft: &Draft) -> reftable::Result<Commit> {
        if self.args.shared.break_atomicity && draft.changes.len() > 1 {
            let mut last = self.fill(draft, draft.changes.get(..1).unwrap_or_default()).commit()?;
            for change in draft.changes.iter().skip(1) {
                last = self.fill(draft, std::slice::from_ref(change)).commit()?;
            }
            return Ok(last);
        }
        self.fill(draft, &draft.changes).commit()
    }

    /// The transaction that makes these changes.
    fn fill(&self, draft: &Draft, changes: &[Change]) -> Transaction {
        let mut tx = self.stack.transaction();
        self.fill_in(&mut tx, draft, changes);
        tx
    }

    /// Adds these changes to a transaction.
    pub(crate) fn fill_in(&self, tx: &mut Transaction, draft: &Draft, changes: &[Change]) {
        let null = ObjectId::null(self.args.shared.hash());
        // Ids come from ourselves, so they all parse; one that does not shows as a null id in the
        // store.
        let id = |hex: &str| parse(hex).unwrap_or(null);
        let symbolic = |old: &str| Expect::Is(Target::symbolic(old));
        let who = ident(&self.args.name);
        for change in changes {
            match change {
                Change::Set { name, old: None, new } => tx.set(name, Expect::Absent, id(new)),
                Change::Set { name, old: Some(old), new } => tx.set(name, Expect::Is(id(old).into()), id(new)),
                Change::Symbolic { name, old, new } => {
                    let expect = old.as_deref().map_or(Expect::Absent, symbolic);
                    tx.set(name, expect, Target::symbolic(new))
                }
                Change::Delete { name, old } => tx.delete(name, Expect::Is(id(old).into())),
                Change::DeleteSymbolic { name, old } => tx.delete(name, symbolic(old)),
                Change::Append { name, old, new } => {
                    let old = old.as_deref().map_or(null, id);
                    let message = draft.message.clone().into_bytes();
                    tx.append_log(name, LogEntry { old, new: id(new), committer: who.clone(), message })
                }
                Change::ClearLog { name } => tx.delete_log(name),
            };
        }
        if draft.logged {
            tx.reflog(who, &draft.message);
        }
    }

    /// A compaction after the commit may meet another one; anything else that goes wrong with it is
    /// worth knowing.
    fn followed_by(&mut self, compaction: Option<reftable::Result<reftable::compact::Compaction>>) -> Result<()> {
        match compaction {
            None => Ok(()),
            Some(Ok(done)) => {
                self.compactions += 1;
                done.leftovers.iter().try_for_each(|left| self.other(format!("left over: {left}")))
            }
            Some(Err(error)) if error.kind() == ErrorKind::Locked => self.other("compaction after a commit: Locked"),
            Some(Err(error)) => self.violation(format!("the compaction after a commit failed: {error}")),
        }
    }

    /// Notes why a commit through the library did not succeed.
    pub(crate) fn refused(&mut self, n: u64, error: &reftable::Error, owned: bool) -> Result<Ended> {
        let kind = error.kind();
        if kind == ErrorKind::Indeterminate {
            self.unknown(n, format!("{kind:?}"))?;
            return Ok(Ended::Unknown);
        }
        self.failed(n, format!("{kind:?}"))?;
        match kind {
            ErrorKind::Locked => {
                // Without a time-out this would be a busy loop, and what is measured the load that
                // it makes.
                thread::sleep(AGAIN);
                Ok(Ended::Failed)
            }
            ErrorKind::Conflict if owned => {
                self.violation(format!(
                    "references that nobody else touches are not as this process left them: {error}"
                ))?;
                Ok(Ended::Conflict)
            }
            ErrorKind::Conflict => Ok(Ended::Conflict),
            _ => {
                self.violation(format!("a commit failed: {error}"))?;
                Ok(Ended::Failed)
            }
        }
    }

    /// What was acknowledged must be in the next snapshot: the references, if they are ours alone,
    /// and the log entries, with their update indexes.
    fn check_visible(&mut self, draft: &Draft, first: u64, owned: bool) -> Result<()> {
        if self.args.shared.break_atomicity {
            return Ok(());
        }
        let snapshot = self.snapshot()?;
        if snapshot.update_index() < first {
            self.violation(format!("{first} was acknowledged, the next snapshot is at {}", snapshot.update_index()))?;
        }
        for entry in draft.entries() {
            let index = first + entry.offset;
            let mut log = snapshot.log(entry.name)?;
            log.seek(entry.name, index)?;
            let there = log
                .next()?
                .is_some_and(|found| found.update_index == index && found.entry.new.to_string() == entry.new);
            if !there {
                self.violation(format!("the log of {} lacks the acknowledged entry {index}", entry.name))?;
            }
        }
        if owned { self.check_owned(draft, &snapshot) } else { Ok(()) }
    }

    fn check_owned(&mut self, draft: &Draft, snapshot: &Snapshot) -> Result<()> {
        for change in &draft.changes {
            let wanted = match change {
                Change::Set { new, .. } => Some(parse(new)?.into()),
                Change::Symbolic { new, .. } => Some(Target::symbolic(new)),
                Change::Delete { .. } | Change::DeleteSymbolic { .. } => None,
                Change::Append { .. } | Change::ClearLog { .. } => continue,
            };
            let found = snapshot.get(change.name())?.map(|found| found.target);
            if found != wanted {
                let show = |target: Option<Target>| target.map_or("absent".to_owned(), |target| target.to_string());
                let (found, wanted) = (show(found), show(wanted));
                self.violation(format!("{} is {found} after {wanted} was acknowledged", change.name()))?;
            }
        }
        Ok(())
    }
}
