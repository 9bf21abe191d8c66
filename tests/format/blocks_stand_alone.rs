//! A block read without its table gives the records that it gives within it, and damage is an
//! error; what a writer counts is what a scan of the blocks finds.

use std::sync::Arc;

use crate::support::tables::{self, LogRow, RefRow};
use crate::support::{HASHES, entry, id};
use reftable::bytes::Bytes;
use reftable::format::BlockKind;
use reftable::merge::{Merged, Tombstones};
use reftable::table::{BlockDump, RecordView, SectionStats, Table, WriteOptions};
use reftable::{Error, HashKind};

const FIRST: u64 = 5;

fn rows(hash: HashKind) -> (Vec<RefRow>, Vec<LogRow>) {
    let name = |number| format!("refs/heads/{number:04}");
    let target = |number| (number % 9 > 0).then(|| id(hash, number).into());
    let refs = (0..400).map(|number| (name(number), FIRST + number % 4, target(number))).collect();
    let logs =
        (0..90).map(|number| (name(number), FIRST, Some(entry(hash, number, number + 1, "a message")))).collect();
    (refs, logs)
}

fn table(hash: HashKind, options: &WriteOptions) -> (Vec<u8>, Arc<Table>) {
    let (refs, logs) = rows(hash);
    let (bytes, _) = tables::write(hash, FIRST..=FIRST + 3, options, &refs, &logs).unwrap();
    (bytes.clone(), Arc::new(Table::open("a table", bytes).unwrap()))
}

fn shapes() -> impl Iterator<Item = (HashKind, WriteOptions)> {
    HASHES.into_iter().flat_map(|hash| {
        [(256, true), (1024, true), (1024, false)]
            .map(|(size, padding)| (hash, WriteOptions::default().block_size(size).padding(padding)))
    })
}

fn read(bytes: &[u8], offset: u64) -> impl FnMut(usize) -> Result<Bytes, Error> {
    let bytes = bytes[offset as usize..].to_vec();
    move |len| Ok(bytes[..len.min(bytes.len())].to_vec().into())
}

/// The records of a block as text, without update indexes of references, and its first key.
fn records(block: &BlockDump<'_>) -> (Vec<String>, Vec<u8>) {
    let mut found = Vec::new();
    block
        .records(|at, record| {
            found.push(match record {
                RecordView::Ref(record) => format!("{at} {:?} {:?}", record.name, record.target),
                other => format!("{at} {other:?}"),
            });
        })
        .unwrap();
    (found, block.first_key().unwrap().to_vec())
}

#[test]
fn a_block_gives_the_records_that_it_gives_in_its_table() {
    for (hash, options) in shapes() {
        let (bytes, whole) = table(hash, &options);
        let (mut refs, mut logs) = (Vec::new(), Vec::new());
        let mut blocks = whole.blocks();
        while let Some(block) = blocks.next().unwrap() {
            let (lead, size) = (block.header_len(), whole.header().block_size);
            assert_eq!(lead > 0, block.offset() == 0);
            let read = Table::of_block(lead, size, hash, read(&bytes, block.offset())).unwrap();
            for alone in [read, block.alone().unwrap()] {
                let again = alone.block_at(0).unwrap().unwrap();
                assert_eq!((again.kind(), again.bytes()), (block.kind(), block.bytes()));
                assert_eq!(again.file_len(), block.file_len());
                assert_eq!(records(&again), records(&block));
                assert!(alone.block_at(again.end()).unwrap().is_none());
                let merged = Merged::new(vec![Arc::new(alone)]);
                refs.extend(tables::refs(&merged, "", Tombstones::Show));
                logs.extend(tables::logs(&merged, "", Tombstones::Show));
            }
        }
        // Each block was walked twice.
        let (mut expected_refs, mut expected_logs) = rows(hash);
        for (_, update_index, _) in &mut expected_refs {
            *update_index -= FIRST;
        }
        refs.sort_by(|a, b| a.0.cmp(&b.0));
        refs.dedup();
        logs.sort_by(|a, b| a.0.cmp(&b.0));
        logs.dedup();
        expected_refs.dedup();
        expected_logs.dedup();
        assert_eq!((refs, logs), (expected_refs, expected_logs));
    }
}

#[test]
fn damaged_blocks_are_errors() {
    let (bytes, whole) = table(HashKind::Sha1, &WriteOptions::default().block_size(256));
    let mut blocks = whole.blocks();
    while let Some(block) = blocks.next().unwrap() {
        let (start, len) = (block.offset() as usize, block.file_len() as usize - block.padding() as usize);
        for cut in 0..len {
            let cut = &bytes[..start + cut];
            assert!(Table::of_block(block.header_len(), 256, HashKind::Sha1, read(cut, start as u64)).is_err());
        }
    }
    for lead in [1, 23, 25, usize::MAX] {
        assert!(Table::of_block(lead, 256, HashKind::Sha1, read(&bytes, 0)).is_err(), "{lead}");
    }
    // What cannot be read is handed on.
    let mut reads = 0;
    let failed = Table::of_block(24, 256, HashKind::Sha1, |len| {
        reads += 1;
        if reads == 2 { Err(Failed::Read) } else { Ok(bytes[..len].to_vec().into()) }
    });
    assert!(matches!(failed, Err(Failed::Read)));
}

#[derive(Debug)]
enum Failed {
    Read,
    Table,
}

impl From<Error> for Failed {
    fn from(_: Error) -> Failed {
        Failed::Table
    }
}

#[test]
fn a_writer_counts_what_it_writes() {
    for (hash, options) in shapes() {
        let (refs, logs) = rows(hash);
        let (bytes, stats) = tables::write(hash, FIRST..=FIRST + 3, &options, &refs, &logs).unwrap();
        let whole = Table::open("a table", bytes).unwrap();
        let mut counted = [SectionStats::default(); 4];
        let [found_refs, found_objects, found_logs, found_indexes] = &mut counted;
        let mut last = BlockKind::Ref;
        let mut blocks = whole.blocks();
        while let Some(block) = blocks.next().unwrap() {
            let section = match block.kind() {
                BlockKind::Ref => &mut *found_refs,
                BlockKind::Obj => &mut *found_objects,
                BlockKind::Log => &mut *found_logs,
                _ => &mut *found_indexes,
            };
            if section.blocks == 0 {
                section.offset = block.offset();
            }
            section.blocks += 1;
            section.restarts += block.restarts() as u64;
            block.records(|_, _| section.entries += 1).unwrap();
            if block.kind() == BlockKind::Index {
                match last {
                    BlockKind::Ref => found_refs.index_blocks += 1,
                    BlockKind::Obj => found_objects.index_blocks += 1,
                    _ => found_logs.index_blocks += 1,
                }
            } else {
                last = block.kind();
            }
        }
        let anatomy = tables::anatomy(&whole);
        let footer = whole.footer();
        let roots = [footer.ref_index, footer.obj_index, footer.log_index];
        for (section, root) in counted.iter_mut().zip(roots) {
            (section.index_offset, section.index_levels) = (root, anatomy.levels(root) as u64);
        }
        let stated = [stats.ref_section, stats.object_section, stats.log_section, stats.indexes];
        assert_eq!(stated, counted);
        assert_eq!(stats.object_id_len, footer.obj_id_len);
        assert!(counted[0].index_levels > 0 && counted[1].blocks > 0);
    }
}
