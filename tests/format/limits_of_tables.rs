//! Tables beyond 4 GiB: read like any other, but not written unless one asks for it, because git
//! keeps offsets in 32 bits and misreads them. Nor does a compaction make one.
//!
//! The large table is a sparse file: symbolic references with targets of zero bytes, one to a block
//! of 16 MiB.

#![cfg(unix)]

use std::io::Write;
use std::path::Path;

use crate::support::effort::{bound, loudly};
use crate::support::garbage;
use crate::support::sparse::{self, Counter, SparseFile};
use crate::support::{self, Store, assert_verifies, contents, entry, id, quick, table_names};
use reftable::compact::Compact;
use reftable::format::{BlockKind, MAX_BLOCK_SIZE};
use reftable::table::{LogRecordView, RefRecordView};
use reftable::table::{TableStats, TableWriter, WriteOptions};
use reftable::{AutoCompact, ErrorKind, Expect, HashKind, Options, Stack, Target, TargetView};

const HASH: HashKind = HashKind::Sha1;
const FOUR_GIB: u64 = 1 << 32;
/// Just too much for two in a block.
const TARGET: usize = MAX_BLOCK_SIZE as usize / 2 + 100;
/// Blocks of almost 16 MiB, some of which begin beyond 4 GiB.
const LARGE: usize = 264;
/// References to objects, before and after them.
const SMALL: u64 = 50;

fn large(number: usize) -> String {
    format!("refs/large/{number:03}")
}

fn head(number: u64) -> String {
    format!("refs/heads/{number:03}")
}

fn tail(number: u64) -> String {
    format!("refs/tail/{number:03}")
}

/// Writes the large table with update index 2; `true` for as long as it goes.
fn generate<W: Write>(out: W, options: &WriteOptions) -> reftable::Result<(W, TableStats)> {
    let zeros = vec![0; TARGET];
    let mut writer = TableWriter::new(out, HASH, 2..=2, options)?;
    let mut add = |name: String, target: TargetView<'_>| {
        writer.add_ref(&RefRecordView { name: name.as_bytes(), update_index: 2, target: Some(target) })
    };
    for number in 0..SMALL {
        let id = id(HASH, number);
        add(head(number), TargetView::Id(id.as_view()))?;
    }
    for number in 0..LARGE {
        add(large(number), TargetView::Symbolic(&zeros))?;
    }
    for number in 0..SMALL {
        let id = id(HASH, 1000 + number);
        add(tail(number), TargetView::Id(id.as_view()))?;
    }
    let logged = entry(HASH, 0, 1, "far away\n");
    for name in [head(0), tail(0)] {
        let record = LogRecordView { refname: name.as_bytes(), update_index: 2, entry: Some(logged.as_view()) };
        writer.add_log(&record)?;
    }
    writer.finish()
}

fn options() -> WriteOptions {
    WriteOptions::default().block_size(MAX_BLOCK_SIZE)
}

/// A store of a small table and the large one above it. `None`, said aloud, where there is no room
/// for it.
fn large_store() -> Option<tempfile::TempDir> {
    let dir = tempfile::tempdir().unwrap();
    if let Some(obstacle) = sparse::obstacle(dir.path(), 1 << 30) {
        loudly(&format!("SKIPPED: {obstacle}"));
        return None;
    }
    let stack = Stack::open(dir.path(), quick()).unwrap();
    let mut tx = stack.transaction();
    tx.set("refs/heads/000", Expect::Any, id(HASH, 77)).set("refs/below", Expect::Any, id(HASH, 78));
    tx.commit().unwrap();
    let name = "0x000000000002-0x000000000002-00000000.ref";
    let file = SparseFile::create(&dir.path().join(name)).unwrap();
    let (file, stats) = generate(file, &options().max_table_size(u64::MAX)).unwrap();
    assert_eq!(file.finish().unwrap(), stats.bytes);
    assert!(stats.bytes > FOUR_GIB + 4 * u64::from(MAX_BLOCK_SIZE));
    assert!(sparse::room(&dir.path().join(name)).unwrap() < 1 << 26);
    let list = format!("{}\n{name}\n", table_names(dir.path())[0]);
    std::fs::write(dir.path().join("tables.list"), list).unwrap();
    Some(dir)
}

/// The table has blocks of each kind beyond 4 GiB, and its footer leads there.
fn check_anatomy(stack: &Stack) {
    let snapshot = stack.snapshot().unwrap();
    let table = &snapshot.tables()[1];
    let footer = table.footer();
    for offset in [footer.ref_index, footer.obj, footer.log] {
        assert!(offset > FOUR_GIB, "{footer:?}");
    }
    let mut blocks = table.blocks();
    let (mut beyond, mut behind_index) = (0, false);
    while let Some(block) = blocks.next().unwrap() {
        behind_index |= block.kind() != BlockKind::Ref;
        assert_eq!(behind_index, block.offset() >= footer.ref_index);
        beyond += usize::from(block.kind() == BlockKind::Ref && block.offset() > FOUR_GIB);
    }
    assert!(beyond >= 4, "{beyond}");
}

fn check_reading(stack: &Stack) {
    let snapshot = stack.snapshot().unwrap();
    let target = |name: &str| snapshot.get(name).unwrap().map(|found| found.target);
    for number in [0, 1, SMALL - 1] {
        assert_eq!(target(&head(number)), Some(id(HASH, number).into()));
        assert_eq!(target(&tail(number)), Some(id(HASH, 1000 + number).into()));
        assert_eq!(target(&(tail(number) + "+")), None);
    }
    for number in [0, 1, LARGE / 2, LARGE - 10, LARGE - 2, LARGE - 1] {
        let is_ours = |target| matches!(target, Target::Symbolic(name) if name == vec![0; TARGET]);
        assert!(target(&large(number)).is_some_and(is_ours), "{number}");
    }
    let mut refs = snapshot.refs().unwrap();
    let mut names = vec![b"refs/below".to_vec()];
    names.extend((0..SMALL).map(|number| head(number).into_bytes()));
    names.extend((0..LARGE).map(|number| large(number).into_bytes()));
    names.extend((0..SMALL).map(|number| tail(number).into_bytes()));
    for name in &names {
        let found = refs.next().unwrap().unwrap();
        assert_eq!(found.name, name);
        assert!(!matches!(found.target, TargetView::Symbolic(target) if target.len() != TARGET));
    }
    assert_eq!(refs.next().unwrap(), None);
    // Seeking lands beyond 4 GiB, too.
    refs.seek(large(LARGE - 1)).unwrap();
    assert_eq!(refs.next().unwrap().unwrap().name, large(LARGE - 1).as_bytes());
    assert_eq!(refs.next().unwrap().unwrap().name, tail(0).as_bytes());
    for (name, number) in [(head(7), 7), (tail(7), 1007)] {
        let found = contents::pointing_at(&snapshot, &id(HASH, number));
        assert_eq!(found.iter().map(|found| found.name.as_slice()).collect::<Vec<_>>(), [name.as_bytes()]);
    }
    for name in [head(0), tail(0)] {
        assert_eq!(contents::log(&snapshot, &name)[0].entry, entry(HASH, 0, 1, "far away\n"));
    }
}

#[test]
fn a_table_beyond_four_gib_is_read() {
    if bound("tables beyond 4 GiB", 1, 0) == 0 {
        return;
    }
    let Some(dir) = large_store() else { return };
    let stack = Stack::open(dir.path(), quick()).unwrap();
    check_anatomy(&stack);
    check_reading(&stack);
    leaves_the_large_table_alone(dir.path());
}

/// The table below the large one is far too small to stay there by the rule of sizes.
fn leaves_the_large_table_alone(dir: &Path) {
    let before = table_names(dir);
    let stack = Stack::open(dir, quick()).unwrap();
    assert_eq!(stack.compact(Compact::Auto).unwrap(), None);
    for number in 0..4 {
        let mut tx = stack.transaction();
        tx.set(format!("refs/zz/{number}"), Expect::Any, id(HASH, number));
        let commit = tx.commit().unwrap();
        if let Some(compaction) = commit.compaction {
            assert!(before.iter().all(|name| !compaction.as_ref().unwrap().merged.contains(name)));
        }
    }
    assert_eq!(table_names(dir)[..2], before);
    check_anatomy(&stack);
}

#[test]
fn by_default_none_is_written() {
    assert_eq!(u64::from(u32::MAX), FOUR_GIB - 1);
    let mut written = Counter::default();
    let error = generate(&mut written, &options()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(error.message().contains(&u32::MAX.to_string()), "{error}");
    assert!(error.to_string().contains("git cannot read offsets beyond 4 GiB"), "{error}");
    // Up to there it went, and not much further.
    let block = u64::from(MAX_BLOCK_SIZE);
    assert!((FOUR_GIB - block..FOUR_GIB + block).contains(&written.0), "{}", written.0);
}

#[test]
fn a_limit_is_the_size_of_the_largest_file() {
    let refs: Vec<_> = (0..500).map(|number| (head(number), 1, Some(id(HASH, number).into()))).collect();
    let write = |limit| {
        let options = WriteOptions::default().max_table_size(limit);
        support::tables::write(HASH, 1..=1, &options, &refs, &[])
    };
    let (_, stats) = write(u64::MAX).unwrap();
    assert_eq!(write(stats.bytes).unwrap().1, stats);
    for limit in [0, 1, 4095, 4096, stats.bytes / 2, stats.bytes - 69, stats.bytes - 1] {
        let error = write(limit).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{limit}: {error}");
        assert!(error.message().contains(&limit.to_string()) && error.to_string().contains("4 GiB"), "{error}");
    }
}

fn limited(limit: u64) -> Options {
    quick().write(WriteOptions::default().max_table_size(limit))
}

fn fill(store: &Store, from: u64, count: u64) {
    let mut tx = store.stack.transaction();
    for number in from..from + count {
        tx.set(head(number), Expect::Any, id(HASH, number));
    }
    assert!(tx.commit().unwrap().compaction.is_none_or(|compaction| compaction.is_ok()));
}

#[test]
fn a_compaction_beyond_the_limit_leaves_everything_as_it_was() {
    let store = Store::with(HASH, quick().auto_compact(AutoCompact::Off));
    for number in 0..5 {
        fill(&store, number * 100, 100);
    }
    let (before, shown) = (garbage::dump(store.path()), contents::of_stack(&store.stack));
    let strict = Stack::open(store.path(), limited(10_000)).unwrap();
    let error = strict.compact(Compact::all()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(error.to_string().contains("4 GiB"), "{error}");
    assert_eq!(garbage::dump(store.path()), before);
    assert_eq!(contents::of_stack(&strict), shown);
    assert_verifies(&strict);
}

/// The rule of sizes would merge all of them. What is over the limit stays as it is, and what is
/// not is merged.
#[test]
fn automatic_compaction_stays_below_the_limit() {
    let limit = 20_000;
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::open(dir.path(), limited(limit)).unwrap();
    let store = Store { dir, hash: HASH, stack };
    let (mut merged, mut failed) = (0, Vec::new());
    for number in 0..100 {
        let mut tx = store.stack.transaction();
        for number in number * 50..(number + 1) * 50 {
            tx.set(head(number), Expect::Any, id(HASH, number));
        }
        match tx.commit().unwrap().compaction {
            Some(Ok(_)) => merged += 1,
            Some(Err(error)) => failed.push(format!("commit {number}: {error}")),
            None => {}
        }
        for name in table_names(store.path()) {
            assert!(store.path().join(&name).metadata().unwrap().len() <= limit, "{name}");
        }
    }
    assert!(failed.is_empty(), "{} of 100: {failed:#?}", failed.len());
    assert!(merged > 10, "{merged}");
    assert!((10..30).contains(&table_names(store.path()).len()), "{:?}", table_names(store.path()));
    assert_eq!(contents::of_stack(&store.stack).refs.len(), 5000);
    assert_verifies(&store.stack);
}
