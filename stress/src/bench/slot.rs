//! What chaos may know of a session: the process group that runs for it, and what is in flight.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustix::process::{Pid, Signal, kill_process_group};

use super::dialect::Phase;

/// A session, as chaos sees it.
pub(crate) struct Slot {
    /// Its name: the driver's, and a number.
    pub(crate) name: String,
    running: Mutex<Option<Running>>,
}

/// A program that runs. While it is in its slot nobody has waited for it, so its number is its own.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) group: Pid,
    /// The process of the history that it works for.
    pub(crate) process: u64,
    /// Whether it has answered anything yet: one that only starts is let start.
    pub(crate) has_answered: bool,
    /// When its transaction was begun, and how far that is.
    pub(crate) in_flight: Option<(SystemTime, Phase)>,
    /// Whether chaos has killed it.
    pub(crate) was_killed: bool,
}

impl Slot {
    pub(crate) fn new(name: String) -> Slot {
        Slot { name, running: Mutex::new(None) }
    }

    /// What runs, to look at or to change.
    pub(crate) fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something runs.
    pub(crate) fn fill(&self, group: Pid, process: u64) {
        let in_flight = None;
        *self.running() = Some(Running { group, process, has_answered: false, in_flight, was_killed: false });
    }

    /// Nothing runs any more, as far as chaos is concerned. Returns whether it was killed.
    pub(crate) fn empty(&self) -> bool {
        self.running().take().is_some_and(|running| running.was_killed)
    }

    /// How far its transaction is. A program that gets further than its beginning has answered.
    pub(crate) fn is_at(&self, phase: Phase) {
        if let Some(running) = self.running().as_mut() {
            running.has_answered |= running.in_flight.is_some();
            let begun = running.in_flight.map_or_else(SystemTime::now, |(begun, _)| begun);
            running.in_flight = Some((begun, phase));
        }
    }

    /// It has answered: its transaction is over, or whatever it was asked.
    pub(crate) fn is_over(&self) {
        if let Some(running) = self.running().as_mut() {
            running.in_flight = None;
            running.has_answered = true;
        }
    }

    /// Has it work for another process of the history.
    pub(crate) fn works_for(&self, process: u64) {
        if let Some(running) = self.running().as_mut() {
            running.process = process;
        }
    }

    /// Sends its group a signal. `false` when nothing runs.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        let running = self.running();
        running.as_ref().is_some_and(|running| kill_process_group(running.group, signal).is_ok())
    }
}
