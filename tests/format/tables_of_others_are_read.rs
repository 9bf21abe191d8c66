//! Tables as the format allows them and git or JGit read them, however they are laid out: blocks,
//! restarts, padding, indexes, objects, logs. All that reads a table must agree with what was put
//! in: listings, look-ups, seeks, checks, compactions that take blocks apart or copy them.

use std::path::Path;
use std::sync::Arc;

use crate::support::contents::{self, Contents};
use crate::support::effort::bound;
use crate::support::foreign::{Index, Restarts, Style};
use crate::support::git::{self, Repo};
use crate::support::tables::{LogRow, RefRow, logs, refs};
use crate::support::{HASHES, Random, assert_verifies, entry, id, quick, table_names};
use reftable::compact::{Compact, Expiry};
use reftable::merge::{Merged, Tombstones};
use reftable::peek::Peek;
use reftable::table::{RecordView, Table};
use reftable::{AutoCompact, HashKind, ObjectId, Snapshot, Stack, Target};

/// Update indexes of the tables.
const MIN: u64 = 300;
const MAX: u64 = 400;

struct Rows {
    refs: Vec<RefRow>,
    logs: Vec<LogRow>,
}

/// Random references, with a few ids that many share, and random logs. `ids` are what they may
/// point at.
fn rows(random: &mut Random, hash: HashKind, ids: &[ObjectId], kind: u64) -> Rows {
    let (ref_count, log_count) = match kind {
        0 => (0, 1 + random.below(200)),
        1 => (1 + random.below(400), 0),
        2 => (1 + random.below(4), 1 + random.below(4)),
        _ => (1 + random.below(600), 1 + random.below(200)),
    };
    // git looks for the tags.
    let is_tagged = ids.len() > 9;
    let mut any = |below: u64| random.below(below);
    let mut refs = Vec::new();
    for number in 0..ref_count {
        let id = ids[any(ids.len() as u64) as usize];
        let target = match any(8) {
            0 => None,
            1 => Some(Target::symbolic("refs/heads/main")),
            2 => Some(Target::Id(ids[0])),
            3 if is_tagged && id != ids[1] => Some(Target::Tag { id, peeled: ids[1] }),
            _ => Some(Target::Id(id)),
        };
        let name = format!("refs/heads/{number:05}{}", "x".repeat(any(30) as usize));
        refs.push((name, MIN + any(MAX - MIN + 1), target));
    }
    if ref_count > 0 {
        refs.push(("refs/heads/main".to_owned(), MIN, Some(Target::Id(ids[0]))));
    }
    let mut logs = Vec::new();
    for number in 0..log_count {
        let mut index = MAX + 1;
        for _ in 0..1 + any(3) {
            index -= 1 + any(20);
            let message = "m".repeat(any(60) as usize) + "\n";
            logs.push((
                format!("refs/heads/{number:05}"),
                index,
                (any(9) > 0).then(|| entry(hash, any(5), 1 + any(5), message)),
            ));
        }
    }
    Rows { refs, logs }
}

fn ids(hash: HashKind, count: u64) -> Vec<ObjectId> {
    (1..=count).map(|number| id(hash, number)).collect()
}

/// The records of all blocks, front to back.
fn walk(table: &Table) -> Rows {
    let mut rows = Rows { refs: Vec::new(), logs: Vec::new() };
    let mut blocks = table.blocks();
    let mut end = 0;
    while let Some(block) = blocks.next().unwrap() {
        assert!(block.offset() >= end && block.file_len() >= block.padding(), "blocks follow one another");
        end = block.end();
        let record = |_, record: RecordView<'_>| match record {
            RecordView::Ref(record) => {
                let name = String::from_utf8(record.name.to_vec()).unwrap();
                rows.refs.push((name, record.update_index, record.target.map(|target| target.to_target())));
            }
            RecordView::Log(record) => {
                let name = String::from_utf8(record.refname.to_vec()).unwrap();
                rows.logs.push((name, record.update_index, record.entry.map(|entry| entry.to_entry())));
            }
            _ => {}
        };
        block.records(record).unwrap();
    }
    rows
}

/// Listings and seeks of the table alone, tombstones included.
fn check_table(table: &Arc<Table>, rows: &Rows, random: &mut Random) {
    let walked = walk(table);
    assert_eq!((&walked.refs, &walked.logs), (&rows.refs, &rows.logs));
    let merged = Merged::new(vec![Arc::clone(table)]);
    for _ in 0..12 {
        let from = format!("refs/heads/{:05}", random.below(700));
        let from = from.as_str();
        let at = rows.refs.partition_point(|row| row.0.as_str() < from);
        assert_eq!(refs(&merged, from, Tombstones::Show), rows.refs[at..]);
        let at = rows.logs.partition_point(|row| row.0.as_str() < from);
        assert_eq!(logs(&merged, from, Tombstones::Show), rows.logs[at..]);
    }
}

/// What a snapshot of it shows; several times, because look-ups fill caches.
fn check_snapshot(snapshot: &Snapshot, rows: &Rows, ids: &[ObjectId]) -> Contents {
    let all = contents::of(snapshot);
    assert_eq!(all.refs.len(), rows.refs.iter().filter(|row| row.2.is_some()).count());
    assert_eq!(all.logs.len(), rows.logs.iter().filter(|row| row.2.is_some()).count());
    for turn in 0..5 {
        for (name, index, target) in rows.refs.iter().skip(turn).step_by(5) {
            let found = snapshot.get(name).unwrap();
            assert_eq!(found.as_ref().map(|found| &found.target), target.as_ref());
            assert!(found.is_none_or(|found| found.update_index == *index));
            assert_eq!(snapshot.get(format!("{name}-")).unwrap(), None);
        }
        assert_eq!(snapshot.get("a").unwrap(), None);
        assert_eq!(snapshot.get("z").unwrap(), None);
    }
    for name in rows.logs.iter().map(|row| &row.0) {
        let expected: Vec<_> = all.logs.iter().filter(|log| log.refname == name.as_bytes()).cloned().collect();
        assert_eq!(contents::log(snapshot, name), expected);
    }
    for id in ids {
        assert_eq!(contents::pointing_at(snapshot, id), contents::scan_for(&all, id));
    }
    all
}

/// Look-ups by read calls alone find the same, or leave it to those who open the store.
fn check_peek(dir: &Path, snapshot: &Snapshot, rows: &Rows) {
    let mut peek = Peek::open(dir).unwrap();
    let names = rows.refs.iter().map(|row| row.0.as_bytes());
    for name in names.chain([b"HEAD".as_slice(), b"refs/heads/00007x-", b"z"]) {
        if let Ok(found) = peek.get(name) {
            assert_eq!(found, snapshot.get(name).unwrap());
        }
    }
}

fn store(dir: &Path, table: &[u8]) {
    let name = format!("0x{MIN:012x}-0x{MAX:012x}-00000001.ref");
    std::fs::write(dir.join(&name), table).unwrap();
    std::fs::write(dir.join("tables.list"), format!("{name}\n")).unwrap();
}

/// A commit above the table, and both merged: once taken apart, once with whole blocks copied.
fn check_compactions(style: &Style, table: &[u8], all: &Contents) {
    for what in [Compact::all(), Compact::Rewrite { expiry: Expiry::default() }] {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path(), table);
        // The same block size, so that blocks can be copied.
        let write = reftable::table::WriteOptions::default().block_size(style.block_size.max(256) as u32);
        let options = quick().auto_compact(AutoCompact::Off).compact_at_once(0).write(write);
        let stack = Stack::open(dir.path(), options).unwrap();
        let mut tx = stack.transaction();
        tx.set("refs/heads/00007-new", reftable::Expect::Absent, id(style.hash, 1));
        tx.commit().unwrap();
        let before = contents::of_stack(&stack);
        assert_eq!(before.refs.len(), all.refs.len() + 1);
        stack.compact(what).unwrap().unwrap();
        assert_eq!(contents::of_stack(&stack), before);
        assert_verifies(&stack);
    }
}

fn check(style: &Style, rows: &Rows, random: &mut Random, ids: &[ObjectId]) {
    let bytes = style.table(MIN..=MAX, &rows.refs, &rows.logs);
    let table = Arc::new(Table::open("foreign.ref", bytes.clone()).unwrap());
    check_table(&table, rows, random);
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), &bytes);
    let stack = Stack::open(dir.path(), quick().auto_compact(AutoCompact::Off)).unwrap();
    let all = check_snapshot(&stack.snapshot().unwrap(), rows, ids);
    check_peek(dir.path(), &stack.snapshot().unwrap(), rows);
    let report = stack.verify().unwrap();
    // That JGit needs one block at the top of an index is a note.
    assert!(report.is_clean(), "{style:#?} {:#?}", report.findings);
    assert_eq!((report.refs, report.logs), (rows.refs.len() as u64, rows.logs.len() as u64));
    check_compactions(style, &bytes, &all);
}

#[test]
fn any_that_the_format_allows() {
    for round in 0..bound("tables that the format allows", 300, 80) {
        let mut random = Random(round);
        let hash = HASHES[(round % 2) as usize];
        let style = Style::any(hash, |below| random.below(below));
        let ids = ids(hash, 40);
        let rows = rows(&mut random, hash, &ids[..39], round / 2 % 4);
        check(&style, &rows, &mut random, &ids);
    }
}

#[test]
fn git_reads_them_alike() {
    if !git::is_there() {
        return;
    }
    for round in 0..16 {
        let mut random = Random(1000 + round);
        let hash = HASHES[(round % 2) as usize];
        let repo = Repo::with(hash, &[], false);
        let ids: Vec<ObjectId> = repo.commits(9).iter().map(|id| id.parse().unwrap()).collect();
        let mut rows = rows(&mut random, hash, &ids, 3 - round / 2 % 4);
        for (_, _, entry) in &mut rows.logs {
            entry.iter_mut().for_each(|entry| (entry.old, entry.new) = (ids[0], ids[1]));
        }
        let style = Style::any(hash, |below| random.below(below));
        // git reads as many bytes of a log block as it has inflated, and misses the end of what
        // deflation made longer.
        let style = Style { deflate: style.deflate.max(6), ..style };
        let table = style.table(MIN..=MAX, &rows.refs, &rows.logs);
        let dir = repo.reftable_dir();
        let first = table_names(&dir)[0].clone();
        store(&dir, &table);
        let second = table_names(&dir)[0].clone();
        std::fs::write(dir.join("tables.list"), format!("{first}\n{second}\n")).unwrap();
        repo.assert_reads_equal();
    }
}

/// The layout of JGit's logs of their own, and the one that git writes.
#[test]
fn logs_alone_begin_behind_the_header_or_with_it() {
    for hash in HASHES {
        for (apart, count) in [(true, 1), (false, 1), (true, 200), (false, 200)] {
            let mut random = Random(9);
            let style =
                Style { logs_apart: apart, log_index: Index::Single, ..Style::any(hash, |below| random.below(below)) };
            let logs =
                (0..count).map(|number| (format!("refs/heads/{number:05}"), MIN, Some(entry(hash, 1, 2, "m\n"))));
            let rows = Rows { refs: Vec::new(), logs: logs.collect() };
            check(&style, &rows, &mut random, &ids(hash, 2));
            let table = Table::open("logs.ref", style.table(MIN..=MAX, &rows.refs, &rows.logs)).unwrap();
            let first = table.blocks().next().unwrap().unwrap().offset();
            let header = if style.version == 1 { 24 } else { 28 };
            assert_eq!((first, table.footer().log), if apart { (header, header) } else { (0, 0) });
            assert_eq!(table.block_at(0).unwrap().unwrap().offset(), first);
        }
    }
}

/// An index of one block that is longer than the others, and padding after it.
#[test]
fn indexes_of_one_block_are_as_long_as_they_need_to_be() {
    for (hash, from_file) in HASHES.into_iter().flat_map(|hash| [(hash, false), (hash, true)]) {
        let mut random = Random(10);
        let style = Style {
            aligned: true,
            block_size: 256,
            fill: 256,
            pads_from_file: from_file,
            pads_the_end: true,
            ref_index: Index::Single,
            obj_index: Index::Single,
            log_index: Index::Single,
            id_len: Some(4),
            most_positions: 100,
            restarts: Restarts::Every(16),
            ..Style::any(hash, |below| random.below(below))
        };
        let ids = ids(hash, 300);
        let rows = rows(&mut random, hash, &ids, 3);
        check(&style, &rows, &mut random, &ids);
        let table = Table::open("index.ref", style.table(MIN..=MAX, &rows.refs, &rows.logs)).unwrap();
        let root = table.block_at(table.footer().ref_index).unwrap().unwrap();
        assert!(root.len() > 512 && root.padding() > 0, "{} {}", root.len(), root.padding());
        assert_eq!(root.end(), table.footer().obj);
    }
}

/// Logs of others may be longer than any block that this library writes: then a merge makes room.
#[test]
fn what_is_longer_than_a_block_is_merged() {
    for hash in HASHES {
        for block_size in [0, 256] {
            let mut random = Random(11);
            let style = Style {
                block_size,
                aligned: block_size > 0,
                log_fill: 100_000,
                ..Style::any(hash, |below| random.below(below))
            };
            let style = Style { fill: 256, log_index: Index::Single, ref_index: Index::Single, ..style };
            let mut rows = rows(&mut random, hash, &ids(hash, 9), 3);
            for (number, row) in rows.logs.iter_mut().enumerate() {
                row.2 = Some(entry(hash, 1, 2, format!("{}\n", "long ".repeat(5000 + number))));
            }
            check(&style, &rows, &mut random, &ids(hash, 9));
        }
    }
}
