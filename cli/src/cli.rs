//! The arguments.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use reftable::bytes::Reading;
use reftable::escape::escaped;
use reftable::{Durability, ObjectId, Options};

use crate::commands::{compact, delete, dump, get, list, log, repair, stats, symbolic_ref, update, verify};
use crate::failure::Failure;

/// Look into, change, compact and check git's reftable stores, beside git.
#[derive(Debug, Parser)]
#[command(name = "reftable", version, propagate_version = true, after_help = HELP)]
pub(crate) struct Cli {
    /// Start here instead of in the current directory
    ///
    /// A work tree or anything in it (linked worktrees, too), a git directory, or a store itself:
    /// the 'reftable' directory of a repository, or a directory with a tables.list in it (or an
    /// empty one called 'reftable') that is in no repository. A repository's store is used only if
    /// its configuration says so (extensions.refStorage). In a linked worktree, HEAD and other root
    /// references, refs/bisect/, refs/worktree/ and refs/rewritten/ are those of that worktree.
    /// GIT_DIR, GIT_COMMON_DIR, GIT_CEILING_DIRECTORIES and GIT_REFERENCE_BACKEND count as for git;
    /// a DIR in another repository than GIT_DIR is an error.
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub(crate) dir: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const HELP: &str = "\
Names are full names, such as refs/heads/main; ids are given in full.

Names, messages and other texts of a store are printed as they are, unless there are control characters or bytes that
are not UTF-8 in them, or they begin with a double quote (in 'list' also if there is a space in them): then as C strings in
double quotes, as git prints such paths.
The program that wants the bytes uses --json.

Errors are text on standard error, with --json, too. That of a refused transaction names the first ten
conflicts, and says how many others there are.

Exit codes: 0 done; 1 not found, a conflict, locked by others, or a warning of verify; 2 wrong usage; 3 corrupt or
unreadable.

Examples:
  reftable list --prefix refs/tags/
  reftable -C /srv/repo.git get HEAD
  reftable compact --expire-logs 90d
  reftable verify";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(list::List),
    Get(get::Get),
    Log(log::Log),
    Update(update::Update),
    Delete(delete::Delete),
    SymbolicRef(symbolic_ref::SymbolicRef),
    Compact(compact::Compact),
    Verify(verify::Verify),
    Repair(repair::Repair),
    Dump(dump::Dump),
    Stats(stats::Stats),
}

/// For commands that print data.
#[derive(Debug, Args)]
pub(crate) struct Format {
    /// Print one JSON object a line; text that is not UTF-8 comes with a second field NAME_hex
    ///
    /// Text is exact: control characters are escaped as JSON escapes them. Bytes that are not UTF-8
    /// are replaced in the field NAME, and all bytes are in the field NAME_hex, in hexadecimal,
    /// which is there only then.
    #[arg(long)]
    pub(crate) json: bool,
}

/// For commands that write.
#[derive(Debug, Args)]
pub(crate) struct Writing {
    /// How long to wait for a lock, in milliseconds; -1 waits for ever, 0 not at all
    ///
    /// Ten seconds are time for some thousand commits of others, or for a slow disk to sync, so who
    /// fails has met a lock that somebody left behind.
    #[arg(long, value_name = "MS", default_value_t = 10_000, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i64).range(-1..), help_heading = "Writing")]
    timeout: i64,

    /// What survives a loss of power
    #[arg(long, value_enum, default_value_t = Keep::Full, help_heading = "Writing")]
    durability: Keep,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Keep {
    /// The change survives once the command has returned
    Full,
    /// The store stays whole, the last changes may be lost; as git with core.fsync=reference
    Ordered,
    /// Nothing is synced; as git does by default
    Off,
}

impl Writing {
    pub(crate) fn options(&self) -> Options {
        let durability = match self.durability {
            Keep::Full => Durability::Full,
            Keep::Ordered => Durability::Ordered,
            Keep::Off => Durability::Off,
        };
        Options::default().reading(Reading::Checked).durability(durability)
    }

    /// How long to wait for a lock; `None` is for ever.
    pub(crate) fn patience(&self) -> Option<Duration> {
        u64::try_from(self.timeout).ok().map(Duration::from_millis)
    }
}

/// A reference name from the command line.
pub(crate) fn ref_name(name: &OsString) -> Result<&[u8], Failure> {
    let name = name.as_encoded_bytes();
    check_ref_name(name)?;
    Ok(name)
}

/// The name of a reference that is to be read, or to go away: a name that none should have may be
/// there all the same.
pub(crate) fn any_name(name: &OsString) -> Result<&[u8], Failure> {
    let name = name.as_encoded_bytes();
    check_place(name)?;
    Ok(name)
}

/// Refuses names that no reference can have, and those by which git reaches into other worktrees.
pub(crate) fn check_ref_name(name: &[u8]) -> Result<(), Failure> {
    reftable::name::check(name)?;
    check_place(name)
}

/// Refuses names by which git reaches into other worktrees.
pub(crate) fn check_place(name: &[u8]) -> Result<(), Failure> {
    if name.starts_with(b"main-worktree/") || name.starts_with(b"worktrees/") {
        let name = escaped(name);
        return Err(Failure::usage(format!("'{name}' is in another worktree: go there with -C")));
    }
    Ok(())
}

/// An old value: an id, or `None` for "must not exist", which is written as zeroes or as nothing.
pub(crate) fn old_value(text: &str) -> Result<Option<ObjectId>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let id: ObjectId = text.parse()?;
    Ok((!id.is_null()).then_some(id))
}
