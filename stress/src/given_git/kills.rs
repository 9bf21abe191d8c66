//! `kill-git`: a `git update-ref` is killed at a random moment; the next one is to succeed.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Git;
use crate::args::KillGitArgs;

/// Of so many kills one may leave a lock that nobody can judge.
const TOLERATED: u32 = 1000;

/// Returns whether the git that was given first goes on after kills.
pub(crate) fn main(args: &KillGitArgs) -> Result<bool> {
    let mut refused = Vec::new();
    for program in &args.git {
        let count = run(program, args)?;
        let name = program.display();
        writeln!(io::stdout(), "{name}: after {count} of {} kills the next update-ref failed", args.times)?;
        refused.push(count);
    }
    Ok(refused.first().is_none_or(|count| *count <= args.times / TOLERATED))
}

/// After how many kills the next call fails. What blocks it is removed then, as people do.
fn run(program: &Path, args: &KillGitArgs) -> Result<u32> {
    let git = Git::with_repository(program)?;
    let repository = git.repository();
    let id = git.run(&repository, &["rev-parse", "HEAD"])?;
    let longest = longest(&git, &repository, &id)?;
    let mut random = fastrand::Rng::with_seed(args.seed);
    let mut refused = 0;
    for number in 0..args.times {
        let mut victim =
            git.command(&repository).args(["update-ref", &format!("refs/heads/killed-{number}"), &id]).spawn()?;
        thread::sleep(Duration::from_micros(random.u64(0..=longest.as_micros() as u64)));
        // It may have ended already.
        let _ = victim.kill();
        victim.wait()?;
        if !git.succeeds(&repository, &["update-ref", &format!("refs/heads/after-{number}"), &id])? {
            refused += 1;
            remove_locks(&repository)?;
        }
    }
    Ok(refused)
}

/// About how long a call takes: a kill later than that kills nobody.
fn longest(git: &Git, repository: &Path, id: &str) -> Result<Duration> {
    let start = Instant::now();
    for number in 0..20 {
        git.run(repository, &["update-ref", &format!("refs/heads/timed-{number}"), id])?;
    }
    Ok(start.elapsed() / 20)
}

fn remove_locks(repository: &Path) -> Result<()> {
    for entry in fs::read_dir(repository.join(".git/reftable"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "lock") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
