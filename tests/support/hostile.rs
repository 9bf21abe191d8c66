//! Reading bytes in every way there is, and small tables of all kinds to damage.

use std::sync::Arc;
use std::time::Duration;

use reftable::lock::ExclusiveFile;
use reftable::table::{LogRecordView, RefRecordView};
use reftable::table::{TableWriter, WriteOptions};
use reftable::verify::verify_dir;
use reftable::{Error, ErrorKind, HashKind, LogEntryView, ObjectId, Options, Snapshot, Stack, TargetView};

use super::mem_dir::MemDir;

/// Reads a stack of one table through everything that reads. Returns the records seen, or the first
/// error, which must say where.
pub(crate) fn read_everything(table: &[u8]) -> Result<usize, Error> {
    let dir = MemDir::of_tables(&[table.to_vec()]);
    let report = verify_dir(&dir).unwrap();
    let result = read_stack(&dir, table.len());
    if let Err(error) = &result {
        check_error(error);
        assert!(!report.is_clean(), "verify is content with what cannot be read: {error}");
    }
    for finding in &report.findings {
        assert!(!finding.file.is_empty() && !finding.message.is_empty());
    }
    result
}

/// What, where, and a kind that fits.
fn check_error(error: &Error) {
    assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported), "{error:?}");
    assert!(error.path().is_some(), "{error}");
    assert!(error.offset().is_some(), "{error}");
    assert!(!error.message().is_empty());
}

fn read_stack(dir: &MemDir, size: usize) -> Result<usize, Error> {
    let options = Options::default().reload_deadline(Duration::ZERO);
    let snapshot = Stack::open_in(Arc::new(dir.clone()), Box::new(ExclusiveFile), options)?.snapshot()?;
    // Every record takes a byte at least; inflated, up to 1032 times as many.
    let most = size * 1100;
    // Each way is tried, whether or not the one before succeeded: damage hides in all of them.
    let results =
        [scan(&snapshot, most), logs(&snapshot, most), lookups(&snapshot), pointing(&snapshot), blocks(&snapshot)];
    results.into_iter().try_fold(0, |sum, result| Ok(sum + result?))
}

fn scan(snapshot: &Snapshot, most: usize) -> Result<usize, Error> {
    let mut refs = snapshot.refs()?;
    let mut count = 0;
    while let Some(found) = refs.next()? {
        assert!(!found.name.is_empty());
        count += 1;
        assert!(count <= most, "more records than bytes");
    }
    Ok(count)
}

fn logs(snapshot: &Snapshot, most: usize) -> Result<usize, Error> {
    let mut logs = snapshot.logs()?;
    let mut count = 0;
    while logs.next()?.is_some() {
        count += 1;
        assert!(count <= most, "more records than bytes");
    }
    Ok(count)
}

fn lookups(snapshot: &Snapshot) -> Result<usize, Error> {
    for name in ["a", "refs/heads/05", "refs/heads/40-", "refs/heads/79", "refs/tags/v1", "zz"] {
        snapshot.get(name)?;
        snapshot.log(name)?.next()?;
        snapshot.prefix(name)?.next()?;
    }
    Ok(0)
}

fn pointing(snapshot: &Snapshot) -> Result<usize, Error> {
    for byte in [0, 1, 7, 200] {
        for hash in [HashKind::Sha1, HashKind::Sha256] {
            let mut refs = snapshot.pointing_at(&id(hash, byte))?;
            while refs.next()?.is_some() {}
        }
    }
    Ok(0)
}

fn blocks(snapshot: &Snapshot) -> Result<usize, Error> {
    for table in snapshot.tables() {
        let mut blocks = table.blocks();
        while let Some(block) = blocks.next()? {
            block.records(|_, _| ())?;
        }
    }
    Ok(0)
}

pub(crate) fn id(hash: HashKind, byte: u8) -> ObjectId {
    ObjectId::from_bytes(&[byte; 32][..hash.len()]).unwrap()
}

/// Small tables that have, together, every kind of block and record.
pub(crate) fn small_tables() -> Vec<(&'static str, Vec<u8>)> {
    let small = WriteOptions::default().block_size(256);
    let loose = WriteOptions::default().block_size(256).padding(false).restart_interval(4);
    vec![
        ("empty", table(HashKind::Sha1, &WriteOptions::default(), 0, 0)),
        ("references", table(HashKind::Sha1, &WriteOptions::default(), 5, 0)),
        ("logs", table(HashKind::Sha1, &WriteOptions::default(), 0, 5)),
        ("both, SHA-256", table(HashKind::Sha256, &WriteOptions::default(), 4, 3)),
        ("indexes and objects", table(HashKind::Sha1, &small, 40, 12)),
        ("unpadded", table(HashKind::Sha1, &loose, 24, 6)),
    ]
}

fn table(hash: HashKind, options: &WriteOptions, refs: u8, logs: u8) -> Vec<u8> {
    let mut writer = TableWriter::new(Vec::new(), hash, 3..=9, options).unwrap();
    let names: Vec<String> = (0..refs.max(logs)).map(|number| format!("refs/heads/{number:02}")).collect();
    for (number, name) in names.iter().take(refs.into()).enumerate() {
        let number = number as u8;
        let (own, shared) = (id(hash, number), id(hash, 200));
        let target = match number % 4 {
            0 => Some(TargetView::Id(own.as_view())),
            1 => Some(TargetView::Tag { id: own.as_view(), peeled: shared.as_view() }),
            2 => Some(TargetView::Symbolic(b"refs/heads/00")),
            _ => None,
        };
        writer
            .add_ref(&RefRecordView { name: name.as_bytes(), update_index: 3 + u64::from(number % 7), target })
            .unwrap();
    }
    for (number, name) in names.iter().take(logs.into()).enumerate() {
        let entry = (number % 3 != 2).then(|| LogEntryView {
            old: id(hash, 0),
            new: id(hash, number as u8),
            name: b"C O Mitter",
            email: b"committer@example.com",
            time: 1_700_000_000,
            time_zone: -130,
            message: b"a message\n",
        });
        writer.add_log(&LogRecordView { refname: name.as_bytes(), update_index: 5, entry }).unwrap();
    }
    writer.finish().unwrap().0
}

/// Makes the checksum of the footer right again, so that damage before it is looked at.
pub(crate) fn mend_checksum(table: &mut [u8]) {
    let footer = if table.get(4) == Some(&2) { 72 } else { 68 };
    let Some(start) = table.len().checked_sub(footer) else { return };
    let end = table.len() - 4;
    let checksum = crc32fast::hash(&table[start..end]);
    table[end..].copy_from_slice(&checksum.to_be_bytes());
}
