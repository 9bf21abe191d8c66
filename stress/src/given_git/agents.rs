//! `agents`: each commits to a branch of its own, in a worktree of its own, all at once.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Result, anyhow};

use super::Git;
use crate::args::AgentsArgs;

/// Returns whether no commit was lost with the git that was given first.
pub(crate) fn main(args: &AgentsArgs) -> Result<bool> {
    let mut lost = Vec::new();
    for program in &args.git {
        let count = run(program, args)?;
        let all = args.worktrees * args.commits;
        writeln!(io::stdout(), "{}: {count} of {all} commits lost", program.display())?;
        lost.push(count);
    }
    Ok(lost.first().is_none_or(|count| *count == 0))
}

/// How many commits are lost with this git.
fn run(program: &Path, args: &AgentsArgs) -> Result<u32> {
    let git = Git::with_repository(program)?;
    let worktrees: Vec<PathBuf> = (0..args.worktrees).map(|n| git.at.path().join(format!("agent-{n}"))).collect();
    for (number, worktree) in worktrees.iter().enumerate() {
        let branch = format!("agent-{number}");
        let path = worktree.to_string_lossy();
        git.run(&git.repository(), &["worktree", "add", "-q", "-b", &branch, &path])?;
    }
    thread::scope(|scope| {
        let agents: Vec<_> =
            worktrees.iter().map(|worktree| scope.spawn(|| commit(&git, worktree, args.commits))).collect();
        agents.into_iter().try_for_each(|agent| agent.join().map_err(|_| anyhow!("an agent has panicked"))?)
    })?;
    let mut there = 0;
    for number in 0..args.worktrees {
        let count = git.run(&git.repository(), &["rev-list", "--count", &format!("agent-{number}")])?;
        // One is the first, which all of them have.
        there += count.parse::<u32>()?.saturating_sub(1);
    }
    Ok((args.worktrees * args.commits).saturating_sub(there))
}

/// What an agent does. A commit that fails is not tried again: that is what is counted.
fn commit(git: &Git, worktree: &Path, commits: u32) -> Result<()> {
    for number in 0..commits {
        git.succeeds(worktree, &["commit", "-q", "--allow-empty", "-m", &number.to_string()])?;
    }
    Ok(())
}
