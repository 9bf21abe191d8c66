//! The parent: makes the repository, starts the processes, waits, checks, tells.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::args::{RunArgs, Usage};
use crate::chaos::Chaos;
use crate::checker::{self, Evidence};
use crate::crew::{Crew, Drivers};
use crate::git;
use crate::history::History;
use crate::metrics::Metrics;
use crate::progress::Progress;
use crate::repo::Repository;
use crate::report::{Report, Side};
use crate::roles::RoleKind;
use crate::violations::Violations;

/// More than this between two clocks, and the clock of the day was set.
const UNEVEN: Duration = Duration::from_millis(2);

/// Where the run takes place, and whether it is removed afterwards.
pub(crate) enum Place {
    Kept(PathBuf),
    Temporary(TempDir),
}

/// The whole run. `false` when there was a violation.
pub(crate) fn main(args: &RunArgs) -> Result<bool> {
    #[cfg(unix)]
    if crate::bench::is_wanted(args) {
        return crate::bench::main(args);
    }
    if args.ours() == 0 && args.gits() == 0 && args.rare_git == 0 {
        return Err(Usage("nobody writes: such a run says nothing".to_owned()).into());
    }
    if args.chaos && args.ours() == 0 {
        return Err(Usage("--chaos has nobody to kill".to_owned()).into());
    }
    #[cfg(unix)]
    if args.users.is_some() && !crate::users::may_be_others()? {
        tell("SKIPPED: --users: only root can be several users")?;
        return Ok(true);
    }
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

/// What commits in this run.
fn title(args: &RunArgs, drivers: &Drivers, users: &str) -> String {
    let threads = if args.shared.threads > 1 { format!(" ({} threads)", args.shared.threads) } else { String::new() };
    let chaos = if args.chaos { ", chaos" } else { "" };
    let rare = if drivers.rare > 0 { format!(" and {} rare ones", drivers.rare) } else { String::new() };
    format!("{} processes of this library{threads}, {} of git's{rare}{users}{chaos}", args.ours(), drivers.busy)
}

/// Starts everything, waits, and checks.
fn carry_out(args: &RunArgs, git_version: Option<String>, root: &Path, violations: &mut Violations) -> Result<Report> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let with_git = git_version.is_some();
    let drivers = if with_git { Drivers { busy: args.gits(), rare: args.rare_git } } else { Drivers::default() };
    #[cfg(unix)]
    if args.users.is_some() {
        crate::users::share(root)?;
    }
    let repository = Repository::create(root, &args.shared, with_git)?;
    let users = share(args, &repository, with_git)?;
    let title = title(args, &drivers, &users);
    tell(&format!("{title}, {} s, seed {seed}, in {}", args.seconds, root.display()))?;

    let clocks = (Instant::now(), SystemTime::now());
    #[cfg(unix)]
    let begin = crate::history::now();
    let mut crew = Crew::start(args, seed, drivers, &repository.layout)?;
    let mut chaos = args.chaos.then(|| Chaos::new(seed, args.break_robustness.map(Duration::from_millis)));
    let mut progress = Progress::new(args.seconds);
    crew.wait(chaos.as_mut(), &mut progress, violations)?;
    let clock_is_even = is_even(clocks);
    progress.checking();
    if args.break_store {
        forget_the_newest(&repository.layout.store())?;
    }

    let histories = crew.histories()?;
    let disturbances = chaos.map(Chaos::disturbances);
    if disturbances.as_ref().is_some_and(|done| done.kills.is_empty()) {
        return Err(Usage("nobody was killed: such a chaos says nothing".to_owned()).into());
    }
    let (histories, repository, shared) = (&histories, &repository, &args.shared);
    let evidence = Evidence { histories, repository, shared, clock_is_even, with_git, disturbances };
    #[cfg(unix)]
    let judged = judge_history(&evidence, begin, root, violations)?;
    let checked = checker::check(&evidence, violations);
    #[cfg(unix)]
    if let (Some(path), Some(judged)) = (&args.bench.html, judged) {
        page(path, &title, judged, violations)?;
    }
    let side =
        |is_in: fn(RoleKind) -> bool| Side::of(histories.iter().filter(|history| is_in(history.role)), args.seconds);
    Ok(Report {
        seed,
        seconds: args.seconds,
        hash: shared.hash().name(),
        durability: format!("{:?}", shared.durability).to_lowercase(),
        git_version,
        ours: side(|role| !role.is_git())?,
        git: side(|role| role.is_git() && role != RoleKind::GitRare)?,
        rare_git: side(|role| role == RoleKind::GitRare)?,
        metrics: metrics_of(histories),
        clock_is_even,
        checked,
        violations: violations.count(),
    })
}

/// A history, and what came of it.
#[cfg(unix)]
type JudgedHistory = (Vec<crate::judge::event::Event>, crate::judge::claims::Verdict);

/// Leaves the history of the run as others read it, and has it judged as theirs is.
#[cfg(unix)]
fn judge_history(
    evidence: &Evidence<'_>,
    begin: u64,
    root: &Path,
    violations: &mut Violations,
) -> Result<Option<JudgedHistory>> {
    if !evidence.clock_is_even {
        tell("no history for others: the clock was set meanwhile, and lines would not be in order")?;
        return Ok(None);
    }
    let (opening, disturbances) = (&evidence.repository.opening, evidence.disturbances.as_ref());
    let (hash, histories) = (evidence.shared.hash(), evidence.histories);
    let events = crate::export::events(&crate::export::Source { begin, hash, opening, histories, disturbances });
    crate::export::write(&root.join(crate::bench::HISTORY), &events)?;
    // Where nothing was acknowledged there is nothing to judge: the other checks say so.
    let verdict = crate::judge::judge(&events).unwrap_or_default();
    for finding in verdict.claims.iter().flat_map(|judged| &judged.findings) {
        violations.add(format!("by its history: {}: {}", finding.claim.words(), finding.what));
    }
    Ok(Some((events, verdict)))
}

/// A page with the run; whatever other checks have found stands with the claim that they are about
/// what is there in the end.
#[cfg(unix)]
fn page(path: &Path, title: &str, (events, mut verdict): JudgedHistory, violations: &Violations) -> Result<()> {
    use crate::bench::stalls::Stalls;
    use crate::judge::claims::Claim;

    verdict.looked_at(Claim::Sound, 1);
    for what in violations.shown().iter().filter(|what| !what.starts_with("by its history")) {
        verdict.broken(Claim::Sound, what.as_str());
    }
    crate::html::write(path, title, &events, &verdict, &Stalls::of(&events, Vec::new()))
}

/// Has git share what it makes, if there are several users; returns what is told of them.
#[cfg(unix)]
fn share(args: &RunArgs, repository: &Repository, with_git: bool) -> Result<String> {
    let Some(users) = args.users else { return Ok(String::new()) };
    if with_git {
        git::output(&repository.layout.work_tree(), &["config", "core.sharedRepository", "group"])?;
    }
    Ok(format!(", {users} users"))
}

/// Elsewhere there is one user.
#[cfg(not(unix))]
fn share(_: &RunArgs, _: &Repository, _: bool) -> Result<String> {
    Ok(String::new())
}

/// Prints a line.
pub(crate) fn tell(line: &str) -> Result<()> {
    writeln!(io::stdout().lock(), "{line}").context("cannot write to standard output")
}

impl Place {
    pub(crate) fn choose(dir: Option<&Path>) -> Result<Place> {
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

    pub(crate) fn path(&self) -> &Path {
        match self {
            Place::Kept(path) => path,
            Place::Temporary(dir) => dir.path(),
        }
    }

    /// Removes it, unless it was asked for or is evidence.
    pub(crate) fn leave(self, evidence: bool) -> Result<()> {
        match self {
            Place::Kept(path) => tell(&format!("kept       {}", path.display())),
            Place::Temporary(dir) if evidence => tell(&format!("kept       {}", dir.keep().display())),
            Place::Temporary(dir) => dir.close().context("cannot remove the temporary directory"),
        }
    }
}

/// A control: takes the newest table out of the list, and with it what was acknowledged last.
fn forget_the_newest(store: &Path) -> Result<()> {
    let list = store.join("tables.list");
    let names = fs::read_to_string(&list).context("cannot read the list")?;
    let kept: String =
        names.lines().rev().skip(1).collect::<Vec<_>>().into_iter().rev().map(|name| format!("{name}\n")).collect();
    fs::write(&list, kept).context("cannot write the list")
}

/// Of all stacks of this library; of one that was killed, what it had told.
fn metrics_of(histories: &[History]) -> Metrics {
    let mut all = Metrics::default();
    histories.iter().filter_map(|history| history.metrics.as_ref()).for_each(|metrics| all.add(metrics));
    all
}

/// Whether the clock of the day went on like the one that nobody sets.
fn is_even((instant, system): (Instant, SystemTime)) -> bool {
    let passed = instant.elapsed();
    system.elapsed().is_ok_and(|shown| shown.abs_diff(passed) < UNEVEN)
}
