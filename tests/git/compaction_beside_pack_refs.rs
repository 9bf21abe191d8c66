//! git's `pack-refs` compacts, and then removes every table that no list names. It never takes what
//! we are writing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::garbage;
use crate::support::git::{self, Repo};
use crate::support::hook_dir::{HookDir, is_temporary};
use crate::support::{self, id, ident, quick};
use reftable::compact::{Compact, Compaction};
use reftable::{AutoCompact, ErrorKind, Expect, HashKind, Options, Stack};

fn plain() -> Options {
    // Not in one go under the lock, where git could not come between.
    quick().auto_compact(AutoCompact::Off).compact_at_once(0)
}

fn commit(stack: &Stack, names: impl Iterator<Item = String>, number: u64) -> Option<reftable::Result<Compaction>> {
    let mut tx = stack.transaction();
    for name in names {
        tx.set(name, Expect::Any, id(HashKind::Sha1, number));
    }
    tx.reflog(ident(), "beside pack-refs");
    tx.commit().unwrap().compaction
}

/// A repository whose tables git finds well sized, so that `pack-refs --auto` does nothing but
/// clean.
fn repository() -> Arc<Repo> {
    let repo = Repo::new(HashKind::Sha1);
    let stack = repo.open(plain());
    for (number, count) in [(1, 300), (2, 40), (3, 2)] {
        commit(&stack, (0..count).map(|each| format!("refs/tags/{number}-{each}")), number);
        if number == 1 {
            // With the table that `git init` made.
            stack.compact(Compact::all()).unwrap();
        }
    }
    Arc::new(repo)
}

/// Bytes of the files of this kind.
fn files(dir: &Path, fits: fn(&str) -> bool) -> BTreeMap<String, Vec<u8>> {
    let mut files = support::dump(dir);
    files.retain(|name, _| fits(name));
    files
}

/// The merged table is written and not listed. git comes and cleans, and takes a table that nobody
/// lists, but not ours.
#[test]
fn an_output_that_is_not_listed_yet_survives_gits_cleaning() {
    if !git::is_there() {
        return;
    }
    let repo = repository();
    let path = repo.reftable_dir();
    let before = support::contents::of(&repo.snapshot());
    let (there, decoy) = (Arc::clone(&repo), "0x000000000001-0x000000000002-deadbeef.ref");
    let dir = HookDir::before_listing(&path.clone(), move || {
        let output = files(&path, is_temporary);
        assert!(output.len() == 1 && output.values().all(|bytes| bytes.len() > 1000), "it is written");
        // The control: what our output would be if it had a table's name already.
        fs::write(path.join(decoy), output.values().next().unwrap()).unwrap();
        let listed = support::table_names(&path);
        assert!(!there.try_git(["pack-refs", "--all"]).status.success(), "the tables are locked for our compaction");
        there.git(["pack-refs", "--auto"]);
        assert!(!path.join(decoy).exists(), "git has not cleaned, so this shows nothing");
        assert_eq!(support::table_names(&path), listed);
        assert_eq!(files(&path, is_temporary), output);
    });
    let done = dir.stack(plain()).compact(Compact::all()).unwrap().unwrap();
    assert!(dir.is_done());
    assert_eq!((done.merged.len(), done.leftovers.len()), (3, 0), "{done:?}");
    assert_eq!(support::contents::of(&repo.snapshot()), before);
    garbage::assert_none(&repo.reftable_dir());
    repo.git(["pack-refs", "--all"]);
    assert_eq!(support::contents::of(&repo.snapshot()), before);
    assert_eq!(git::lines(&repo.git(["for-each-ref", "--format=%(refname)"])).count(), 342);
}

/// Runs of `pack-refs` that each of the ways to call it must have made.
const RUNS: usize = 15;
const AT_MOST: Duration = Duration::from_secs(60);
/// Between two things that one of us does: git polls for locks, so it needs gaps.
const PAUSE: Duration = Duration::from_millis(5);

/// What each of us did.
#[derive(Default)]
struct Counts {
    packed: [AtomicUsize; 2],
    refused: AtomicUsize,
    compacted: AtomicUsize,
    gave_way: AtomicUsize,
    commits: AtomicUsize,
}

impl Counts {
    fn is_enough(&self) -> bool {
        let enough = |count: &AtomicUsize, least| count.load(Ordering::SeqCst) >= least;
        self.packed.iter().all(|packed| enough(packed, RUNS)) && enough(&self.compacted, RUNS)
    }

    fn show(&self) -> String {
        let of = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        let (all, auto) = (of(&self.packed[0]), of(&self.packed[1]));
        let (commits, compacted) = (of(&self.commits), of(&self.compacted));
        format!(
            "pack-refs --all {all}, --auto {auto}, refused {}; ours: {commits} commits, {compacted} compactions, gave way {}",
            of(&self.refused),
            of(&self.gave_way)
        )
    }
}

fn add(count: &AtomicUsize) {
    count.fetch_add(1, Ordering::SeqCst);
}

/// To give way to git is fine, to fail is not.
fn judge(counts: &Counts, compaction: reftable::Result<Compaction>) {
    match compaction {
        Ok(done) => {
            assert_eq!(done.leftovers, Vec::<String>::new());
            add(&counts.compacted);
        }
        Err(error) if error.kind() == ErrorKind::Locked => add(&counts.gave_way),
        Err(error) => panic!("our compaction failed beside git: {error}"),
    }
}

fn pack(repo: &Repo, which: usize, counts: &Counts) {
    match repo.try_git(["pack-refs", ["--all", "--auto"][which]]).status.success() {
        true => add(&counts.packed[which]),
        false => add(&counts.refused),
    }
}

#[test]
fn pack_refs_in_a_loop_makes_nothing_fail_and_loses_nothing() {
    if !git::is_there() {
        return;
    }
    let (repo, counts, stop) = (repository(), Counts::default(), AtomicBool::new(false));
    let start = Instant::now();
    let is_over = || stop.load(Ordering::SeqCst);
    let write = |thread: u64, options: Options| {
        let stack = repo.open(options);
        let mut last = 0;
        while !is_over() {
            last += 1;
            let names = ["current".to_owned(), last.to_string()].map(|name| format!("refs/heads/{thread}-{name}"));
            let compaction = commit(&stack, names.into_iter(), thread << 32 | last);
            add(&counts.commits);
            compaction.into_iter().for_each(|compaction| judge(&counts, compaction));
            std::thread::sleep(PAUSE);
        }
        (thread, last)
    };
    let compact = || {
        let stack = repo.open(plain());
        while !is_over() {
            stack.compact(Compact::all()).transpose().into_iter().for_each(|compaction| judge(&counts, compaction));
            std::thread::sleep(PAUSE * 8);
        }
    };
    let written = std::thread::scope(|scope| {
        let writers = [scope.spawn(|| write(1, plain())), scope.spawn(|| write(2, quick().compact_at_once(0)))];
        scope.spawn(compact);
        for which in [0, 1] {
            let (repo, counts) = (&repo, &counts);
            scope.spawn(move || {
                while !is_over() {
                    pack(repo, which, counts);
                }
            });
        }
        let others_failed = |writers: &[std::thread::ScopedJoinHandle<'_, _>]| writers.iter().any(|w| w.is_finished());
        while !counts.is_enough() && start.elapsed() < AT_MOST && !others_failed(&writers) {
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::SeqCst);
        writers.map(|writer| writer.join().unwrap())
    });
    println!("{}", counts.show());
    assert!(counts.is_enough(), "{}", counts.show());
    let snapshot = repo.snapshot();
    for (thread, last) in written {
        for (name, number) in
            (1..=last).map(|number| (number.to_string(), number)).chain([("current".to_owned(), last)])
        {
            let name = format!("refs/heads/{thread}-{name}");
            let found = snapshot.get(&name).unwrap().map(|found| found.target);
            assert_eq!(found, Some(id(HashKind::Sha1, thread << 32 | number).into()), "{name}");
        }
    }
    repo.open(plain()).compact(Compact::all()).unwrap();
    garbage::assert_none(&repo.reftable_dir());
    repo.git(["pack-refs", "--all"]);
}
