//! What is to happen to a process: its death, others that go first, calls that fail.

use std::time::Duration;

use super::beside::Leash;
use super::{Machine, State};
use crate::op::Pid;
use crate::random::Random;
use std::io;
use std::sync::Arc;

pub(super) type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
pub(super) struct Plans {
    dead: bool,
    /// Calls so far, and changes among them.
    calls: u64,
    changes: u64,
    /// Dies in the place of this change.
    dies_at: Option<u64>,
    /// This call fails, and nothing comes of it.
    fails_at: Option<u64>,
    /// Links and kernel locks are not among those that fail.
    pub(super) spares_locks: bool,
    /// So many files may it have open.
    descriptors: Option<usize>,
    /// It wanted more.
    has_run_out: bool,
    /// Of the write that makes the count zero only half is done, and it fails.
    writes_until_torn: Option<u64>,
    /// The sync of a file that makes the count zero fails.
    syncs_until_failed: Option<u64>,
    /// Before this call others do this.
    hook: Option<(u64, Work)>,
    /// It goes on a thread of its own, as far as it is let.
    leash: Option<Arc<Leash>>,
    pub(super) clock: Duration,
    random: Option<Random>,
}

impl Plans {
    pub(super) fn is_dead(&self) -> bool {
        self.dead
    }

    pub(super) fn die(&mut self) {
        self.dead = true;
    }

    /// Counts a change; says whether it dies in the place of it.
    pub(super) fn dies_now(&mut self) -> bool {
        let now = self.changes;
        self.changes = now.saturating_add(1);
        self.dies_at.take_if(|change| *change == now).is_some()
    }

    pub(super) fn fails_now(&mut self) -> bool {
        let now = self.calls;
        !self.dead && self.fails_at.take_if(|call| *call <= now).is_some()
    }

    /// Counts a call; returns what must happen before it.
    pub(super) fn next_call(&mut self) -> (Option<Arc<Leash>>, Option<Work>) {
        let now = self.calls;
        let hook = self.hook.take_if(|(call, _)| *call == now);
        self.calls = now.saturating_add(1);
        (self.leash.clone(), hook.map(|(_, work)| work))
    }

    pub(super) fn random(&mut self, seed: u64) -> u64 {
        self.random.get_or_insert_with(|| Random::new(seed)).next()
    }

    pub(super) fn tears_now(&mut self) -> bool {
        is_now(&mut self.writes_until_torn)
    }

    pub(super) fn sync_fails_now(&mut self) -> bool {
        is_now(&mut self.syncs_until_failed)
    }
}

/// Counts down; says whether zero is reached, once.
fn is_now(count: &mut Option<u64>) -> bool {
    let is_now = count.take_if(|count| *count == 0).is_some();
    *count = count.map(|count| count.saturating_sub(1));
    is_now
}

impl State {
    /// Fails if the process has no descriptor left.
    pub(super) fn check_descriptors(&mut self, pid: Pid) -> io::Result<()> {
        let open = self.opened.get(&pid).copied().unwrap_or_default();
        let process = self.processes.entry(pid).or_default();
        if process.descriptors.is_none_or(|limit| open < limit) {
            return Ok(());
        }
        process.has_run_out = true;
        Err(io::Error::from_raw_os_error(24))
    }
}

/// What is to happen to processes. All counts begin with 0 and with the next one.
impl Machine {
    fn plan<T>(&self, pid: Pid, plan: impl FnOnce(&mut Plans) -> T) -> T {
        plan(self.lock().processes.entry(pid).or_default())
    }

    /// Lets `work` happen before the `call`th call from now of the process.
    pub fn before_call(&self, pid: Pid, call: u64, work: impl FnOnce() + Send + 'static) {
        self.plan(pid, |plans| plans.hook = Some((plans.calls.saturating_add(call), Box::new(work))));
    }

    /// From now on the process makes no call before it is let.
    pub(super) fn leash(&self, pid: Pid, leash: Arc<Leash>) {
        self.plan(pid, |plans| plans.leash = Some(leash));
    }

    /// Kills the process in the place of its `change`th change from now.
    pub fn kill_at(&self, pid: Pid, change: u64) {
        self.plan(pid, |plans| plans.dies_at = Some(plans.changes.saturating_add(change)));
    }

    /// Kills the process now. Its kernel locks are free, and all its calls fail from now on.
    pub fn kill(&self, pid: Pid) {
        self.lock().kill(pid);
    }

    /// Whether the process was killed.
    #[must_use]
    pub fn is_dead(&self, pid: Pid) -> bool {
        self.lock().is_dead(pid)
    }

    /// Forgets what was to happen before a call, or a death, that has not come; says whether one
    /// was left. So one finds out that all instants were tried.
    pub fn forget_plans(&self, pid: Pid) -> bool {
        let (hook, death) = self.plan(pid, |plans| (plans.hook.take(), plans.dies_at.take()));
        hook.is_some() || death.is_some()
    }

    /// Lets the `call`th call from now of the process fail; nothing comes of it.
    pub fn fail_at(&self, pid: Pid, call: u64) {
        self.plan(pid, |plans| plans.fails_at = Some(plans.calls.saturating_add(call)));
    }

    /// Links and kernel locks of the process do not fail by [`Self::fail_at`]: the next call that
    /// is neither does.
    pub fn spare_locks(&self, pid: Pid) {
        self.plan(pid, |plans| plans.spares_locks = true);
    }

    /// Says whether the call that was to fail has come.
    #[must_use]
    pub fn has_failed(&self, pid: Pid) -> bool {
        self.plan(pid, |plans| plans.fails_at.is_none())
    }

    /// From now on the process may open so many files more.
    pub fn limit_descriptors(&self, pid: Pid, more: usize) {
        let open = self.lock().opened.get(&pid).copied().unwrap_or_default();
        self.plan(pid, |plans| plans.descriptors = Some(open.saturating_add(more)));
    }

    /// Says whether the process has wanted to open more files than it may.
    #[must_use]
    pub fn has_run_out(&self, pid: Pid) -> bool {
        self.plan(pid, |plans| plans.has_run_out)
    }

    /// Lets the `write`th write from now of the process fail when half of it is done.
    pub fn tear_at(&self, pid: Pid, write: u64) {
        self.plan(pid, |plans| plans.writes_until_torn = Some(write));
    }

    /// Lets the `sync`th sync of a file from now of the process fail, and with it what it is for.
    pub fn fail_sync_at(&self, pid: Pid, sync: u64) {
        self.plan(pid, |plans| plans.syncs_until_failed = Some(sync));
    }

    /// Says whether the write that was to be torn, and the sync that was to fail, have come.
    #[must_use]
    pub fn has_come(&self, pid: Pid) -> bool {
        self.plan(pid, |plans| plans.writes_until_torn.is_none() && plans.syncs_until_failed.is_none())
    }

    /// Simulated time that the process spent waiting.
    #[must_use]
    pub fn waited(&self, pid: Pid) -> Duration {
        self.plan(pid, |plans| plans.clock)
    }
}
