//! Names and messages of every size up to what a block holds, and beyond: each reads back as it was
//! written, or is refused as too large. The number of bytes that fit is computed here from the
//! format, not asked of the writer.
//!
//! Likewise the other numbers of a table: block sizes at both ends, the 16-bit number of restarts,
//! the 64-bit update index.

use std::sync::Arc;

use crate::support::mem_dir::MemDir;
use crate::support::tables::{LogRow, RefRow, write};
use crate::support::{HASHES, Random, assert_says_full, id, quick};
use reftable::compact::Compact;
use reftable::format::MAX_BLOCK_SIZE;
use reftable::lock::ExclusiveFile;
use reftable::table::{TableWriter, WriteOptions};
use reftable::verify::verify_dir;
use reftable::{ErrorKind, Expect, HashKind, Ident, LogEntry, ObjectId, Options, Snapshot, Stack};

const SMALL: [u32; 3] = [128, 256, 4096];
/// Type and length of a block.
const BLOCK_HEAD: usize = 4;
/// One restart and the number of restarts.
const BLOCK_TAIL: usize = 3 + 2;

/// Bytes that a number takes in the variable form of pack files.
fn width(mut number: usize) -> usize {
    let mut bytes = 1;
    while number >= 128 {
        number = (number >> 7) - 1;
        bytes += 1;
    }
    bytes
}

/// Bytes of a key that shares nothing with another.
fn key_width(len: usize) -> usize {
    1 + width(len << 3) + len
}

fn file_header(hash: HashKind) -> usize {
    if hash == HashKind::Sha1 { 24 } else { 28 }
}

/// Bytes of a block with one reference: a name of `len` and an id.
fn ref_block(hash: HashKind, len: usize) -> usize {
    BLOCK_HEAD + key_width(len) + 1 + hash.len() + BLOCK_TAIL
}

/// Bytes of an inflated block with one log entry of a name of one byte, as [`message_of`] makes
/// them.
fn log_block(hash: HashKind, len: usize) -> usize {
    BLOCK_HEAD + key_width(1 + 9) + 2 * hash.len() + 2 + 2 + 1 + 2 + width(len) + len + BLOCK_TAIL
}

fn message_of(hash: HashKind, message: Vec<u8>) -> LogEntry {
    LogEntry { old: ObjectId::null(hash), new: id(hash, 1), committer: Ident::new("c", "e", 1), message }
}

/// A stack of this one table, of which `verify` has no complaint.
fn snapshot_of(table: Vec<u8>) -> Snapshot {
    let dir = MemDir::of_tables(&[table]);
    let report = verify_dir(&dir).unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
    Stack::open_in(Arc::new(dir), Box::new(ExclusiveFile), Options::default()).unwrap().snapshot().unwrap()
}

/// Writes a table of `rows`, which fit as `fits` says, and reads each of them back.
fn refs_round_trip(hash: HashKind, options: &WriteOptions, rows: &[RefRow], fits: bool) {
    let longest = rows.iter().map(|row| row.0.len()).max().unwrap();
    match write(hash, 1..=1, options, rows, &[]) {
        Ok((table, _)) => {
            assert!(fits, "a name of {longest} bytes went into a block of {options:?}");
            let snapshot = snapshot_of(table);
            for (name, _, target) in rows {
                assert_eq!(snapshot.get(name).unwrap().map(|found| found.target), *target, "{longest} bytes");
            }
            assert_eq!(snapshot.refs().unwrap().into_iter().map(Result::unwrap).count(), rows.len());
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
            assert!(!fits, "a name of {longest} bytes was refused: {error}");
        }
    }
}

fn message_round_trips(hash: HashKind, options: &WriteOptions, message: Vec<u8>, fits: bool) {
    let len = message.len();
    let row: LogRow = ("l".to_owned(), 1, Some(message_of(hash, message)));
    match write(hash, 1..=1, options, &[], std::slice::from_ref(&row)) {
        Ok((table, _)) => {
            assert!(fits, "a message of {len} bytes went into a block of {options:?}");
            let found = snapshot_of(table).log("l").unwrap().next().unwrap().unwrap().to_log();
            assert!(Some(&found.entry) == row.2.as_ref(), "a message of {len} bytes reads back");
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
            assert!(!fits, "a message of {len} bytes was refused: {error}");
        }
    }
}

fn name(first: u8, len: usize) -> String {
    format!("{}{}", char::from(first), "n".repeat(len - 1))
}

#[test]
fn a_name_of_every_size() {
    for hash in HASHES {
        for size in SMALL {
            let options = WriteOptions::default().block_size(size);
            for len in 1..=size as usize {
                let fits = file_header(hash) + ref_block(hash, len) <= size as usize;
                refs_round_trip(hash, &options, &[(name(b'n', len), 1, Some(id(hash, 1).into()))], fits);
            }
        }
    }
}

/// The file header is part of the first block only.
#[test]
fn a_name_of_every_size_in_a_later_block() {
    for hash in HASHES {
        for size in SMALL {
            let options = WriteOptions::default().block_size(size);
            for len in 1..=size as usize {
                let fits = ref_block(hash, len) <= size as usize;
                let row = |name| (name, 1, Some(id(hash, 1).into()));
                refs_round_trip(hash, &options, &[row("A".to_owned()), row(name(b'n', len))], fits);
            }
        }
    }
}

/// Enough blocks for an index, whose entries are as long as the names; with those of half a block
/// and more it would not get smaller than what it indexes.
#[test]
fn names_of_every_size_below_an_index() {
    for hash in HASHES {
        for size in [128, 256] {
            for padding in [true, false] {
                let options = WriteOptions::default().block_size(size).padding(padding);
                for len in 2..=size as usize {
                    let fits = file_header(hash) + ref_block(hash, len) <= size as usize;
                    let names = (b'a'..=b'p').map(|first| name(first, len));
                    let rows: Vec<RefRow> = names.map(|name| (name, 1, Some(id(hash, 1).into()))).collect();
                    refs_round_trip(hash, &options, &rows, fits);
                }
            }
        }
    }
}

#[test]
fn a_message_of_every_size() {
    let mut random = Random(3);
    for hash in HASHES {
        for size in SMALL {
            let options = WriteOptions::default().block_size(size);
            for len in 0..=size as usize {
                let fits = file_header(hash) + log_block(hash, len) <= size as usize;
                message_round_trips(hash, &options, vec![b'm'; len], fits);
                // Nothing for deflate to hold on to: the block takes more bytes in the file than
                // its own.
                let noise = std::iter::repeat_with(|| random.next() as u8).take(len).collect();
                message_round_trips(hash, &options, noise, fits);
            }
        }
    }
}

#[test]
fn the_largest_block_holds_a_name_and_a_message_to_the_last_byte() {
    let hash = HashKind::Sha1;
    let limit = MAX_BLOCK_SIZE as usize;
    let options = WriteOptions::default().block_size(MAX_BLOCK_SIZE);
    let longest = (limit - 100..limit).rfind(|len| file_header(hash) + ref_block(hash, *len) <= limit).unwrap();
    for len in [longest - 1, longest, longest + 1] {
        refs_round_trip(hash, &options, &[(name(b'n', len), 1, Some(id(hash, 1).into()))], len <= longest);
    }
    let longest = (limit - 200..limit).rfind(|len| file_header(hash) + log_block(hash, *len) <= limit).unwrap();
    for len in [longest, longest + 1] {
        message_round_trips(hash, &options, vec![b'm'; len], len <= longest);
    }
    let mut random = Random(4);
    let noise: Vec<u8> = std::iter::repeat_with(|| random.next().to_le_bytes()).flatten().take(longest).collect();
    message_round_trips(hash, &options, noise, true);
}

#[test]
fn block_sizes_have_two_ends() {
    let dir = tempfile::tempdir().unwrap();
    for size in [0, 1, 63, MAX_BLOCK_SIZE + 1, u32::MAX] {
        let options = WriteOptions::default().block_size(size);
        let error = TableWriter::new(Vec::new(), HashKind::Sha1, 1..=1, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{size}: {error}");
        let error = Stack::open(dir.path(), Options::default().write(options)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{size}: {error}");
        assert!(error.message().contains(&size.to_string()), "{error}");
    }
    for size in [64, MAX_BLOCK_SIZE] {
        let options = quick().write(WriteOptions::default().block_size(size));
        let stack = Stack::open(dir.path(), options).unwrap();
        let mut tx = stack.transaction();
        tx.set("HEAD", Expect::Any, id(HashKind::Sha1, u64::from(size)));
        tx.commit().unwrap();
        let found = stack.snapshot().unwrap().get("HEAD").unwrap().unwrap();
        assert_eq!(found.target, id(HashKind::Sha1, u64::from(size)).into());
    }
}

/// With an interval of 1 every record is a restart, until there is no number for another one.
#[test]
fn restarts_end_at_65535() {
    const RECORDS: usize = 70_000;
    let hash = HashKind::Sha1;
    let options = WriteOptions::default().block_size(MAX_BLOCK_SIZE).restart_interval(1);
    let names: Vec<String> = (0..RECORDS).map(|number| format!("refs/heads/{number:05}")).collect();
    let refs: Vec<RefRow> =
        names.iter().enumerate().map(|(at, name)| (name.clone(), 1, Some(id(hash, at as u64).into()))).collect();
    let logs: Vec<LogRow> =
        names.iter().map(|name| (name.clone(), 1, Some(message_of(hash, b"m\n".to_vec())))).collect();
    let (table, stats) = write(hash, 1..=1, &options, &refs, &logs).unwrap();
    assert_eq!(stats.blocks, 2, "all references in one block, all log entries in another");
    let snapshot = snapshot_of(table);
    let mut blocks = snapshot.tables()[0].blocks();
    while let Some(block) = blocks.next().unwrap() {
        assert_eq!(block.restarts(), 65535);
    }
    for at in (0..RECORDS).step_by(997).chain([65533, 65534, 65535, 65536, RECORDS - 1]) {
        assert_eq!(snapshot.get(&names[at]).unwrap().unwrap().target, id(hash, at as u64).into());
        assert_eq!(snapshot.get(format!("{}+", names[at])).unwrap(), None);
        assert_eq!(snapshot.prefix(&names[at]).unwrap().into_iter().count(), 1);
    }
    // Each of these inflates the block: 3 MB.
    for at in [0, 65534, 65535, RECORDS - 1] {
        assert_eq!(snapshot.log(&names[at]).unwrap().into_iter().count(), 1);
    }
    let walked: Vec<_> = snapshot.refs().unwrap().into_iter().map(|found| found.unwrap().name).collect();
    assert!(walked.iter().eq(names.iter().map(String::as_bytes)));
    assert_eq!(snapshot.logs().unwrap().into_iter().map(Result::unwrap).count(), RECORDS);
}

/// A store whose only table, of one reference and one log entry, has this range of update indexes.
fn store_with(range: std::ops::RangeInclusive<u64>) -> (tempfile::TempDir, Stack) {
    let hash = HashKind::Sha1;
    let (min, max) = (*range.start(), *range.end());
    let refs = [("refs/heads/main".to_owned(), max, Some(id(hash, 1).into()))];
    let logs = [("refs/heads/main".to_owned(), max, Some(message_of(hash, b"m\n".to_vec())))];
    let (table, _) = write(hash, range, &WriteOptions::default(), &refs, &logs).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let name = format!("0x{min:012x}-0x{max:012x}-00000001.ref");
    std::fs::write(dir.path().join(&name), table).unwrap();
    std::fs::write(dir.path().join("tables.list"), name + "\n").unwrap();
    let stack = Stack::open(dir.path(), quick()).unwrap();
    (dir, stack)
}

#[test]
fn the_largest_update_index_is_an_update_index() {
    for min in [0, 1, u64::MAX - 1, u64::MAX] {
        let (_dir, stack) = store_with(min..=u64::MAX);
        let snapshot = stack.snapshot().unwrap();
        assert_eq!(snapshot.update_index(), u64::MAX);
        assert_eq!(snapshot.get("refs/heads/main").unwrap().unwrap().update_index, u64::MAX);
        let log = snapshot.log("refs/heads/main").unwrap().next().unwrap().unwrap().to_log();
        assert_eq!(log.update_index, u64::MAX);
        assert_says_full(&stack);
        // There is no next one.
        let mut tx = stack.transaction();
        tx.set("refs/heads/next", Expect::Any, id(HashKind::Sha1, 2));
        let error = tx.commit().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert_eq!(stack.snapshot().unwrap().get("refs/heads/next").unwrap(), None);
    }
}

#[test]
fn a_commit_may_use_the_last_update_index() {
    let (dir, stack) = store_with(1..=u64::MAX - 1);
    let mut tx = stack.transaction();
    tx.set("refs/heads/last", Expect::Any, id(HashKind::Sha1, 2));
    assert_eq!(tx.commit().unwrap().update_index, u64::MAX);
    assert_says_full(&stack);
    stack.compact(Compact::all()).unwrap();
    let again = Stack::open(dir.path(), quick()).unwrap();
    assert_eq!(again.snapshot().unwrap().tables().len(), 1);
    assert_eq!(again.snapshot().unwrap().get("refs/heads/last").unwrap().unwrap().update_index, u64::MAX);
    assert_says_full(&again);
}

#[test]
fn a_log_entry_may_have_the_last_update_index() {
    let (_dir, stack) = store_with(1..=u64::MAX - 1);
    let entry = message_of(HashKind::Sha1, b"the last\n".to_vec());
    let mut tx = stack.transaction();
    tx.append_log("refs/heads/main", entry.clone()).append_log("refs/heads/main", entry.clone());
    assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::Invalid, "two of them would need one more");
    let mut tx = stack.transaction();
    tx.append_log("refs/heads/main", entry.clone());
    assert_eq!(tx.commit().unwrap().update_index, u64::MAX);
    let log = stack.snapshot().unwrap().log("refs/heads/main").unwrap().next().unwrap().unwrap().to_log();
    assert_eq!((log.update_index, log.entry), (u64::MAX, entry));
}
