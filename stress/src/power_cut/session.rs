//! Writers at work on a file system that will lose its power.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};

use super::machine::Machine;
use super::{Promise, Variant};
use crate::args::{PowerCutArgs, RunArgs, Shared};
use crate::crew::{Crew, Drivers};
use crate::git;
use crate::history::History;
use crate::repo::{Layout, Repository};

/// Longer than any session.
const SECONDS: u64 = 3600;

/// A power failure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// Of its image.
    pub(super) number: u32,
    /// What was acknowledged until then had to be there.
    pub(super) before: u64,
    /// What was begun later cannot be there.
    pub(super) after: u64,
}

/// What is known of all that the writers did.
pub(super) struct Session {
    pub(super) histories: Vec<History>,
    pub(super) repository: Repository,
    pub(super) shared: Shared,
}

/// Lets the writers loose until `watch` is through, and returns what that has seen as well.
pub(super) fn run<T>(
    machine: &mut Machine,
    variant: Variant,
    seed: u64,
    args: &PowerCutArgs,
    watch: impl FnOnce(&Machine) -> Result<T>,
) -> Result<(Session, T)> {
    let shared = Shared {
        durability: variant.durability,
        sha256: false,
        threads: variant.threads,
        break_atomicity: false,
        break_acks: args.break_acks,
    };
    // Histories are beside the file system under test, which is mounted where the repository goes.
    let layout = Layout { root: machine.path("run") };
    machine.start(&layout.work_tree())?;
    let with_git = git::version().is_ok();
    let repository = Repository::create(&layout.root, &shared, with_git)?;
    if let Some(fsync) = variant.fsync.filter(|_| with_git) {
        git::output(&layout.work_tree(), &["config", "core.fsync", fsync])?;
    }
    // What there was before the writers is not their concern.
    machine.settle(&layout.work_tree())?;
    let mut settings = RunArgs::for_writers(variant.ours, SECONDS, seed, shared.clone());
    if let Some(git) = &args.git {
        settings.environment = environment_of(git, variant, &layout)?;
    }
    let drivers = Drivers { busy: if with_git { variant.git } else { 0 }, rare: 0 };
    let mut crew = Crew::start(&settings, seed, drivers, &layout)?;
    let seen = watch(machine)?;
    crew.end_all();
    let mut histories = crew.histories_of_killed()?;
    drop(crew);
    machine.stop(&layout.work_tree())?;
    // What they read may have been lost with the power; nobody promised that to a reader.
    histories.iter_mut().for_each(|history| history.saw.clear());
    Ok((Session { histories, repository, shared }, seen))
}

/// What makes workers run this git when they say `git`, with the variant's policy.
fn environment_of(git: &Path, variant: Variant, layout: &Layout) -> Result<Vec<(&'static str, OsString)>> {
    let git = git.canonicalize().with_context(|| format!("there is no {}", git.display()))?;
    let beside = layout.root.join("bin");
    fs::create_dir_all(&beside).context("cannot create a directory")?;
    symlink(git, beside.join("git")).context("cannot link the git that is given")?;
    let before = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([beside].into_iter().chain(env::split_paths(&before)))?;
    let policy = if variant.promise == Promise::All { "full" } else { "git" };
    Ok(vec![("PATH", path), ("REFTABLE_POLICY", policy.into())])
}
