//! `reftable refs`

use clap::{Args, Subcommand};
use reftable_git::Repository;

use super::{create, delete, exists, list, pack_refs, rename, update, verify};
use crate::failure::{Code, Failure};
use crate::output::Out;

/// The words of 'git refs', for scripts that have 'refs' before them
///
/// 'reftable refs create' is 'reftable create', and so on; but 'reftable refs list' prints what
/// 'git refs list' prints.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reftable refs exists refs/heads/main
  reftable refs list refs/heads")]
pub(crate) struct Refs {
    #[command(subcommand)]
    word: Word,
}

#[derive(Debug, Subcommand)]
enum Word {
    List(list::List),
    Exists(exists::Exists),
    Create(create::Create),
    Update(update::Update),
    Delete(delete::Delete),
    Rename(rename::Rename),
    Verify(verify::Verify),
    Optimize(pack_refs::PackRefs),
    /// Not here: 'git refs migrate' does it, while nobody writes
    #[command(hide = true)]
    Migrate {
        #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
        words: Vec<std::ffi::OsString>,
    },
}

impl Refs {
    pub(crate) fn run(&self, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        match &self.word {
            Word::List(list) => list.run(true, repo, out),
            Word::Exists(exists) => exists.run(repo),
            Word::Create(create) => create.run(repo, out),
            Word::Update(update) => update.run(repo, out),
            Word::Delete(delete) => delete.run(repo, out),
            Word::Rename(rename) => rename.run(repo, out),
            Word::Verify(verify) => verify.run(true, repo, out),
            Word::Optimize(optimize) => optimize.run(repo),
            Word::Migrate { .. } => Err(Failure::usage(
                "references are not migrated here: 'git refs migrate' does it, but what others write meanwhile is lost",
            )),
        }
    }
}
