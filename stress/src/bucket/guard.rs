//! Nothing that a run has started outlives it, however it ends.
//!
//! A process that is killed cannot clean up. What it leaves behind for sure is the end of a pipe:
//! each process that it has started reads its standard input, on which nothing ever comes, and ends
//! when that does. A server knows nothing of this, so that a *guard* stands between: this program
//! once more, in a process group of its own, which no key of a terminal reaches. It starts the
//! server in yet another group, and at the end kills that group and deletes its directory.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// A guard, and a server behind it.
pub(super) struct Guarded {
    guard: Child,
}

/// The settings of a guard.
#[derive(Debug, clap::Args)]
pub(crate) struct GuardArgs {
    /// The directory of the server, deleted at the end.
    #[arg(long)]
    dir: PathBuf,
    /// The server and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    words: Vec<std::ffi::OsString>,
}

impl Guarded {
    /// Starts `server`, whose directory is `dir`.
    pub(super) fn start(server: &Command, dir: &Path) -> Result<Guarded> {
        let mut guard = Command::new(std::env::current_exe()?);
        guard.arg("bucket-guard").arg("--dir").arg(dir).arg("--").arg(server.get_program()).args(server.get_args());
        guard.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null());
        let guard = guard.spawn().with_context(|| format!("cannot start {server:?}"))?;
        Ok(Guarded { guard })
    }

    /// Whether the server has ended by itself.
    pub(super) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.guard.try_wait()?.is_some())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Ends with the one that has started it, or with the server.
pub(crate) fn main(args: &GuardArgs) -> Result<bool> {
    let result = guard(args);
    let deleted = fs::remove_dir_all(&args.dir);
    let is_good = result?;
    deleted.context("cannot delete the directory of the server")?;
    Ok(is_good)
}

fn guard(args: &GuardArgs) -> Result<bool> {
    let (program, words) = args.words.split_first().context("no server")?;
    let log = File::create(args.dir.join("log")).context("cannot make a log")?;
    let mut command = Command::new(program);
    command.args(words).process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut server = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    let group = Pid::from_child(&server);
    let is_over = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&is_over);
    thread::spawn(move || {
        wait_for_the_end();
        shared.store(true, Ordering::Relaxed);
        // Those that it has started, too.
        let _ = kill_process_group(group, Signal::KILL);
    });
    let status = server.wait()?;
    if !is_over.load(Ordering::Relaxed) {
        // Nobody of its group goes on without it.
        let _ = kill_process_group(group, Signal::KILL);
        let log = fs::read_to_string(args.dir.join("log")).unwrap_or_default();
        bail!("the server has ended ({status}): {}", log.lines().last().unwrap_or("it has said nothing"));
    }
    Ok(true)
}

/// Ends this process when the one that has started it ends. To be called once, first.
pub(super) fn end_with_parent() {
    thread::spawn(|| {
        wait_for_the_end();
        std::process::exit(3);
    });
}

/// Returns when the other end of standard input is closed.
fn wait_for_the_end() {
    let mut input = io::stdin().lock();
    let mut bytes = [0; 64];
    while !matches!(input.read(&mut bytes), Ok(0) | Err(_)) {}
}
