//! A directory in which nobody waits long: for tests of what is said after a wait, not of the wait.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reftable::dir::{Dir, OsDir};

use super::over_dir::{Hook, OverDir, Work};

/// Makes waits short.
pub(crate) struct Brisk;

impl Hook for Brisk {
    fn around(&self, _call: &'static str, _name: &str, work: Work<'_>) -> io::Result<()> {
        work()
    }

    fn sleep(&self, dir: &OsDir, time: Duration) {
        dir.sleep(time / 50);
    }
}

/// The directory `path`; what waits in it waits a fiftieth of its time.
pub(crate) fn brisk(path: &Path) -> Arc<OverDir<Brisk>> {
    OverDir::over(path, Arc::new(Brisk))
}
