//! `reftable verify`

use std::io::{self, Write};
use std::path::Path;

use clap::Args;
use reftable::dir::OsDir;
use reftable::verify::{Finding, Report, Severity, Verify as Check};
use reftable_git::{PATIENCE, Repository};

use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::output::{Out, complain_as, shown_path};

/// Check every byte of the store against the rules of the format
///
/// Also git's rules for names, targets and logs, and whether nothing is left over in the directory.
///
/// Prints each finding with its severity, and at the end what was looked at. An error is a broken
/// rule: something is lost, hidden or unreadable. A warning is read by all programs as it should
/// be, but should not be there. A note is allowed. Exits with 3 if there are errors, with 1 if
/// there are warnings, else with 0. Works on damaged stores as far as they can be read, takes no
/// lock, and changes nothing. In a linked worktree both of its stores are checked, and whether each
/// name is in the store where git looks for it.
#[derive(Debug, Args)]
#[command(after_help = "\
With --json, each finding is an object of type 'finding' whose field 'severity' is error, warning or
note, and whose field 'kind' names the rule in words that stay as they are; each store ends with an
object of type 'summary'.

As 'refs verify' it answers as git's does: findings go to standard error, notes only with --verbose,
nothing else is printed, and it exits with 255 if there are errors, else with 0.

Examples:
  reftable verify
  reftable refs verify --strict
  reftable -C /srv/repo.git verify --json | jq 'select(.severity == \"error\")'")]
pub(crate) struct Verify {
    /// Warnings are errors
    #[arg(long)]
    strict: bool,

    /// Say on standard error which tables were looked at
    #[arg(long)]
    verbose: bool,
}

impl Verify {
    /// Checks; behind `refs` it answers as git does.
    pub(crate) fn run(&self, as_git: bool, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        let mut worst = None;
        for store in repo.directories() {
            let mut report = check(repo, store)?;
            if self.strict {
                let warnings = report.findings.iter_mut().filter(|found| found.severity == Severity::Warning);
                warnings.for_each(|found| found.severity = Severity::Error);
            }
            worst = worst.max(report.worst());
            // The object of the store names them, too.
            if self.verbose && !out.wants_json() {
                tell_tables(store, &report);
            }
            match as_git && !out.wants_json() {
                true => self.tell_findings(&report),
                false => print_report(store, &report, out)?,
            }
        }
        Ok(match worst {
            Some(Severity::Error) if as_git => Code::Git(255),
            _ if as_git => Code::Done,
            worst => exit_code(worst),
        })
    }

    /// Tells what was found as git's commands tell something.
    fn tell_findings(&self, report: &Report) {
        let is_told = |found: &&Finding| self.verbose || found.severity != Severity::Note;
        for found in report.findings.iter().filter(is_told) {
            complain_as(&found.severity.to_string(), &found.to_string());
        }
    }
}

fn tell_tables(store: &Path, report: &Report) {
    let store = shown_path(store);
    report.tables.iter().for_each(|table| complain_as("checked", &format!("{store}: {table}")));
}

fn print_report(store: &Path, report: &Report, out: &mut Out) -> io::Result<()> {
    match out.wants_json() {
        true => print_json(store, report, out),
        false => print_text(store, report, out),
    }
}

/// Prints what was found in a store that is somewhere else.
#[cfg(feature = "object-store")]
pub(crate) fn print(store: &Path, report: &Report, out: &mut Out) -> io::Result<Code> {
    print_report(store, report, out)?;
    Ok(exit_code(report.worst()))
}

/// Checks one of the repository's stores; that of a linked worktree together with the shared one.
pub(super) fn check(repo: &Repository, store: &Path) -> reftable::Result<Report> {
    let (dir, shared) = (OsDir::new(store, None), OsDir::new(repo.shared(), None));
    let check = Check::new(&dir).patience(PATIENCE);
    let check = match repo.format() {
        Some(format) => check.hash(format.hash),
        None => check,
    };
    match repo.is_repository() {
        true if store != repo.shared() => check.in_worktree_of(&shared).run(),
        true => check.of_repository().run(),
        false => check.run(),
    }
}

/// Scripts that only want to know whether all is readable ask for "less than 3".
fn exit_code(worst: Option<Severity>) -> Code {
    match worst {
        None | Some(Severity::Note) => Code::Done,
        Some(Severity::Warning) => Code::Missing,
        Some(_) => Code::Broken,
    }
}

fn print_text(store: &Path, report: &Report, out: &mut Out) -> io::Result<()> {
    for finding in &report.findings {
        writeln!(out, "{}: {finding}", finding.severity)?;
    }
    let Report { tables, blocks, refs, logs, .. } = report;
    let (store, tables) = (shown_path(store), tables.len());
    let [errors, warnings, notes] = counts(report);
    write!(out, "{store}: {tables} tables, {blocks} blocks, {refs} refs, {logs} log entries: ")?;
    writeln!(out, "{errors} errors, {warnings} warnings, {notes} notes")
}

fn counts(report: &Report) -> [usize; 3] {
    [Severity::Error, Severity::Warning, Severity::Note].map(|severity| report.count(severity))
}

fn print_json(store: &Path, report: &Report, out: &mut Out) -> io::Result<()> {
    let start = |kind: &str| Object::of(kind).put_text("store", store.as_os_str().as_encoded_bytes());
    for Finding { kind, severity, file, offset, name, message, .. } in &report.findings {
        let finding = start("finding").put("kind", kind.name()).put("severity", severity.to_string());
        let finding = finding.put("file", file.as_str());
        let finding = finding.put_some("offset", *offset);
        let finding = match name {
            Some(name) => finding.put_text("name", name),
            None => finding,
        };
        out.json(&finding.put("message", message.as_str()).build())?;
    }
    let [errors, warnings, notes] = counts(report);
    let summary = start("summary")
        .put("tables", report.tables.clone())
        .put("blocks", report.blocks)
        .put("refs", report.refs)
        .put("logs", report.logs)
        .put("findings", report.findings.len())
        .put("errors", errors)
        .put("warnings", warnings)
        .put("notes", notes);
    out.json(&summary.build())
}
