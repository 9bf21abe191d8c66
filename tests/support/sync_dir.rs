//! A directory that attributes what is synced, and may refuse attributes on files.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::over_dir::{Hook, OverDir, Work};
use reftable::lock::RobustLocks;
use reftable::{Options, Stack};

/// The names of the files that were synced.
#[derive(Debug)]
pub(crate) struct Synced {
    names: Mutex<Vec<String>>,
    has_attributes: bool,
}

impl Hook for Synced {
    fn around(&self, call: &'static str, name: &str, work: Work<'_>) -> io::Result<()> {
        match call {
            "sync file" => self.names.lock().unwrap().push(name.to_owned()),
            "set attribute" | "attribute" if !self.has_attributes => return Err(io::ErrorKind::Unsupported.into()),
            _ => {}
        }
        work()
    }
}

/// A directory with the names of the files that were synced.
pub(crate) type SyncDir = OverDir<Synced>;

impl SyncDir {
    pub(crate) fn new(path: &Path) -> Arc<SyncDir> {
        SyncDir::over(path, Arc::new(Synced { names: Mutex::default(), has_attributes: true }))
    }

    /// A file system on which files have no attributes.
    pub(crate) fn without_notes(path: &Path) -> Arc<SyncDir> {
        SyncDir::over(path, Arc::new(Synced { names: Mutex::default(), has_attributes: false }))
    }

    pub(crate) fn stack(self: &Arc<Self>, options: Options) -> Stack {
        Stack::open_in(Arc::<SyncDir>::clone(self), Box::new(RobustLocks::new(true)), options).unwrap()
    }

    /// The tables that were synced since the last call, by the names that they were opened or
    /// created with, in order.
    pub(crate) fn tables_synced(&self) -> Vec<String> {
        let mut synced = std::mem::take(&mut *self.hook.names.lock().unwrap());
        synced.retain(|name| name.ends_with(".ref"));
        synced.sort();
        synced
    }
}
