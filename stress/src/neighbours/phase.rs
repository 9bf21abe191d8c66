//! Some loops of git and some of this library on one fresh repository.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::ours::{REFERENCES, Tally};
use crate::args::NeighboursArgs;
use crate::git::{self, kind_of, output};

/// Milliseconds from one attempt of a rare git to the next.
const RARE: std::ops::RangeInclusive<u64> = 500..=2000;
/// How long the others go on after its last attempt has begun.
const LAST: Duration = Duration::from_millis(500);

/// What commits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crowd {
    /// Whether a single git that tries now and then is among them, and is the one to judge.
    pub(super) rare: bool,
    /// Loops of `git update-ref`.
    pub(super) git: u32,
    /// Processes of this library.
    pub(super) ours: u32,
    /// Whether ours back off for polling writers.
    pub(super) fairness: bool,
}

/// How long a crowd works.
pub(super) enum Time {
    /// So long.
    Busy(Duration),
    /// Until the rare git has tried at each of these moments after the beginning.
    Rare(Vec<Duration>),
}

impl Time {
    /// The same for all crowds of a round.
    pub(super) fn of_round(args: &NeighboursArgs, round: u32) -> Time {
        let Some(tries) = args.rare else { return Time::Busy(Duration::from_secs(args.seconds)) };
        let mut rng = fastrand::Rng::with_seed(round.into());
        let mut at = Duration::ZERO;
        let mut next = |_| {
            at += Duration::from_millis(rng.u64(RARE));
            at
        };
        Time::Rare((0..tries.div_ceil(args.rounds)).map(&mut next).collect())
    }

    /// From the beginning to the end.
    pub(super) fn length(&self) -> Duration {
        match self {
            Time::Busy(time) => *time,
            Time::Rare(moments) => moments.last().copied().unwrap_or_default() + LAST,
        }
    }
}

/// What became of git's commits, and of this library's.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Those of git that are judged.
    pub(super) git: Tally,
    pub(super) ours: Tally,
    /// Those of the loops beside a rare git.
    pub(super) crowd: Tally,
}

impl Outcome {
    pub(super) fn add(&mut self, other: Outcome) {
        self.git.add(other.git);
        self.ours.add(other.ours);
        self.crowd.add(other.crowd);
    }
}

/// Lets a crowd loose for some time.
pub(super) fn run(crowd: Crowd, time: &Time) -> Result<Outcome> {
    let dir = tempfile::Builder::new().prefix("reftable-neighbours-").tempdir().context("cannot create a directory")?;
    output(dir.path(), &["init", "--quiet", "--ref-format=reftable", "--initial-branch=main"])?;
    for message in ["nothing yet", "nothing again"] {
        output(dir.path(), &["commit", "--quiet", "--allow-empty", "-m", message])?;
    }
    let ids = output(dir.path(), &["rev-parse", "HEAD", "HEAD^"])?;
    let ids: Vec<&str> = ids.lines().collect();
    let ids = ids.as_slice();
    let length = time.length();
    let ours = (0..crowd.ours).map(|number| start(crowd, number, dir.path(), length)).collect::<Result<Vec<_>>>()?;
    let begin = Instant::now();
    let mut outcome = Outcome::default();
    thread::scope(|scope| -> Result<()> {
        let dir = dir.path();
        let start = |number| scope.spawn(move || loop_of_git(number, dir, ids, begin + length));
        let loops: Vec<_> = (0..crowd.git).map(start).collect();
        if let Time::Rare(moments) = time {
            outcome.git = rare_git(dir, ids, begin, moments)?;
        }
        let busy = if crowd.rare { &mut outcome.crowd } else { &mut outcome.git };
        for git in loops {
            busy.add(git.join().map_err(|_| anyhow!("a thread has panicked"))??);
        }
        Ok(())
    })?;
    for process in ours {
        let told = process.wait_with_output().context("cannot wait for a process")?;
        if !told.status.success() {
            bail!("a process of this library ended with {}", told.status);
        }
        outcome.ours.add(serde_json::from_slice(&told.stdout).context("a process of this library tells nonsense")?);
    }
    Ok(outcome)
}

fn start(crowd: Crowd, number: u32, dir: &Path, time: Duration) -> Result<Child> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.args(["neighbour", "--name", &format!("ours-{number}"), "--store"]);
    command.arg(dir.join(".git/reftable")).args(["--millis", &time.as_millis().to_string()]);
    if crowd.fairness {
        command.arg("--fairness");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start a process")
}

/// One `git update-ref` after the other, as a script has it.
fn loop_of_git(number: u32, dir: &Path, ids: &[&str], end: Instant) -> Result<Tally> {
    let mut tally = Tally::default();
    while Instant::now() < end {
        update_ref(&mut tally, &format!("git-{number}"), dir, ids)?;
    }
    Ok(tally)
}

/// One at each of these moments, or as soon as the one before has ended.
fn rare_git(dir: &Path, ids: &[&str], begin: Instant, moments: &[Duration]) -> Result<Tally> {
    let mut tally = Tally::default();
    for moment in moments {
        thread::sleep(moment.saturating_sub(begin.elapsed()));
        update_ref(&mut tally, "rare", dir, ids)?;
    }
    Ok(tally)
}

/// A single one.
fn update_ref(tally: &mut Tally, who: &str, dir: &Path, ids: &[&str]) -> Result<()> {
    // Each reference is moved to and fro, so that every command has something to change.
    let (turn, place) = (tally.tried / REFERENCES, tally.tried % REFERENCES);
    let id = ids.get(usize::from(turn % 2 == 1)).context("there are no commits")?;
    let name = format!("refs/heads/{who}-{place}");
    let begun = Instant::now();
    let done = git::command(dir).args(["-c", "core.fsync=committed", "update-ref", &name, id]).output();
    let done = done.context("cannot run git update-ref")?;
    let said = String::from_utf8_lossy(&done.stderr);
    match kind_of(&said) {
        _ if done.status.success() => tally.note(begun, true),
        Some("lock") => tally.note(begun, false),
        _ => bail!("git update-ref failed: {}", said.trim()),
    }
    Ok(())
}
