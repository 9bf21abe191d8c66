//! What the live references and logs say, against git's rules: one walk over the merged tables, in
//! order of names.
//!
//! Memory: the names that the current name begins with, and the findings, of which each rule has a
//! bounded number.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::finding::{Finding, Report, shown};
use super::kind::FindingKind;
use super::symbolic;
use super::view::WorktreeView;
use crate::error::Result;
use crate::merge::{Merged, Tombstones};
use crate::name;
use crate::oid::ObjectId;
use crate::table::{NameHash, Table, WarmUp};
use crate::value::{LogEntryView, LogRecordView, RefRecordView, TargetView};

/// How many findings of one rule are told one by one.
const MOST: u64 = 100;

/// Of names that do not belong into the store of a linked worktree.
const ELSEWHERE: &str =
    "is shared by all worktrees: git looks for it in the repository's store, not in this worktree's";
const LOG_ELSEWHERE: &str = "has a log that git looks for in the repository's store, not in this worktree's";

/// The largest time that a signed number of 64 bits holds: what git's calendar can work with.
const LAST_TIME: u64 = i64::MAX as u64;

/// Checks the state that the tables of a store make up.
///
/// # Errors
/// `Corrupt`, if a table cannot be read.
pub(super) fn check(view: &WorktreeView, of_repository: bool, report: &mut Report) -> Result<()> {
    let mut checker = Checker { view, report, counts: BTreeMap::new(), parents: Vec::new() };
    if of_repository {
        checker.check_head()?;
    }
    let merged = Merged::new(view.own.tables().to_vec());
    let mut refs = merged.refs(b"", Tombstones::Hide)?;
    while let Some(record) = refs.next()? {
        checker.check_ref(&record)?;
    }
    let (mut logs, mut last) = (merged.logs(b"", Tombstones::Hide)?, Vec::new());
    while let Some(record) = logs.next()? {
        checker.check_log(&record, &mut last);
    }
    checker.tell_of_more();
    Ok(())
}

struct Checker<'a> {
    view: &'a WorktreeView,
    report: &'a mut Report,
    /// Findings by rule.
    counts: BTreeMap<&'static str, (FindingKind, u64)>,
    /// The live names that the current name begins with, each the beginning of the next. In order
    /// of names all that begin with one follow it directly, so the others are done with.
    parents: Vec<Vec<u8>>,
}

impl Checker<'_> {
    /// Every store of a repository has a HEAD, and it leads to a branch or is detached.
    fn check_head(&mut self) -> Result<()> {
        let Some(head) = self.view.get(b"HEAD")? else {
            let finding = Finding::new(FindingKind::NoHead, crate::list::LIST, None, "there is no HEAD");
            self.report.findings.push(finding.about(b"HEAD"));
            return Ok(());
        };
        match head.target.as_view() {
            TargetView::Symbolic(target) if !target.starts_with(b"refs/heads/") => {
                let to = format!(" ('{}')", shown(target));
                self.find(FindingKind::HeadNotBranch, b"HEAD", "leads to something that is not a branch", &to);
            }
            _ => {}
        }
        Ok(())
    }

    fn check_ref(&mut self, record: &RefRecordView<'_>) -> Result<()> {
        self.check_name(record.name);
        if self.view.is_elsewhere(record.name) {
            self.find(FindingKind::WrongStore, record.name, ELSEWHERE, "");
        }
        self.check_parents(record.name);
        match record.target {
            Some(TargetView::Symbolic(target)) => {
                if let Some((kind, rule)) = symbolic::broken_rule(self.view, record.name, target)? {
                    self.find(kind, record.name, rule, &format!(" ('{}')", shown(target)));
                }
            }
            Some(target) => self.check_ids(record.name, target),
            None => {}
        }
        Ok(())
    }

    fn check_name(&mut self, name: &[u8]) {
        if let Some(rule) = name::broken_rule(name) {
            self.find(FindingKind::InvalidName, name, "is not a valid reference name", &format!(": {rule}"));
        } else if name::is_pseudo_ref(name) {
            self.find(FindingKind::KeptInFile, name, "is kept in a file by git, which does not look for it here", "");
        } else if !name.starts_with(b"refs/") && !name::is_root_ref(name) {
            self.find(
                FindingKind::HiddenName,
                name,
                "is not listed by git: it is neither in refs/ nor a root reference",
                "",
            );
        }
    }

    /// No name may be a directory of another one.
    fn check_parents(&mut self, name: &[u8]) {
        while self.parents.last().is_some_and(|parent| !name.starts_with(parent)) {
            self.parents.pop();
        }
        let directory = self.parents.iter().find(|parent| name::is_below(name, parent)).cloned();
        if let Some(directory) = directory {
            self.find(FindingKind::NameConflict, name, "cannot exist beside", &format!(" '{}'", shown(&directory)));
        }
        self.parents.push(name.to_vec());
    }

    fn check_ids(&mut self, name: &[u8], target: TargetView<'_>) {
        let (id, peeled) = (target.id(), target.peeled());
        if id.iter().chain(&peeled).any(ObjectId::is_null) {
            self.find(FindingKind::NullId, name, "points at the null id, which stands for no object", "");
        } else if peeled.is_some() && peeled == id {
            self.find(FindingKind::PeeledToItself, name, "has a peeled id that is its own", "");
        }
    }

    fn check_log(&mut self, record: &LogRecordView<'_>, last: &mut Vec<u8>) {
        if record.refname != last.as_slice() {
            record.refname.clone_into(last);
            if self.view.is_elsewhere(record.refname) {
                self.find(FindingKind::WrongStore, record.refname, LOG_ELSEWHERE, "");
            }
            if let Some(rule) = name::broken_rule(record.refname) {
                self.find(
                    FindingKind::InvalidName,
                    record.refname,
                    "has a log, but is not a valid name",
                    &format!(": {rule}"),
                );
            }
        }
        let Some(LogEntryView { time, time_zone, .. }) = record.entry else { return };
        if time > LAST_TIME {
            let at = format!(" ({time})");
            self.find(FindingKind::LogTime, record.refname, "has a log entry from a time that is no date", &at);
        }
        if time_zone.unsigned_abs() > 1400 || time_zone.unsigned_abs() % 100 >= 60 {
            let zone = format!(" ({time_zone:+05})");
            self.find(
                FindingKind::LogTimeZone,
                record.refname,
                "has a log entry from a time zone that does not exist",
                &zone,
            );
        }
    }

    /// A finding about a reference, unless there are many of its rule already. `detail` belongs to
    /// this one alone.
    #[cold]
    fn find(&mut self, kind: FindingKind, name: &[u8], rule: &'static str, detail: &str) {
        let (_, count) = self.counts.entry(rule).or_insert((kind, 0));
        *count += 1;
        if *count > MOST {
            return;
        }
        let hash = NameHash::of(name);
        let knows = |table: &&Arc<Table>| table.reference(name, hash, WarmUp::READ).is_ok_and(|found| found.is_some());
        let table = self.view.own.tables().iter().rev().find(knows).or(self.view.own.tables().last());
        let file = table.map_or(crate::list::LIST, |table| table.name());
        let message = format!("'{}' {rule}{detail}", shown(name));
        self.report.findings.push(Finding::new(kind, file, None, message).about(name));
    }

    fn tell_of_more(&mut self) {
        for (rule, (kind, count)) in std::mem::take(&mut self.counts) {
            if count > MOST {
                let message = format!("{} more of which each {rule}", count - MOST);
                self.report.findings.push(Finding::new(kind, crate::list::LIST, None, message));
            }
        }
    }
}
