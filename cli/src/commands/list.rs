//! `reftable list`

use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::ops::ControlFlow;

use clap::Args;
use reftable::bytes::Reading;
use reftable::{ObjectId, Ref, RefView, TargetView};
use reftable_git::{Listing, Repository, View};

use super::list_format::{Format, Key};
use crate::failure::{Code, Failure};
use crate::json;
use crate::output::{Out, put_quoted};

/// List references, by name
///
/// Prints 'ID NAME' for each reference, and 'ref: TARGET NAME' for symbolic ones, as they are
/// stored. All that the store has is listed, HEAD and other root references among it; 'reftable
/// refs list' prints what 'git refs list' prints, and leaves those out. Finding nothing is no
/// failure. Names with spaces or control characters are printed as C strings in double quotes: see
/// 'reftable --help'; with -z or --format they are printed as they are.
#[derive(Debug, Args)]
#[command(after_help = "\
A PATTERN is a name, a directory of names, or has wildcards: '*' and '?' match no slash, '**' does.

FORMAT has fields such as %(refname), also :short, :lstrip=N and :rstrip=N; %(objectname), %(objecttype), %(symref), also
:short; %(*objectname), what an annotated tag leads to; %(HEAD), '*' for the branch of HEAD; %% and %0a for bytes.
KEY is refname, objectname, objecttype or symref, with '-' before it the other way round; the last --sort counts most.

Examples:
  reftable list
  reftable list 'refs/tags/v*' --exclude 'refs/tags/*-rc*' --sort=-refname --count 3
  reftable list --format '%(refname:short) %(objectname)' refs/heads
  reftable list --points-at 2e6f9b0d5885b6010f9167787445617f553a735f
  reftable list --json | jq -r 'select(.peeled).name'")]
pub(crate) struct List {
    /// Only names that match one of these
    #[arg(value_name = "PATTERN")]
    patterns: Vec<OsString>,

    /// Only names that start with this
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<OsString>,

    /// No names that match this, whatever the patterns
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<OsString>,

    /// Only names behind this one, which need not exist
    #[arg(long, value_name = "NAME")]
    start_after: Option<OsString>,

    /// Only references to this object, directly or through an annotated tag whose peeled id is
    /// stored; symbolic ones are not followed
    #[arg(long, value_name = "ID")]
    points_at: Option<String>,

    /// At most so many
    #[arg(long, value_name = "N")]
    count: Option<usize>,

    /// In another order than by name; may be given several times
    #[arg(long, value_name = "KEY")]
    sort: Vec<Key>,

    /// What is printed of each, see below
    #[arg(long, value_name = "FORMAT")]
    format: Option<OsString>,

    /// Also those outside of refs/, where they would be left out
    #[arg(long)]
    include_root_refs: bool,

    /// Wildcards match letters of either case
    #[arg(long)]
    ignore_case: bool,

    /// Read patterns from the standard input, one a line
    #[arg(long, conflicts_with = "patterns")]
    stdin: bool,

    /// A NUL ends each, not a newline, and nothing is quoted
    #[arg(short = 'z')]
    nul: bool,
}

/// What 'git refs list' prints.
const USUAL: &str = "%(objectname) %(objecttype)\t%(refname)";

impl List {
    /// Lists; as git does, behind `refs`.
    pub(crate) fn run(&self, as_git: bool, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        let view = repo.view(Reading::Copied)?;
        let text = self.format.as_ref().map(|format| format.as_encoded_bytes());
        let text = text.or(as_git.then_some(USUAL.as_bytes())).filter(|_| !out.wants_json());
        let mut format = text.map(|text| Format::parse(text, repo, &view)).transpose()?;
        let listing = self.listing(as_git)?;
        let prefix = self.prefix.as_ref().map(|prefix| prefix.as_encoded_bytes()).unwrap_or_default();
        let points_at = self.points_at.as_ref().map(|id| points_at(id, &view)).transpose()?;
        let (mut line, mut left) = (Vec::new(), self.count.unwrap_or(usize::MAX));
        let mut print = |found: &RefView<'_>| -> Result<ControlFlow<()>, Failure> {
            let is_wanted = found.name.starts_with(prefix) && !(as_git && leads_nowhere(found, &view)?);
            if left == 0 {
                return Ok(ControlFlow::Break(()));
            }
            if is_wanted {
                left -= 1;
                match &mut format {
                    Some(format) => {
                        line.clear();
                        format.put(&mut line, &found.to_ref(), &view)?;
                        line.push(if self.nul { 0 } else { b'\n' });
                        out.write_all(&line)?;
                    }
                    None if out.wants_json() => out.json(&json::reference(&found.to_ref()))?,
                    None => out.write_all(put_line(&mut line, found, self.nul))?,
                }
            }
            Ok(ControlFlow::Continue(()))
        };
        let is_sorted = self.sort.is_empty();
        let mut all: Vec<Ref> = Vec::new();
        let mut each = |found: &RefView<'_>| -> Result<ControlFlow<()>, Failure> {
            if is_sorted {
                return print(found);
            }
            all.push(found.to_ref());
            Ok(ControlFlow::Continue(()))
        };
        match points_at {
            Some(id) => view.pointing_at(&id, |found| -> Result<(), Failure> {
                if listing.matches(found.name) { each(found).map(|_| ()) } else { Ok(()) }
            })?,
            None => view.list(&listing, each)?,
        }
        Key::sort(&self.sort, &mut all, repo, &view)?;
        for found in &all {
            let Ref { name, update_index, target } = found;
            if print(&RefView { name, update_index: *update_index, target: target.as_view() })?.is_break() {
                break;
            }
        }
        Ok(Code::Done)
    }

    fn listing(&self, as_git: bool) -> Result<Listing, Failure> {
        let mut listing = Listing::default();
        for pattern in &self.patterns {
            listing = listing.pattern(pattern.as_encoded_bytes());
        }
        if self.stdin {
            for line in io::stdin().lock().split(b'\n') {
                let line = line.map_err(|error| Failure::broken(format!("cannot read the standard input: {error}")))?;
                listing = listing.pattern(line);
            }
        }
        for pattern in &self.exclude {
            listing = listing.exclude(pattern.as_encoded_bytes());
        }
        if let Some(name) = &self.start_after {
            listing = listing.after(name.as_encoded_bytes());
        }
        if self.ignore_case {
            listing = listing.ignore_case();
        }
        Ok(if !as_git || self.include_root_refs { listing.root_refs() } else { listing })
    }
}

/// git lists no symbolic reference that leads nowhere.
fn leads_nowhere(found: &RefView<'_>, view: &View) -> Result<bool, Failure> {
    match found.target {
        TargetView::Symbolic(_) => Ok(view.resolve(found.name).ok().flatten().is_none()),
        _ => Ok(false),
    }
}

/// Puts 'ID NAME' or 'ref: TARGET NAME' into `line`. With a million references, formatting
/// machinery would take longer than reading them.
fn put_line<'a>(line: &'a mut Vec<u8>, found: &RefView<'_>, nul: bool) -> &'a [u8] {
    let put = |line: &mut Vec<u8>, text: &[u8]| if nul { line.extend_from_slice(text) } else { put_quoted(line, text) };
    line.clear();
    match found.target {
        TargetView::Symbolic(target) => {
            line.extend_from_slice(b"ref: ");
            put(line, target);
        }
        TargetView::Id(id) | TargetView::Tag { id, .. } => line.extend_from_slice(id.hex_bytes(&mut [0; 64])),
        _ => {}
    }
    line.push(b' ');
    put(line, found.name);
    line.push(if nul { 0 } else { b'\n' });
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
