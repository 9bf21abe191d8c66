//! An image, against what was acknowledged before it was cut off.

use std::fs;
use std::io;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Error, Result, bail};
use reftable::dir::{Dir, OsDir};
use reftable::repair::{Problem, Repair};
use reftable::table::Table;
use reftable::verify::Severity;
use reftable::{ErrorKind, Expect, Options, Stack, Target};
use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::session::{Cut, Session};
use super::{Promise, Variant};
use crate::args::{Durability, PowerJudgeArgs};
use crate::checker::{self, Checked, Evidence};
use crate::history::{History, Outcome};
use crate::repo::{Layout, Repository};
use crate::violations::Violations;

/// How long the first commit waits for what dead processes have left.
const AT_ONCE: Duration = Duration::from_millis(500);
const LIST: &str = "tables.list";
const LIST_LOCK: &str = "tables.list.lock";

/// What an image came to.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) promised: u64,
    pub(super) lost_unpromised: u64,
    pub(super) was_locked: bool,
    pub(super) git_lock: bool,
    /// Whether git had listed a table that it had not synced as a whole, so that the store had to
    /// be repaired.
    pub(super) broken_by_git: bool,
    /// Whether no listed table can be read, and git made them all: nothing is left to look at.
    is_ruined: bool,
    pub(super) commit_ms: f64,
}

/// What the first process of the next run of the kernel was told.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    commit_ms: f64,
    /// Whether it was refused because of a lock.
    is_locked: bool,
    error: Option<String>,
    findings: Vec<String>,
}

/// Mounts and judges one.
pub(super) fn judge(
    machine: &Machine,
    variant: Variant,
    session: &Session,
    cut: &Cut,
    violations: &mut Violations,
    what: &str,
) -> Result<Judged> {
    let _mounted = machine.mount_cut(cut.number)?;
    let layout = Layout { root: machine.path("cut") };
    let (number, mut found) = (cut.number, Violations::default());
    let mut judged = Judged::default();
    if variant.git > 0 && variant.promise == Promise::Nothing {
        repair(&layout, &mut judged).unwrap_or_else(|error| found.add(format!("{error:#}")));
    }
    if !judged.is_ruined {
        let looked = look(variant, session, cut, &layout, &mut found, &mut judged);
        looked.unwrap_or_else(|error| found.add(format!("{error:#}")));
        let committed = commit(variant, &layout, &mut found, &mut judged);
        committed.unwrap_or_else(|error| found.add(format!("{error:#}")));
    }
    if variant.is_control() {
        judged.broken_by_git |= found.count() > 0;
        return Ok(judged);
    }
    found.shown().iter().for_each(|line| violations.add(format!("{what}, image {number}: {line}")));
    Ok(judged)
}

/// Repairs a store that cannot be opened. Of what git has left its lock goes first, as a
/// person would have it.
fn repair(layout: &Layout, judged: &mut Judged) -> Result<()> {
    if Stack::open(layout.store(), Options::default().reload_deadline(Duration::ZERO)).is_ok() {
        return Ok(());
    }
    judged.broken_by_git = true;
    let lock = layout.store().join(LIST_LOCK);
    if lock.exists() && !is_ours(&lock) {
        judged.git_lock = true;
        fs::remove_file(&lock).context("cannot remove git's lock")?;
    }
    judged.is_ruined = !can_any_table_be_read(layout)?;
    if judged.is_ruined {
        return Ok(());
    }
    let repair = Repair::new(layout.store()).patience(Duration::ZERO);
    for problem in repair.diagnose()?.iter().filter(|problem| matches!(problem, Problem::List(_))) {
        repair.fix(problem).context("cannot repair what git has left")?;
    }
    Ok(())
}

/// Whether a listed table can be read, or none is listed.
///
/// # Errors
/// One cannot be read that has a note, and so is of this library.
fn can_any_table_be_read(layout: &Layout) -> Result<bool> {
    let dir = OsDir::new(layout.store(), None);
    // Without a list the tables are for `repair` to judge.
    let Ok(list) = fs::read_to_string(layout.store().join(LIST)) else { return Ok(true) };
    let mut any = list.is_empty();
    for name in list.lines() {
        let path = layout.store().join(name);
        let Err(error) = fs::read(&path).map_err(Error::from).and_then(|bytes| Ok(Table::open(&path, bytes)?)) else {
            any = true;
            continue;
        };
        if dir.open(name).and_then(|file| file.attribute()).is_ok_and(|note| note.is_some()) {
            bail!("a table of this library cannot be read: {error:#}");
        }
    }
    Ok(any)
}

/// Whether all is there that was promised.
fn look(
    variant: Variant,
    session: &Session,
    cut: &Cut,
    layout: &Layout,
    found: &mut Violations,
    judged: &mut Judged,
) -> Result<()> {
    let repository = Repository { layout: layout.clone(), opening: session.repository.opening.clone() };
    // What git published without syncing it takes with it what lies below.
    let is_kept = variant.durability == Durability::Full && !judged.broken_by_git;
    let promises = |history: &History| is_kept && (!history.role.is_git() || variant.promise == Promise::All);
    let strict: Vec<History> = session.histories.iter().map(|history| history.cut(cut.before, cut.after)).collect();
    let loose = strict.iter().cloned().map(|history| if promises(&history) { history } else { history.doubted() });
    let loose: Vec<History> = loose.collect();
    judged.promised = loose.iter().map(|history| history.acked().count() as u64).sum();
    let count = |histories: &[History], violations: &mut Violations| {
        let shared = &session.shared;
        let (repository, histories) = (&repository, histories);
        let evidence =
            Evidence { histories, repository, shared, clock_is_even: false, with_git: false, disturbances: None };
        checker::check_owned(&evidence, violations, &mut Checked::default())
    };
    count(&loose, found)?;
    let mut all = Violations::default();
    count(&strict, &mut all)?;
    judged.lost_unpromised = all.count().saturating_sub(found.count());
    Ok(())
}

/// Whether the store takes a commit at once, and is whole before and after it.
fn commit(variant: Variant, layout: &Layout, found: &mut Violations, judged: &mut Judged) -> Result<()> {
    let lock = layout.store().join(LIST_LOCK);
    judged.was_locked = judged.git_lock || lock.exists();
    let mut told = ask(variant, layout)?;
    // git's locks tell nothing of their owners: a person removes them.
    if told.is_locked && variant.git > 0 && variant.promise == Promise::Nothing && !is_ours(&lock) {
        judged.git_lock = true;
        fs::remove_file(&lock).context("cannot remove git's lock")?;
        told = ask(variant, layout)?;
    }
    judged.commit_ms = told.commit_ms;
    told.findings.into_iter().chain(told.error).for_each(|what| found.add(what));
    Ok(())
}

fn is_ours(lock: &std::path::Path) -> bool {
    fs::read(lock).is_ok_and(|contents| contents.starts_with(b"reftable lock"))
}

/// Has another process do it, for whom the machine was started anew, if that is wanted.
fn ask(variant: Variant, layout: &Layout) -> Result<Told> {
    let mut script = String::from("set -e\n");
    if variant.other_boot {
        let (boot, stat) = (layout.root.join("boot_id"), layout.root.join("stat"));
        fs::write(&boot, "6fb1cf6e-0000-4000-8000-00000000b007\n").context("cannot write an id of a boot")?;
        fs::write(&stat, started_now()?).context("cannot write the statistics of a boot")?;
        script.push_str(&format!("mount --bind '{}' /proc/sys/kernel/random/boot_id\n", boot.display()));
        script.push_str(&format!("mount --bind '{}' /proc/stat\n", stat.display()));
    }
    if variant.no_machine_id {
        script.push_str("if [ -e /etc/machine-id ]; then mount --bind /dev/null /etc/machine-id; fi\n");
    }
    script.push_str("exec \"$0\" power-judge --store \"$1\"\n");
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).arg(program).arg(layout.store());
    let output = command.output().context("cannot run unshare")?;
    if !output.status.success() {
        bail!("the look at an image failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("the look at an image tells nonsense")
}

/// `/proc/stat` of a kernel that starts with the next second.
fn started_now() -> Result<String> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() + 1;
    let line = |line: &str| if line.starts_with("btime ") { format!("btime {seconds}\n") } else { format!("{line}\n") };
    Ok(stat.lines().map(line).collect())
}

/// The `power-judge` command: prints what it was [`Told`].
pub(crate) fn main(args: &PowerJudgeArgs) -> Result<bool> {
    let mut told = Told { commit_ms: 0.0, is_locked: false, error: None, findings: Vec::new() };
    let stack = Stack::open(&args.store, Options::default().lock_timeout(Some(AT_ONCE)));
    match stack.and_then(|stack| first_commit(&stack, &mut told)) {
        Ok(()) => {}
        Err(error) => {
            told.is_locked = error.kind() == ErrorKind::Locked;
            told.error = Some(format!("{error:#}"));
        }
    }
    serde_json::to_writer(io::stdout().lock(), &told)?;
    Ok(true)
}

fn first_commit(stack: &Stack, told: &mut Told) -> reftable::Result<()> {
    verify(stack, told)?;
    let begun = Instant::now();
    let mut tx = stack.transaction();
    tx.set("refs/heads/after", Expect::Absent, Target::symbolic("refs/heads/main"));
    tx.commit()?;
    told.commit_ms = begun.elapsed().as_secs_f64() * 1e3;
    verify(stack, told)
}

fn verify(stack: &Stack, told: &mut Told) -> reftable::Result<()> {
    let report = stack.verify()?;
    let bad = report.findings.iter().filter(|finding| finding.severity == Severity::Error);
    told.findings.extend(bad.map(|finding| format!("verify: {finding}")));
    Ok(())
}

impl History {
    /// What is known of it if the power was cut between these two moments.
    fn cut(&self, before: u64, after: u64) -> History {
        let mut history = self.clone();
        history.ops.retain(|op| op.at <= after);
        for op in &mut history.ops {
            if matches!(op.outcome, Outcome::Acked { at, .. } if at > before) {
                op.outcome = Outcome::Unknown;
            }
        }
        history
    }

    /// What is known if nothing was promised.
    fn doubted(mut self) -> History {
        for op in &mut self.ops {
            if matches!(op.outcome, Outcome::Acked { .. }) {
                op.outcome = Outcome::Unknown;
            }
        }
        self
    }
}
