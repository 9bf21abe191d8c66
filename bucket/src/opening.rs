//! How far the tables of a store have come that are being read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts for those who would give up: as long as tables come there is no reason to.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// Bytes that were asked for, and have not come.
    asked: AtomicU64,
    parts: AtomicU64,
}

impl Opening {
    /// So many bytes are asked for; [`Asked::came`] says that they are there.
    pub(crate) fn ask(&self, bytes: u64) -> Asked<'_> {
        self.asked.fetch_add(bytes, Ordering::Relaxed);
        Asked { opening: self, bytes }
    }

    /// Grows with what comes.
    pub(crate) fn parts(&self) -> u64 {
        self.parts.load(Ordering::Relaxed)
    }

    /// How much longer than others a request may take: a second for each MiB that is under way.
    pub(crate) fn allowance(&self) -> Duration {
        Duration::from_secs(self.asked.load(Ordering::Relaxed) >> 20)
    }
}

/// Bytes that are under way.
pub(crate) struct Asked<'a> {
    opening: &'a Opening,
    bytes: u64,
}

impl Asked<'_> {
    pub(crate) fn came(self) {
        self.opening.parts.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.opening.asked.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
