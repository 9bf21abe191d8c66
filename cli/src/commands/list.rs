//! `reftable list`

use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::ops::ControlFlow;

use clap::Args;
use reftable::bytes::Reading;
use reftable::escape::escaped;
use reftable::{ObjectId, Ref, RefView, TargetView};
use reftable_git::{Listing, Repository, Revisions, View};

use super::list_by_git::{ByGit, hand_over, with_values};
use super::list_format::{Format, Key, Known};
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

FORMAT has fields such as %(refname), also :short, :lstrip=N and :rstrip=N; %(objectname),
%(objecttype), %(symref), also :short; %(*objectname), what an annotated tag leads to; %(HEAD), '*'
for the branch of HEAD; %% and %0a for bytes.

KEY is refname, objectname, objecttype or symref, with '-' before it the other way round; the last
--sort counts most.

Every other field and key that 'git for-each-ref' knows may be used, too: that command is run then,
and reads the store.

Examples:
  reftable list
  reftable list 'refs/tags/v*' --exclude 'refs/tags/*-rc*' --sort=-refname --count 3
  reftable list --format '%(refname:short) %(objectname)' refs/heads
  reftable list --points-at 2e6f9b0d5885b6010f9167787445617f553a735f
  reftable list --sort=-committerdate --format '%(committerdate:short) %(refname:short)' refs/heads
  reftable list --json | jq -r 'select(.peeled).name'")]
pub(crate) struct List {
    /// Only names that match one of these
    #[arg(value_name = "PATTERN")]
    pub(super) patterns: Vec<OsString>,

    /// Only names that start with this
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<OsString>,

    /// No names that match this, whatever the patterns
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<OsString>,

    /// Only names after this one, which need not exist
    #[arg(long, value_name = "NAME")]
    start_after: Option<OsString>,

    /// Only references to this object, directly or through an annotated tag whose peeled id is
    /// stored; symbolic ones are not followed
    #[arg(long, value_name = "OBJECT")]
    points_at: Option<OsString>,

    /// At most so many; 0 is no limit
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    count: Option<i64>,

    /// In another order than by name; may be given several times
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    sort: Vec<String>,

    /// In no particular order
    #[arg(long, overrides_with = "sort")]
    no_sort: bool,

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
    #[arg(long)]
    stdin: bool,

    /// Print no line for what a format makes nothing of
    #[arg(long)]
    omit_empty: bool,

    /// A NUL ends each, not a newline, and nothing is quoted
    #[arg(short = 'z')]
    nul: bool,

    #[command(flatten)]
    pub(super) by_git: ByGit,
}

/// What 'git refs list' prints.
const USUAL: &str = "%(objectname) %(objecttype)\t%(refname)";

impl List {
    /// Lists; as git does, after `refs`.
    pub(crate) fn run(&self, as_git: bool, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        let view = repo.view(Reading::Copied)?;
        self.count()?;
        match self.plain(as_git, out.wants_json()) {
            Ok(plain) => self.print(as_git, &view, plain, Known::of(repo, &view)?, Revisions::of(repo), out),
            Err(why) => hand_over(self, &why, as_git, repo, out),
        }
    }

    /// Lists what `view` has, which is of a store in no repository.
    #[cfg(feature = "object-store")]
    pub(crate) fn run_alone(&self, view: &View, out: &mut Out) -> Result<Code, Failure> {
        let plain = self.plain(false, out.wants_json()).map_err(Failure::usage)?;
        let revisions = Revisions::without_objects(view.hash().unwrap_or_default());
        self.print(false, view, plain, Known::alone(view)?, revisions, out)
    }

    /// How many are asked for; 0 for all.
    fn count(&self) -> Result<usize, Failure> {
        if self.stdin && !self.patterns.is_empty() {
            return Err(Failure::usage("unknown arguments supplied with --stdin"));
        }
        let count = self.count.unwrap_or_default();
        usize::try_from(count).map_err(|_| Failure::Arguments(format!("invalid --count argument: '{count}'")))
    }

    fn print(
        &self,
        as_git: bool,
        view: &View,
        (format, keys): (Option<Format>, Vec<Key>),
        mut known: Known<'_>,
        revisions: Revisions,
        out: &mut Out,
    ) -> Result<Code, Failure> {
        let (listing, points_at) = (self.listing(as_git)?, self.points_at(revisions, view)?);
        let mut printer = Printer { list: self, view, as_git, format, left: self.count()?, line: Vec::new() };
        if printer.left == 0 {
            printer.left = usize::MAX;
        }
        let is_by_name = keys.is_empty() && !self.ignore_case;
        let mut all: Vec<Ref> = Vec::new();
        let mut each = |found: &RefView<'_>| -> Result<ControlFlow<()>, Failure> {
            if is_by_name {
                return printer.print(found, &mut known, out);
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
        Key::sort(&keys, self.ignore_case, &mut all, &mut known)?;
        for Ref { name, update_index, target } in &all {
            let found = RefView { name, update_index: *update_index, target: target.as_view() };
            if printer.print(&found, &mut known, out)?.is_break() {
                break;
            }
        }
        Ok(Code::Done)
    }

    /// What is printed and in which order, if that is known here; else what is not.
    fn plain(&self, as_git: bool, wants_json: bool) -> Result<(Option<Format>, Vec<Key>), String> {
        let points_at = (as_git && self.points_at.is_some()).then_some("--points-at");
        if let Some(option) = self.by_git.first().or(points_at) {
            return Err(format!("'{option}' is not known here"));
        }
        let text = self.format.as_ref().map(|format| format.as_encoded_bytes());
        let text = text.or(as_git.then_some(USUAL.as_bytes())).filter(|_| !wants_json);
        let keys = self.sort.iter().map(|key| key.parse()).collect::<Result<_, String>>()?;
        Ok((text.map(Format::parse).transpose()?, keys))
    }

    /// What was asked for that `git for-each-ref` does not know.
    pub(super) fn ours_alone(&self, wants_json: bool) -> Option<&'static str> {
        let ours = [("--json", wants_json), ("--prefix", self.prefix.is_some()), ("-z", self.nul)];
        ours.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name)
    }

    /// The options that `git for-each-ref` has, too, as they were given.
    pub(super) fn words_of_git(&self, as_git: bool) -> Vec<OsString> {
        let count = self.count.map(|count| count.to_string());
        let flags = [
            ("--no-sort", self.no_sort),
            ("--include-root-refs", self.include_root_refs || !as_git),
            ("--ignore-case", self.ignore_case),
            ("--omit-empty", self.omit_empty),
            ("--stdin", self.stdin),
        ];
        with_values("--exclude", &self.exclude)
            .chain(with_values("--start-after", &self.start_after))
            .chain(with_values("--points-at", &self.points_at))
            .chain(with_values("--count", &count))
            .chain(with_values("--sort", &self.sort))
            .chain(with_values("--format", &self.format))
            .chain(flags.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name.into()))
            .collect()
    }

    fn points_at(&self, mut revisions: Revisions, view: &View) -> Result<Option<ObjectId>, Failure> {
        let Some(word) = &self.points_at else { return Ok(None) };
        let word = word.as_encoded_bytes();
        let id = revisions.id(word, view)?;
        let id = id.ok_or_else(|| Failure::usage(format!("malformed object name '{}'", escaped(word))))?;
        match view.hash() {
            Some(hash) if hash != id.kind() => {
                Err(Failure::usage(format!("{id} is a {} id, the store has {hash} ids", id.kind())))
            }
            _ => Ok(Some(id)),
        }
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

/// Prints references as they are asked for.
struct Printer<'a> {
    list: &'a List,
    view: &'a View,
    as_git: bool,
    /// `None` is for 'ID NAME', or JSON.
    format: Option<Format>,
    /// So many more are printed.
    left: usize,
    line: Vec<u8>,
}

impl Printer<'_> {
    /// Prints `found` unless there were enough.
    fn print(&mut self, found: &RefView<'_>, known: &mut Known<'_>, out: &mut Out) -> Result<ControlFlow<()>, Failure> {
        if self.left == 0 {
            return Ok(ControlFlow::Break(()));
        }
        let prefix = self.list.prefix.as_ref().map(|prefix| prefix.as_encoded_bytes()).unwrap_or_default();
        if !found.name.starts_with(prefix) || self.as_git && leads_nowhere(found, self.view)? {
            return Ok(ControlFlow::Continue(()));
        }
        self.left -= 1;
        match &self.format {
            None if out.wants_json() => out.json(&json::reference(&found.to_ref()))?,
            None => out.write_all(put_line(&mut self.line, found, self.list.nul))?,
            Some(format) => {
                self.line.clear();
                format.put(&mut self.line, &found.to_ref(), known)?;
                if !(self.list.omit_empty && self.line.is_empty()) {
                    self.line.push(if self.list.nul { 0 } else { b'\n' });
                    out.write_all(&self.line)?;
                }
            }
        }
        Ok(ControlFlow::Continue(()))
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
