//! The machine that all processes run on, as `reftable-crash` has it, and what only this store
//! knows: which of its files readers look for, and what another user's process may not do.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reftable_crash::{Disk, Machine, Op, Pid, Tree};

use super::dir::SimDir;
use super::slips;

/// The lines of `tables.list`.
pub(crate) trait TablesList {
    fn list(&self) -> Vec<String>;
}

impl TablesList for Tree {
    fn list(&self) -> Vec<String> {
        let list = self.read("tables.list").unwrap_or_default();
        String::from_utf8_lossy(list).lines().map(str::to_owned).collect()
    }
}

/// Whether it gives or takes a name that readers look for.
pub(super) fn matters_to_readers(op: &Op) -> bool {
    let counts = |name: &str| name == "tables.list" || name.ends_with(".ref");
    match op {
        Op::Rename { from, to, .. } => counts(&from.path) || counts(&to.path),
        Op::Remove { at } => counts(&at.path),
        // In place: nobody does that who follows the protocol.
        Op::Write { path, .. } => &**path == "tables.list",
        _ => false,
    }
}

/// Tables are written where tables were, and all else where such were.
pub(crate) fn kinds(name: &str) -> u32 {
    u32::from(name.ends_with(".ref"))
}

/// A disk on which this tree is durable.
pub(crate) fn synced(tree: &Tree) -> Disk {
    Disk::synced(tree).with_kinds(kinds)
}

/// What a process may not do, because it is another user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Open the requests of others for appending.
    Append,
    /// List the directory.
    List,
    /// Remove the requests of others.
    Remove,
}

/// The machine that all processes run on.
#[derive(Clone)]
pub(crate) struct World {
    machine: Machine,
    denied: Arc<Mutex<BTreeMap<Pid, &'static [Denied]>>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

impl Deref for World {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl World {
    /// A machine in its `boot`th run that finds `tree` on its disk.
    pub(crate) fn new(tree: Tree, boot: u64) -> World {
        let machine = Machine::in_boot(tree, boot);
        machine.omit_syncs(Some(Arc::new(slips::omits)));
        World { machine, denied: Arc::default() }
    }

    /// A process with a view of the directory.
    pub(crate) fn process(&self, pid: Pid) -> Arc<SimDir> {
        SimDir::new(self, self.machine.process(pid))
    }

    /// Lets the `call`th call from now of the process fail. One that takes a lock does not: without
    /// those nothing would be delegated.
    pub(crate) fn fail_at(&self, pid: Pid, call: u64) {
        self.machine.spare_locks(pid);
        self.machine.fail_at(pid, call);
    }

    fn denied(&self) -> MutexGuard<'_, BTreeMap<Pid, &'static [Denied]>> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the process is never let do this.
    pub(crate) fn deny(&self, pid: Pid, denied: &'static [Denied]) {
        self.denied().insert(pid, denied);
    }

    /// Fails if the process may not do this.
    pub(super) fn check(&self, pid: Pid, what: Denied) -> io::Result<()> {
        let is_denied = self.denied().get(&pid).is_some_and(|denied| denied.contains(&what));
        if is_denied { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    }
}
