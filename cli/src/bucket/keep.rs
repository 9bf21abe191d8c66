//! What a store in a bucket needs now and then: checks, compaction, cleaning.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use futures_lite::future::block_on;
use reftable::Snapshot;
use reftable::dir::OsDir;
use reftable::escape::quoted;
use reftable::verify::Verify as Check;
use reftable_bucket::{ErrorKind, Stats, materialize, probe};

use super::commands::{Place, say};
use crate::commands::compact::Compact;
use crate::commands::stats::{Counts, table_object};
use crate::commands::verify;
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::output::Out;

/// How long checks and summaries wait for the object store.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

/// Delete objects of a store in a bucket that nothing needs
///
/// Machines that died leave tables: written for a commit that never came, or replaced by
/// others. What some machine may still be about to use is kept. Needs no lock, and may run while
/// others commit, compact and clean.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reftable -C s3://bucket/repos/42 clean --dry-run
  reftable -C s3://bucket/repos/42 clean")]
pub(crate) struct Clean {
    /// Say what would be deleted, and delete nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
}

impl Clean {
    pub(super) fn run(&self, place: &Place, out: &mut Out) -> Result<Code, Failure> {
        let cleaned = place.store(PATIENCE)?.clean(self.dry_run)?;
        if out.wants_json() {
            let object = Object::of("cleaning").put_text("store", place.address.as_bytes());
            let object = object.put("dry_run", self.dry_run).put("deleted", cleaned.deleted).put("kept", cleaned.kept);
            out.json(&object.build())?;
            return Ok(Code::Done);
        }
        let deleted = if self.dry_run { "would be deleted" } else { "deleted" };
        for key in &cleaned.deleted {
            writeln!(out, "{deleted}: {}", quoted(key.as_bytes()))?;
        }
        for key in &cleaned.kept {
            writeln!(out, "kept, a machine may be about to use it: {}", quoted(key.as_bytes()))?;
        }
        writeln!(out, "{}: {} {deleted}, {} kept", place.shown(), cleaned.deleted.len(), cleaned.kept.len())?;
        Ok(Code::Done)
    }
}

/// Try whether a bucket keeps the rules that a store in it needs
///
/// Above all that of several writers who replace the same version of an object one at most
/// succeeds: a bucket that breaks this would lose commits. Writes an object of a name of its own
/// below the place, and deletes it. Costs some 150 requests; once for each bucket is enough, and
/// after a change of its provider or settings. Exits with 3, and the rule that is broken, if it is
/// not fit.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reftable -C s3://bucket/probe probe")]
pub(crate) struct Probe {}

impl Probe {
    #[expect(clippy::unused_self, reason = "as all commands have it")]
    pub(super) fn run(&self, place: &Place, out: &mut Out) -> Result<Code, Failure> {
        block_on(probe(&place.client, &place.prefix))?;
        if out.wants_json() {
            let object = Object::of("probe").put_text("store", place.address.as_bytes()).put("fit", true);
            out.json(&object.build())?;
        } else {
            writeln!(out, "{}: fit for stores", place.client.name())?;
        }
        Ok(Code::Done)
    }
}

/// Reads all of the store, and checks each byte of its tables.
pub(super) fn verify(place: &Place, out: &mut Out) -> Result<Code, Failure> {
    let store = place.store(PATIENCE)?;
    let snapshot = store.snapshot()?;
    let dir = tempfile::tempdir().map_err(|error| Failure::file(&std::env::temp_dir(), error))?;
    let copy = dir.path().join("reftable");
    materialize(&snapshot, &copy)?;
    let report = Check::new(&OsDir::new(&copy, None)).run()?;
    let code = verify::print(Path::new(&place.address), &report, out)?;
    let note = match store.clean(true) {
        Ok(cleaned) if cleaned.deleted.is_empty() => return Ok(code),
        Ok(cleaned) => format!("{} objects that nothing needs: 'reftable clean' deletes them", cleaned.deleted.len()),
        // A user who may read and not list has checked all that counts.
        Err(error) if error.kind() == ErrorKind::Denied => {
            format!("objects that nothing needs were not looked for: {error}")
        }
        Err(error) => return Err(error.into()),
    };
    if !out.wants_json() {
        writeln!(out, "note: {note}")?;
    }
    Ok(code)
}

/// Says what the store consists of.
pub(super) fn stats(place: &Place, out: &mut Out) -> Result<Code, Failure> {
    let store = place.store(PATIENCE)?;
    let stats = store.stats()?;
    if out.wants_json() {
        // What the handle has just read: the tables that are spoken of.
        print_json(place, &stats, &store.snapshot_within(Duration::MAX)?, out)?;
        return Ok(Code::Done);
    }
    let bytes: u64 = stats.tables.iter().map(|table| table.bytes).sum();
    writeln!(out, "{}: {} tables, {bytes} bytes", place.shown(), stats.tables.len())?;
    for table in &stats.tables {
        let place = if table.is_inline { "in the root" } else { "an object" };
        writeln!(out, "  {}  {:>10} bytes, {place}", table.name, table.bytes)?;
    }
    let (edition, root, seconds) = (stats.edition, stats.root_bytes, stats.history.as_secs());
    writeln!(out, "edition {edition}, a root of {root} bytes; remembered: {} swaps of {seconds} s", stats.remembered)?;
    say(out, if stats.compaction_due.is_some() { "a compaction is due" } else { "no compaction is due" })?;
    Ok(Code::Done)
}

fn print_json(place: &Place, stats: &Stats, snapshot: &Snapshot, out: &mut Out) -> Result<(), Failure> {
    let (store, due) = (place.address.as_bytes(), stats.compaction_due.as_ref());
    for (index, table) in snapshot.tables().iter().enumerate() {
        let object = table_object(store, table, &Counts::of(table)?);
        let is_inline = stats.tables.iter().any(|other| other.name == table.name() && other.is_inline);
        let is_due = due.is_some_and(|due| due.contains(&index));
        out.json(&object.put("inline", is_inline).put("compaction_due", is_due).build())?;
    }
    let object = Object::of("store")
        .put_text("store", store)
        .put("tables", stats.tables.len())
        .put("bytes", stats.tables.iter().map(|table| table.bytes).sum::<u64>())
        .put_some("hash", snapshot.hash().map(|hash| hash.name()))
        .put("update_index", snapshot.update_index())
        .put("edition", stats.edition)
        .put("root_bytes", stats.root_bytes)
        .put("remembered", stats.remembered)
        .put("history_seconds", stats.history.as_secs())
        .put("compaction_due", due.is_some());
    Ok(out.json(&object.build())?)
}

/// Merges tables.
pub(super) fn compact(compact: &Compact, place: &Place, out: &mut Out) -> Result<Code, Failure> {
    let (what, is_quiet, patience) = compact.in_bucket()?;
    let store = place.store(patience)?;
    let names = || Ok::<_, Failure>(store.stats()?.tables.into_iter().map(|table| table.name).collect());
    let before: Vec<String> = if out.wants_json() { names()? } else { Vec::new() };
    let is_merged = store.compact(what)?;
    if out.wants_json() {
        let after: Vec<String> = if is_merged { names()? } else { before.clone() };
        let merged: Vec<String> = before.into_iter().filter(|name| !after.contains(name)).collect();
        let object = Object::of("compaction").put_text("store", place.address.as_bytes()).put("merged", merged);
        out.json(&object.build())?;
    } else if !is_quiet {
        let what = if is_merged { "merged" } else { "nothing to do" };
        writeln!(out, "{}: {what}", place.shown())?;
    }
    Ok(Code::Done)
}
