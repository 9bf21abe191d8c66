//! `reftable log`

use std::ffi::OsString;
use std::io::{self, Write};

use clap::Args;
use reftable::bytes::Reading;
use reftable::escape::{escaped, quoted};
use reftable::{LogEntryView, LogView};
use reftable_git::{Repository, View, ident::zone_text};

use super::get::full_name;
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::output::Out;

/// Print the reflog of a reference, newest entry first
///
/// Prints git's raw form: 'OLD NEW NAME <EMAIL> TIME TZ', a tab, and the message. Exits with 1 if
/// the reference has no reflog. Symbolic references have reflogs of their own and are not followed.
/// A name that breaks git's rules may have one, too: 'reftable delete' removes it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reftable log
  reftable log refs/heads/main -n 1
  reftable log HEAD --json | jq -r .message")]
pub(crate) struct Log {
    /// The full name
    #[arg(default_value = "HEAD")]
    name: OsString,

    /// Stop after this many entries
    #[arg(short = 'n', value_name = "N")]
    limit: Option<u64>,
}

impl Log {
    pub(crate) fn run(&self, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        self.print(&repo.view(Reading::Checked)?, out)
    }

    /// Prints what `view` has.
    pub(crate) fn print(&self, view: &View, out: &mut Out) -> Result<Code, Failure> {
        // What one may want to get rid of can be looked at before.
        let name = self.name.as_encoded_bytes();
        if !view.log_exists(name)? {
            reftable::name::check(name)?;
            let full = full_name(name, |full| Ok(view.log_exists(full)?))?;
            let does = full.map(|full| format!("; '{}' has one", escaped(&full))).unwrap_or_default();
            return Err(Failure::not_found(format!("'{}' has no reflog{does}", escaped(name))));
        }
        let mut logs = view.log(name)?;
        for _ in 0..self.limit.unwrap_or(u64::MAX) {
            let Some(log) = logs.next()? else { break };
            match out.wants_json() {
                true => print_json(name, &log, out)?,
                false => print_text(&log.entry, out)?,
            }
        }
        Ok(Code::Done)
    }
}

/// The message without the newline that it is stored with.
pub(super) fn message<'a>(entry: &LogEntryView<'a>) -> &'a [u8] {
    entry.message.strip_suffix(b"\n").unwrap_or(entry.message)
}

/// The entry as it would be in a file under `logs/`.
pub(super) fn print_text(entry: &LogEntryView<'_>, out: &mut impl Write) -> io::Result<()> {
    write!(out, "{} {} ", entry.old, entry.new)?;
    write!(out, "{} <{}>", quoted(entry.name), quoted(entry.email))?;
    write!(out, " {} {}", entry.time, zone_text(entry.time_zone))?;
    let message = message(entry);
    if !message.is_empty() {
        write!(out, "\t{}", quoted(message))?;
    }
    out.write_all(b"\n")
}

/// The fields of an entry.
pub(super) fn put_entry(object: Object, entry: &LogEntryView<'_>) -> Object {
    object
        .put("old", entry.old.to_string())
        .put("new", entry.new.to_string())
        .put_text("committer", entry.name)
        .put_text("email", entry.email)
        .put("time", entry.time)
        .put("tz", zone_text(entry.time_zone))
        .put_text("message", message(entry))
}

fn print_json(name: &[u8], log: &LogView<'_>, out: &mut Out) -> io::Result<()> {
    let object = Object::of("log_entry").put_text("name", name);
    out.json(&put_entry(object, &log.entry).put("update_index", log.update_index).build())
}
