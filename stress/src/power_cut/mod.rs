//! `power-cut`: writers on a real file system in a loop device, whose image is copied at random
//! moments, as a power failure would leave it.
//!
//! 1. The image of the file system is a file on an XFS, which clones files as they are at one
//!    moment.
//! 2. Writers work on the mounted file system; their histories are elsewhere.
//! 3. At a random moment the image is cloned. What the writers' file system still has in memory is
//!    not in it.
//! 4. The clone is mounted. What was acknowledged before the cloning began must be there; the store
//!    must be whole and take a commit at once, in another run of the kernel, too.
//!
//! The cloning is no reordering of writes: what the device was told is there in its order. That is
//! weaker than a disk with a cache that forgets; `--record-writes` tries what such a disk may
//! forget (`recorded.rs`).

mod judge;
pub(crate) mod machine;
#[cfg(target_os = "linux")]
mod recorded;
#[cfg(target_os = "linux")]
mod recorder;
#[cfg(target_os = "linux")]
mod recording;
mod session;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::args::{Durability, PowerCutArgs};
use crate::history::now;
use crate::violations::Violations;
use judge::Judged;
use machine::{FileSystem, Machine};
use session::Cut;

pub(crate) use judge::main as judge_main;

/// Milliseconds from one cut to the next.
const BETWEEN: std::ops::Range<u64> = 60..350;
/// Set where a run that would skip itself for want of root or tools is to fail instead.
const REQUIRE: &str = "REFTABLE_REQUIRE_MOUNTS";

/// Who works, and what the machine is like afterwards.
#[derive(Debug, Clone, Copy)]
struct Variant {
    name: &'static str,
    durability: Durability,
    threads: u32,
    /// Processes of this library.
    ours: u32,
    /// Drivers of git, and its `core.fsync`, if that is not the default.
    git: u32,
    fsync: Option<&'static str>,
    /// What is promised of it.
    promise: Promise,
    /// Whether the image is looked at in another run of the kernel.
    other_boot: bool,
    /// Whether `/etc/machine-id` is hidden then.
    no_machine_id: bool,
}

/// What a power failure leaves of the commits of a git.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// Nothing, and it may break the store.
    Nothing,
    /// The store is whole, and its locks block nobody.
    Whole,
    /// So are all commits that were acknowledged: it runs with the policy `full`.
    All,
}

const FULL: Variant = Variant {
    name: "full",
    durability: Durability::Full,
    threads: 1,
    ours: 4,
    git: 0,
    fsync: None,
    promise: Promise::Nothing,
    other_boot: true,
    no_machine_id: false,
};

/// Images are spread over these in turn.
const VARIANTS: [Variant; 5] = [
    FULL,
    Variant { name: "full, git", git: 2, other_boot: false, ..FULL },
    Variant { name: "full, git committed", git: 2, fsync: Some("committed"), no_machine_id: true, ..FULL },
    Variant { name: "ordered", durability: Durability::Ordered, no_machine_id: true, ..FULL },
    Variant { name: "full, threads", threads: 4, other_boot: false, no_machine_id: true, ..FULL },
];

const HOST: Variant = Variant { name: "host full", ours: 0, git: 4, promise: Promise::All, ..FULL };

/// The same for a git that is linked with the C library.
const HOSTS: [Variant; 4] = [
    HOST,
    Variant { name: "host full, ours", ours: 4, git: 2, other_boot: false, no_machine_id: true, ..HOST },
    Variant { name: "host committed", fsync: Some("committed"), promise: Promise::Whole, ..HOST },
    Variant { name: "host default", promise: Promise::Nothing, other_boot: false, ..HOST },
];

impl Variant {
    /// Whether all who work promise nothing: it is they who are to be caught, whatever becomes of
    /// the store.
    fn is_control(self) -> bool {
        self.ours == 0 && self.promise == Promise::Nothing
    }
}

impl PowerCutArgs {
    /// Who works, in turn.
    fn variants(&self) -> &'static [Variant] {
        if self.git.is_some() { &HOSTS } else { &VARIANTS }
    }
}

/// What a variant came to on one file system.
#[derive(Debug, Default, Serialize)]
struct Row {
    images: u32,
    /// Acknowledged commits that had to be there.
    promised: u64,
    /// References and logs of those who promise nothing, or of git, that lack acknowledged commits.
    lost_unpromised: u64,
    /// Images whose store had to be repaired, because git had listed what it had not synced.
    broken_by_git: u32,
    /// Images in which git's lock had to be removed by hand.
    git_locks: u32,
    /// Images in which the lock of a dead owner was taken over, or removed.
    locked: u32,
    slowest_ms: f64,
}

/// All numbers of a run.
#[derive(Debug, Serialize)]
struct Report<'a> {
    seed: u64,
    rows: &'a BTreeMap<String, Row>,
    images: u32,
    violations: u64,
}

/// The whole run. `false` when something was lost that must not be, or with `--control` nothing of
/// what may.
pub(crate) fn main(args: &PowerCutArgs) -> Result<bool> {
    if !rustix::process::geteuid().is_root() {
        return skipped(args, "only root can mount").map(|()| true);
    }
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let (mut rows, mut violations) = (BTreeMap::new(), Violations::default());
    tell(&format!("{} a file system, seed {seed}", args.amount()))?;
    for file_system in args.file_systems() {
        if let Some(why) = file_system.is_missing() {
            skipped(args, &why)?;
            continue;
        }
        #[cfg(target_os = "linux")]
        if let Some(writes) = args.record_writes {
            recorded::run_on(args, writes, file_system, seed, &mut rows, &mut violations)?;
            continue;
        }
        run_on(args, file_system, seed, &mut rows, &mut violations)?;
    }
    conclude(args, seed, &rows, &violations)
}

/// All variants on one file system.
fn run_on(
    args: &PowerCutArgs,
    file_system: FileSystem,
    seed: u64,
    rows: &mut BTreeMap<String, Row>,
    violations: &mut Violations,
) -> Result<()> {
    let count = args.variants().len() as u32;
    for (number, variant) in (0..).zip(args.variants().iter().copied()) {
        let images = args.images / count + u32::from(number < args.images % count);
        if images == 0 {
            continue;
        }
        let mut machine = Machine::new(args.scratch.as_deref(), file_system)?;
        let what = format!("{}: {}", file_system.name(), variant.name);
        let seed = seed ^ u64::from(number);
        let (session, cuts) =
            session::run(&mut machine, variant, seed, args, |machine| cut_at_random(machine, images, seed))?;
        let row = rows.entry(what.clone()).or_default();
        for cut in &cuts {
            let judged = judge::judge(&machine, variant, &session, cut, violations, &what)?;
            row.add(&judged);
        }
        tell(&row.line(&what))?;
    }
    Ok(())
}

/// Clones the image so many times.
fn cut_at_random(machine: &Machine, images: u32, seed: u64) -> Result<Vec<Cut>> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let cut = |number| {
        thread::sleep(Duration::from_millis(rng.u64(BETWEEN)));
        let before = now();
        machine.cut(number)?;
        Ok(Cut { number, before, after: now() })
    };
    (0..images).map(cut).collect()
}

fn conclude(args: &PowerCutArgs, seed: u64, rows: &BTreeMap<String, Row>, violations: &Violations) -> Result<bool> {
    for what in violations.shown() {
        tell(&format!("VIOLATION  {what}"))?;
    }
    let images = rows.values().map(|row| row.images).sum();
    let caught = rows.values().filter(|row| row.lost_unpromised > 0 || row.broken_by_git > 0).count();
    tell(&format!("{images} images, {} violations", violations.count()))?;
    tell(&match caught {
        0 => "control: nobody lost an acknowledged commit, not even `Ordered` or git".to_owned(),
        rows => format!("control: `Ordered` or git lost acknowledged commits, or the store, in {rows} of the rows"),
    })?;
    if args.json {
        tell(&serde_json::to_string(&Report { seed, rows, images, violations: violations.count() })?)?;
    }
    Ok(violations.count() == 0 && (caught > 0 || !args.control))
}

/// Says loudly that nothing was tested.
fn skipped(args: &PowerCutArgs, why: &str) -> Result<()> {
    if std::env::var_os(REQUIRE).is_some() || !args.file_system.is_empty() {
        bail!("{why}");
    }
    tell(&format!("SKIPPED: {why}"))
}

fn tell(line: &str) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}

impl Row {
    fn add(&mut self, judged: &Judged) {
        self.images += 1;
        self.promised += judged.promised;
        self.lost_unpromised += judged.lost_unpromised;
        self.broken_by_git += u32::from(judged.broken_by_git);
        self.git_locks += u32::from(judged.git_lock);
        self.locked += u32::from(judged.was_locked);
        self.slowest_ms = self.slowest_ms.max(judged.commit_ms);
    }

    fn line(&self, what: &str) -> String {
        let Row { images, promised, lost_unpromised, broken_by_git, git_locks, locked, slowest_ms } = self;
        format!(
            "{what:<38} {images:>4} images {promised:>8} promised, {lost_unpromised:>5} lost that may be; \
             {broken_by_git} broken by git, {locked} locked ({git_locks} by git), commit in {slowest_ms:.1} ms at most"
        )
    }
}
