//! A run in which programs of any kind are driven, killed and judged.
//!
//! Each session is a thread that talks to one process group; chaos and the watch over locks are two
//! more. All write into one history, and it is the history that is judged: what drivers say in
//! words decides nothing.

pub(crate) mod args;
mod chaos;
pub(crate) mod check;
mod dialect;
mod drivers;
mod locks;
pub(crate) mod ours;
mod program;
mod readers;
mod recorder;
mod report;
mod session;
mod slot;
pub(crate) mod spec;
pub(crate) mod stalls;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use reftable::HashKind;

use crate::args::{RunArgs, Usage};
use crate::git;
use crate::judge::claims::{Claim, Verdict};
use crate::judge::event::{Event, parse_all};
use crate::repo::Layout;
use crate::run::{Place, tell};

use args::RefFormat;
use chaos::Kill;
pub(crate) use check::main as check;
use drivers::Driver;
use recorder::Recorder;
use report::Report;
use session::Session;
use slot::Slot;
use stalls::Stalls;

/// Between two kills, on average.
const KILL_EVERY: Duration = Duration::from_millis(100);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What all threads of a run share.
pub(crate) struct Bench {
    layout: Layout,
    hash: HashKind,
    ref_format: RefFormat,
    /// The git that makes the repository, and reads it.
    git: PathBuf,
    seed: u64,
    end: Instant,
    kill_every: Duration,
    patience: Duration,
    help_dead_locks: bool,
    recorder: Recorder,
    slots: Vec<Slot>,
    kills: Mutex<Vec<Kill>>,
    /// What is wrong beyond what a history can tell.
    verdict: Mutex<Verdict>,
    given_up: Mutex<Option<String>>,
}

impl Bench {
    fn git_dir(&self) -> PathBuf {
        self.layout.git_dir()
    }

    /// Where a session's programs write what they have to say.
    fn errors_of(&self, session: &str) -> PathBuf {
        self.layout.root.join("stderr").join(format!("{session}.txt"))
    }

    /// The end of that, for people.
    fn last_words(&self, session: &str) -> String {
        let said = fs::read(self.errors_of(session)).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        said.lines().next_back().unwrap_or("nothing").to_owned()
    }

    fn broken(&self, claim: Claim, what: impl Into<String>) {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).broken(claim, what);
    }

    /// Says that there was one more thing to judge a claim by.
    fn looked_at(&self, claim: Claim) {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).looked_at(claim, 1);
    }

    fn killed(&self, kill: Kill) {
        self.kills.lock().unwrap_or_else(PoisonError::into_inner).push(kill);
    }

    fn kills(&self) -> Vec<Kill> {
        self.kills.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the run: it makes no sense.
    fn give_up(&self, why: String) {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }

    fn is_given_up(&self) -> bool {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// Whether a run is of this kind: another program than the git of this machine is driven, or git is
/// the one to be killed.
pub(crate) fn is_wanted(args: &RunArgs) -> bool {
    let git = args.git.as_ref();
    let kills_git = args.chaos && args.processes == Some(0) && git.is_none_or(|git| git.count > 0);
    args.bench.is_wanted() || kills_git || git.is_some_and(|git| git.program.is_some())
}

/// The whole run. `false` when a claim is broken.
pub(crate) fn main(args: &RunArgs) -> Result<bool> {
    refuse_the_rest(args)?;
    let drivers = drivers::of(args)?;
    let program = args.git.as_ref().and_then(|git| git.program.clone());
    let git = program.map_or(Ok("git".into()), |path| drivers::absolute(&path))?;
    let version = git::output_of(&git, Path::new("."), &["version"]).context("the bench needs a git")?;
    let place = Place::choose(args.dir.as_deref())?;
    let result = carry_out(args, &drivers, git, version.trim(), place.path());
    match result {
        Ok((report, events)) => {
            place.leave(report.verdict.count() > 0)?;
            report.print(&events, args.json)?;
            Ok(report.verdict.count() == 0)
        }
        Err(error) => {
            place.leave(!error.is::<Usage>())?;
            Err(error)
        }
    }
}

/// Options of the other kind of run.
fn refuse_the_rest(args: &RunArgs) -> Result<()> {
    let shared = &args.shared;
    let alien = [
        (args.rare_git > 0, "--rare-git"),
        (args.users.is_some(), "--users"),
        (args.break_robustness.is_some(), "--break-robustness"),
        (args.break_store, "--break-store"),
        (shared.threads > 1, "--threads"),
        (shared.break_atomicity, "--break-atomicity"),
        (shared.break_acks, "--break-acks"),
    ];
    match alien.into_iter().find(|(is_given, _)| *is_given) {
        Some((_, option)) => Err(Usage(format!("{option} has no meaning where programs are driven")).into()),
        None => Ok(()),
    }
}

fn carry_out(
    args: &RunArgs,
    drivers: &[Driver],
    git: PathBuf,
    version: &str,
    root: &Path,
) -> Result<(Report, Vec<Event>)> {
    let bench = prepare(args, drivers, git, root)?;
    let shown: Vec<String> = drivers.iter().map(|driver| format!("{} x `{}`", driver.count, driver.command)).collect();
    let chaos = if args.chaos { ", chaos" } else { "" };
    let (format, seed) = (bench.ref_format.name(), bench.seed);
    tell(&format!("{}{chaos}, {format}, {} s, seed {seed}, in {}", shown.join(", "), args.seconds, root.display()))?;
    let (done, dead_locks) = work(&bench, drivers, args.chaos)?;
    if let Some(why) = bench.given_up.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(Usage(why).into());
    }
    if args.chaos && done.kills == 0 {
        return Err(Usage("nobody was killed: such a chaos says nothing".to_owned()).into());
    }
    let read = || -> Result<_> { parse_all(&fs::read_to_string(root.join(HISTORY))?) };
    readers::read_finally(&bench, drivers, &read()?)?;
    let events = read()?;
    let mut verdict = crate::judge::judge(&events).map_err(|error| Usage(format!("{error:#}")))?;
    let beyond = bench.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone();
    verdict.join(beyond);
    if bench.ref_format != RefFormat::Own {
        check::sound(&bench.git, &bench.layout, bench.ref_format, bench.hash, &mut verdict)?;
    }
    if let Some(driver) = drivers.iter().find(|driver| !driver.was_acknowledged(&events)) {
        let said = bench.last_words(&format!("{}-0", driver.name));
        if !driver.was_heard.load(Ordering::Relaxed) || verdict.count() == 0 {
            let command = &driver.command;
            let failed = events.iter().rev().filter(|event| drivers::is_of(event, &driver.name));
            let failed = failed.filter_map(|event| event.error.as_deref()).next().unwrap_or("none");
            let why = format!(
                "`{command}` acknowledged nothing: that says nothing of it. Last failure: {failed}. It said: {said}"
            );
            return Err(Usage(why).into());
        }
    }
    let stalls = Stalls::of(&events, dead_locks);
    judge_stalls(&stalls, args.bench.max_stall, &mut verdict);
    let report = Report::of(&bench, args, drivers, version, (verdict, stalls), &events);
    report.keep(root, args.bench.html.as_deref(), &events)?;
    Ok((report, events))
}

/// The file of a run's history, in its directory.
pub(crate) const HISTORY: &str = "history.jsonl";

fn prepare(args: &RunArgs, drivers: &[Driver], git: PathBuf, root: &Path) -> Result<Bench> {
    let layout = Layout { root: root.to_owned() };
    fs::create_dir_all(root.join("stderr")).context("cannot create a directory")?;
    let ref_format = args.bench.ref_format.unwrap_or(RefFormat::Reftable);
    let recorder = Recorder::create(&root.join(HISTORY))?;
    let slots = drivers.iter().flat_map(|driver| (0..driver.count).map(|n| Slot::new(format!("{}-{n}", driver.name))));
    let options = &args.bench;
    let millis = |given: Option<u64>, default| given.map_or(default, Duration::from_millis);
    let bench = Bench {
        layout,
        hash: args.shared.hash(),
        ref_format,
        git,
        seed: args.seed.unwrap_or_else(|| fastrand::u64(..1 << 32)),
        end: Instant::now(),
        kill_every: millis(options.kill_every, KILL_EVERY),
        patience: millis(options.patience, PATIENCE),
        help_dead_locks: options.help_dead_locks,
        recorder,
        slots: slots.collect(),
        kills: Mutex::default(),
        verdict: Mutex::default(),
        given_up: Mutex::default(),
    };
    drivers::make_repository(&bench, drivers, &args.bench.config)?;
    Ok(Bench { end: Instant::now() + Duration::from_secs(args.seconds), ..bench })
}

/// Lets all sessions loose, and returns when all have ended.
fn work(bench: &Bench, drivers: &[Driver], with_chaos: bool) -> Result<(chaos::Done, Vec<locks::DeadLock>)> {
    let (calm, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut seeds = fastrand::Rng::with_seed(bench.seed);
    let panicked = || anyhow!("a thread has panicked");
    thread::scope(|scope| {
        let mut slots = bench.slots.iter();
        let mut sessions = Vec::new();
        for driver in drivers {
            for slot in slots.by_ref().take(driver.count as usize) {
                let session = Session::new(bench, driver, slot, seeds.u64(..));
                sessions.push(scope.spawn(|| session.work().inspect_err(|error| bench.give_up(format!("{error:#}")))));
            }
        }
        let chaos = with_chaos.then(|| scope.spawn(|| chaos::run(bench, &calm)));
        let locks = scope.spawn(|| locks::run(bench, &over));
        while Instant::now() < bench.end && !bench.is_given_up() {
            thread::sleep(Duration::from_millis(20));
        }
        // Nobody is stopped any more, and all can come to their end.
        calm.store(true, Ordering::Relaxed);
        let done = chaos.map(|chaos| chaos.join().map_err(|_| panicked())?).transpose();
        let ended: Vec<_> = sessions.into_iter().map(|session| session.join()).collect();
        over.store(true, Ordering::Relaxed);
        let locks = locks.join().map_err(|_| panicked())??;
        for session in ended {
            session.map_err(|_| panicked())??;
        }
        Ok((done?.unwrap_or_default(), locks))
    })
}

/// Pauses are judged only if a bound was given: not every program promises one.
fn judge_stalls(stalls: &Stalls, bound: Option<u64>, verdict: &mut Verdict) {
    let Some(bound) = bound else { return };
    verdict.looked_at(Claim::GoesOn, stalls.kills);
    if stalls.max_ms > bound {
        let what = format!("nobody was told anything for {} ms after a kill", stalls.max_ms);
        verdict.broken(Claim::GoesOn, what);
    }
    for lock in stalls.dead_locks.iter().filter(|lock| lock.millis > bound) {
        let (path, millis, driver) = (&lock.path, lock.millis, &lock.driver);
        verdict.broken(Claim::GoesOn, format!("{path} of {driver}, who was killed, was in the way for {millis} ms"));
    }
}
