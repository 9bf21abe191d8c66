//! Runs a command and everything that it starts, and stops it around each call that changes
//! something.
//!
//! What changes one directory happens one after the other here, so that the recording has one
//! order:
//!
//! 1. a process stops before a call that may change something;
//! 2. it alone is let on, until the call has returned; another one that comes to such a call
//!    meanwhile stays stopped before it;
//! 3. what has changed is read from the directory; then the next one is let on.
//!
//! Calls that cannot change anything run freely.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::calls::{Call, Effect};

/// All that this thread traces, and nothing that others do.
const HERE: WaitPidFlag = WaitPidFlag::__WALL.union(WaitPidFlag::__WNOTHREAD);

/// What hears of each change, in the order in which they were made.
pub(super) trait Witness {
    /// Whether a call with this effect concerns what is watched; it is asked before the call.
    fn concerns(&mut self, pid: Pid, effect: Effect) -> bool;

    /// The call has returned without an error.
    fn done(&mut self, pid: Pid, effect: Effect, result: i64) -> io::Result<()>;

    /// A process has ended.
    fn ended(&mut self, pid: Pid, code: Option<i32>);
}

/// How the command ended: its exit code, or the signal that killed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Code(i32),
    Signal(Signal),
}

/// A traced command, before its first instruction. It belongs to the thread that has started it.
#[derive(Debug)]
pub(super) struct Tracee {
    first: Pid,
    /// The calls that processes are within, by process.
    within: HashMap<Pid, Call>,
    /// Stops that came while another process was waited for.
    pending: VecDeque<WaitStatus>,
}

impl Tracee {
    /// Starts `command` in `dir`. Its standard output is a pipe, whose other end is returned.
    pub(super) fn start(command: &[OsString], dir: &Path) -> io::Result<(Tracee, ChildStdout)> {
        // It stops itself and is seized before it becomes the command: a process that is to be
        // traced from its first call needs no unsafe code between fork and exec in this way.
        let mut child = Command::new("/bin/sh")
            .args(["-c", "kill -STOP $$ && exec \"$@\"", "sh"])
            .args(command)
            .current_dir(dir)
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let first = Pid::from_raw(child.id().cast_signed());
        waitpid(first, Some(WaitPidFlag::WUNTRACED))?;
        let follow = Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACEVFORK | Options::PTRACE_O_TRACECLONE;
        let ends = Options::PTRACE_O_EXITKILL | Options::PTRACE_O_TRACEEXEC;
        ptrace::seize(first, follow | ends | Options::PTRACE_O_TRACESYSGOOD)?;
        signal::kill(first, Signal::SIGCONT)?;
        let output = child.stdout.take().ok_or_else(|| io::Error::other("the command has no output"))?;
        Ok((Tracee { first, within: HashMap::new(), pending: VecDeque::new() }, output))
    }

    /// Lets it run to its end, and all that it started.
    pub(super) fn run(mut self, witness: &mut impl Witness) -> io::Result<Ended> {
        let mut ended = None;
        loop {
            let status = match self.pending.pop_front() {
                Some(status) => status,
                None => match waitpid(None, Some(HERE)) {
                    Ok(status) => status,
                    Err(Errno::EINTR) => continue,
                    Err(Errno::ECHILD) => break,
                    Err(error) => return Err(error.into()),
                },
            };
            if let Some(how) = self.handle(status, witness)? {
                ended = Some(how);
            }
        }
        ended.ok_or_else(|| io::Error::other("the command's end was not seen"))
    }

    fn handle(&mut self, status: WaitStatus, witness: &mut impl Witness) -> io::Result<Option<Ended>> {
        match status {
            WaitStatus::Exited(pid, code) => {
                self.within.remove(&pid);
                witness.ended(pid, Some(code));
                return Ok((pid == self.first).then_some(Ended::Code(code)));
            }
            WaitStatus::Signaled(pid, signal, _) => {
                self.within.remove(&pid);
                witness.ended(pid, None);
                return Ok((pid == self.first).then_some(Ended::Signal(signal)));
            }
            WaitStatus::PtraceSyscall(pid) => self.stopped_in_call(pid, witness)?,
            other => self.go_on(other)?,
        }
        Ok(None)
    }

    /// A stop that is no call: a signal that is passed on, or an event of the tracing itself.
    fn go_on(&mut self, status: WaitStatus) -> io::Result<()> {
        let (pid, signal) = match status {
            WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
            WaitStatus::PtraceEvent(pid, _, event) => {
                // The thread that calls exec takes the number of its group's first thread.
                if event == nix::libc::PTRACE_EVENT_EXEC {
                    self.forget_others_of(pid)?;
                }
                (pid, None)
            }
            _ => return Ok(()),
        };
        resume(pid, signal)
    }

    fn stopped_in_call(&mut self, pid: Pid, witness: &mut impl Witness) -> io::Result<()> {
        if self.within.remove(&pid).is_some() {
            return resume(pid, None);
        }
        let Some(call) = gone_is_none(Call::at_entry(pid))? else { return Ok(()) };
        let effect = call.effect();
        if effect == Effect::None || !witness.concerns(pid, effect) {
            self.within.insert(pid, call);
            return resume(pid, None);
        }
        if self.finish(pid)? {
            let Some(result) = gone_is_none(Call::result(pid))? else { return Ok(()) };
            if result >= 0 {
                witness.done(pid, effect, result)?;
            }
            resume(pid, None)?;
        }
        Ok(())
    }

    /// Lets one process on to the end of its call; false if it has died in it.
    fn finish(&mut self, pid: Pid) -> io::Result<bool> {
        resume(pid, None)?;
        loop {
            let status = match waitpid(pid, Some(HERE)) {
                Err(Errno::EINTR) => continue,
                other => other?,
            };
            match status {
                WaitStatus::PtraceSyscall(_) => return Ok(true),
                WaitStatus::Exited(..) | WaitStatus::Signaled(..) => {
                    self.pending.push_back(status);
                    return Ok(false);
                }
                other => self.go_on(other)?,
            }
        }
    }

    /// The other threads of a process that calls exec are gone, and tell nobody.
    fn forget_others_of(&mut self, pid: Pid) -> io::Result<()> {
        let former = gone_is_none(ptrace::getevent(pid))?.unwrap_or_default();
        let former = i32::try_from(former).map(Pid::from_raw).unwrap_or(pid);
        let call = self.within.remove(&former).or_else(|| self.within.remove(&pid));
        if let Some(call) = call {
            self.within.insert(pid, call);
        }
        Ok(())
    }
}

fn resume(pid: Pid, signal: Option<Signal>) -> io::Result<()> {
    gone_is_none(ptrace::syscall(pid, signal)).map(|_| ())
}

/// A process may be killed at any moment, also while it is stopped: that is no error here.
fn gone_is_none<T>(result: nix::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::ESRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The file that a descriptor of a process stands for, as a path that can be opened.
pub(super) fn path_of(pid: Pid, fd: RawFd) -> std::path::PathBuf {
    format!("/proc/{pid}/fd/{fd}").into()
}
