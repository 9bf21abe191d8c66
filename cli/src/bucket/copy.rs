//! From a directory into a bucket, and back.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use reftable::bytes::Reading;
use reftable::escape::quoted;
use reftable::{Options, Snapshot, Stack};
use reftable_bucket::{Blocking, materialize};
use reftable_git::{Place as Side, Repository, for_reading};

use super::commands::Place;
use super::counted::Counted;
use crate::cli::Writing;
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::output::Out;

/// Make a store in a bucket from one in a directory
///
/// The store is read as it is now, in the bucket it appears in one piece, and what can be read
/// there is compared with what was read here, reference by reference and entry by entry. Nothing is
/// overwritten: there must be no store at the place. Writers of the directory are to be stopped
/// before, as what they write afterwards is not in the bucket. Tables whose update indexes overlap
/// or run backwards are merged. Of a repository with linked worktrees only the shared store is
/// taken. How far it has come is shown if standard error is a terminal.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reftable -C s3://bucket/repos/42 import /srv/repo.git")]
pub(crate) struct Import {
    /// A repository, or a store
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    #[command(flatten)]
    copying: Copying,
}

/// Make a store in a directory from one in a bucket
///
/// Writes the tables and a tables.list, which git reads, syncs them, and compares what can be read
/// there with what was read from the bucket, reference by reference and entry by entry.
#[derive(Debug, Args)]
#[command(after_help = "\
In a git repository the directory is 'reftable', in its git directory; let git make the repository,
and put the store into the place of its empty one.

Examples:
  git init --bare --ref-format=reftable copy.git && rm -r copy.git/reftable
  reftable -C s3://bucket/repos/42 export copy.git/reftable")]
pub(crate) struct Export {
    /// A directory that is empty, or not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    #[command(flatten)]
    copying: Copying,
}

/// How stores are copied.
#[derive(Debug, Args)]
struct Copying {
    /// Print nothing, and show no progress, unless something is wrong
    #[arg(long, short, conflicts_with = "json")]
    quiet: bool,

    #[command(flatten)]
    writing: Writing,
}

impl Copying {
    fn open(&self, place: &Place, what: &'static str, out: &Out) -> Result<(Arc<Counted>, Blocking<Counted>), Failure> {
        let counted = Counted::new(place.client.clone(), what, self.quiet || out.wants_json());
        let counted = Arc::new(counted);
        Ok((Arc::clone(&counted), place.store_in(counted, self.writing.patience())?))
    }

    fn tell(&self, word: &str, from: &[u8], to: &[u8], counts: (u64, u64), out: &mut Out) -> Result<Code, Failure> {
        let (refs, logs) = counts;
        if out.wants_json() {
            let object = Object::of(word).put_text("from", from).put_text("to", to);
            out.json(&object.put("refs", refs).put("logs", logs).build())?;
        } else if !self.quiet {
            let to = quoted(to);
            writeln!(out, "{to}: {word} of {refs} refs and {logs} log entries, compared and equal")?;
        }
        Ok(Code::Done)
    }
}

impl Import {
    pub(super) fn run(&self, place: &Place, out: &mut Out) -> Result<Code, Failure> {
        let repo = Repository::find(Some(&self.directory))?;
        repo.check_storage()?;
        let source = repo.open_to_read(&for_reading(Reading::Copied))?.at(Side::Shared).snapshot()?;
        let (counted, store) = self.copying.open(place, "import", out)?;
        let imported = store.import(&source, |done, total| counted.progress(done, total));
        counted.end();
        imported?;
        // With a handle that knows nothing yet: what others will read.
        let copy = place.store(self.copying.writing.patience())?.snapshot()?;
        let counts = compare(&source, &copy)?;
        self.copying.tell("import", bytes_of(&self.directory), place.address.as_bytes(), counts, out)
    }
}

impl Export {
    pub(super) fn run(&self, place: &Place, out: &mut Out) -> Result<Code, Failure> {
        let (counted, store) = self.copying.open(place, "export", out)?;
        let source = store.snapshot();
        counted.end();
        let source = source?;
        materialize(&source, &self.directory)?;
        let copy = read(&self.directory)?;
        let counts = compare(&source, &copy)?;
        self.copying.tell("export", place.address.as_bytes(), bytes_of(&self.directory), counts, out)
    }
}

fn bytes_of(dir: &Path) -> &[u8] {
    dir.as_os_str().as_encoded_bytes()
}

fn read(dir: &Path) -> Result<Snapshot, Failure> {
    let options: Options = for_reading(Reading::Copied);
    Ok(Stack::open(dir, options)?.snapshot()?)
}

/// How many references and log entries both have.
///
/// # Errors
/// At the first difference.
fn compare(source: &Snapshot, copy: &Snapshot) -> Result<(u64, u64), Failure> {
    let differs = || Failure::broken("the copy differs from its source; do not use it, and report this");
    if source.update_index() > copy.update_index() {
        return Err(differs());
    }
    let (mut refs, mut logs) = (0, 0);
    let (mut left, mut right) = (source.refs()?, copy.refs()?);
    loop {
        match (left.next()?, right.next()?) {
            (None, None) => break,
            (Some(left), Some(right)) if left.to_ref() == right.to_ref() => refs += 1,
            _ => return Err(differs()),
        }
    }
    let (mut left, mut right) = (source.logs()?, copy.logs()?);
    loop {
        match (left.next_item()?, right.next_item()?) {
            (None, None) => return Ok((refs, logs)),
            (Some(left), Some(right)) if left == right => logs += 1,
            _ => return Err(differs()),
        }
    }
}
