//! Looking at a store without changing it.

use std::sync::Arc;
use std::time::Duration;

use super::case::ListCase;
use super::problem::{ListProblem, Problem, shown};
use super::propose::propose;
use super::survey::{ListSeen, LockSeen, Survey, TableSeen};
use super::{Evidence, Repair};
use crate::dir::Dir;
use crate::error::Result;
use crate::escape::command;
use crate::garbage::GarbageTable;
use crate::list::{self, LIST_LOCK, TableName, is_temporary_name};
use crate::lock::{ExclusiveFile, is_foreign};
use crate::stack::{Options, Stack};

/// Everything that is wrong. What others do at this moment looks like a problem, too: a table has
/// its name before the list names it, what a compaction has merged stays for a moment, git has its
/// lock. So what counts is what is found in every look, for as long as readers would wait for it;
/// or, of a list, at a moment when no process can have been in the middle of something.
pub(super) fn diagnose(repair: &Repair) -> Result<Vec<Problem>> {
    let dir = &repair.dir;
    let Some(mut survey) = Survey::take(dir, false, None)? else { return Ok(Vec::new()) };
    let mut problems = judge(dir, &survey);
    let (mut waited, mut pause) = (Duration::ZERO, Duration::from_millis(5));
    while !is_certain(&survey, &problems) && waited < repair.patience {
        dir.sleep(pause);
        waited += pause;
        pause = (pause * 2).min(repair.patience / 4).max(Duration::from_millis(1));
        let Some(next) = Survey::take(dir, false, Some(survey))? else { return Ok(Vec::new()) };
        let now = judge(dir, &next);
        problems = problems.into_iter().filter_map(|problem| problem.seen_again(&now)).collect();
        survey = next;
    }
    if problems.is_empty() {
        problems.extend(refused(dir));
    }
    Ok(problems)
}

fn is_certain(survey: &Survey, problems: &[Problem]) -> bool {
    let is_of_list = |problem: &Problem| match problem {
        // What a compaction has dropped stays for a moment.
        Problem::List(list) => !list.has_gaps,
        problem => matches!(problem, Problem::NeedsCompaction { .. }),
    };
    problems.is_empty() || (survey.is_quiet && problems.iter().all(is_of_list))
}

/// What is wrong while the list lock is held: no other process changes anything.
pub(super) fn diagnose_locked(repair: &Repair) -> Result<Vec<Problem>> {
    let Some(survey) = Survey::take(&repair.dir, true, None)? else { return Ok(Vec::new()) };
    let mut problems = judge(&repair.dir, &survey);
    if !problems.iter().any(|problem| matches!(problem, Problem::Garbage { .. })) {
        // With the lock of a dead owner went what had hidden another problem.
        let garbage = ListCase::of(&*repair.dir, &survey).garbage;
        problems.extend(garbage_files(&repair.dir, &survey, &garbage));
    }
    Ok(problems)
}

/// What is wrong by one look.
fn judge(dir: &Arc<dyn Dir>, survey: &Survey) -> Vec<Problem> {
    let mut problems = locks(dir, survey);
    let mut case = ListCase::of(&**dir, survey);
    case.note_fitting();
    if case.is_broken() {
        let is_lost = !matches!(&survey.list, ListSeen::Read(_, list) if !list.is_empty() && list::parse(list).is_ok());
        let fix = propose(&case);
        let has_gaps = !case.gaps.is_empty();
        problems.push(Problem::List(ListProblem { reasons: case.reasons, fix, is_lost, has_gaps }));
        return problems;
    }
    problems.extend(needs_compaction(dir, &case));
    if survey.lock != LockSeen::Held {
        problems.extend(unlisted(dir, &case));
        problems.extend(garbage_files(dir, survey, &case.garbage));
    }
    problems
}

/// What readers find decides: a store without problems can be opened.
fn refused(dir: &Arc<dyn Dir>) -> Option<Problem> {
    let error = Stack::open_in(Arc::clone(dir), Box::new(ExclusiveFile), Options::default()).err()?;
    let fix = Err("restore what it names from a copy of the repository".to_owned());
    Some(Problem::List(ListProblem {
        reasons: vec![error.without_way_out().to_string()],
        fix,
        is_lost: true,
        has_gaps: false,
    }))
}

fn locks(dir: &Arc<dyn Dir>, survey: &Survey) -> Vec<Problem> {
    let is_lock = |name: &&String| {
        let of_table = name.strip_suffix(".lock").is_some_and(|table| TableName::parse(table).is_some());
        of_table || (name.as_str() == LIST_LOCK && survey.lock == LockSeen::Held)
    };
    let foreign = survey.names.iter().filter(is_lock).filter(|name| is_foreign(dir, name));
    foreign.filter_map(|name| Evidence::of(dir, name)).map(Problem::ForeignLock).collect()
}

/// What readers cope with.
fn needs_compaction(dir: &Arc<dyn Dir>, case: &ListCase<'_>) -> Option<Problem> {
    if let Some((below, above)) = case.overlaps {
        let reason = format!("{} and {} above it have update indexes in common", shown(below), shown(above));
        return Some(Problem::NeedsCompaction { reason, command: command(dir.path(), "compact --all") });
    }
    let flawed = case.present.iter().find_map(|candidate| Some((candidate.name, candidate.whole.flaw.as_ref()?)));
    let (table, flaw) = flawed?;
    let reason = format!("the indexes of {} are damaged, its records are not: {flaw}", shown(table));
    Some(Problem::NeedsCompaction { reason, command: command(dir.path(), "compact --rewrite") })
}

/// Tables beside a list that leads to a store.
fn unlisted(dir: &Arc<dyn Dir>, case: &ListCase<'_>) -> Option<Problem> {
    let is_listed = |name: &str| case.present.iter().any(|candidate| candidate.name == name);
    let described = |seen: &TableSeen| match seen {
        TableSeen::Whole(whole) => Some(format!("update indexes {} to {}", whole.min, whole.max)),
        TableSeen::Damaged(reason, _) => Some(reason.clone()),
        TableSeen::Missing | TableSeen::Strange(_) | TableSeen::Unreadable(_) => None,
    };
    let tables: Vec<(String, String)> = case
        .survey
        .tables()
        // JGit works on files whose names are not exactly a table's.
        .filter(|(name, _)| TableName::parse(name).is_some() && !is_listed(name) && !case.is_garbage(name))
        .filter_map(|(name, seen)| Some((name.to_owned(), described(seen)?)))
        .collect();
    (!tables.is_empty()).then(|| Problem::Unlisted { store: dir.path().to_owned(), tables })
}

/// What dead processes of this library left, and tables that nobody can need, each before
/// the one that is the proof for it.
fn garbage_files(dir: &Arc<dyn Dir>, survey: &Survey, garbage: &[GarbageTable]) -> Option<Problem> {
    let is_dead = |name: &&String| {
        // Opening a pipe would wait for a writer.
        let is_file = || dir.stat(name).is_ok_and(|there| there.is_file);
        let unlocked = || dir.open(name).and_then(|file| file.try_lock()).unwrap_or(false);
        is_temporary_name(name) && is_file() && unlocked()
    };
    let temporary = survey.names.iter().filter(is_dead);
    let files: Vec<String> = temporary.chain(garbage.iter().map(|table| &table.name)).cloned().collect();
    (!files.is_empty()).then_some(Problem::Garbage { files })
}
