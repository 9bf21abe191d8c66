//! Timing, memory, and the lines that are printed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

/// What was asked for on the command line and in the environment.
pub(crate) struct Bench {
    filters: Vec<String>,
    pub(crate) refs: usize,
    pub(crate) repetitions: usize,
    root: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new(filters: Vec<String>) -> Bench {
        let number =
            |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
        let parent = std::env::var_os("BDIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let root = tempfile::tempdir_in(parent).unwrap();
        // Tells ext4 to spread the directories below: it is slow where many files were just
        // deleted.
        let _ = Command::new("chattr").arg("+T").arg(root.path()).output();
        Bench { filters, refs: number("BN", 1_000_000), repetitions: number("BREPS", 3), root }
    }

    /// Whether any workload that starts with one of `names` was asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.filters.is_empty()
            || self.filters.iter().any(|filter| name.starts_with(filter.as_str()) || filter.starts_with(name))
    }

    /// Whether a workload below `name` was asked for, and not just all.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.filters.iter().any(|filter| filter.starts_with(name))
    }

    /// A new directory.
    pub(crate) fn dir(&self) -> PathBuf {
        tempfile::Builder::new().prefix("b").tempdir_in(self.root.path()).unwrap().keep()
    }

    fn is_asked(&self, workload: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| workload.starts_with(filter.as_str()))
    }

    /// Prints a result if it was asked for.
    pub(crate) fn report(&self, workload: &str, value: f64, unit: &str) {
        if self.is_asked(workload) {
            println!("{}", json!({ "workload": workload, "value": rounded(value), "unit": unit }));
        }
    }

    /// Prints a time if it was asked for, and beside it the processor's, which other work on the
    /// machine hardly disturbs.
    pub(crate) fn report_time(&self, workload: &str, time: Time, scale: f64, unit: &str) {
        if self.is_asked(workload) {
            let (value, cpu) = (rounded(time.wall.as_secs_f64() * scale), rounded(time.cpu.as_secs_f64() * scale));
            println!("{}", json!({ "workload": workload, "value": value, "unit": unit, "cpu": cpu }));
        }
    }

    /// Runs `work` [`Self::repetitions`] times and returns the median.
    pub(crate) fn median(&self, mut work: impl FnMut() -> Time) -> Time {
        let times: Vec<Time> = (0..self.repetitions).map(|_| work()).collect();
        let middle = |pick: fn(&Time) -> Duration| {
            let mut sorted: Vec<Duration> = times.iter().map(pick).collect();
            sorted.sort_unstable();
            sorted[sorted.len() / 2]
        };
        Time { wall: middle(|time| time.wall), cpu: middle(|time| time.cpu) }
    }

    /// Times `work` and reports nanoseconds for each of `count`.
    pub(crate) fn each(&self, workload: &str, count: usize, unit: &str, mut work: impl FnMut()) {
        if self.wants(workload) {
            let time = self.median(|| timed(&mut work));
            self.report_time(workload, time, 1e9 / count as f64, unit);
        }
    }
}

/// How long `work` takes. The function's name is what callgrind is told to look for.
pub(crate) fn timed(mut work: impl FnMut()) -> Time {
    let (start, cpu) = (Instant::now(), cpu_time());
    baseline_measured(&mut work);
    Time { wall: start.elapsed(), cpu: cpu_time().saturating_sub(cpu) }
}

/// How long something took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Time {
    pub(crate) wall: Duration,
    /// Of all threads of the process, kernel included.
    pub(crate) cpu: Duration,
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The processor's time of this process so far. Valgrind cannot run this way of asking for it:
/// `BCOUNT` does without.
fn cpu_time() -> Duration {
    #[cfg(unix)]
    if std::env::var_os("BCOUNT").is_none() {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        return Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap());
    }
    Duration::ZERO
}

#[inline(never)]
fn baseline_measured(work: &mut dyn FnMut()) {
    work();
}

/// Makes `path` empty again.
pub(crate) fn remove(path: &Path) {
    let _ = std::fs::remove_dir_all(path);
}

/// Runs `work` and returns by how many megabytes it raised the peak of resident memory.
pub(crate) fn peak_megabytes(work: impl FnOnce()) -> f64 {
    // Writing 5 resets the peak.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = status("VmRSS:");
    work();
    (status("VmHWM:") - before).max(0.0) / 1024.0
}

/// Resident memory that is no mapped file, in megabytes.
pub(crate) fn anonymous_megabytes() -> f64 {
    status("RssAnon:") / 1024.0
}

fn status(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0.0)
}
