//! Processes that go on beside another one, each on a thread of its own. Only one goes at a time,
//! and only as far as it is let, so that a run can be repeated.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::Machine;
use crate::op::Pid;

/// What keeps a process from going on.
#[derive(Debug, Default)]
pub(super) struct Leash {
    state: Mutex<Given>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Given {
    /// How many calls it may still make.
    calls: u64,
    /// It wants to make one more.
    waits: bool,
    has_ended: bool,
}

impl Leash {
    /// Before each call of the process: waits until it may make it.
    pub(super) fn step(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.calls == 0 {
            state.waits = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.calls = state.calls.saturating_sub(1);
    }

    /// Lets it make so many calls. Returns when it wants to make another one, or has ended.
    fn give(&self, calls: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.calls = calls;
        state.waits &= calls == 0;
        self.changed.notify_all();
        while !state.waits && !state.has_ended {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Says that the process has ended, also if it panics.
struct End(Arc<Leash>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).has_ended = true;
        self.0.changed.notify_all();
    }
}

/// A process that goes on when it is let, call by call.
#[derive(Debug)]
pub struct Beside {
    leash: Arc<Leash>,
    thread: JoinHandle<()>,
}

impl Beside {
    /// Starts `work`, which is what process `pid` does; it stops before its first call. It must not
    /// wait for anything else than its own calls.
    pub fn start(machine: &Machine, pid: Pid, work: impl FnOnce() + Send + 'static) -> Beside {
        let leash = Arc::<Leash>::default();
        machine.leash(pid, Arc::clone(&leash));
        let end = End(Arc::clone(&leash));
        let thread = thread::spawn(move || {
            let _end = end;
            work();
        });
        leash.give(0);
        Beside { leash, thread }
    }

    /// Lets it make so many calls, or fewer if it ends.
    pub fn go(&self, calls: u64) {
        self.leash.give(calls);
    }

    /// The same, from the midst of what another process does.
    pub fn goer(&self) -> impl FnOnce(u64) + Send + use<> + 'static {
        let leash = Arc::clone(&self.leash);
        move |calls| leash.give(calls)
    }

    /// Whether it has come to its end.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.leash.state.lock().unwrap_or_else(PoisonError::into_inner).has_ended
    }

    /// Lets it come to its end. A panic of `work` goes on here.
    pub fn finish(self) {
        self.leash.give(u64::MAX);
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}
