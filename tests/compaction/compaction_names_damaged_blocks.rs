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
    format!("refs/heads/branch-{number:04}")
}

/// One table of many references and logs, and one of a reference behind them.
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
                    // Only another id, or another text: what anybody reads there.
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
                    // A wrong length leads to other bytes, behind; and so does a key that is larger
                    // now: to the next key.
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

/// A damage that hid all of a table: whoever met the wrong type took it for the end of the data.
#[test]
fn a_block_of_another_type_hides_nothing() {
    let whole = below();
    let table = Table::open("below", whole.clone()).unwrap();
    let (mut blocks, mut starts) = (table.blocks(), Vec::new());
    while let Some(block) = blocks.next().unwrap() {
        starts.push(block.offset() as usize + block.header_len());
    }
    let all = records(store(&whole).path());
    for at in starts {
        for letter in [b'r', b'g', b'o', b'i', b'x', 0].into_iter().filter(|letter| *letter != whole[at]) {
            let mut damaged = whole.clone();
            damaged[at] = letter;
            let dir = store(&damaged);
            if letter == b'i' {
                // Indexes may be damaged: who reads in order needs none. A check does.
                let report = reftable::verify::verify_dir(&reftable::dir::OsDir::new(dir.path(), None)).unwrap();
                assert!(report.findings.iter().any(|finding| finding.severity == Severity::Error), "{at}");
            } else if let Err(error) = compact(dir.path(), Compact::Rewrite { expiry: Expiry::default() }) {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                assert!(error.offset().is_some(), "{error}");
            } else {
                // Of the indexes, which are written anew.
                assert_eq!(records(dir.path()), all, "{letter:#04x} at {at}");
            }
        }
    }
}

/// Whoever meets a damage is told where, and how to go on.
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
