//! A damaged block is never copied on: a compaction that meets one says where it is, and changes
//! nothing.

use std::path::Path;

use crate::support::tables::{LogRow, RefRow, write};
use crate::support::{self, dump, entry, id, quick, table_names};
use reftable::compact::{Compact, Expiry};
use reftable::format::BlockKind;
use reftable::table::{Table, WriteOptions};
use reftable::verify::Severity;
use reftable::{AutoCompact, Error, ErrorKind, HashKind, Options, Stack};

const HASH: HashKind = HashKind::Sha1;
const BELOW: &str = "0x000000000001-0x000000000001-00000000.ref";

fn write_options() -> WriteOptions {
    WriteOptions::default().block_size(512)
}

fn options() -> Options {
    quick().auto_compact(AutoCompact::Off).compact_at_once(0).write(write_options())
}

fn name(number: u64) -> String {
    format!("refs/heads/branch-{number:06}")
}

/// One table of many references and logs, and one of a reference after them.
fn store(below: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let above = "0x000000000002-0x000000000002-00000001.ref";
    let newest = [(name(9999), 2, Some(id(HASH, 7).into()))];
    std::fs::write(dir.path().join(BELOW), below).unwrap();
    std::fs::write(dir.path().join(above), write(HASH, 2..=2, &write_options(), &newest, &[]).unwrap().0).unwrap();
    std::fs::write(dir.path().join("tables.list"), format!("{BELOW}\n{above}\n")).unwrap();
    dir
}

fn below() -> Vec<u8> {
    let refs: Vec<RefRow> = (0..300).map(|number| (name(number), 1, Some(id(HASH, number).into()))).collect();
    let logs: Vec<LogRow> =
        (0..300).map(|number| (name(number), 1, Some(entry(HASH, number, number + 1, "m\n")))).collect();
    write(HASH, 1..=1, &write_options(), &refs, &logs).unwrap().0
}

/// Start and end of the blocks of one kind.
fn blocks(table: &[u8], kind: BlockKind) -> Vec<(u64, u64)> {
    let table = Table::open("below", table.to_vec()).unwrap();
    let mut found = Vec::new();
    let mut blocks = table.blocks();
    while let Some(block) = blocks.next().unwrap() {
        if block.kind() == kind {
            found.push((block.offset(), block.offset() + block.file_len() - block.padding()));
        }
    }
    found
}

fn compact(dir: &Path, what: Compact) -> Result<u64, Error> {
    let stack = Stack::open(dir, options())?;
    stack.compact(what).map(|done| done.unwrap().written.copied)
}

fn records(dir: &Path) -> Vec<String> {
    let snapshot = Stack::open(dir, options()).unwrap().snapshot().unwrap();
    let refs = snapshot.refs().unwrap().into_iter().map(|found| format!("{found:?}"));
    refs.chain(snapshot.logs().unwrap().into_iter().map(|found| format!("{found:?}"))).collect()
}

/// Bits of a block that is copied as long as it is whole.
fn flip_bits(kind: BlockKind, least_errors: usize) {
    let whole = below();
    let all = blocks(&whole, kind);
    let (start, end) = all[all.len() / 2];
    assert!(compact(store(&whole).path(), Compact::all()).unwrap() as usize > all.len() / 2, "it is copied");
    let (mut errors, mut inside) = (0, 0);
    for at in start..end {
        // All bits of the ends, which hold the lengths and the restarts; one of each byte between.
        let bits = if at < start + 8 || at + 16 > end { 0..8 } else { at % 8..at % 8 + 1 };
        for bit in bits {
            let mut damaged = whole.clone();
            damaged[at as usize] ^= 1 << bit;
            let dir = store(&damaged);
            let before = dump(dir.path());
            match compact(dir.path(), Compact::all()) {
                Ok(_) => {
                    // Only another id, or another text: what any reader finds there.
                    let other = store(&damaged);
                    compact(other.path(), Compact::Rewrite { expiry: Expiry::default() }).unwrap();
                    assert_eq!(records(dir.path()), records(other.path()), "byte {at}, bit {bit}");
                    support::assert_verifies(&Stack::open(dir.path(), options()).unwrap());
                }
                Err(error) => {
                    errors += 1;
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}, bit {bit}: {error}");
                    assert_eq!(error.path().and_then(Path::file_name), Some(BELOW.as_ref()), "{error}");
                    let offset = error.offset().unwrap();
                    // A wrong length leads to other bytes, after it; and so does a key that is
                    // larger now: to the next key.
                    assert!(offset >= start, "byte {at} of {start} to {end}: {error}");
                    inside += usize::from(offset <= end);
                    assert_eq!(dump(dir.path()), before, "nothing has changed");
                }
            }
        }
    }
    assert!(errors >= least_errors && inside * 10 >= errors * 8, "{errors} noticed, {inside} of them inside");
}

#[test]
fn references() {
    flip_bits(BlockKind::Ref, 150);
}

#[test]
fn logs() {
    flip_bits(BlockKind::Log, 200);
}

/// As [`below`], with so many references and logs that indexes have two levels.
fn large(references: u64, logs: u64) -> Vec<u8> {
    let refs: Vec<RefRow> = (0..references).map(|number| (name(number), 1, Some(id(HASH, number).into()))).collect();
    let logs: Vec<LogRow> =
        (0..logs).map(|number| (name(number), 1, Some(entry(HASH, number, number + 1, "m\n")))).collect();
    write(HASH, 1..=1, &write_options(), &refs, &logs).unwrap().0
}

/// Any bit of a table. What is changed may be an id or a letter, which no format can tell; but so
/// many records as there were are there, or something says that it is damaged.
#[test]
fn no_flipped_bit_drops_a_record() {
    let refs: Vec<RefRow> = (0..60).map(|number| (name(number), 1, Some(id(HASH, number).into()))).collect();
    let logs: Vec<LogRow> =
        (0..40).map(|number| (name(number), 1, Some(entry(HASH, number, number + 1, "m\n")))).collect();
    let small = WriteOptions::default().block_size(256);
    let (whole, _) = write(HASH, 1..=1, &small, &refs, &logs).unwrap();
    let all = records(store(&whole).path()).len();
    let step = std::env::var("REFTABLE_FLIP_STEP").map_or(17, |step| step.parse().unwrap());
    for at in (0..whole.len()).step_by(step) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at / step % 8);
        for how in [Compact::all(), Compact::Rewrite { expiry: Expiry::default() }] {
            let dir = store(&damaged);
            if compact(dir.path(), how).is_ok() {
                assert_eq!(records(dir.path()).len(), all, "at {at} of {}", whole.len());
            }
        }
    }
}

/// Makes the checksum of the footer right again.
fn mend_checksum(table: &mut [u8]) {
    let end = table.len() - 4;
    let checksum = crc32fast::hash(&table[end - 64..end]);
    table[end..].copy_from_slice(&checksum.to_be_bytes());
}

/// Where the types of blocks are.
fn types(table: &[u8]) -> Vec<usize> {
    let table = Table::open("below", table.to_vec()).unwrap();
    let (mut blocks, mut starts) = (table.blocks(), Vec::new());
    while let Some(block) = blocks.next().unwrap() {
        starts.push(block.offset() as usize + block.header_len());
    }
    starts
}

/// No compaction, whichever way it goes, drops a record of the store: it names the damage and
/// changes nothing, or leaves `all`.
fn nothing_is_dropped(damaged: &[u8], all: &[String], what: &str) -> usize {
    let rewrite = Compact::Rewrite { expiry: Expiry::default() };
    let mut errors = 0;
    for how in [Compact::all(), rewrite] {
        let dir = store(damaged);
        let before = dump(dir.path());
        match compact(dir.path(), how) {
            Ok(_) => assert!(records(dir.path()) == all, "{what}"),
            Err(error) => {
                errors += 1;
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
                assert_eq!(error.path().and_then(Path::file_name), Some(BELOW.as_ref()), "{what}: {error}");
                assert!(error.offset().is_some(), "{what}: {error}");
                assert_eq!(dump(dir.path()), before, "{what}: nothing has changed");
            }
        }
    }
    errors
}

/// A damage that hid all of a table: a reader that met the wrong type took it for the end of the
/// data.
#[test]
fn a_block_of_another_type_hides_nothing() {
    let whole = below();
    let all = records(store(&whole).path());
    for at in types(&whole) {
        for letter in [b'r', b'g', b'o', b'i', b'x', 0].into_iter().filter(|letter| *letter != whole[at]) {
            let mut damaged = whole.clone();
            damaged[at] = letter;
            nothing_is_dropped(&damaged, &all, &format!("{letter:#04x} at {at}"));
        }
    }
}

/// Where an index has several levels its blocks may begin anywhere before the root.
#[test]
fn a_data_block_that_seems_to_be_one_of_an_index_is_told_from_it() {
    let whole = large(2500, 2500);
    let all = records(store(&whole).path());
    for kind in [BlockKind::Ref, BlockKind::Log] {
        let starts = blocks(&whole, kind);
        for (at, _) in starts.iter().skip(1).step_by(starts.len() / 7) {
            let mut damaged = whole.clone();
            damaged[*at as usize] = b'i';
            let errors = nothing_is_dropped(&damaged, &all, &format!("at {at}"));
            assert_eq!(errors, 2, "at {at}");
            let dir = store(&damaged);
            let snapshot = Stack::open(dir.path(), options()).unwrap().snapshot().unwrap();
            let refs = snapshot.refs().unwrap().into_iter().find_map(Result::err);
            let told = refs.or_else(|| snapshot.logs().unwrap().into_iter().find_map(Result::err)).unwrap();
            assert_eq!(told.offset(), Some(*at), "readers tell, too: {told}");
        }
    }
    // A block of tombstones has keys and numbers, as one of an index.
    let gone: Vec<RefRow> = (0..300).map(|number| (name(number), 1, None)).collect();
    let (mut gone, _) = write(HASH, 1..=1, &write_options(), &gone, &[]).unwrap();
    let (at, _) = blocks(&gone, BlockKind::Ref)[2];
    gone[at as usize] = b'i';
    assert_eq!(nothing_is_dropped(&gone, &[], "tombstones"), 2);
    // The indexes themselves are none of that.
    assert!(blocks(&whole, BlockKind::Index).len() > 4);
    assert_eq!(nothing_is_dropped(&whole, &all, "whole"), 0);
}

/// What an index says is believed as long as it agrees with the records.
#[test]
fn a_damaged_index_costs_no_record() {
    // Two ranges of references.
    let whole = large(34_000, 0);
    let all = records(store(&whole).path());
    let indexes = blocks(&whole, BlockKind::Index);
    // Every last key lowered: "branch-" as "brancg-".
    let mut lowered = whole.clone();
    for (start, end) in &indexes {
        for at in *start as usize..*end as usize - 7 {
            if lowered[at..].starts_with(b"branch-") {
                lowered[at + 5] = b'g';
            }
        }
    }
    let middle = indexes[indexes.len() / 3].0 as usize;
    let (mut cut, mut other, mut raised) = (whole.clone(), whole.clone(), whole.clone());
    cut[middle + 6] ^= 0xff;
    other[middle] = b'x';
    // After type, length, and the two lengths of the key.
    let first = indexes[0].0 as usize + 7;
    assert!(raised[first..].starts_with(b"refs/"));
    raised[first] = b's';
    for (damaged, what) in [(lowered, "lowered"), (cut, "cut"), (other, "other"), (raised, "raised")] {
        assert_eq!(nothing_is_dropped(&damaged, &all, what), 0, "{what}");
    }
}

/// The header and the footer with right checksums, and wrong all the same: some program has written
/// them so.
#[test]
fn no_block_lies_outside_of_what_is_read() {
    let whole = below();
    let all = records(store(&whole).path());
    let footer = whole.len() - 68;
    let logs = blocks(&whole, BlockKind::Log);
    // (place in header or footer, bytes)
    let mut cases: Vec<(usize, u64, usize)> = Vec::new();
    cases.extend([1024, 4096, 65536, 0xff_ffff, 0, 256].map(|size| (5, size, 3)));
    cases.extend(logs.iter().skip(1).map(|(start, _)| (footer + 48, *start, 8)));
    cases.push((footer + 48, 0, 8));
    for at in [24, 32, 40, 56] {
        cases.extend(types(&whole).iter().step_by(5).map(|start| (footer + at, *start as u64, 8)));
        cases.push((footer + at, 0, 8));
    }
    let mut told = 0;
    for (at, value, len) in cases {
        let mut damaged = whole.clone();
        damaged[at..at + len].copy_from_slice(&value.to_be_bytes()[8 - len..]);
        damaged.copy_within(..24, footer);
        mend_checksum(&mut damaged);
        if nothing_is_dropped(&damaged, &all, &format!("{value} at {at}")) > 0 {
            told += 1;
            let report =
                reftable::verify::verify_dir(&reftable::dir::OsDir::new(store(&damaged).path(), None)).unwrap();
            assert!(report.findings.iter().any(|found| found.severity == Severity::Error), "{value} at {at}");
        }
    }
    assert!(told > logs.len(), "{told}");
}

/// What a root that is none leads past was not found, and nobody said so.
#[test]
fn the_root_of_an_index_is_an_index() {
    let whole = below();
    let footer = whole.len() - 68;
    for (kind, at) in [(BlockKind::Ref, 24), (BlockKind::Log, 56)] {
        let middle = blocks(&whole, kind)[3].0;
        let mut damaged = whole.clone();
        damaged[footer + at..footer + at + 8].copy_from_slice(&middle.to_be_bytes());
        mend_checksum(&mut damaged);
        let dir = store(&damaged);
        let snapshot = Stack::open(dir.path(), options()).unwrap().snapshot().unwrap();
        // The more look-ups, the more is remembered of the index.
        for _ in 0..40 {
            let error = match kind {
                BlockKind::Ref => snapshot.get(name(1)).map(drop).unwrap_err(),
                _ => snapshot
                    .log(name(1))
                    .and_then(|log| log.into_iter().collect::<Result<Vec<_>, _>>())
                    .map(drop)
                    .unwrap_err(),
            };
            assert_eq!((error.kind(), error.offset()), (ErrorKind::Corrupt, Some(middle)), "{error}");
        }
    }
}

/// An error about damage says where it is, and how to go on.
#[test]
fn a_damage_comes_with_a_way_out() {
    let whole = below();
    let (block, _) = blocks(&whole, BlockKind::Ref)[0];
    for at in [block as usize + 24, 28, whole.len() - 5] {
        let mut damaged = whole.clone();
        damaged[at] = 0xff;
        let dir = store(&damaged);
        let way_out = format!("`reftable -C {} repair --dry-run` says what can be done", dir.path().display());
        let open = Stack::open(dir.path(), options()).and_then(|stack| stack.snapshot());
        let read = open.and_then(|snapshot| snapshot.refs()?.into_iter().try_for_each(|found| found.map(drop)));
        for error in [read.unwrap_err(), compact(dir.path(), Compact::all()).unwrap_err()] {
            assert_eq!(error.path().and_then(Path::file_name), Some(BELOW.as_ref()), "{error}");
            assert!(error.to_string().ends_with(&format!("{way_out}, and changes nothing")), "{error}");
        }
    }
}

#[test]
fn nothing_is_left_over() {
    let mut damaged = below();
    let middle = blocks(&damaged, BlockKind::Ref)[5].0 as usize;
    damaged[middle + 4] = 200;
    let dir = store(&damaged);
    let error = compact(dir.path(), Compact::all()).unwrap_err();
    assert_eq!(error.to_string().matches(BELOW).count(), 1, "{error}");
    assert_eq!(table_names(dir.path()).len(), 2);
}
