//! `reftable verify`

use std::io::{self, Write};
use std::path::Path;

use clap::Args;
use reftable::{Finding, OsDir, Report, verify_dir};

use crate::cli::Format;
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::output::Out;
use crate::repo::Repo;

/// Check every byte of the store against the rules of the format
///
/// Prints each finding and at the end what was looked at. Exits with 3 if there are findings. Works on damaged stores as
/// far as they can be read, takes no lock, and changes nothing. In a linked worktree both of its stores are checked.
#[derive(Debug, Args)]
#[command(after_help = "\
With --json, each finding is an object of type 'finding', and each store ends with one of type 'summary'.

Examples:
  reftable verify
  reftable -C /srv/repo.git verify --json | jq 'select(.type == \"finding\")'")]
pub(crate) struct Verify {
    #[command(flatten)]
    format: Format,
}

impl Verify {
    pub(crate) fn run(&self, repo: &Repo, out: &mut Out) -> Result<Code, Failure> {
        let mut code = Code::Done;
        for store in repo.directories() {
            let report = verify_dir(&OsDir::new(store, None))?;
            if !report.is_clean() {
                code = Code::Broken;
            }
            match self.format.json {
                true => print_json(store, &report, out)?,
                false => print_text(store, &report, out)?,
            }
        }
        Ok(code)
    }
}

fn print_text(store: &Path, report: &Report, out: &mut Out) -> io::Result<()> {
    for finding in &report.findings {
        writeln!(out, "{finding}")?;
    }
    let Report { tables, blocks, refs, logs, findings, .. } = report;
    let (tables, findings) = (tables.len(), findings.len());
    let store = store.display();
    writeln!(out, "{store}: {tables} tables, {blocks} blocks, {refs} refs, {logs} log entries: {findings} findings")
}

fn print_json(store: &Path, report: &Report, out: &mut Out) -> io::Result<()> {
    let start =
        |kind: &str| Object::default().put("type", kind).put_text("store", store.as_os_str().as_encoded_bytes());
    for Finding { file, offset, message, .. } in &report.findings {
        let finding = start("finding").put("file", file.as_str()).put_some("offset", *offset);
        out.json(&finding.put("message", message.as_str()).build())?;
    }
    let summary = start("summary")
        .put("tables", report.tables.clone())
        .put("blocks", report.blocks)
        .put("refs", report.refs)
        .put("logs", report.logs)
        .put("findings", report.findings.len());
    out.json(&summary.build())
}
