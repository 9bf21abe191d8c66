//! `reftable pack-refs` and `reftable optimize`

use clap::Args;
use reftable::compact::Compact;
use reftable::{AutoCompact, bytes::Reading};
use reftable_git::Repository;

use crate::cli::Writing;
use crate::failure::{Code, Failure};

/// Merge the tables of a store into one, as 'git pack-refs' does
///
/// With --auto as few as keep each table at least twice as large as the next. 'reftable compact'
/// does the same, says what it did, and can do more.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reftable pack-refs --all
  reftable optimize --auto")]
pub(crate) struct PackRefs {
    /// Only if there are many tables
    #[arg(long, overrides_with = "no_auto")]
    auto: bool,

    #[arg(long, hide = true)]
    no_auto: bool,

    /// Ignored: a table has all references
    #[arg(long, overrides_with = "no_all")]
    all: bool,

    #[arg(long, hide = true)]
    no_all: bool,

    /// Ignored: there are no files of single references
    #[arg(long, overrides_with = "no_prune")]
    prune: bool,

    #[arg(long, hide = true)]
    no_prune: bool,

    /// Ignored, as by git for tables
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,

    #[arg(long, hide = true)]
    no_include: bool,

    /// Ignored, as by git for tables
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,

    #[arg(long, hide = true)]
    no_exclude: bool,

    #[command(flatten)]
    writing: Writing,
}

impl PackRefs {
    pub(crate) fn run(&self, repo: &Repository) -> Result<Code, Failure> {
        self.merge(repo).map_err(Failure::exits_with_255)
    }

    fn merge(&self, repo: &Repository) -> Result<Code, Failure> {
        let mut options = self.writing.options().reading(Reading::Copied);
        if self.auto {
            options = options.auto_compact(AutoCompact::Geometric(2));
        }
        let what = if self.auto { Compact::Auto } else { Compact::all() };
        let stores = repo.open(&options, self.writing.patience()).map_err(Failure::from)?;
        for stack in stores.all() {
            stack.compact(what.clone())?;
        }
        Ok(Code::Done)
    }
}
