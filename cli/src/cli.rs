//! The arguments.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use reftable::bytes::Reading;
use reftable::escape::escaped;
use reftable::{Durability, Options};

use crate::commands::{
    compact, create, delete, dump, exists, get, head, list, log, pack_refs, reflog, refs, rename, repair, show_ref,
    stats, symbolic_ref, update, update_ref, verify,
};
use crate::failure::{Failure, Voice};

/// Look into, change, compact and check git's reftable stores, beside git.
#[derive(Debug, Parser)]
#[command(name = "reftable", version, propagate_version = true, infer_long_args = true, args_override_self = true,
          color = clap::ColorChoice::Never, after_help = HELP)]
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
    ///
    /// A build with the feature object-store also takes s3://BUCKET/PREFIX and
    /// az://CONTAINER/PREFIX, a store in an object store: see docs/bucket.md.
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub(crate) dir: Option<PathBuf>,

    /// Print one JSON object a line; text that is not UTF-8 comes with a second field NAME_hex
    ///
    /// Every object has a 'type', and the name of a reference is in the field 'name' everywhere.
    /// Text is exact: control characters are escaped as JSON escapes them. Bytes that are not UTF-8
    /// are replaced in the field NAME, and all bytes are in the field NAME_hex, in hexadecimal,
    /// which is there only then. Errors and warnings are objects, too, on standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// At a terminal, print through a pager, as 'git -p' does; 'log' and 'reflog show' do so anyway
    ///
    /// Before the command. Which pager: GIT_PAGER, pager.COMMAND or core.pager in git's
    /// configuration, PAGER, or 'less'. pager.COMMAND also says whether ('refs' for 'list').
    #[arg(short, long, overrides_with = "no_pager")]
    pub(crate) paginate: bool,

    /// Print without a pager; before the command
    #[arg(short = 'P', long, overrides_with = "paginate")]
    pub(crate) no_pager: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const HELP: &str = "\
Names are full names, such as refs/heads/main.

The words of git (list, exists, create, update, delete, rename, optimize, symbolic-ref, update-ref,
show-ref, reflog, pack-refs, and all of them after 'refs') take git's arguments, and answer with
git's exit codes and messages.

Names, messages and other texts of a store are printed as they are, unless there are control
characters or bytes that are not UTF-8 in them, or they begin with a double quote (in 'list' also if
there is a space in them): then as C strings in double quotes, as git prints such paths. The program
that wants the bytes uses --json, or -z where there is one.

Errors go to standard error, with --json as objects of type 'error'. That of a refused transaction
has all conflicts there, and the first ten in its text.

Exit codes: 0 done; 1 not found, or a warning of verify; 2 wrong usage; 3 corrupt or unreadable; 4 a
conflict, or a refusal of a hook; 5 locked by others. The words of git answer 128 where git's are
fatal, 129 for wrong usage, 1 for other failures, 'reflog', 'pack-refs' and 'optimize' mostly 255;
'exists' answers 2 for a reference that does not exist.

Examples:
  reftable list --prefix refs/tags/
  reftable -C /srv/repo.git get HEAD
  reftable -p list
  reftable compact --expire-logs 90d
  reftable verify";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(list::List),
    Get(get::Get),
    Head(head::Head),
    Log(log::Log),
    Exists(exists::Exists),
    Create(create::Create),
    Update(update::Update),
    Delete(delete::Delete),
    Rename(rename::Rename),
    SymbolicRef(symbolic_ref::SymbolicRef),
    UpdateRef(update_ref::UpdateRef),
    ShowRef(show_ref::ShowRef),
    Reflog(reflog::Reflog),
    PackRefs(pack_refs::PackRefs),
    Optimize(pack_refs::PackRefs),
    Refs(refs::Refs),
    Compact(compact::Compact),
    Verify(verify::Verify),
    Repair(repair::Repair),
    Dump(dump::Dump),
    Stats(stats::Stats),
    #[cfg(feature = "object-store")]
    Clean(crate::bucket::keep::Clean),
    #[cfg(feature = "object-store")]
    Probe(crate::bucket::keep::Probe),
    #[cfg(feature = "object-store")]
    Export(crate::bucket::copy::Export),
    #[cfg(feature = "object-store")]
    Import(crate::bucket::copy::Import),
}

impl Command {
    /// By what name git's configuration has it, as in 'pager.log'. What 'git refs' has without a
    /// command of its own is there by that name.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Command::Get(_) => "get",
            Command::Head(_) => "head",
            Command::Log(_) => "log",
            Command::SymbolicRef(_) => "symbolic-ref",
            Command::UpdateRef(_) => "update-ref",
            Command::ShowRef(_) => "show-ref",
            Command::Reflog(_) => "reflog",
            Command::PackRefs(_) => "pack-refs",
            Command::Compact(_) => "compact",
            Command::Verify(_) => "verify",
            Command::Repair(_) => "repair",
            Command::Dump(_) => "dump",
            Command::Stats(_) => "stats",
            _ => "refs",
        }
    }

    /// Whether it prints through a pager without a word about it.
    pub(crate) fn pages(&self) -> bool {
        matches!(self, Command::Log(_))
    }
}

/// The subcommands that have git's exit codes.
const WORDS_OF_GIT: [&str; 12] = [
    "list",
    "exists",
    "create",
    "update",
    "delete",
    "rename",
    "symbolic-ref",
    "update-ref",
    "show-ref",
    "reflog",
    "pack-refs",
    "refs",
];

/// Whose exit codes the subcommand of this name has.
pub(crate) fn voice_of(word: &str) -> Voice {
    if WORDS_OF_GIT.contains(&word) || word == "optimize" { Voice::Git } else { Voice::Own }
}

/// For commands that write.
#[derive(Debug, Args)]
pub(crate) struct Writing {
    /// How many seconds to wait for a lock; -1 waits for ever, 0 not at all
    ///
    /// Ten seconds are time for some thousand commits of others, or for a slow disk to sync, so who
    /// fails has met a lock that was left behind.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds,
          help_heading = "Writing")]
    wait: Option<Patience>,

    /// The same in milliseconds
    #[arg(long, value_name = "MS", allow_negative_numbers = true, hide = true, conflicts_with = "wait",
          value_parser = clap::value_parser!(i64).range(-1..), help_heading = "Writing")]
    timeout: Option<i64>,

    /// What survives a power failure
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
        match (self.wait, self.timeout) {
            (Some(Patience(patience)), _) => patience,
            (None, Some(milliseconds)) => u64::try_from(milliseconds).ok().map(Duration::from_millis),
            (None, None) => Some(Duration::from_secs(10)),
        }
    }
}

/// How long to wait; `None` is for ever.
#[derive(Debug, Clone, Copy)]
struct Patience(Option<Duration>);

fn seconds(text: &str) -> Result<Patience, String> {
    match text.parse::<f64>() {
        Ok(-1.0) => Ok(Patience(None)),
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map(|wait| Patience(Some(wait))).map_err(|e| e.to_string()),
        Err(_) => Err("not a number of seconds".to_owned()),
    }
}

/// A reference name from the command line.
pub(crate) fn ref_name(name: &OsString) -> Result<&[u8], Failure> {
    let name = name.as_encoded_bytes();
    check_ref_name(name)?;
    Ok(name)
}

/// The name of a reference that is to go away: a name that none should have may be there all the
/// same.
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

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;

    /// What a page says in words: its summary, and the text at its end.
    fn texts(page: &Command) -> Vec<String> {
        let own = [page.get_about(), page.get_after_help()].into_iter().flatten().map(ToString::to_string);
        own.chain(page.get_subcommands().flat_map(texts)).collect()
    }

    /// Longer lines would be broken where the terminal ends, each with a rest of a few words.
    #[test]
    fn lines_of_the_help_have_a_hundred_columns() {
        let texts = texts(&Cli::command());
        let long: Vec<&str> = texts.iter().flat_map(|text| text.lines()).filter(|line| line.len() > 100).collect();
        assert_eq!(long, Vec::<&str>::new());
    }
}
