//! Tables of every shape that the format allows read back as they were written.

use std::sync::Arc;

use crate::support::tables::{LogRow, RefRow, anatomy, logs, refs, table, write};
use crate::support::{self, HASHES, entry, id};
use reftable::format::{BlockKind, MAX_BLOCK_SIZE};
use reftable::merge::{Merged, Tombstones};
use reftable::table::RefRecordView;
use reftable::table::{Table, TableWriter, WriteOptions};
use reftable::{ErrorKind, HashKind, Target};

fn ref_rows(hash: HashKind, count: u64) -> Vec<RefRow> {
    (0..count)
        .map(|number| {
            let target = match number % 5 {
                0 => None,
                1 => Some(Target::symbolic(format!("refs/heads/{number}"))),
                2 => Some(Target::Tag { id: id(hash, number), peeled: id(hash, number + 1) }),
                _ => Some(Target::Id(id(hash, number))),
            };
            (format!("refs/heads/{number:06}"), 1 + number % 9, target)
        })
        .collect()
}

fn log_rows(hash: HashKind, count: u64) -> Vec<LogRow> {
    (0..count)
        .map(|number| {
            let entry = (number % 4 != 0).then(|| entry(hash, number, number + 1, format!("message {number}\n")));
            (format!("refs/heads/{:06}", number / 3), 9 - number % 3, entry)
        })
        .collect()
}

fn check(hash: HashKind, options: &WriteOptions, ref_rows: &[RefRow], log_rows: &[LogRow]) -> Arc<Table> {
    let table = table(hash, 1..=9, options, ref_rows, log_rows);
    assert_eq!((table.hash(), table.header().min_update_index, table.header().max_update_index), (hash, 1, 9));
    let merged = Merged::new(vec![Arc::clone(&table)]);
    assert_eq!(refs(&merged, "", Tombstones::Show), ref_rows);
    assert_eq!(logs(&merged, "", Tombstones::Show), log_rows);
    let living = |rows: &[RefRow]| rows.iter().filter(|row| row.2.is_some()).cloned().collect::<Vec<_>>();
    assert_eq!(refs(&merged, "", Tombstones::Hide), living(ref_rows));
    let living = |rows: &[LogRow]| rows.iter().filter(|row| row.2.is_some()).cloned().collect::<Vec<_>>();
    assert_eq!(logs(&merged, "", Tombstones::Hide), living(log_rows));
    table
}

fn options(size: u32, interval: u16, padding: bool) -> WriteOptions {
    WriteOptions::default().block_size(size).restart_interval(interval).padding(padding)
}

#[test]
fn empty_ones() {
    for hash in HASHES {
        for padding in [true, false] {
            let table = check(hash, &options(4096, 16, padding), &[], &[]);
            assert!(anatomy(&table).blocks.is_empty());
            assert_eq!(table.file_size(), if hash == HashKind::Sha1 { 24 + 68 } else { 28 + 72 });
        }
    }
}

#[test]
fn logs_alone_and_references_alone() {
    for hash in HASHES {
        for (size, padding) in [(256, true), (256, false), (4096, true)] {
            let options = options(size, 16, padding);
            for count in [1, 2, 50, 1000] {
                let logs_alone = anatomy(&check(hash, &options, &[], &log_rows(hash, count)));
                assert_eq!(logs_alone.blocks[0], (BlockKind::Log, 0));
                assert_eq!(logs_alone.count(BlockKind::Ref), 0);
                let refs_alone = anatomy(&check(hash, &options, &ref_rows(hash, count), &[]));
                assert_eq!(refs_alone.blocks[0], (BlockKind::Ref, 0));
                assert_eq!(refs_alone.count(BlockKind::Log), 0);
            }
        }
    }
}

#[test]
fn blocks_and_restarts_of_any_size() {
    for hash in HASHES {
        let (ref_rows, log_rows) = (ref_rows(hash, 3000), log_rows(hash, 1000));
        for size in [256, 257, 1000, 4096, 65536, MAX_BLOCK_SIZE] {
            for interval in [1, 2, 16, u16::MAX] {
                for padding in [true, false] {
                    let table = check(hash, &options(size, interval, padding), &ref_rows, &log_rows);
                    let blocks = anatomy(&table).blocks;
                    let is_aligned =
                        |(kind, at): &(BlockKind, u64)| *kind == BlockKind::Log || at % u64::from(size) == 0;
                    let before_logs = blocks.iter().take_while(|(kind, _)| *kind != BlockKind::Log);
                    assert!(!padding || before_logs.clone().all(is_aligned), "{size}");
                    assert_eq!(table.footer().obj > 0, table.footer().ref_index > 0);
                }
            }
        }
    }
}

#[test]
fn more_restarts_than_a_block_can_count() {
    let hash = HashKind::Sha1;
    let rows: Vec<RefRow> = (0..70_000).map(|number| (format!("{number:06}"), 1, None)).collect();
    let table = check(hash, &options(MAX_BLOCK_SIZE, 1, true), &rows, &[]);
    let mut blocks = table.blocks();
    assert_eq!(blocks.next().unwrap().unwrap().restarts(), 0xffff);
    assert!(blocks.next().unwrap().is_none());
    let merged = Merged::new(vec![table]);
    for number in [0, 1, 65_534, 65_535, 65_536, 69_999] {
        let mut walk = merged.refs(format!("{number:06}").as_bytes(), Tombstones::Show).unwrap();
        assert_eq!(walk.next().unwrap().unwrap().name, format!("{number:06}").as_bytes());
    }
}

#[test]
fn a_message_of_a_whole_block() {
    for hash in HASHES {
        // Deflates a thousandfold.
        let entry = entry(hash, 1, 2, vec![b'm'; 16_000_000]);
        check(hash, &options(MAX_BLOCK_SIZE, 16, true), &[], &[("HEAD".to_owned(), 1, Some(entry))]);
        // Does not deflate at all.
        let mut random = support::Random(7);
        let noise: Vec<u8> = std::iter::repeat_with(|| random.next().to_be_bytes()).take(100_000).flatten().collect();
        let entry = support::entry(hash, 1, 2, noise);
        check(hash, &options(MAX_BLOCK_SIZE, 16, false), &[], &[("HEAD".to_owned(), 1, Some(entry))]);
    }
}

#[test]
fn the_largest_update_index() {
    for hash in HASHES {
        let max = u64::MAX;
        let row = |name: &str, index| (name.to_owned(), index, Some(Target::Id(id(hash, 1))));
        let rows = [row("a", max), row("b", max - 1), row("c", 0)];
        let log = [("a".to_owned(), max, Some(entry(hash, 1, 2, "m\n"))), ("a".to_owned(), 0, None)];
        let table = table(hash, 0..=max, &WriteOptions::default(), &rows, &log);
        let merged = Merged::new(vec![table]);
        assert_eq!(refs(&merged, "", Tombstones::Show), rows);
        assert_eq!(logs(&merged, "", Tombstones::Show), log);
        // A store with it reads, and says that it is full.
        let store = support::Store::new(hash);
        let (bytes, _) = write(hash, max..=max, &WriteOptions::default(), &[row("refs/heads/a", max)], &[]).unwrap();
        let name = format!("0x{max:012x}-0x{max:012x}-00000000.ref");
        std::fs::write(store.path().join(&name), bytes).unwrap();
        std::fs::write(store.path().join("tables.list"), format!("{name}\n")).unwrap();
        assert_eq!(store.stack.snapshot().unwrap().update_index(), max);
        assert!(store.get("refs/heads/a").is_some());
        let mut tx = store.stack.transaction();
        tx.set("refs/heads/b", reftable::Expect::Any, id(hash, 1));
        assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::Invalid);
        support::assert_says_full(&store.stack);
    }
}

#[test]
fn wrong_order_range_and_options_are_refused() {
    let hash = HashKind::Sha1;
    let kind = |result: reftable::Result<_>| result.map(|_: (Vec<u8>, _)| ()).unwrap_err().kind();
    let default = WriteOptions::default();
    let row = |name: &str, index| (name.to_owned(), index, None);
    assert_eq!(kind(write(hash, 1..=2, &default, &[row("b", 1), row("a", 1)], &[])), ErrorKind::Invalid);
    assert_eq!(kind(write(hash, 1..=2, &default, &[row("a", 1), row("a", 2)], &[])), ErrorKind::Invalid);
    assert_eq!(kind(write(hash, 1..=2, &default, &[row("", 1)], &[])), ErrorKind::Invalid);
    assert_eq!(kind(write(hash, 1..=2, &default, &[row("a", 3)], &[])), ErrorKind::Invalid);
    assert_eq!(kind(write(hash, 1..=2, &default, &[row("a", 0)], &[])), ErrorKind::Invalid);
    let oldest_first = [("a".to_owned(), 1, None), ("a".to_owned(), 2, None)];
    assert_eq!(kind(write(hash, 1..=2, &default, &[], &oldest_first)), ErrorKind::Invalid);
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
    let backwards = 2..=1;
    assert_eq!(kind(write(hash, backwards, &default, &[], &[])), ErrorKind::Invalid);
    for wrong in
        [options(0, 1, true), options(63, 1, true), options(MAX_BLOCK_SIZE + 1, 1, true), options(4096, 0, true)]
    {
        assert_eq!(kind(write(hash, 1..=1, &wrong, &[], &[])), ErrorKind::Invalid);
        assert_eq!(reftable::Stack::open(".", support::quick().write(wrong)).unwrap_err().kind(), ErrorKind::Invalid);
    }
    let mut writer = TableWriter::new(Vec::new(), hash, 1..=1, &default).unwrap();
    let log = reftable::table::LogRecordView { refname: b"a", update_index: 1, entry: None };
    writer.add_log(&log).unwrap();
    let record = RefRecordView { name: b"a", update_index: 1, target: None };
    assert_eq!(writer.add_ref(&record).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn the_newest_of_several_tables_counts() {
    for hash in HASHES {
        let target = |number| Some(Target::Id(id(hash, number)));
        let row = |name: &str, index, target| (name.to_owned(), index, target);
        let layers = [
            vec![row("a", 1, target(1)), row("b", 1, target(1)), row("d", 1, target(1))],
            vec![row("b", 2, None), row("c", 2, None), row("d", 2, target(2))],
            vec![row("a", 3, target(3)), row("b", 3, target(3)), row("d", 3, None), row("e", 3, target(3))],
        ];
        let tables = layers.iter().zip(1..).map(|(rows, at)| table(hash, at..=at, &WriteOptions::default(), rows, &[]));
        let merged = Merged::new(tables.collect());
        let shown = [
            row("a", 3, target(3)),
            row("b", 3, target(3)),
            row("c", 2, None),
            row("d", 3, None),
            row("e", 3, target(3)),
        ];
        assert_eq!(refs(&merged, "", Tombstones::Show), shown);
        let hidden: Vec<_> = shown.iter().filter(|row| row.2.is_some()).cloned().collect();
        assert_eq!(refs(&merged, "", Tombstones::Hide), hidden);
        assert_eq!(refs(&merged, "b0", Tombstones::Hide), hidden[2..]);
        assert_eq!(refs(&merged, "f", Tombstones::Show), []);
    }
}
