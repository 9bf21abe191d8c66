//! `bucket --figures`: what opening, looking, refreshing and committing cost, in requests, bytes
//! and time; with many references in one store, and with many stores in one bucket.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use reftable::{Durability, Expect, Ident, LogEntry, ObjectId, Stack};
use reftable_bucket::{Blocking, Changeset, Client, Options, Snapshot, Store};
use serde_json::json;

use super::args::BucketArgs;
use super::counting::{Counting, Taken};
use super::{THREADS, joined};
use crate::run::tell;

/// How often the quick ones are repeated: the median is told.
const TIMES: usize = 15;

struct Figures<'a> {
    args: &'a BucketArgs,
    bucket: Arc<Counting>,
    prefix: String,
}

/// Tells all figures of a bucket that nothing of is lost.
pub(super) fn main(args: &BucketArgs, client: &Client, prefix: &str) -> Result<()> {
    let bucket = Arc::new(Counting::new(client.clone()));
    let figures = Figures { args, bucket, prefix: prefix.to_owned() };
    if !args.json {
        tell("                                               reads writes lists   bytes read  bytes written      ms")?;
    }
    figures.one_reference()?;
    figures.many_references()?;
    figures.many_stores()
}

impl Figures<'_> {
    /// A handle that knows nothing yet.
    fn fresh(&self, place: &str, options: Options) -> Result<Blocking<Counting>> {
        let options = options.timeout(Duration::from_secs(self.args.wait));
        let prefix = format!("{}/{place}", self.prefix);
        Ok(Store::new(Arc::clone(&self.bucket), &prefix, options)?.blocking())
    }

    /// Does `work` some times, and tells what one of them costs.
    fn row(&self, what: &str, times: usize, mut work: impl FnMut() -> Result<()>) -> Result<()> {
        let mut all: Vec<(Duration, Taken)> = Vec::new();
        for _ in 0..times {
            self.bucket.taken();
            let began = Instant::now();
            work()?;
            all.push((began.elapsed(), self.bucket.taken()));
        }
        all.sort_by_key(|(time, _)| *time);
        let Some((time, taken)) = all.get(all.len() / 2) else { return Ok(()) };
        let (millis, Taken { reads, writes, lists, bytes_read, bytes_written, .. }) =
            (time.as_secs_f64() * 1000.0, *taken);
        if self.args.json {
            let row = json!({
                "what": what, "reads": reads, "writes": writes, "lists": lists, "deletions": taken.deletions,
                "bytes_read": bytes_read, "bytes_written": bytes_written, "ms": millis,
            });
            return tell(&row.to_string());
        }
        tell(&format!(
            "{what:<45} {reads:>6} {writes:>6} {lists:>5} {bytes_read:>12} {bytes_written:>14} {millis:>7.1}"
        ))
    }

    fn one_reference(&self) -> Result<()> {
        let (writer, reader) = (self.fresh("one", Options::default())?, self.fresh("one", Options::default())?);
        let mut number = 0;
        let mut commit = || {
            number += 1;
            writer.commit(change(format!("refs/heads/{}", number % 4), number)?)?;
            Ok(())
        };
        self.row("one store: the first commit", 1, &mut commit)?;
        self.row("  a commit of its only writer", TIMES, &mut commit)?;
        self.row("  open, knowing nothing", TIMES, || open(&self.fresh("one", Options::default())?).map(drop))?;
        open(&reader)?;
        self.row("  refresh when nothing was committed", TIMES, || open(&reader).map(drop))?;
        commit()?;
        self.row("  refresh after a commit of others", 1, || open(&reader).map(drop))
    }

    fn many_references(&self) -> Result<()> {
        let count = self.args.references;
        if count == 0 {
            return Ok(());
        }
        let dir = tempfile::tempdir().context("cannot make a directory")?;
        let (source, cache) = (dir.path().join("reftable"), dir.path().join("cache"));
        let snapshot = store_of(&source, count)?;
        let store = || self.fresh("many", Options::default());
        self.row(&format!("a store of {count} references: import"), 1, || Ok(store()?.import(&snapshot, |_, _| {})?))?;
        self.row("  open, knowing nothing, and look up one", 3, || {
            let snapshot = open(&store()?)?;
            found(&snapshot, &name(count / 2))
        })?;
        let reader = store()?;
        let opened = open(&reader)?;
        self.row("  look up one", TIMES, || found(&opened, &name(count / 3)))?;
        self.row("  list a hundred by their prefix", TIMES, || {
            let mut refs = opened.prefix(format!("refs/heads/{:07}", count / 200))?;
            while refs.next()?.is_some() {}
            Ok(())
        })?;
        self.row("  refresh when nothing was committed", TIMES, || open(&reader).map(drop))?;
        let writer = store()?;
        open(&writer)?;
        self.row("  a commit", 1, || {
            writer.commit(change("refs/heads/new".to_owned(), 1)?)?;
            Ok(())
        })?;
        self.row("  refresh after a commit of others", 1, || open(&reader).map(drop))?;
        let cached = || self.fresh("many", Options::default().cache(&cache, 10 << 30));
        open(&cached()?)?;
        self.row("  open, with the tables on a disk", 3, || open(&cached()?).map(drop))?;
        let bytes = bytes_in(&cache)?;
        tell(&if self.args.json {
            json!({ "what": "  disk for them", "bytes": bytes }).to_string()
        } else {
            format!("  {bytes} bytes of disk for them")
        })
    }

    fn many_stores(&self) -> Result<()> {
        let count = self.args.repositories;
        if count == 0 {
            return Ok(());
        }
        open_and_clean(self, "of/few")?;
        let made = AtomicU64::new(0);
        self.row(&format!("{count} more stores: a commit in each, {THREADS} at once"), 1, || {
            thread::scope(|scope| {
                let make = || {
                    loop {
                        let number = made.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return Ok(());
                        }
                        let store = self.fresh(&format!("of/{number}"), Options::default())?;
                        store.commit(change("refs/heads/main".to_owned(), number)?)?;
                    }
                };
                let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(make)).collect();
                threads.into_iter().try_for_each(joined)
            })
        })?;
        open_and_clean(self, "of/many")
    }
}

/// What one store costs, whatever else is in the bucket.
fn open_and_clean(figures: &Figures<'_>, place: &str) -> Result<()> {
    let store = || figures.fresh(place, Options::default());
    store()?.commit(change("refs/heads/other".to_owned(), 1)?)?;
    figures.row(&format!("  open the store '{place}', knowing nothing"), TIMES, || open(&store()?).map(drop))?;
    figures.row("  clean it", TIMES, || {
        store()?.clean(false)?;
        Ok(())
    })
}

fn open(store: &Blocking<Counting>) -> Result<Snapshot> {
    Ok(store.snapshot()?)
}

fn found(snapshot: &Snapshot, name: &str) -> Result<()> {
    snapshot.get(name)?.with_context(|| format!("{name} is not there"))?;
    Ok(())
}

fn name(number: u64) -> String {
    format!("refs/heads/{number:09}")
}

fn id(number: u64) -> Result<ObjectId> {
    // Ids are no numbers: tables cannot make them smaller.
    let mut dice = fastrand::Rng::with_seed(number);
    Ok(ObjectId::from_hex(format!("{:016x}{:016x}{:08x}", dice.u64(..), dice.u64(..), dice.u32(..)).as_bytes())?)
}

fn entry(id: ObjectId) -> LogEntry {
    let committer = Ident::new("stress", "stress@localhost", 1);
    LogEntry { old: ObjectId::null(id.kind()), new: id, committer, message: b"figures".to_vec() }
}

fn change(name: String, number: u64) -> Result<Changeset> {
    let (mut changes, id) = (Changeset::new(), id(number)?);
    changes.append_log(&name, entry(id));
    changes.set(name, Expect::Any, id);
    Ok(changes)
}

/// A store in a directory, in one table.
fn store_of(dir: &Path, references: u64) -> Result<reftable::Snapshot> {
    std::fs::create_dir(dir).context("cannot make a directory")?;
    let stack = Stack::open(dir, reftable::Options::default().durability(Durability::Off))?;
    let mut transaction = stack.transaction();
    for number in 0..references {
        let id = id(number)?;
        transaction.set(name(number), Expect::Any, id);
        transaction.append_log(name(number), entry(id));
    }
    transaction.commit()?;
    Ok(stack.snapshot()?)
}

fn bytes_in(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).context("no cache")? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}
