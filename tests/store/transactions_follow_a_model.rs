//! Random transactions, compactions and reopenings do what a map does, and old snapshots stay as
//! they were.

use std::collections::{BTreeMap, BTreeSet};

use crate::support;
use crate::support::contents;
use crate::support::model::{Change, Model, Refused};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use reftable::compact::{Compact, Expiry};
use reftable::table::WriteOptions;
use reftable::{
    AutoCompact, ConflictKind, ErrorKind, Expect, HashKind, Ident, LogEntry, ObjectId, Options, Snapshot, Stack, Target,
};

const NAMES: [&str; 16] = [
    "HEAD",
    "refs/heads/a",
    "refs/heads/a/b",
    "refs/heads/a/b/c",
    "refs/heads/a/b/d",
    "refs/heads/a/e",
    "refs/heads/ab",
    "refs/heads/a-b",
    "refs/heads/z",
    "refs/notes/commits",
    "refs/remotes/origin/HEAD",
    "refs/remotes/origin/a",
    "refs/tags/v1.0",
    "refs/tags/v1.0-rc1",
    "refs/tags/\u{e4}\u{f6}\u{fc}",
    "refs",
];
const PREFIXES: [&str; 7] = ["", "refs/heads/", "refs/heads/a", "refs/heads/a/", "refs/tags/v", "HEAD", "x"];
const IDS: u64 = 5;

/// A change with numbers in the place of what depends on the hash.
#[derive(Debug, Clone)]
enum Op {
    Commit { changes: Vec<Draft>, reflog: bool },
    CompactAuto,
    CompactAll,
    Expire { before_time: Option<u64>, before_update_index: Option<u64> },
    Reopen,
    Keep,
}

#[derive(Debug, Clone)]
enum Draft {
    Set(usize, DraftExpect, DraftTarget),
    Delete(usize, DraftExpect),
    Verify(usize, DraftExpect),
    AppendLog {
        name: usize,
        old: u64,
        new: u64,
        time: u64,
        message: String,
    },
    /// Counted from the next update index downwards.
    DeleteLogEntry(usize, u64),
    DeleteLog(usize),
}

#[derive(Debug, Clone)]
enum DraftExpect {
    Any,
    /// What is there now, so that it holds.
    Right,
    Absent,
    Exists,
    Is(DraftTarget),
    /// Absent, or what is there now, so that it holds.
    AbsentOrRight,
    AbsentOr(DraftTarget),
}

#[derive(Debug, Clone)]
enum DraftTarget {
    Id(u64),
    Tag(u64, u64),
    Symbolic(usize),
}

fn name() -> impl Strategy<Value = usize> {
    0..NAMES.len()
}

fn target() -> impl Strategy<Value = DraftTarget> {
    prop_oneof![
        4 => (1..=IDS).prop_map(DraftTarget::Id),
        1 => (1..=IDS, 1..=IDS).prop_map(|(id, peeled)| DraftTarget::Tag(id, peeled)),
        1 => name().prop_map(DraftTarget::Symbolic),
    ]
}

fn expect() -> impl Strategy<Value = DraftExpect> {
    prop_oneof![
        6 => Just(DraftExpect::Any),
        6 => Just(DraftExpect::Right),
        1 => Just(DraftExpect::Absent),
        1 => Just(DraftExpect::Exists),
        1 => target().prop_map(DraftExpect::Is),
        2 => Just(DraftExpect::AbsentOrRight),
        1 => target().prop_map(DraftExpect::AbsentOr),
    ]
}

fn change() -> impl Strategy<Value = Draft> {
    prop_oneof![
        8 => (name(), expect(), target()).prop_map(|(name, expect, target)| Draft::Set(name, expect, target)),
        4 => (name(), expect()).prop_map(|(name, expect)| Draft::Delete(name, expect)),
        1 => (name(), expect()).prop_map(|(name, expect)| Draft::Verify(name, expect)),
        3 => (name(), 0..=IDS, 1..=IDS, 0..1000u64, "[ -~]{0,40}").prop_map(|(name, old, new, time, message)| {
            Draft::AppendLog { name, old, new, time, message }
        }),
        1 => (name(), 0..6u64).prop_map(|(name, age)| Draft::DeleteLogEntry(name, age)),
        1 => name().prop_map(Draft::DeleteLog),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let changes = || prop::collection::vec(change(), 0..6);
    prop_oneof![
        20 => (changes(), any::<bool>()).prop_map(|(changes, reflog)| Op::Commit { changes, reflog }),
        1 => Just(Op::CompactAuto),
        1 => Just(Op::CompactAll),
        1 => (prop::option::of(0..1000u64), prop::option::of(0..20u64)).prop_map(|(before_time, before_update_index)| {
            Op::Expire { before_time, before_update_index }
        }),
        1 => Just(Op::Reopen),
        2 => Just(Op::Keep),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    let sizes = prop_oneof![Just(256u32), Just(512), Just(4096)];
    let intervals = prop_oneof![Just(1u16), Just(3), Just(16), Just(u16::MAX)];
    (sizes, intervals, any::<bool>(), any::<bool>(), 0..4u8).prop_map(|(size, interval, padding, objects, compact)| {
        let write =
            WriteOptions::default().block_size(size).restart_interval(interval).padding(padding).object_index(objects);
        let compact = if compact < 2 { AutoCompact::Off } else { AutoCompact::Geometric(compact) };
        support::quick().write(write).auto_compact(compact)
    })
}

/// A store beside its model.
struct Pair {
    dir: tempfile::TempDir,
    hash: HashKind,
    options: Options,
    stack: Stack,
    model: Model,
    kept: Vec<(Snapshot, Model)>,
}

impl Pair {
    fn new(hash: HashKind, options: Options) -> Pair {
        let dir = tempfile::tempdir().unwrap();
        let options = options.hash(hash);
        let stack = Stack::open(dir.path(), options.clone()).unwrap();
        Pair { dir, hash, options, stack, model: Model::default(), kept: Vec::new() }
    }

    fn id(&self, number: u64) -> ObjectId {
        if number == 0 { ObjectId::null(self.hash) } else { support::id(self.hash, number) }
    }

    fn target(&self, draft: &DraftTarget) -> Target {
        match *draft {
            DraftTarget::Id(id) => Target::Id(self.id(id)),
            DraftTarget::Tag(id, peeled) => Target::Tag { id: self.id(id), peeled: self.id(peeled) },
            DraftTarget::Symbolic(name) => Target::symbolic(NAMES[name]),
        }
    }

    fn expect(&self, name: usize, draft: &DraftExpect) -> Expect {
        match draft {
            DraftExpect::Any => Expect::Any,
            DraftExpect::Absent => Expect::Absent,
            DraftExpect::Exists => Expect::Exists,
            DraftExpect::Is(target) => Expect::Is(self.target(target)),
            DraftExpect::AbsentOr(target) => Expect::AbsentOr(self.target(target)),
            DraftExpect::AbsentOrRight => match self.model.refs.get(NAMES[name].as_bytes()) {
                Some((_, target)) => Expect::AbsentOr(target.clone()),
                None => Expect::AbsentOr(self.target(&DraftTarget::Id(1))),
            },
            DraftExpect::Right => match self.model.refs.get(NAMES[name].as_bytes()) {
                Some((_, target)) => Expect::Is(target.clone()),
                None => Expect::Absent,
            },
        }
    }

    fn change(&self, draft: &Draft) -> Change {
        let bytes = |name: &usize| NAMES[*name].as_bytes().to_vec();
        match draft {
            Draft::Set(name, expect, target) => {
                Change::Set(bytes(name), self.expect(*name, expect), self.target(target))
            }
            Draft::Delete(name, expect) => Change::Delete(bytes(name), self.expect(*name, expect)),
            Draft::Verify(name, expect) => Change::Verify(bytes(name), self.expect(*name, expect)),
            Draft::AppendLog { name, old, new, time, message } => {
                let committer = Ident::new("N", "e@x", *time);
                let (old, new) = (self.id(*old), self.id(*new));
                let message = message.clone().into_bytes();
                Change::AppendLog(bytes(name), LogEntry { old, new, committer, message })
            }
            Draft::DeleteLogEntry(name, age) => {
                Change::DeleteLogEntry(bytes(name), (self.model.update_index + 1).saturating_sub(*age))
            }
            Draft::DeleteLog(name) => Change::DeleteLog(bytes(name)),
        }
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Commit { changes, reflog } => {
                let changes: Vec<Change> = changes.iter().map(|draft| self.change(draft)).collect();
                let reflog = reflog.then(|| (Ident::new("C", "c@x", 500), b"reflog".to_vec()));
                self.commit(&changes, reflog.as_ref());
            }
            Op::CompactAuto => drop(self.stack.compact(Compact::Auto).unwrap()),
            Op::CompactAll => {
                self.stack.compact(Compact::all()).unwrap();
                assert!(self.stack.snapshot().unwrap().tables().len() <= 1);
            }
            Op::Expire { before_time, before_update_index } => {
                let (before_time, before_update_index) = (*before_time, *before_update_index);
                self.stack
                    .compact(Compact::All {
                        expiry: Expiry::default().before_time(before_time).before_update_index(before_update_index),
                    })
                    .unwrap();
                self.model.expire(before_time, before_update_index);
            }
            Op::Reopen => self.stack = Stack::open(self.dir.path(), self.options.clone()).unwrap(),
            Op::Keep => self.kept.push((self.stack.snapshot().unwrap(), self.model.clone())),
        }
        compare(&self.stack.snapshot().unwrap(), &self.model, self.hash);
    }

    fn commit(&mut self, changes: &[Change], reflog: Option<&(Ident, Vec<u8>)>) {
        let mut tx = self.stack.transaction();
        for change in changes.iter().cloned() {
            match change {
                Change::Set(name, expect, target) => tx.set(name, expect, target),
                Change::Delete(name, expect) => tx.delete(name, expect),
                Change::Verify(name, expect) => tx.verify(name, expect),
                Change::AppendLog(name, entry) => tx.append_log(name, entry),
                Change::DeleteLogEntry(name, update_index) => tx.delete_log_entry(name, update_index),
                Change::DeleteLog(name) => tx.delete_log(name),
            };
        }
        if let Some((committer, message)) = reflog {
            tx.reflog(committer.clone(), message);
        }
        let asks = changes.len() % 2 == 1;
        if asks {
            tx.report_replaced();
        }
        let before = self.model.refs.clone();
        let done = tx.commit();
        match (self.model.commit(changes, reflog), done) {
            (Ok(update_index), Ok(commit)) => {
                assert_eq!(commit.update_index, update_index);
                let replaced: Option<BTreeMap<_, _>> = commit
                    .replaced
                    .map(|replaced| replaced.into_iter().map(|replaced| (replaced.name, replaced.target)).collect());
                assert_eq!(replaced, asks.then(|| replaced_by(changes, &before)));
                assert!(commit.compaction.is_none_or(|compaction| compaction.is_ok()));
            }
            (Err(Refused::Twice), Err(error)) => assert_eq!(error.kind(), ErrorKind::Invalid, "{error}"),
            (Err(Refused::Conflict { mismatches, clashes }), Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                let named = |wanted: fn(&ConflictKind) -> bool| -> BTreeSet<Vec<u8>> {
                    let conflicts = error.conflicts().iter().filter(|conflict| wanted(&conflict.kind));
                    conflicts.map(|conflict| conflict.name.clone()).collect()
                };
                assert_eq!(named(|kind| matches!(kind, ConflictKind::Mismatch { .. })), mismatches, "{error}");
                assert_eq!(named(|kind| matches!(kind, ConflictKind::Name { .. })), clashes, "{error}");
            }
            (model, store) => panic!("the model says {model:?}, the store {store:?}"),
        }
    }

    fn finish(&self) {
        for (snapshot, model) in &self.kept {
            compare(snapshot, model, self.hash);
        }
        support::assert_verifies(&self.stack);
        if self.dir.path().join("tables.list").exists() {
            support::assert_no_garbage(self.dir.path());
        }
    }
}

/// Where each reference that is set or deleted pointed `before`.
fn replaced_by(changes: &[Change], before: &BTreeMap<Vec<u8>, (u64, Target)>) -> BTreeMap<Vec<u8>, Option<Target>> {
    let changed = changes.iter().filter_map(|change| match change {
        Change::Set(name, ..) | Change::Delete(name, _) => Some(name.clone()),
        _ => None,
    });
    changed.map(|name| (name.clone(), before.get(&name).map(|(_, target)| target.clone()))).collect()
}

fn compare(snapshot: &Snapshot, model: &Model, hash: HashKind) {
    let seen = contents::of(snapshot);
    assert_eq!(seen.refs, model.all_refs());
    assert_eq!(seen.logs, model.all_logs());
    assert_eq!(snapshot.update_index(), model.update_index);
    for name in NAMES.into_iter().chain(["refs/absent", "A", "z"]) {
        let expected = model.refs.get(name.as_bytes());
        let found = snapshot.get(name).unwrap();
        assert_eq!(found.map(|found| (found.update_index, found.target)), expected.cloned(), "{name}");
        let mut log = model.all_logs();
        log.retain(|log| log.refname == name.as_bytes());
        assert_eq!(contents::log(snapshot, name), log, "{name}");
        assert_eq!(snapshot.log_exists(name).unwrap(), model.existing.contains(name.as_bytes()), "{name}");
    }
    for prefix in PREFIXES {
        let mut expected = model.all_refs();
        expected.retain(|found| found.name.starts_with(prefix.as_bytes()));
        let found: Vec<_> = snapshot.prefix(prefix).unwrap().into_iter().map(Result::unwrap).collect();
        assert_eq!(found, expected, "{prefix}");
    }
    for number in 1..=IDS + 1 {
        let id = support::id(hash, number);
        assert_eq!(contents::pointing_at(snapshot, &id), contents::scan_for(&seen, &id), "{number}");
    }
}

fn check(hash: HashKind, options: Options, ops: &[Op]) {
    let mut pair = Pair::new(hash, options);
    for op in ops {
        pair.run(op);
    }
    pair.finish();
}

fn hash() -> impl Strategy<Value = HashKind> {
    prop_oneof![Just(HashKind::Sha1), Just(HashKind::Sha256)]
}

fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, max_shrink_time: 20_000, ..Config::default() }
}

#[test]
fn random_histories_agree_with_the_model() {
    let histories = (hash(), options(), prop::collection::vec(op(), 1..40));
    let run = |(hash, options, ops): (HashKind, Options, Vec<Op>)| {
        check(hash, options, &ops);
        Ok(())
    };
    if let Err(failure) = TestRunner::new(config(60)).run(&histories, run) {
        panic!("{failure}");
    }
}

#[test]
fn the_same_histories_every_time() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::default());
    let mut runner = TestRunner::new_with_rng(config(1), rng);
    for round in 0..40 {
        let strategy = (options(), prop::collection::vec(op(), 30..31));
        let (options, ops) = strategy.new_tree(&mut runner).unwrap().current();
        check(support::HASHES[round % 2], options, &ops);
    }
}
