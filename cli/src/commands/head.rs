//! `reftable head`

use std::io::Write;

use clap::Args;
use reftable::escape::quoted;
use reftable_git::{Head as Found, Repository};

use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::output::Out;

/// Print the branch that is checked out, as a prompt shows it
///
/// Prints the branch without refs/heads/, be it born or not; a detached HEAD as its id.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reftable head
  reftable head --json | jq -r .symref")]
pub(crate) struct Head {}

impl Head {
    pub(crate) fn run(&self, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        let head = repo.head()?;
        if out.wants_json() {
            let object = Object::of("reference").put_text("name", b"HEAD");
            let object = object.put_some("id", head.id().map(|id| id.to_string()));
            let object = match &head {
                Found::Branch { name, .. } | Found::Unborn { name } => object.put_text("symref", name),
                _ => object,
            };
            out.json(&object.build())?;
            return Ok(Code::Done);
        }
        match (head.branch(), head.id()) {
            (Some(branch), _) => writeln!(out, "{}", quoted(branch))?,
            (None, Some(id)) => writeln!(out, "{id}")?,
            (None, None) => {}
        }
        Ok(Code::Done)
    }
}
