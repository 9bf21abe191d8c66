//! A directory in which the answer to the renaming of a list is lost.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::over_dir::{Hook, OverDir, Work};

/// Loses the answer to the renaming of a list, and from then on to every look at the list.
pub(crate) struct LostAnswer {
    /// Whether the list is renamed all the same.
    happens: bool,
    is_lost: AtomicBool,
}

impl Hook for LostAnswer {
    fn around(&self, call: &'static str, name: &str, work: Work<'_>) -> io::Result<()> {
        let lost = Err(io::Error::from_raw_os_error(5));
        if call == "rename" && name.ends_with(".tmp") && !self.is_lost.swap(true, Ordering::SeqCst) {
            if self.happens {
                work()?;
            }
            return lost;
        }
        let is_a_look = name == "tables.list" && ["stat", "target", "open"].contains(&call);
        if is_a_look && self.is_lost.load(Ordering::SeqCst) { lost } else { work() }
    }
}

impl OverDir<LostAnswer> {
    pub(crate) fn losing(path: &Path, happens: bool) -> Arc<OverDir<LostAnswer>> {
        Self::over(path, Arc::new(LostAnswer { happens, is_lost: AtomicBool::new(false) }))
    }
}
