//! A running driver: its process group, its two ends of a pipe, and how it ended.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

/// How long a program may take to end when its input has ended.
const GOODBYE: Duration = Duration::from_secs(5);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(1);

/// So many lines wait to be looked at. A program that says more is not read on: it may never end.
const UNREAD: usize = 1024;

/// A driver that runs, the leader of a process group of its own.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Its output has ended.
    Ended,
    /// It took too long.
    TooLong,
}

impl Program {
    /// Starts one by the shell in `repository`; what it has to say besides goes to a file.
    pub(crate) fn start(command: &str, name: &str, repository: &Path, errors: &Path) -> Result<Program> {
        let errors = File::options().create(true).append(true).open(errors);
        let mut shell = crate::git::environment(std::process::Command::new("sh"), repository);
        let mut child = shell
            .args(["-c", command])
            .env("STRESS_NAME", name)
            .env("STRESS_REPOSITORY", repository)
            .env("STRESS_GIT_DIR", repository.join(".git"))
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors.context("cannot create the file for what a driver says")?)
            .spawn()
            .context("cannot run sh")?;
        let stdin = child.stdin.take();
        let (to, lines) = sync_channel(UNREAD);
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || listen(stdout, &to));
        }
        Ok(Program { child, stdin, lines })
    }

    /// The process group, to be killed by. No other has its number until [`Self::end`].
    pub(crate) fn group(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Sends it this. What it no longer reads shows in that no answer comes.
    pub(crate) fn say(&mut self, text: &str) {
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush());
        }
    }

    /// Its next line, without the newline.
    pub(crate) fn answer(&mut self, until: Instant) -> Result<String, Silence> {
        let wait = until.saturating_duration_since(Instant::now());
        self.lines.recv_timeout(wait).map_err(|error| match error {
            RecvTimeoutError::Disconnected => Silence::Ended,
            RecvTimeoutError::Timeout => Silence::TooLong,
        })
    }

    /// Ends its input and waits for its end; kills it if it does not come to one.
    pub(crate) fn end(mut self) -> Result<ExitStatus> {
        self.stdin = None;
        let until = Instant::now() + GOODBYE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().context("cannot wait for a driver")? {
                return Ok(status);
            }
            thread::sleep(LOOK);
        }
        self.kill();
        self.child.wait().context("cannot wait for a driver")
    }

    /// Kills the whole group. That it is gone already is as well.
    pub(crate) fn kill(&self) {
        if let Some(group) = self.group() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Program {
    /// Nobody goes on alone. After [`Self::end`] this meets nobody: the child has been waited for.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
            let _ = self.child.wait();
        }
    }
}

/// Hands on each line until there are no more, or nobody wants them.
fn listen(stdout: ChildStdout, to: &SyncSender<String>) {
    let mut lines = BufReader::new(stdout);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        // An answer that was cut off is none.
        if line.last() != Some(&b'\n') || to.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
            return;
        }
        line.clear();
    }
}

/// How a program ended, in words.
pub(crate) fn shown(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        _ => "ended".to_owned(),
    }
}
