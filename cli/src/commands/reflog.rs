//! `reftable reflog`

use std::ffi::OsString;
use std::io::Write;
use std::str::FromStr;

use clap::{Args, Subcommand};
use reftable::bytes::Reading;
use reftable::escape::{escaped, quoted};
use reftable::{Log, LogEntry, ObjectId};
use reftable_git::time::{self, Limit};
use reftable_git::{LogEdit, LogExpiry, Place, Repository, Revisions, Stores, Verdict, View, ident};

use super::handed_over::become_git;
use super::log::put_entry;
use crate::cli::Writing;
use crate::failure::{Code, Failure, Voice};
use crate::json::Object;
use crate::output::{Out, fail};

/// Reflogs, as 'git reflog' has them: which there are, what is in them, and less of them
///
/// Without a word of its own it is 'reflog show', as with git.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  reftable reflog
  reftable reflog -n 3 refs/heads/main
  reftable reflog list
  reftable reflog exists refs/heads/main
  reftable reflog delete refs/heads/main@{1}
  reftable reflog delete --rewrite --updateref 'refs/heads/main@{0}'
  reftable reflog expire --expire=90.days.ago --all
  reftable reflog drop refs/heads/main"
)]
pub(crate) struct Reflog {
    #[command(subcommand)]
    word: Option<Word>,

    /// What 'reflog show' takes
    #[arg(value_name = "OPTIONS AND NAME", allow_hyphen_values = true, trailing_var_arg = true)]
    shown: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Print a reflog, that of HEAD without a name, as people read it
    ///
    /// This is 'git log -g --abbrev-commit --pretty=oneline', which is run, and takes its options.
    /// 'reftable log' prints all that an entry has, and asks no git.
    #[command(after_help = "\
Examples:
  reftable reflog show
  reftable reflog show -n 1 --date=iso refs/heads/main")]
    Show {
        /// Options of 'git log', and a name
        #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
        words: Vec<OsString>,
    },
    /// List the references that have a reflog
    #[command(after_help = "\
Examples:
  reftable reflog list
  reftable reflog list --json | jq -r .name")]
    List {
        #[arg(hide = true)]
        words: Vec<OsString>,
    },
    /// Say by the exit code whether a reference has a reflog: 0 if it has, 1 if not
    #[command(after_help = "\
Examples:
  reftable reflog exists refs/heads/main")]
    Exists {
        /// The full name
        #[arg(required = true)]
        name: OsString,
    },
    /// Delete single entries
    #[command(after_help = "\
Examples:
  reftable reflog delete refs/heads/main@{1}
  reftable reflog delete --rewrite --updateref 'main@{0}'
  reftable reflog delete --dry-run --verbose 'HEAD@{2023-11-14 22:13:20 +0000}'")]
    Delete {
        /// NAME@{N}: the entry so many before the newest; NAME@{TIME}: the newest from before then
        entries: Vec<String>,

        #[command(flatten)]
        editing: Editing,
    },
    /// Let old entries go, by age and by whether history still leads to them
    ///
    /// Without times, by gc.reflogExpire (90 days) and gc.reflogExpireUnreachable (30 days);
    /// gc.PATTERN.reflogExpire and gc.PATTERN.reflogExpireUnreachable count before these.
    #[command(after_help = "\
TIME is an age such as 90.days.ago, a date such as 2026-01-31T12:00:00Z, 'never', or 'all' for every
entry.

Examples:
  reftable reflog expire --all
  reftable reflog expire --expire=90.days.ago --expire-unreachable=2.weeks.ago refs/heads/main
  reftable reflog expire --dry-run --verbose --expire-unreachable=all --all --single-worktree")]
    Expire {
        /// Full or short names
        names: Vec<OsString>,

        /// Entries from before this time
        #[arg(long, value_name = "TIME", value_parser = limit)]
        expire: Option<Before>,

        /// Entries from before this time that the reference does not lead to any more
        #[arg(long, value_name = "TIME", value_parser = limit)]
        expire_unreachable: Option<Before>,

        /// Also entries from or to commits that do not exist, or lack a part
        #[arg(long)]
        stale_fix: bool,

        /// The reflogs of all references
        #[arg(long)]
        all: bool,

        /// With --all, not those of other worktrees
        #[arg(long)]
        single_worktree: bool,

        #[command(flatten)]
        editing: Editing,
    },
    /// Delete whole reflogs
    #[command(after_help = "\
Examples:
  reftable reflog drop refs/heads/main
  reftable reflog drop --all --single-worktree")]
    Drop {
        /// Full or short names
        names: Vec<OsString>,

        /// Those of all references
        #[arg(long)]
        all: bool,

        /// With --all, not those of other worktrees
        #[arg(long)]
        single_worktree: bool,

        #[command(flatten)]
        writing: Writing,
    },
    /// Add an entry
    ///
    /// The reference stays where it is, and the hook reference-transaction does not run. git runs
    /// it, and names no reference to it.
    #[command(after_help = "\
Examples:
  reftable reflog write refs/heads/main $(reftable get HEAD) $(reftable get HEAD) 'by hand'")]
    Write {
        /// The full name, the old id, the new id, and the message
        #[arg(value_names = ["NAME", "OLD", "NEW", "MESSAGE"], num_args = 0..)]
        words: Vec<OsString>,

        #[command(flatten)]
        writing: Writing,
    },
}

/// How entries go.
#[derive(Debug, Args)]
struct Editing {
    /// Only say what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Say what is done
    #[arg(long)]
    verbose: bool,

    /// Let the old id of each entry that stays be the new one of the entry before it
    #[arg(long)]
    rewrite: bool,

    /// Set the reference to the new id of the newest entry that stays, unless it is symbolic
    #[arg(long)]
    updateref: bool,

    #[command(flatten)]
    writing: Writing,
}

impl Editing {
    fn edit(&self) -> LogEdit {
        let mut edit = LogEdit::default();
        (edit.dry_run, edit.rewrites, edit.updates_reference) = (self.dry_run, self.rewrite, self.updateref);
        edit
    }

    fn open(&self, repo: &Repository) -> Result<Stores, Failure> {
        Ok(repo.open(&self.writing.options(), self.writing.patience())?)
    }

    /// Says what became of entries of the log of `name`, if that is wanted.
    fn tell(&self, name: &[u8], verdicts: &[Verdict], out: &mut Out) -> Result<(), Failure> {
        for verdict in verdicts.iter().filter(|_| self.verbose) {
            let word = match (verdict.is_expired, self.dry_run) {
                (false, _) => "keep",
                (true, true) => "would prune",
                (true, false) => "prune",
            };
            if out.wants_json() {
                let object = Object::of("log_verdict").put_text("name", name).put("verdict", word);
                out.json(&put_entry(object, &verdict.entry.as_view()).build())?;
                continue;
            }
            let message = verdict.entry.message.strip_suffix(b"\n").unwrap_or(&verdict.entry.message);
            writeln!(out, "{word} {}", quoted(message))?;
        }
        Ok(())
    }
}

impl Reflog {
    pub(crate) fn run(&self, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        let Some(word) = &self.word else { return show(&self.shown, repo, out) };
        match word {
            Word::Show { words } => show(words, repo, out),
            Word::List { words } => list(words, repo, out).map_err(Failure::exits_with_255),
            Word::Exists { name } => exists(name, repo),
            Word::Delete { entries, editing } => delete(entries, editing, repo, out).map_err(Failure::exits_with_255),
            Word::Expire { names, expire, expire_unreachable, stale_fix, all, single_worktree, editing } => {
                let mut expiry = LogExpiry::configured(repo.config()?)?;
                expiry.total = expire.map(|limit| limit.0);
                expiry.unreachable = expire_unreachable.map(|limit| limit.0);
                (expiry.stale, expiry.edit) = (*stale_fix, editing.edit());
                let which = Which { names, all: *all, single_worktree: *single_worktree };
                self::expire(&expiry, &which, editing, repo, out).map_err(Failure::exits_with_255)
            }
            Word::Drop { names, all, single_worktree, writing } => {
                drop_logs(names, *all, *single_worktree, writing, repo, out).map_err(Failure::exits_with_255)
            }
            Word::Write { words, writing } => write(words, writing, repo),
        }
    }
}

/// What git's command exits with after most failures.
const FAILED: Code = Code::Git(255);

fn failed<T: Into<String>>(message: T) -> Failure {
    Failure::Told(FAILED, message.into()).not_fatal()
}

fn show(words: &[OsString], repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
    if out.wants_json() {
        return Err(Failure::usage("'reflog show' is for people: 'reftable log NAME --json' prints objects"));
    }
    let why = "'git log -g' knows how people read reflogs; 'reftable log NAME' prints them without it";
    become_git(repo, why, out, |git| {
        git.args(["log", "-g", "--abbrev-commit", "--pretty=oneline"]).args(words);
    })
}

fn list(words: &[OsString], repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
    if let Some(word) = words.first() {
        let message = format!("list does not accept arguments: '{}'", escaped(word.as_encoded_bytes()));
        return Err(failed(message));
    }
    for name in repo.view(Reading::Copied)?.log_names()? {
        match out.wants_json() {
            true => out.json(&Object::of("log").put_text("name", &name).build())?,
            false => writeln!(out, "{}", quoted(&name))?,
        }
    }
    Ok(Code::Done)
}

fn exists(name: &OsString, repo: &Repository) -> Result<Code, Failure> {
    let name = name.as_encoded_bytes();
    reftable::name::check(name).map_err(|_| Failure::usage(format!("invalid ref format: {}", escaped(name))))?;
    let exists = repo.view(Reading::Checked)?.log_exists(name)?;
    Ok(if exists { Code::Done } else { Code::Git(1) })
}

/// The full name of the log that git reads `short` as.
fn full_name(short: &[u8], view: &View) -> Result<Option<Vec<u8>>, Failure> {
    for (before, after) in [("", ""), ("refs/", ""), ("refs/tags/", ""), ("refs/heads/", ""), ("refs/remotes/", "")] {
        let name = [before.as_bytes(), short, after.as_bytes()].concat();
        if view.log_exists(&name)? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Tells of one of several logs that there is none.
fn not_found(what: &str, name: &[u8], out: &Out) {
    let failure = Failure::not_found(format!("{what} '{}'", escaped(name))).not_fatal();
    fail(&failure, Voice::Git, out.wants_json());
}

fn delete(entries: &[String], editing: &Editing, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
    if entries.is_empty() {
        return Err(failed("no reflog specified to delete"));
    }
    let stores = editing.open(repo)?;
    let mut code = Code::Done;
    for entry in entries {
        let Some((name, which)) = entry.strip_suffix('}').and_then(|entry| entry.split_once("@{")) else {
            return Err(failed(format!("not a reflog: {}", escaped(entry.as_bytes()))));
        };
        let which: EntryOf = which.parse().map_err(failed::<String>)?;
        let Some(full) = full_name(name.as_bytes(), &stores.view()?)? else {
            not_found("no reflog for", entry.as_bytes(), out);
            code = FAILED;
            continue;
        };
        let verdicts = editing.edit().run(&full, &stores, |logs, _| {
            let position = which.position(logs);
            Ok((0..logs.len()).map(|at| Some(at) == position).collect())
        })?;
        editing.tell(&full, &verdicts, out)?;
    }
    Ok(code)
}

/// Which entry of a log is meant.
#[derive(Debug, Clone, Copy)]
enum EntryOf {
    /// The one that is so many before the newest.
    Number(usize),
    /// The newest from before this time.
    Time(u64),
}

impl FromStr for EntryOf {
    type Err = String;

    fn from_str(text: &str) -> Result<EntryOf, String> {
        match text.parse() {
            Ok(number) => Ok(EntryOf::Number(number)),
            Err(_) => time::point(text).map(EntryOf::Time),
        }
    }
}

impl EntryOf {
    fn position(self, logs: &[Log]) -> Option<usize> {
        match self {
            EntryOf::Number(number) => Some(number),
            EntryOf::Time(time) => logs.iter().position(|log| log.entry.committer.time < time),
        }
    }
}

/// A limit from the command line; `None` is never.
#[derive(Debug, Clone, Copy)]
struct Before(Limit);

fn limit(text: &str) -> Result<Before, String> {
    time::limit(text).map(Before)
}

/// Which logs are meant.
struct Which<'a> {
    names: &'a [OsString],
    all: bool,
    single_worktree: bool,
}

fn expire(
    expiry: &LogExpiry,
    which: &Which<'_>,
    editing: &Editing,
    repo: &Repository,
    out: &mut Out,
) -> Result<Code, Failure> {
    let mut code = Code::Done;
    let others = if which.all && !which.single_worktree { repo.worktrees()? } else { Vec::new() };
    for (place, repo) in std::iter::once(repo).chain(&others).enumerate() {
        let stores = editing.open(repo)?;
        let view = stores.view()?;
        let mut found = if which.all { view.log_names()? } else { Vec::new() };
        // What worktrees share was in the first one.
        found.retain(|name| place == 0 || Place::of(name) == Place::Worktree);
        for name in which.names.iter().filter(|_| place == 0).map(|name| name.as_encoded_bytes()) {
            match full_name(name, &view)? {
                Some(full) => found.push(full),
                None => {
                    not_found("reflog could not be found:", name, out);
                    code = FAILED;
                }
            }
        }
        let mut revisions = Revisions::of(repo);
        for name in found {
            editing.tell(&name, &expiry.run(&name, &stores, &mut revisions)?, out)?;
        }
    }
    Ok(code)
}

fn drop_logs(
    names: &[OsString],
    all: bool,
    single_worktree: bool,
    writing: &Writing,
    repo: &Repository,
    out: &Out,
) -> Result<Code, Failure> {
    if all && !names.is_empty() {
        return Err(Failure::Arguments("references specified along with --all".to_owned()));
    }
    let mut code = Code::Done;
    let repositories = if all && !single_worktree { repo.worktrees()? } else { Vec::new() };
    for repo in std::iter::once(repo).chain(&repositories) {
        let stores = repo.open(&writing.options(), writing.patience())?;
        let view = stores.view()?;
        let mut found = Vec::new();
        if all {
            found = view.log_names()?;
        }
        for name in names.iter().map(|name| name.as_encoded_bytes()) {
            match full_name(name, &view)? {
                Some(full) => found.push(full),
                None => {
                    not_found("reflog could not be found:", name, out);
                    code = FAILED;
                }
            }
        }
        for name in found {
            let mut transaction = stores.at(Place::of(&name)).transaction();
            transaction.delete_log(&name);
            transaction.commit()?;
        }
    }
    Ok(code)
}

fn write(words: &[OsString], writing: &Writing, repo: &Repository) -> Result<Code, Failure> {
    let [name, old, new, message] = words else {
        return Err(Failure::Arguments("reftable reflog write NAME OLD NEW MESSAGE".to_owned()));
    };
    let name = name.as_encoded_bytes();
    let is_root = name.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_');
    if !is_root && (!name.contains(&b'/') || reftable::name::check(name).is_err()) {
        return Err(Failure::usage(format!("invalid reference name: {}", escaped(name))));
    }
    let mut revisions = Revisions::of(repo);
    let mut id = |word: &OsString, which: &str| -> Result<ObjectId, Failure> {
        let shown = word.to_string_lossy();
        let id = shown.parse::<ObjectId>().ok().filter(|id| !repo.is_repository() || id.kind() == revisions.hash());
        let id = id.ok_or_else(|| Failure::usage(format!("invalid {which} object ID: '{shown}'")))?;
        if !id.is_null() && revisions.has_objects() && !revisions.exists(id)? {
            return Err(Failure::not_found(format!("{which} object '{shown}' does not exist")));
        }
        Ok(id)
    };
    let (old, new) = (id(old, "old")?, id(new, "new")?);
    let committer = ident::committer(repo.config()?)?;
    let message = ident::one_line(message.as_encoded_bytes());
    let stores = repo.open(&writing.options(), writing.patience())?;
    let mut transaction = stores.at(Place::of(name)).transaction();
    transaction.append_log(name, LogEntry { old, new, committer, message });
    transaction.commit()?;
    Ok(Code::Done)
}
