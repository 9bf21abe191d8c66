//! Which tables are known to survive a power failure.

use std::collections::BTreeSet;

use crate::mutant::{self, Mutant};
use crate::snapshot::Snapshot;
use crate::sync::Mutex;

/// Tables known to survive a power failure, because this handle wrote or synced them.
#[derive(Default)]
pub(super) struct Synced {
    names: Mutex<BTreeSet<String>>,
    /// Those that could not be synced. The kernel takes what it could not write for written, so a
    /// later sync would say that all is well.
    failed: Mutex<BTreeSet<String>>,
}

impl Synced {
    pub(super) fn add(&self, name: &str) {
        self.names.lock().insert(name.to_owned());
    }

    pub(super) fn add_failed(&self, name: &str) {
        self.failed.lock().insert(name.to_owned());
    }

    /// Whether a sync of this table has failed.
    pub(super) fn has_failed(&self, name: &str) -> bool {
        self.failed.lock().contains(name) && !mutant::is_on(Mutant::TrustSecondSync)
    }

    /// The positions in `base` of the tables that are not known to be synced. Forgets the tables
    /// that are gone.
    pub(super) fn missing(&self, base: &Snapshot) -> Vec<usize> {
        let mut names = self.names.lock();
        let tables = base.tables();
        let missing: Vec<usize> = (0..tables.len())
            .filter(|position| tables.get(*position).is_some_and(|table| !names.contains(table.name())))
            .collect();
        if names.len() > tables.len() - missing.len() {
            let listed: BTreeSet<&str> = tables.iter().map(|table| table.name()).collect();
            names.retain(|name| listed.contains(name.as_str()));
        }
        missing
    }
}
