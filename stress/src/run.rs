//! The parent: makes the repository, starts the processes, waits, checks, tells.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::args::{RunArgs, Usage};
use crate::checker::{self, Evidence};
use crate::git;
use crate::history::History;
use crate::progress::Progress;
use crate::repo::Repository;
use crate::report::{Report, Side};
use crate::roles::RoleKind;
use crate::violations::Violations;

/// How long a process may take to finish its last step.
const GRACE: Duration = Duration::from_secs(30);
/// How often the parent looks.
const LOOK: Duration = Duration::from_millis(100);
/// More than this between two clocks, and the clock of the day was set.
const UNEVEN: Duration = Duration::from_millis(2);

/// A process of the run.
struct Process {
    name: String,
    role: RoleKind,
    child: Child,
}

/// Where the run takes place, and whether it is removed afterwards.
enum Place {
    Kept(PathBuf),
    Temporary(TempDir),
}

/// The whole run. `false` when there was a violation.
pub(crate) fn main(args: &RunArgs) -> Result<bool> {
    let version = git::version();
    if let Err(why) = &version {
        tell(&format!("running without git: {why}"))?;
    }
    let place = Place::choose(args.dir.as_deref())?;
    let mut violations = Violations::default();
    match carry_out(args, version.ok(), place.path(), &mut violations) {
        Ok(report) => {
            place.leave(violations.count() > 0)?;
            report.print(&violations, args.json)?;
            Ok(violations.count() == 0)
        }
        Err(error) => {
            place.leave(true)?;
            Err(error)
        }
    }
}

/// Starts everything, waits, and checks.
fn carry_out(args: &RunArgs, git_version: Option<String>, root: &Path, violations: &mut Violations) -> Result<Report> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let with_git = git_version.is_some();
    let drivers = if with_git { args.git } else { 0 };
    let repository = Repository::create(root, &args.shared, with_git)?;
    let title = format!("{} processes of ours, {drivers} of git's", args.processes);
    tell(&format!("{title}, {} s, seed {seed}, in {}", args.seconds, root.display()))?;

    let clocks = (Instant::now(), SystemTime::now());
    let mut processes = start(args, seed, drivers, &repository)?;
    let paths = processes.iter().map(|process| repository.layout.history(&process.name)).collect();
    let mut progress = Progress::new(args.seconds, paths);
    wait(&mut processes, args.seconds, &mut progress, violations)?;
    let clock_is_even = is_even(clocks);
    progress.checking();

    let layout = &repository.layout;
    let load = |process: &Process| History::load(&layout.history(&process.name), &process.name, process.role);
    let histories = processes.iter().map(load).collect::<Result<Vec<_>>>()?;
    let (histories, repository, shared) = (&histories, &repository, &args.shared);
    let evidence = Evidence { histories, repository, shared, clock_is_even, with_git };
    let checked = checker::check(&evidence, violations);
    let side = |git: bool| Side::of(histories.iter().filter(|history| history.role.is_git() == git), args.seconds);
    Ok(Report {
        seed,
        seconds: args.seconds,
        hash: shared.hash().name(),
        durability: format!("{:?}", shared.durability).to_lowercase(),
        git_version,
        ours: side(false)?,
        git: side(true)?,
        clock_is_even,
        checked,
        violations: violations.count(),
    })
}

fn tell(line: &str) -> Result<()> {
    writeln!(io::stdout().lock(), "{line}").context("cannot write to standard output")
}

impl Place {
    fn choose(dir: Option<&Path>) -> Result<Place> {
        let Some(dir) = dir else {
            let temporary = tempfile::Builder::new().prefix("reftable-stress-").tempdir();
            return Ok(Place::Temporary(temporary.context("cannot create a temporary directory")?));
        };
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let mut entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
        if entries.next().is_some() {
            return Err(Usage(format!("--dir: {} is not empty", dir.display())).into());
        }
        Ok(Place::Kept(dir.canonicalize().with_context(|| format!("cannot resolve {}", dir.display()))?))
    }

    fn path(&self) -> &Path {
        match self {
            Place::Kept(path) => path,
            Place::Temporary(dir) => dir.path(),
        }
    }

    /// Removes it, unless it was asked for or is evidence.
    fn leave(self, evidence: bool) -> Result<()> {
        match self {
            Place::Kept(path) => tell(&format!("kept       {}", path.display())),
            Place::Temporary(dir) if evidence => tell(&format!("kept       {}", dir.keep().display())),
            Place::Temporary(dir) => dir.close().context("cannot remove the temporary directory"),
        }
    }
}

fn start(args: &RunArgs, seed: u64, drivers: u32, repository: &Repository) -> Result<Vec<Process>> {
    let ours = (0..args.processes).map(|number| (format!("ours-{number}"), RoleKind::ours(number)));
    let git = (0..drivers).map(|number| (format!("git-{number}"), RoleKind::git(number)));
    let mut seeds = fastrand::Rng::with_seed(seed);
    let mut processes = Vec::new();
    for (name, role) in ours.chain(git) {
        match spawn(args, seeds.u64(..), &name, role, repository) {
            Ok(child) => processes.push(Process { name, role, child }),
            Err(error) => {
                end_all(&mut processes);
                return Err(error);
            }
        }
    }
    Ok(processes)
}

fn spawn(args: &RunArgs, seed: u64, name: &str, role: RoleKind, repository: &Repository) -> Result<Child> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let role = clap::ValueEnum::to_possible_value(&role).context("a role without a name")?;
    Command::new(program)
        .arg("worker")
        .args(["--role", role.get_name(), "--name", name])
        .arg("--root")
        .arg(&repository.layout.root)
        .args(["--seed", &seed.to_string(), "--millis", &(args.seconds * 1000).to_string()])
        .args(args.shared.to_args())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start a process")
}

/// Waits for all processes. One that does not end is ended, and that is a violation.
fn wait(processes: &mut [Process], seconds: u64, progress: &mut Progress, violations: &mut Violations) -> Result<()> {
    let begin = Instant::now();
    let limit = Duration::from_secs(seconds) + GRACE;
    loop {
        let mut running = false;
        for process in processes.iter_mut() {
            running |= process.child.try_wait().context("cannot wait for a process")?.is_none();
        }
        progress.update(begin.elapsed());
        if !running {
            break;
        }
        if begin.elapsed() > limit {
            violations.add("a process did not end in time");
            end_all(processes);
        }
        thread::sleep(LOOK);
    }
    for process in processes.iter_mut() {
        let status = process.child.wait().context("cannot wait for a process")?;
        // With 1 it says that its history has violations; they are counted there.
        if !matches!(status.code(), Some(0 | 1)) {
            violations.add(format!("{} ended with {status}", process.name));
        }
    }
    Ok(())
}

fn end_all(processes: &mut [Process]) {
    for process in processes {
        // One that has ended already is as well.
        let _ = process.child.kill();
        let _ = process.child.wait();
    }
}

/// Whether the clock of the day went on like the one that nobody sets.
fn is_even((instant, system): (Instant, SystemTime)) -> bool {
    let passed = instant.elapsed();
    system.elapsed().is_ok_and(|shown| shown.abs_diff(passed) < UNEVEN)
}
