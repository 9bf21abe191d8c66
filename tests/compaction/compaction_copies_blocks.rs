//! A compaction that copies whole blocks leaves the same records as one that writes each again.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::tables::{LogRow, RefRow, anatomy, write};
use crate::support::{HASHES, Random, assert_verifies, contents, copy_dir, entry, id, quick, table_names};
use proptest::prelude::*;
use reftable::compact::{Compact, Expiry};
use reftable::format::BlockKind;
use reftable::table::{RecordView, Table, WriteOptions};
use reftable::{AutoCompact, HashKind, Options, Stack, Target};

/// How the tables of a stack come about.
#[derive(Debug, Clone)]
struct Plan {
    seed: u64,
    hash: HashKind,
    write: (u32, u16, bool, bool),
    /// For each table: references, of how many names, in one place or everywhere; how many of
    /// hundred are tombstones; logs.
    tables: Vec<(u64, u64, bool, u64, u64)>,
    expiry: Option<u64>,
}

const NAMES: u64 = 3000;

impl Plan {
    fn write(&self) -> WriteOptions {
        let (size, interval, padding, objects) = self.write;
        WriteOptions::default().block_size(size).restart_interval(interval).padding(padding).object_index(objects)
    }

    fn options(&self) -> Options {
        // Everything is large enough to be copied.
        quick().auto_compact(AutoCompact::Off).compact_at_once(0).write(self.write())
    }

    fn rows(&self, number: u64) -> (Vec<RefRow>, Vec<LogRow>) {
        let (count, spread, clustered, deleted, logs) = self.tables[number as usize];
        let mut random = Random(self.seed ^ (number << 32));
        let start = if clustered { random.below(NAMES) } else { 0 };
        let mut pick = || (start + random.below(spread)) % NAMES;
        let names: BTreeSet<u64> = (0..count).map(|_| pick()).collect();
        let logged: BTreeSet<u64> = (0..logs).map(|_| pick()).collect();
        let mut random = Random(self.seed ^ number);
        let mut target = |name: u64| {
            (random.below(100) >= deleted).then(|| match random.below(8) {
                0 => Target::symbolic(format!("refs/heads/{}", random.below(NAMES))),
                1 => Target::Tag { id: id(self.hash, name), peeled: id(self.hash, random.below(99)) },
                _ => Target::Id(id(self.hash, random.below(500))),
            })
        };
        let refs = names.iter().map(|name| (spelled(*name), 10 * number + 1 + name % 9, target(*name))).collect();
        let mut random = Random(self.seed ^ number ^ 77);
        let mut entry = |name: u64| {
            let dead = random.below(100) < deleted;
            // A tombstone repeats the index of the entry it hides.
            let index = if dead { 10 * random.below(number + 1) + 1 + name % 3 } else { 10 * number + 1 + name % 3 };
            (spelled(name), index, (!dead).then(|| entry(self.hash, name, number, format!("message {name}\n"))))
        };
        (refs, logged.iter().map(|name| entry(*name)).collect())
    }

    /// The stack as a directory. Each table has ten update indexes.
    fn build(&self) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let mut list = String::new();
        for number in 0..self.tables.len() as u64 {
            let (refs, logs) = self.rows(number);
            let (min, max) = (10 * number + 1, 10 * number + 10);
            let name = format!("0x{min:012x}-0x{max:012x}-{number:08x}.ref");
            let (bytes, _) = write(self.hash, min..=max, &self.write(), &refs, &logs).unwrap();
            std::fs::write(dir.path().join(&name), bytes).unwrap();
            list += &format!("{name}\n");
        }
        std::fs::write(dir.path().join("tables.list"), list).unwrap();
        dir
    }
}

/// Names of uneven length.
fn spelled(name: u64) -> String {
    format!("refs/heads/{:04}{}", name, "x".repeat((name % 23) as usize))
}

fn plans() -> impl Strategy<Value = Plan> {
    let write = (
        prop_oneof![Just(256u32), Just(512), Just(4096)],
        prop_oneof![Just(1u16), Just(4), Just(16)],
        any::<bool>(),
        any::<bool>(),
    );
    let oldest = (500u64..3000, Just(NAMES), Just(false), prop_oneof![Just(0u64), Just(1), Just(30)], 0u64..1500);
    let newer = (0u64..60, 1u64..NAMES, any::<bool>(), 0u64..60, 0u64..300);
    let tables = (oldest, prop::collection::vec(newer, 1..5))
        .prop_map(|(oldest, newer)| std::iter::once(oldest).chain(newer).collect::<Vec<_>>());
    let expiry = prop::option::of(0u64..60);
    (any::<u64>(), prop::sample::select(HASHES.to_vec()), write, tables, expiry)
        .prop_map(|(seed, hash, write, tables, expiry)| Plan { seed, hash, write, tables, expiry })
}

fn only_table(dir: &Path) -> Table {
    let [name] = table_names(dir).try_into().unwrap();
    Table::open(&name, std::fs::read(dir.join(&name)).unwrap()).unwrap()
}

/// All records of references and logs, tombstones included.
fn records(table: &Table) -> (Vec<String>, Vec<String>) {
    let (mut refs, mut logs) = (Vec::new(), Vec::new());
    let mut blocks = table.blocks();
    while let Some(block) = blocks.next().unwrap() {
        block
            .records(|_, record| match record {
                RecordView::Ref(record) => refs.push(format!("{record:?}")),
                RecordView::Log(record) => logs.push(format!("{record:?}")),
                _ => {}
            })
            .unwrap();
    }
    (refs, logs)
}

fn compact(plan: &Plan, from: &Path, what: Compact) -> (tempfile::TempDir, Stack) {
    let dir = tempfile::tempdir().unwrap();
    copy_dir(from, dir.path());
    let stack = Stack::open(dir.path(), plan.options()).unwrap();
    stack.compact(what).unwrap();
    assert_verifies(&stack);
    (dir, stack)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_ways_leave_the_same_records(plan in plans()) {
        let dir = plan.build();
        let expiry = Expiry::default().before_update_index(plan.expiry);
        let (copied, stack) = compact(&plan, dir.path(), Compact::All { expiry: expiry.clone() });
        let (rewritten, other) = compact(&plan, dir.path(), Compact::Rewrite { expiry: expiry.clone() });
        prop_assert_eq!(contents::of_stack(&stack), contents::of_stack(&other));
        let (copied, rewritten) = (only_table(copied.path()), only_table(rewritten.path()));
        prop_assert_eq!(records(&copied), records(&rewritten));
        // What was copied can be written again, and copied again.
        for what in [Compact::Rewrite { expiry: expiry.clone() }, Compact::All { expiry }] {
            let (again, _stack) = compact(&plan, stack.path(), what);
            prop_assert_eq!(records(&only_table(again.path())), records(&rewritten));
        }
    }
}

/// The plans are such that blocks of both kinds are copied; else the test above shows nothing.
#[test]
fn most_blocks_are_copied_where_little_is_new() {
    for hash in HASHES {
        for (refs, logs) in [(2500, 0), (0, 1500), (2500, 1500)] {
            let tables = vec![(refs, NAMES, false, 0, logs), (refs / 500, NAMES, false, 50, logs / 500)];
            let write = (512, 16, true, true);
            let plan = Plan { seed: 5, hash, write, tables, expiry: None };
            let dir = plan.build();
            let stack = Stack::open(dir.path(), plan.options()).unwrap();
            let written = stack.compact(Compact::all()).unwrap().unwrap().written;
            let blocks = anatomy(&only_table(dir.path()));
            let of_records = blocks.count(BlockKind::Ref) + blocks.count(BlockKind::Log);
            assert!(written.copied as usize > of_records * 2 / 3, "{} of {of_records}", written.copied);
            let written = stack.compact(Compact::Rewrite { expiry: Expiry::default() }).unwrap().unwrap().written;
            assert_eq!(written.copied, 0);
        }
    }
}

/// Small compactions make the table that git makes.
#[test]
fn small_tables_and_those_who_ask_get_no_copies() {
    let tables = vec![(500, NAMES, false, 0, 100), (20, 40, true, 0, 0)];
    let plan = Plan { seed: 5, hash: HashKind::Sha1, write: (512, 16, true, true), tables, expiry: None };
    let copied = |options: Options, what: Compact| {
        let dir = plan.build();
        let stack = Stack::open(dir.path(), options).unwrap();
        stack.compact(what).unwrap().unwrap().written.copied
    };
    assert!(copied(plan.options(), Compact::all()) > 0);
    assert_eq!(copied(plan.options().compact_at_once(128 * 1024), Compact::all()), 0);
    assert_eq!(copied(plan.options(), Compact::Rewrite { expiry: Expiry::default() }), 0);
    // Both tables are due by a factor that large.
    assert!(copied(plan.options().auto_compact(AutoCompact::Geometric(255)), Compact::Auto) > 0);
    assert_eq!(copied(plan.options().auto_compact(AutoCompact::Git(255)), Compact::Auto), 0);
}
