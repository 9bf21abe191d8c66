//! `reftable delete`

use std::ffi::OsString;

use clap::Args;
use reftable::{Expect, Target};
use reftable_git::{Batch, Change, Repository};

use crate::cli::{Writing, any_name, old_value};
use crate::failure::{Code, Failure};
use crate::output::tell;

/// Delete a reference and its reflog
///
/// Like 'git update-ref -d': a symbolic reference stands for the one it leads to, and it is no
/// failure if there was nothing to delete, unless OLD says that there should be. A name that breaks
/// git's rules can be deleted if it is there, if need be by 'reftable update --stdin', which reads
/// the quotes that 'reftable list' prints. Such a name, FETCH_HEAD and MERGE_HEAD stand for
/// themselves even if they are symbolic: git follows none of them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reftable delete refs/heads/topic
  reftable delete refs/heads/topic 2e6f9b0d5885b6010f9167787445617f553a735f
  reftable delete --no-deref refs/remotes/origin/HEAD")]
pub(crate) struct Delete {
    /// The full name
    name: OsString,

    /// The id that it must have now; all zeroes or nothing ('') count as not given, as in git
    old: Option<String>,

    /// Delete a symbolic reference instead of following it
    #[arg(long)]
    no_deref: bool,

    #[command(flatten)]
    writing: Writing,
}

impl Delete {
    pub(crate) fn run(&self, repo: &Repository) -> Result<Code, Failure> {
        let name = any_name(&self.name)?.to_vec();
        let old = self.old.as_deref().map(old_value).transpose()?.flatten();
        let expect = old.map_or(Expect::Any, |id| Expect::Is(Target::Id(id)));
        let change = Change::delete(name, expect).following(!self.no_deref);
        let stores = repo.open(&self.writing.options(), self.writing.patience())?;
        tell(&Batch { changes: vec![change], ..Batch::default() }.commit(&stores)?);
        Ok(Code::Done)
    }
}
