//! `loops`: so many loops write references of their own with `git update-ref` for a while, all in
//! one repository: each call a process, or each loop one process that is told all its transactions.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use super::Git;
use crate::args::LoopsArgs;

/// Of so many attempts.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    succeeded: u32,
    failed: u32,
}

/// Returns whether no attempt failed with the git that was given first.
pub(crate) fn main(args: &LoopsArgs) -> Result<bool> {
    let mut all = vec![Count::default(); args.git.len()];
    for _ in 0..args.rounds {
        for (program, sum) in args.git.iter().zip(&mut all) {
            let count = run(program, args)?;
            sum.succeeded += count.succeeded;
            sum.failed += count.failed;
        }
    }
    for (program, count) in args.git.iter().zip(&all) {
        let seconds = f64::from(args.rounds) * args.seconds as f64;
        let rate = f64::from(count.succeeded) / seconds;
        let failed = 100.0 * f64::from(count.failed) / f64::from((count.succeeded + count.failed).max(1));
        writeln!(
            io::stdout(),
            "{}: {rate:.1} a second succeeded, {} failed ({failed:.1} %)",
            program.display(),
            count.failed
        )?;
    }
    Ok(all.first().is_none_or(|count| count.failed == 0))
}

/// What all loops do in one round with this git.
fn run(program: &Path, args: &LoopsArgs) -> Result<Count> {
    let git = Git::with_repository(program)?;
    for setting in &args.config {
        let (key, value) = setting.split_once('=').with_context(|| format!("{setting} is no KEY=VALUE"))?;
        git.run(&git.repository(), &["config", key, value])?;
    }
    let id = git.run(&git.repository(), &["rev-parse", "HEAD"])?;
    let end = Instant::now() + Duration::from_secs(args.seconds);
    let mut all = Count::default();
    thread::scope(|scope| {
        let started: Vec<_> = (0..args.loops)
            .map(|number| {
                let a_loop = Loop { git: &git, repository: git.repository(), id: &id, number };
                scope.spawn(move || if args.stdin { a_loop.of_transactions(end) } else { a_loop.of_calls(end) })
            })
            .collect();
        for count in started {
            let count = count.join().map_err(|_| anyhow!("a loop has panicked"))??;
            all.succeeded += count.succeeded;
            all.failed += count.failed;
        }
        Ok::<(), anyhow::Error>(())
    })?;
    Ok(all)
}

struct Loop<'a> {
    git: &'a Git,
    repository: PathBuf,
    id: &'a str,
    number: u32,
}

impl Loop<'_> {
    fn name(&self, count: Count) -> String {
        format!("refs/heads/{}/{}", self.number, count.succeeded + count.failed)
    }

    /// Each reference is written by a process of its own.
    fn of_calls(&self, end: Instant) -> Result<Count> {
        let mut count = Count::default();
        while Instant::now() < end {
            if self.git.succeeds(&self.repository, &["update-ref", &self.name(count), self.id])? {
                count.succeeded += 1;
            } else {
                count.failed += 1;
            }
        }
        Ok(count)
    }

    /// One process is told them all, each as a transaction; after one that failed, another process.
    fn of_transactions(&self, end: Instant) -> Result<Count> {
        let mut count = Count::default();
        let mut told = Told::start(self)?;
        while Instant::now() < end {
            if told.commits(&self.name(count), self.id) {
                count.succeeded += 1;
            } else {
                count.failed += 1;
                told = Told::start(self)?;
            }
        }
        Ok(count)
    }
}

/// A `git update-ref --stdin`.
struct Told {
    process: Child,
    /// Gone when it is to end.
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Told {
    fn start(a_loop: &Loop<'_>) -> Result<Told> {
        let mut command = a_loop.git.command(&a_loop.repository);
        command.args(["update-ref", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let to = process.stdin.take();
        let from = BufReader::new(process.stdout.take().context("it has no output")?);
        Ok(Told { process, to, from })
    }

    /// Whether it says that the reference was written.
    fn commits(&mut self, name: &str, id: &str) -> bool {
        let Some(to) = &mut self.to else { return false };
        if to.write_all(format!("start\ncreate {name} {id}\nprepare\ncommit\n").as_bytes()).is_err() {
            return false;
        }
        ["start: ok", "prepare: ok", "commit: ok"].iter().all(|expected| {
            let mut line = String::new();
            self.from.read_line(&mut line).is_ok() && line.trim_end() == *expected
        })
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.to = None;
        let _ = self.process.wait();
    }
}
