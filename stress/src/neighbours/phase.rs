//! Some loops of git and some of ours on one fresh repository.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::ours::{REFERENCES, Tally};
use crate::git::{self, kind_of, output};

/// Who commits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crowd {
    /// Loops of `git update-ref`.
    pub(super) git: u32,
    /// Processes of ours.
    pub(super) ours: u32,
    /// Whether ours are courteous.
    pub(super) courtesy: bool,
}

/// What became of git's commits, and of ours.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) git: Tally,
    pub(super) ours: Tally,
}

impl Outcome {
    pub(super) fn add(&mut self, other: Outcome) {
        self.git.add(other.git);
        self.ours.add(other.ours);
    }
}

/// Lets a crowd loose for some time.
pub(super) fn run(crowd: Crowd, time: Duration) -> Result<Outcome> {
    let dir = tempfile::Builder::new().prefix("reftable-neighbours-").tempdir().context("cannot create a directory")?;
    output(dir.path(), &["init", "--quiet", "--ref-format=reftable", "--initial-branch=main"])?;
    for message in ["nothing yet", "nothing again"] {
        output(dir.path(), &["commit", "--quiet", "--allow-empty", "-m", message])?;
    }
    let ids = output(dir.path(), &["rev-parse", "HEAD", "HEAD^"])?;
    let ids: Vec<&str> = ids.lines().collect();
    let ids = ids.as_slice();
    let ours = (0..crowd.ours).map(|number| start(crowd, number, dir.path(), time)).collect::<Result<Vec<_>>>()?;
    let end = Instant::now() + time;
    let mut outcome = Outcome::default();
    thread::scope(|scope| -> Result<()> {
        let dir = dir.path();
        let start = |number| scope.spawn(move || loop_of_git(number, dir, ids, end));
        let loops: Vec<_> = (0..crowd.git).map(start).collect();
        for git in loops {
            outcome.git.add(git.join().map_err(|_| anyhow!("a thread has panicked"))??);
        }
        Ok(())
    })?;
    for process in ours {
        let told = process.wait_with_output().context("cannot wait for a process")?;
        if !told.status.success() {
            bail!("a process of ours ended with {}", told.status);
        }
        outcome.ours.add(serde_json::from_slice(&told.stdout).context("a process of ours tells nonsense")?);
    }
    Ok(outcome)
}

fn start(crowd: Crowd, number: u32, dir: &Path, time: Duration) -> Result<Child> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.args(["neighbour", "--name", &format!("ours-{number}"), "--store"]);
    command.arg(dir.join(".git/reftable")).args(["--millis", &time.as_millis().to_string()]);
    if crowd.courtesy {
        command.arg("--courtesy");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start a process")
}

/// One `git update-ref` after the other, as a script has it.
fn loop_of_git(number: u32, dir: &Path, ids: &[&str], end: Instant) -> Result<Tally> {
    let mut tally = Tally::default();
    while Instant::now() < end {
        // Each reference is moved to and fro, so that every command has something to change.
        let (turn, place) = (tally.tried / REFERENCES, tally.tried % REFERENCES);
        let id = ids.get(usize::from(turn % 2 == 1)).context("there are no commits")?;
        let name = format!("refs/heads/git-{number}-{place}");
        let begun = Instant::now();
        let done = git::command(dir).args(["-c", "core.fsync=committed", "update-ref", &name, id]).output();
        let done = done.context("cannot run git update-ref")?;
        let said = String::from_utf8_lossy(&done.stderr);
        match kind_of(&said) {
            _ if done.status.success() => tally.note(begun, true),
            Some("lock") => tally.note(begun, false),
            _ => bail!("git update-ref failed: {}", said.trim()),
        }
    }
    Ok(tally)
}
