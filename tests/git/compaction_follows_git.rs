//! The same commits leave the same tables as git leaves them, byte for byte.

use std::path::Path;

use crate::support::git::{self, Repo};
use crate::support::{HASHES, Random, assert_verifies, copy_dir, quick, table_names};
use reftable::compact::{Compact, Expiry};
use reftable::table::WriteOptions;
use reftable::{AutoCompact, Expect, HashKind, ObjectId, Options, Stack, Target};

/// Update-index ranges and contents, without the random part of the names.
fn tables(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let names = table_names(dir);
    names.iter().map(|name| (name[..name.len() - 12].to_owned(), std::fs::read(dir.join(name)).unwrap())).collect()
}

fn assert_same(repo: &Repo, ours: &Path, step: usize) {
    let (theirs, ours) = (tables(&repo.reftable_dir()), tables(ours));
    let ranges = |tables: &[(String, Vec<u8>)]| tables.iter().map(|(range, _)| range.clone()).collect::<Vec<_>>();
    assert_eq!(ranges(&ours), ranges(&theirs), "after step {step}");
    for ((range, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        assert!(ours == theirs, "{range} differs after step {step}: {} bytes, git has {}", ours.len(), theirs.len());
    }
}

/// What both sides are told.
enum Step {
    Create(String),
    Update(String),
    Delete(String),
    /// So many at once.
    Many(usize),
    Pack,
}

fn as_git() -> Options {
    quick().auto_compact(AutoCompact::Git(2))
}

/// Takes both through `steps` and compares after each.
fn follow(config: &[&str], options: Options, steps: &[Step]) {
    if !git::is_there() {
        return;
    }
    for hash in HASHES {
        let config = [config, &["core.logAllRefUpdates=false"]].concat();
        let repo = Repo::with(hash, &config, true);
        let ids = repo.commits(steps.len());
        let dir = tempfile::tempdir().unwrap();
        copy_dir(&repo.reftable_dir(), dir.path());
        let stack = Stack::open(dir.path(), options.clone()).unwrap();
        for (number, step) in steps.iter().enumerate() {
            let id = &ids[number];
            apply(&repo, &stack, step, id);
            assert_same(&repo, dir.path(), number);
        }
        assert_verifies(&stack);
    }
}

fn apply(repo: &Repo, stack: &Stack, step: &Step, id: &str) {
    let target: ObjectId = id.parse().unwrap();
    let mut tx = stack.transaction();
    match step {
        Step::Create(name) => {
            repo.git(["update-ref", name, id, ""]);
            tx.set(name, Expect::Absent, target);
        }
        Step::Update(name) => {
            // git writes nothing when nothing changes.
            assert_ne!(repo.line(["rev-parse", name]), id);
            repo.git(["update-ref", name, id]);
            tx.set(name, Expect::Exists, target);
        }
        Step::Delete(name) => {
            repo.git(["update-ref", "-d", name]);
            tx.delete(name, Expect::Exists);
        }
        Step::Many(count) => {
            let names = (0..*count).map(|number| format!("refs/heads/many/{number:05}"));
            let mut input = String::new();
            for name in names {
                input.push_str(&format!("create {name} {id}\n"));
                tx.set(&name, Expect::Absent, target);
            }
            repo.feed(["update-ref", "--stdin"], input.as_bytes());
        }
        Step::Pack => {
            repo.git(["pack-refs"]);
            // Copied blocks are as they were; git writes them again.
            stack.compact(Compact::Rewrite { expiry: Expiry::default() }).unwrap();
            return;
        }
    }
    let commit = tx.commit().unwrap();
    assert!(commit.compaction.is_none_or(|compaction| compaction.is_ok()));
}

fn create(name: String) -> Step {
    Step::Create(name)
}

#[test]
fn over_sixty_creations() {
    let steps: Vec<Step> = (0..60).map(|number| create(format!("refs/heads/b{number}"))).collect();
    follow(&[], as_git(), &steps);
}

#[test]
fn with_names_of_varying_length() {
    let mut random = Random(1);
    let name = |number| format!("refs/heads/{number}-{}", "n".repeat(random.below(120) as usize));
    let steps: Vec<Step> = (0..60).map(name).map(create).collect();
    follow(&[], as_git(), &steps);
}

#[test]
fn with_updates_and_deletions() {
    let mut random = Random(2);
    let mut there: Vec<String> = Vec::new();
    let mut steps = Vec::new();
    for number in 0..60 {
        let choice = random.below(4);
        if there.is_empty() || choice < 2 {
            let name = format!("refs/heads/b{number}-{}", "n".repeat(random.below(30) as usize));
            there.push(name.clone());
            steps.push(Step::Create(name));
        } else {
            let at = random.below(there.len() as u64) as usize;
            steps.push(if choice == 2 { Step::Update(there[at].clone()) } else { Step::Delete(there.remove(at)) });
        }
    }
    follow(&[], as_git(), &steps);
}

#[test]
fn with_everything_deleted_but_head() {
    let names = || (0..6).map(|number| format!("refs/heads/b{number}"));
    let steps: Vec<Step> = names().map(Step::Create).chain(names().map(Step::Delete)).chain([Step::Pack]).collect();
    follow(&[], as_git(), &steps);
}

#[test]
fn beside_a_large_table_with_index_and_objects() {
    let mut steps = vec![Step::Many(5000)];
    steps.extend((0..20).map(|number| create(format!("refs/heads/b{number}"))));
    steps.extend((0..20).map(|number| Step::Delete(format!("refs/heads/many/{:05}", number * 37))));
    steps.push(Step::Pack);
    follow(&[], as_git(), &steps);
}

#[test]
fn with_settings_of_either_side() {
    let mut steps = vec![Step::Many(700)];
    steps.extend((0..25).map(|number| create(format!("refs/heads/b{number}"))));
    steps.push(Step::Pack);
    let write = |size, interval| WriteOptions::default().block_size(size).restart_interval(interval);
    let small = write(256, 3);
    follow(&["reftable.blockSize=256", "reftable.restartInterval=3"], as_git().write(small), &steps);
    let large = write(65536, 1000).object_index(false);
    let config = ["reftable.blockSize=65536", "reftable.restartInterval=1000", "reftable.indexObjects=false"];
    follow(&config, as_git().write(large), &steps);
    let factor = quick().auto_compact(AutoCompact::Git(5));
    follow(&["reftable.geometricFactor=5"], factor, &steps);
}

fn lazy() -> Options {
    quick().auto_compact(AutoCompact::Lazy(16))
}

/// Commits `count` references whose targets are so long that each takes a kilobyte.
fn set_large(stack: &Stack, count: usize) {
    let mut tx = stack.transaction();
    for number in 0..count {
        let target = format!("refs/{number:01000}");
        tx.set(format!("refs/heads/large/{number}"), Expect::Any, Target::Symbolic(target.into()));
    }
    tx.commit().unwrap();
}

/// Otherwise the next one who updates a reference with git waits until all of it is merged.
#[test]
fn a_bulk_commit_into_a_small_store_leaves_git_little_to_merge() {
    if !git::is_there() {
        return;
    }
    let repo = Repo::new(HashKind::Sha1);
    let ids = repo.commits(2);
    let stack = repo.open(lazy());
    set_large(&stack, 5000);
    let bulk = table_names(&repo.reftable_dir());
    assert_eq!(bulk.len(), 1, "all is merged: {bulk:?}");
    repo.git(["update-ref", "refs/heads/small", &ids[1]]);
    let after = table_names(&repo.reftable_dir());
    assert_eq!((after.len(), &after[0]), (2, &bulk[0]), "git has merged nothing of it");
}

#[test]
fn commits_that_git_merges_in_no_time_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::open(dir.path(), lazy()).unwrap();
    for _ in 0..10 {
        set_large(&stack, 100);
    }
    assert_eq!(table_names(dir.path()).len(), 10);
}
