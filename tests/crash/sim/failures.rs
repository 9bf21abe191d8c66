//! What fails a process beyond a call that comes to nothing: descriptors that run out, writes that
//! are torn, syncs that lose what they are for.

use std::io;

use super::world::{Pid, World};

impl World {
    /// From now on the process may open so many files more.
    pub(crate) fn limit_descriptors(&self, pid: Pid, more: usize) {
        let mut inner = self.lock();
        let open = inner.opened.get(&pid).copied().unwrap_or_default();
        inner.processes.entry(pid).or_default().descriptors = Some(open + more);
    }

    /// Says whether the process has wanted to open more files than it may.
    pub(crate) fn has_run_out(&self, pid: Pid) -> bool {
        self.lock().processes.get(&pid).is_some_and(|process| process.has_run_out)
    }

    /// Fails if the process has no descriptor left.
    pub(super) fn check_descriptors(&self, pid: Pid) -> io::Result<()> {
        let mut inner = self.lock();
        let open = inner.opened.get(&pid).copied().unwrap_or_default();
        let process = inner.processes.entry(pid).or_default();
        if process.descriptors.is_none_or(|limit| open < limit) {
            return Ok(());
        }
        process.has_run_out = true;
        Err(io::Error::from_raw_os_error(24))
    }

    /// Lets the `write`th write from now of the process fail when half of it is done.
    pub(crate) fn tear_at(&self, pid: Pid, write: u64) {
        self.lock().processes.entry(pid).or_default().writes_until_torn = Some(write);
    }

    /// Lets the `sync`th sync of a file from now of the process fail, and with it what it is for.
    pub(crate) fn fail_sync_at(&self, pid: Pid, sync: u64) {
        self.lock().processes.entry(pid).or_default().syncs_until_failed = Some(sync);
    }

    /// Says whether the write that was to be torn, and the sync that was to fail, have come.
    pub(crate) fn has_come(&self, pid: Pid) -> bool {
        let inner = self.lock();
        let Some(process) = inner.processes.get(&pid) else { return false };
        process.writes_until_torn.is_none() && process.syncs_until_failed.is_none()
    }

    pub(super) fn is_torn_now(&self, pid: Pid) -> bool {
        is_now(&mut self.lock().processes.entry(pid).or_default().writes_until_torn)
    }

    pub(super) fn is_sync_failing_now(&self, pid: Pid) -> bool {
        is_now(&mut self.lock().processes.entry(pid).or_default().syncs_until_failed)
    }
}

/// Counts down; says whether zero is reached, once.
fn is_now(count: &mut Option<u64>) -> bool {
    let is_now = count.take_if(|count| *count == 0).is_some();
    if let Some(count) = count {
        *count -= 1;
    }
    is_now
}
