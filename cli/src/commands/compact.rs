//! `reftable compact`

use std::io::{self, Write};
use std::path::Path;

use clap::{ArgAction, Args};
use reftable::bytes::Reading;
use reftable::compact::{Compaction, Expiry};
use reftable::escape::quoted;
use reftable::{AutoCompact, ErrorKind};
use reftable_git::Repository;

use crate::cli::Writing;
use crate::expiry::{LEFT_OUT, Wish, policy};
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::output::{Out, shown_path, warn};
use crate::watch::Watch;

/// Merge tables
///
/// Without --all, as git does after a commit: as few tables as it takes to make each at least twice
/// as large as the next. Readers and writers go on meanwhile. Work that takes long shows how far it
/// has come if standard error is a terminal, and Ctrl-C ends it without a trace. In a linked
/// worktree both of its stores are compacted.
#[derive(Debug, Args)]
#[command(after_help = "\
Of git's forms of TIME, these are understood: '90.days.ago' (seconds to years, several in turn),
'yesterday', 'midnight', 'noon', 'tea', 'last.friday', '2.fridays.ago', '10am yesterday',
'jan 5 2020', 01/05/2020, 5.1.2020, seconds since 1970, 'all' ('now') for every entry there is,
'never'. Also '90d' or '2w', and a date with or without a time and an offset, in ISO's form
(2025-01-31, 2025-01-31T12:00:00Z): local time without an offset, at this time of day without a
time. Everything else is an error, here and in git's configuration: other words, a number without a
unit, a negative age, and what is more than a day in the future.

Expiry is that of 'git gc': the reflogs of references that match a PATTERN, here or in
gc.<pattern>.reflogExpire, follow the first that matches; refs/stash, whose entries are the stashes,
loses entries only to such a pattern; all others lose those from before TIME, or before
gc.reflogExpire (90 days) if no TIME is given. With patterns alone nothing else expires. A reflog
that loses all entries still exists. Whether an entry is reachable is not looked at:
gc.reflogExpireUnreachable is left to git.

Examples:
  reftable compact
  reftable compact --all
  reftable compact --rewrite
  reftable compact --expire-logs 90d --timeout 5000
  reftable compact --expire-logs
  reftable compact --expire-logs refs/stash=1.year.ago --expire-logs 'refs/remotes/*=30d'")]
pub(crate) struct Compact {
    /// Everything into one table
    #[arg(long)]
    all: bool,

    /// Write every record again instead of copying blocks, for the smallest table; implies --all
    #[arg(long)]
    rewrite: bool,

    /// Leave out reflog entries from before this time, or as git's configuration says;
    /// implies --all. May be given several times
    #[arg(long, value_name = "[PATTERN=]TIME", num_args = 0..=1, action = ArgAction::Append)]
    #[arg(default_missing_value = LEFT_OUT, value_parser = Wish::parse)]
    expire_logs: Vec<Wish>,

    /// How many threads work on large tables; 1 starts none. Default: one a processor, up to 8
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// Print nothing, and show no progress, unless something is wrong
    #[arg(long, short, conflicts_with = "json")]
    quiet: bool,

    #[command(flatten)]
    writing: Writing,
}

impl Compact {
    pub(crate) fn run(&self, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        // A person who asks for a compaction does not mean: if enough tables have piled up.
        let mut options = self.writing.options().reading(Reading::Copied).auto_compact(AutoCompact::Geometric(2));
        if let Some(threads) = self.threads {
            options = options.threads(threads.into());
        }
        let what = self.what(repo)?;
        let stores = repo.open(&options, self.writing.patience())?;
        let mut watch = Watch::new(self.quiet || out.wants_json()).map_err(Failure::signals)?;
        for stack in stores.all() {
            let done = stack.compact_with_progress(what.clone(), |progress| watch.look(progress));
            watch.end();
            let done = match done {
                Err(error) if error.kind() == ErrorKind::Cancelled => {
                    let message = format!("{}: stopped; nothing has changed", shown_path(stack.path()));
                    return Err(Failure::Interrupted(watch.signal(), message));
                }
                done => done?,
            };
            for leftover in done.iter().flat_map(|done| &done.leftovers) {
                warn(&leftover.to_string(), out);
            }
            match out.wants_json() {
                true => print_json(stack.path(), done.as_ref(), out)?,
                false if self.quiet => {}
                false => print_text(stack.path(), done.as_ref(), out)?,
            }
        }
        Ok(Code::Done)
    }

    /// What is to be merged of a store in a bucket, whether nothing is to be said, and how long it
    /// may take.
    #[cfg(feature = "object-store")]
    pub(crate) fn in_bucket(&self) -> Result<(reftable_bucket::Compact, bool, Option<std::time::Duration>), Failure> {
        if self.rewrite || self.threads.is_some() || !self.expire_logs.is_empty() {
            return Err(Failure::usage("in a bucket 'compact' has --all, --wait and --quiet only"));
        }
        let what = if self.all { reftable_bucket::Compact::All } else { reftable_bucket::Compact::Due };
        Ok((what, self.quiet, self.writing.patience()))
    }

    fn what(&self, repo: &Repository) -> Result<reftable::compact::Compact, Failure> {
        let expiry = match self.expire_logs.as_slice() {
            [] => Expiry::default(),
            wishes => policy(wishes, repo.config()?)?,
        };
        Ok(match (self.rewrite, self.all || !self.expire_logs.is_empty()) {
            (true, _) => reftable::compact::Compact::Rewrite { expiry },
            (false, true) => reftable::compact::Compact::All { expiry },
            (false, false) => reftable::compact::Compact::Auto,
        })
    }
}

fn print_text(store: &Path, done: Option<&Compaction>, out: &mut Out) -> io::Result<()> {
    let store = shown_path(store);
    let Some(done) = done else { return writeln!(out, "{store}: nothing to do") };
    writeln!(out, "{store}: merged {} tables of {} bytes", done.merged.len(), done.bytes_before)?;
    for table in &done.merged {
        writeln!(out, "  {}", quoted(table.as_bytes()))?;
    }
    match &done.table {
        Some(table) => {
            let written = &done.written;
            writeln!(out, "into {table}")?;
            writeln!(out, "  {} bytes, {} refs, {} log entries", written.bytes, written.refs, written.logs)
        }
        None => writeln!(out, "nothing was left of them"),
    }
}

fn print_json(store: &Path, done: Option<&Compaction>, out: &mut Out) -> io::Result<()> {
    let object = Object::of("compaction").put_text("store", store.as_os_str().as_encoded_bytes());
    let object = match done {
        None => object.put("merged", Vec::<String>::new()),
        Some(done) => object
            .put("merged", done.merged.clone())
            .put_some("table", done.table.clone())
            .put("bytes_before", done.bytes_before)
            .put("bytes_after", done.table.as_ref().map_or(0, |_| done.written.bytes))
            .put("refs", done.written.refs)
            .put("logs", done.written.logs),
    };
    out.json(&object.build())
}
