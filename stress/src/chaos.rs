//! `--chaos`: kills our processes at random, and stops them for a while.
//!
//! A process that was killed is started again at once; what it held is for the others to take. One
//! that is stopped (SIGSTOP) lives and keeps what it holds, so all others may have to wait until it
//! goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::checker::{Disturbances, Kill};
use crate::crew::Crew;
use crate::history::now;
use crate::roles::RoleKind;

/// Between two kills; half of it on average: ten a second.
const BETWEEN_KILLS: Duration = Duration::from_millis(200);
/// From the end of one stop to the next, at most.
const BETWEEN_STOPS: Duration = Duration::from_millis(1000);
/// How long one is stopped, at most.
const STOPPED: Duration = Duration::from_millis(150);

/// What is done to the processes of a run, and when it was done.
pub(crate) struct Chaos {
    rng: fastrand::Rng,
    next_kill: Instant,
    next_stop: Instant,
    stopped: Option<Stopped>,
    /// For how long a lock that nobody may break appears with each kill, as a control.
    blocks_for: Option<Duration>,
    /// Whether it is to appear now.
    to_block: bool,
    block: Option<Block>,
    done: Disturbances,
}

/// The list lock of nobody: to our processes a program that polls, as git does.
struct Block {
    path: PathBuf,
    until: Instant,
}

/// The two ends of a stop.
enum Stop {
    Begin,
    End,
}

struct Stopped {
    number: usize,
    since: u64,
    until: Instant,
}

impl Chaos {
    /// Whose choices follow from `seed`.
    pub(crate) fn new(seed: u64, blocks_for: Option<Duration>) -> Chaos {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0xc4a0);
        let (kill, stop) = (up_to(&mut rng, BETWEEN_KILLS), up_to(&mut rng, BETWEEN_STOPS));
        let begin = Instant::now();
        let (next_kill, next_stop) = (begin + kill, begin + stop);
        let done = Disturbances::default();
        Chaos { rng, next_kill, next_stop, stopped: None, blocks_for, to_block: false, block: None, done }
    }

    /// What was done, up to now.
    pub(crate) fn disturbances(self) -> Disturbances {
        self.done
    }

    /// Does what is due, and returns the time until something else is. When nobody is `at_work` any
    /// more, all go on.
    pub(crate) fn step(&mut self, crew: &mut Crew<'_>, at_work: bool) -> Result<Duration> {
        if self.stopped.as_ref().is_some_and(|stopped| !at_work || stopped.until <= Instant::now()) {
            self.go_on(crew)?;
        }
        self.block(crew, at_work)?;
        if !at_work {
            self.done.end = if self.done.end == 0 { now() } else { self.done.end };
            return Ok(Duration::MAX);
        }
        let Some(victim) = self.victim(crew) else { return Ok(Duration::MAX) };
        if self.next_kill <= Instant::now() {
            if self.stopped.as_ref().is_some_and(|stopped| stopped.number == victim) {
                self.go_on(crew)?;
            }
            let at = now();
            self.done.is_robust |= has_owner_files(&crew.store())?;
            let (process, list_lock) = crew.kill_and_restart(victim)?;
            self.done.kills.push(Kill { at, process, list_lock });
            self.to_block = true;
            self.next_kill = Instant::now() + up_to(&mut self.rng, BETWEEN_KILLS);
        } else if self.next_stop <= Instant::now() && self.stopped.is_none() {
            self.stop(crew, victim)?;
        }
        let stop = self.stopped.as_ref().map_or(self.next_stop, |stopped| stopped.until);
        Ok(stop.min(self.next_kill).saturating_duration_since(Instant::now()))
    }

    /// One of our processes. A reader has no lock, so its end says little: it is drawn only twice
    /// in a row.
    fn victim(&mut self, crew: &Crew<'_>) -> Option<usize> {
        let ours = crew.members.iter().enumerate().filter(|(_, member)| !member.identity.role.is_git());
        let ours: Vec<_> = ours.map(|(number, member)| (number, member.identity.role)).collect();
        let (first, role) = *self.rng.choice(&ours)?;
        if role != RoleKind::Reader {
            return Some(first);
        }
        self.rng.choice(&ours).map(|(number, _)| *number)
    }

    /// After a kill, if that is wanted, there is a lock that nobody may break.
    fn block(&mut self, crew: &Crew<'_>, at_work: bool) -> Result<()> {
        if let Some(length) = self.blocks_for.filter(|_| self.to_block && self.block.is_none()) {
            let path = crew.store().join("tables.list.lock");
            // While a process of this library has the lock it has to be tried again.
            if fs::File::create_new(&path).is_ok() {
                self.to_block = false;
                self.block = Some(Block { path, until: Instant::now() + length });
            }
        }
        if let Some(block) = self.block.take_if(|block| !at_work || block.until <= Instant::now()) {
            fs::remove_file(&block.path).context("cannot remove the lock of nobody")?;
        }
        Ok(())
    }

    fn stop(&mut self, crew: &mut Crew<'_>, number: usize) -> Result<()> {
        let since = now();
        signal(crew, number, Stop::Begin)?;
        self.stopped = Some(Stopped { number, since, until: Instant::now() + up_to(&mut self.rng, STOPPED) });
        Ok(())
    }

    fn go_on(&mut self, crew: &mut Crew<'_>) -> Result<()> {
        if let Some(stopped) = self.stopped.take() {
            signal(crew, stopped.number, Stop::End)?;
            self.done.stops.push((stopped.since, now()));
            self.next_stop = Instant::now() + up_to(&mut self.rng, BETWEEN_STOPS);
        }
        Ok(())
    }
}

/// Processes of this library have owner files where they have found that kernel locks work with
/// hard links: where their locks are robust.
fn has_owner_files(store: &Path) -> Result<bool> {
    let mut entries = fs::read_dir(store).context("cannot list the store")?;
    Ok(entries.any(|entry| entry.is_ok_and(|entry| entry.path().extension().is_some_and(|end| end == "owner"))))
}

fn up_to(rng: &mut fastrand::Rng, longest: Duration) -> Duration {
    longest.mul_f64(rng.f64())
}

/// One that has ended gets none. A child that nobody has waited for keeps its number, so the signal
/// meets nobody else.
#[cfg(unix)]
fn signal(crew: &mut Crew<'_>, number: usize, what: Stop) -> Result<()> {
    use rustix::process::{Pid, Signal, kill_process};

    let Some(member) = crew.members.get_mut(number) else { return Ok(()) };
    if member.child.try_wait().context("cannot wait for a process")?.is_some() {
        return Ok(());
    }
    let id = i32::try_from(member.child.id()).ok();
    let pid = id.and_then(Pid::from_raw).context("a process without a number")?;
    let signal = match what {
        Stop::Begin => Signal::STOP,
        Stop::End => Signal::CONT,
    };
    kill_process(pid, signal).context("cannot send a signal")
}

/// Without signals nobody is stopped.
#[cfg(not(unix))]
fn signal(_: &mut Crew<'_>, _: usize, _: Stop) -> Result<()> {
    Ok(())
}
