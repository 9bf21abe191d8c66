//! `reftable get`

use std::ffi::OsString;
use std::io::Write;

use clap::Args;
use reftable::bytes::Reading;
use reftable::escape::{escaped, quoted};
use reftable::{Ref, Target};
use reftable_git::{Repository, View};

use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::output::Out;

/// Print where a reference points
///
/// Symbolic references are followed, so that the answer is an id. Exits with 1 if the reference, or
/// the one that it leads to, does not exist.
#[derive(Debug, Args)]
#[command(after_help = "\
With --json, 'id' and 'peeled' are those at the end, 'symref' and 'update_index' those of NAME
itself.

Examples:
  reftable get refs/heads/main
  reftable get HEAD
  reftable get --no-deref HEAD      # ref: refs/heads/main")]
pub(crate) struct Get {
    /// The full name
    name: OsString,

    /// Print what is stored, without following symbolic references
    #[arg(long)]
    no_deref: bool,
}

impl Get {
    pub(crate) fn run(&self, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        self.print(&repo.view(Reading::Checked)?, out)
    }

    /// Prints what `view` has.
    pub(crate) fn print(&self, view: &View, out: &mut Out) -> Result<Code, Failure> {
        let name = self.name.as_encoded_bytes();
        let Some(found) = view.get(name)? else {
            reftable::name::check(name)?;
            return Err(missing(name, view)?);
        };
        let target = if self.no_deref { found.target.clone() } else { resolve(&found, view)? };
        if out.wants_json() {
            let object = Object::of("reference").put_text("name", name).put_target(&target);
            let object = match &found.target {
                Target::Symbolic(next) if !self.no_deref => object.put_text("symref", next),
                _ => object,
            };
            out.json(&object.put("update_index", found.update_index).build())?;
        } else if let Target::Symbolic(next) = &target {
            writeln!(out, "ref: {}", quoted(next))?;
        } else {
            writeln!(out, "{target}")?;
        }
        Ok(Code::Done)
    }
}

fn resolve(found: &Ref, view: &View) -> Result<Target, Failure> {
    let chain = view.follow(&found.name)?;
    chain.target.ok_or_else(|| {
        let (name, end) = (escaped(&found.name), escaped(&chain.name));
        Failure::not_found(format!("'{name}' leads to '{end}', which does not exist"))
    })
}

fn missing(name: &[u8], view: &View) -> Result<Failure, Failure> {
    let full = full_name(name, |full| Ok(view.get(full)?.is_some()))?;
    let does = full.map(|full| format!("; '{}' does", escaped(&full))).unwrap_or_default();
    Ok(Failure::not_found(format!("'{}' does not exist{does}", escaped(name))))
}

/// What `name` may be short for: a branch before anything else.
pub(super) fn full_name(
    name: &[u8],
    is_it: impl Fn(&[u8]) -> Result<bool, Failure>,
) -> Result<Option<Vec<u8>>, Failure> {
    for place in ["refs/heads/", "refs/tags/", "refs/remotes/", "refs/"] {
        let full = [place.as_bytes(), name].concat();
        if is_it(&full)? {
            return Ok(Some(full));
        }
    }
    Ok(None)
}
