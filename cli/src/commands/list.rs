//! `reftable list`

use std::ffi::OsString;
use std::io::Write;

use clap::Args;
use reftable::bytes::Reading;
use reftable::{ObjectId, RefView, TargetView};
use reftable_git::{Repository, View};

use crate::failure::{Code, Failure};
use crate::json;
use crate::output::{Out, put_quoted};

/// List references, by name
///
/// Prints 'ID NAME' for each reference, and 'ref: TARGET NAME' for symbolic ones, as they are
/// stored. All that the store has is listed, HEAD and other root references among it: '--prefix
/// refs/' leaves those out. Finding nothing is no failure. Names with spaces or control characters
/// are printed as C strings in double quotes: see 'reftable --help'.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reftable list
  reftable list --prefix refs/heads/
  reftable list --points-at 2e6f9b0d5885b6010f9167787445617f553a735f
  reftable list --json | jq -r 'select(.peeled).name'")]
pub(crate) struct List {
    /// Only names that start with this
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<OsString>,

    /// Only references to this object, directly or through an annotated tag whose peeled id is
    /// stored; symbolic ones are not followed
    #[arg(long, value_name = "ID")]
    points_at: Option<String>,
}

impl List {
    pub(crate) fn run(&self, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        let view = repo.view(Reading::Copied)?;
        let prefix = self.prefix.as_ref().map(|prefix| prefix.as_encoded_bytes()).unwrap_or_default();
        let mut line = Vec::new();
        let each = |found: &RefView<'_>| -> Result<(), Failure> {
            if found.name.starts_with(prefix) {
                match out.wants_json() {
                    true => out.json(&json::reference(&found.to_ref()))?,
                    false => out.write_all(put_line(&mut line, found))?,
                }
            }
            Ok(())
        };
        match &self.points_at {
            Some(id) => view.pointing_at(&points_at(id, &view)?, each)?,
            None => view.refs(prefix, each)?,
        }
        Ok(Code::Done)
    }
}

/// Puts 'ID NAME' or 'ref: TARGET NAME' into `line`. With a million references, formatting
/// machinery would take longer than reading them.
fn put_line<'a>(line: &'a mut Vec<u8>, found: &RefView<'_>) -> &'a [u8] {
    line.clear();
    match found.target {
        TargetView::Symbolic(target) => {
            line.extend_from_slice(b"ref: ");
            put_quoted(line, target);
        }
        TargetView::Id(id) | TargetView::Tag { id, .. } => line.extend_from_slice(id.hex_bytes(&mut [0; 64])),
        _ => {}
    }
    line.push(b' ');
    put_quoted(line, found.name);
    line.push(b'\n');
    line
}

fn points_at(text: &str, view: &View) -> Result<ObjectId, Failure> {
    let id: ObjectId = text.parse()?;
    match view.hash() {
        Some(hash) if hash != id.kind() => {
            Err(Failure::usage(format!("{id} is a {} id, the store has {hash} ids", id.kind())))
        }
        _ => Ok(id),
    }
}
