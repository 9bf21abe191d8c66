//! What came of a run, against what every process wrote down.

mod accounts;
mod git;
mod in_flight;
mod indexes;
mod owned;
mod recovery;
mod stalls;
mod state;

use std::fs;

use anyhow::{Context, Result};
use reftable::Stack;
use reftable::verify::Severity;
use serde::Serialize;

use crate::args::Shared;
use crate::history::{History, Op};
use crate::repo::Repository;
use crate::violations::Violations;
use state::State;

pub(crate) use stalls::{ByLock, Disturbances, Kill, Stalls};

/// Everything there is to judge by.
pub(crate) struct Evidence<'a> {
    /// What every process wrote down.
    pub(crate) histories: &'a [History],
    /// The repository as it was left.
    pub(crate) repository: &'a Repository,
    /// What every process was told.
    pub(crate) shared: &'a Shared,
    /// Whether the clock of the day went on evenly, so that moments of different processes can be
    /// compared.
    pub(crate) clock_is_even: bool,
    /// Whether git is asked, too.
    pub(crate) with_git: bool,
    /// What was done to the processes, if anything was.
    pub(crate) disturbances: Option<Disturbances>,
}

/// How much was looked at. A check that looked at nothing says nothing.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Checked {
    /// Acknowledged transactions that were looked for.
    pub(crate) acknowledged: u64,
    /// Transfers that were replayed, git's among them.
    pub(crate) transfers: u64,
    /// Of these, git's.
    pub(crate) git_transfers: u64,
    /// States of all accounts that processes saw while it ran, and that were found in that order.
    pub(crate) states: u64,
    /// References that were compared with what their only writer knew.
    pub(crate) owned_refs: u64,
    /// Log entries that were compared with what was written.
    pub(crate) log_entries: u64,
    /// Acknowledged update indexes, each used once.
    pub(crate) update_indexes: u64,
    /// Pairs "acknowledged before begun" that could be compared.
    pub(crate) real_time: u64,
    /// Whether git has `refs verify`, and it was asked.
    pub(crate) refs_verify: bool,
    /// References that git and we listed alike.
    pub(crate) git_refs: u64,
    /// Log entries that git and we listed alike.
    pub(crate) git_log_entries: u64,
    /// Transactions that were in flight when their process was killed.
    pub(crate) in_flight: u64,
    /// Of these, those that are there.
    pub(crate) in_flight_there: u64,
    /// How long the others had to wait after each kill.
    pub(crate) stalls: Option<Stalls>,
    /// Tables that `verify` walked.
    pub(crate) tables: u64,
}

/// Names one transaction of all histories: the history's number, the transaction's in it.
type Key = (usize, usize);

/// Checks everything. A store that cannot be opened or read is a violation like any other.
pub(crate) fn check(evidence: &Evidence<'_>, violations: &mut Violations) -> Checked {
    let mut checked = Checked::default();
    for history in evidence.histories {
        violations.add_all(&history.process, &history.violations);
        if !history.done && !history.was_killed {
            violations.add(format!("{} did not come to its end", history.process));
        }
        checked.acknowledged += history.acked().count() as u64;
    }
    if let Err(error) = check_store(evidence, violations, &mut checked) {
        violations.add(format!("the checks came to no end: {error:#}"));
    }
    checked
}

fn check_store(evidence: &Evidence<'_>, violations: &mut Violations, checked: &mut Checked) -> Result<()> {
    let open = || Stack::open(evidence.repository.layout.store(), evidence.shared.options());
    if let Some(disturbances) = &evidence.disturbances {
        checked.stalls = Some(stalls::check(evidence, disturbances, violations));
        recovery::check(open()?, violations)?;
    }
    garbage(evidence, violations)?;
    let stack = open().context("cannot open the store after the run")?;
    verify(&stack, violations, checked)?;
    let state = State::read(&stack.snapshot()?)?;
    in_flight::check(evidence, &state, violations, checked);
    let transfers = accounts::check(evidence, &state, violations, checked);
    owned::check(evidence, &state, violations, checked);
    indexes::check(evidence, &transfers, violations, checked);
    if evidence.with_git {
        evidence.repository.add_objects(evidence.shared, &all_objects(evidence))?;
        git::check(evidence, &state, violations, checked)?;
    }
    Ok(())
}

/// Checks what single processes alone have written, and no more: for a store that was not left in
/// peace.
#[cfg(unix)]
pub(crate) fn check_owned(evidence: &Evidence<'_>, violations: &mut Violations, checked: &mut Checked) -> Result<()> {
    let stack = Stack::open(evidence.repository.layout.store(), evidence.shared.options());
    let state = State::read(&stack.context("cannot open the store")?.snapshot()?)?;
    owned::check(evidence, &state, violations, checked);
    in_flight::check(evidence, &state, violations, checked);
    Ok(())
}

/// The messages of all commits whose ids were used or meant to be.
fn all_objects<'a>(evidence: &Evidence<'a>) -> Vec<&'a str> {
    let minted = all_ops(evidence).flat_map(|(_, _, op)| &op.draft.minted);
    evidence.repository.opening.iter().chain(minted).map(String::as_str).collect()
}

/// Nothing is wrong with the store. That includes tables of which nothing is proven: kills leave
/// none, beside git either.
fn verify(stack: &Stack, violations: &mut Violations, checked: &mut Checked) -> Result<()> {
    let report = stack.verify()?;
    for finding in report.findings.iter().filter(|finding| finding.severity > Severity::Note) {
        violations.add(format!("verify: {finding}"));
    }
    checked.tables = report.tables.len() as u64;
    Ok(())
}

/// All processes have ended: no lock and no temporary file may be left.
fn garbage(evidence: &Evidence<'_>, violations: &mut Violations) -> Result<()> {
    for entry in fs::read_dir(evidence.repository.layout.store()).context("cannot list the store")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".ref") && name != "tables.list" {
            violations.add(format!("{name} was left behind"));
        }
    }
    Ok(())
}

/// All transactions of all histories.
fn all_ops<'a>(evidence: &Evidence<'a>) -> impl Iterator<Item = (Key, &'a History, &'a Op)> {
    evidence.histories.iter().enumerate().flat_map(|(number, history)| {
        history.ops.iter().enumerate().map(move |(position, op)| ((number, position), history, op))
    })
}
