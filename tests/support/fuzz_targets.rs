//! What the fuzzers run, so that `cargo test` can run it on their corpus.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reftable::lock::ExclusiveFile;
use reftable::merge::{Merged, Tombstones};
use reftable::table::RefRecordView;
use reftable::table::{Table, TableWriter, WriteOptions};
use reftable::{ErrorKind, HashKind, ObjectId, Options, Stack, Target, TargetView};

use super::hostile::{mend_checksum, read_everything};
use super::mem_dir::MemDir;

/// Any bytes as a table, through every iterator and `verify`; then once more with the right
/// checksum.
pub(crate) fn table(bytes: &[u8]) {
    let _ = read_everything(bytes);
    let mut mended = bytes.to_vec();
    mend_checksum(&mut mended);
    if mended != bytes {
        let _ = read_everything(&mended);
    }
}

/// Any bytes as a table list, beside one table that is there.
pub(crate) fn list(bytes: &[u8]) {
    let mut writer = TableWriter::new(Vec::new(), HashKind::Sha1, 1..=1, &WriteOptions::default()).unwrap();
    writer.add_ref(&RefRecordView { name: b"a", update_index: 1, target: None }).unwrap();
    let mut dir = MemDir::of_tables(&[writer.finish().unwrap().0]);
    dir.0.insert("tables.list".to_owned(), bytes.to_vec());
    let options = Options::default().reload_deadline(Duration::ZERO);
    match Stack::open_in(Arc::new(dir.clone()), Box::new(ExclusiveFile), options) {
        Ok(stack) => {
            assert_eq!(bytes, if stack.snapshot().unwrap().tables().is_empty() { &b""[..] } else { b"0.ref\n" })
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Missing), "{error}");
            assert!(error.path().is_some(), "{error}");
        }
    }
    // An empty list beside a table is what a power failure may leave.
    assert_eq!(reftable::verify::verify_dir(&dir).unwrap().is_clean(), bytes == b"0.ref\n");
}

/// Bytes as instructions: which records to write, with which options. What is read must be what was
/// written.
pub(crate) fn model(bytes: &[u8]) {
    let Some((settings, instructions)) = bytes.split_first_chunk::<4>() else { return };
    let [size, interval, flags, extra] = *settings;
    let hash = if flags & 1 == 0 { HashKind::Sha1 } else { HashKind::Sha256 };
    let options = WriteOptions::default()
        .block_size(256 + u32::from(size) * u32::from(extra % 8 + 1))
        .restart_interval(u16::from(interval).max(1))
        .padding(flags & 2 == 0)
        .object_index(flags & 4 == 0);
    let wanted = records(instructions, hash);
    let mut writer = TableWriter::new(Vec::new(), hash, 1..=300, &options).unwrap();
    for (name, (update_index, target)) in &wanted {
        let target = target.as_ref().map(Target::as_view);
        if writer.add_ref(&RefRecordView { name, update_index: *update_index, target }).is_err() {
            // Too large for a block; nothing else can be wrong with these records.
            return;
        }
    }
    let bytes = writer.finish().unwrap().0;
    let report = reftable::verify::verify_dir(&MemDir::of_tables(std::slice::from_ref(&bytes))).unwrap();
    // What single references say is up to the input.
    let is_broken = |finding: &reftable::verify::Finding| {
        finding.severity > reftable::verify::Severity::Note && finding.name.is_none()
    };
    assert!(!report.findings.iter().any(is_broken), "{report:#?}");
    let table = Arc::new(Table::open("memory/0.ref", bytes.clone()).unwrap());
    same(&Merged::new(vec![table]), &wanted);
    found(&bytes, &wanted);
}

type Wanted = BTreeMap<Vec<u8>, (u64, Option<Target>)>;

fn records(mut instructions: &[u8], hash: HashKind) -> Wanted {
    let mut wanted = Wanted::new();
    while let Some((&[shape, byte, length], rest)) = instructions.split_first_chunk::<3>() {
        let (name, rest) = rest.split_at(rest.len().min(usize::from(length % 64) + 1));
        instructions = rest;
        let id = |byte: u8| ObjectId::from_bytes(&[byte; 32][..hash.len()]).unwrap();
        let target = match shape % 4 {
            0 => None,
            1 => Some(Target::Id(id(byte))),
            2 => Some(Target::Tag { id: id(byte), peeled: id(shape) }),
            _ => Some(Target::symbolic(name)),
        };
        if !name.is_empty() {
            wanted.insert(name.to_vec(), (1 + u64::from(byte), target));
        }
    }
    wanted
}

fn same(merged: &Merged, wanted: &Wanted) {
    let mut refs = merged.refs(b"", Tombstones::Show).unwrap();
    for (name, (update_index, target)) in wanted {
        let record = refs.next().unwrap().unwrap();
        assert_eq!((record.name, record.update_index), (name.as_slice(), *update_index));
        assert_eq!(record.target.map(|target| target.to_target()), *target);
    }
    assert!(refs.next().unwrap().is_none());
}

fn found(bytes: &[u8], wanted: &Wanted) {
    let dir = MemDir::of_tables(&[bytes.to_vec()]);
    let stack = Stack::open_in(Arc::new(dir), Box::new(ExclusiveFile), Options::default()).unwrap();
    let snapshot = stack.snapshot().unwrap();
    for (name, (_, target)) in wanted {
        assert_eq!(snapshot.get(name).unwrap().map(|found| found.target), *target);
        let Some(id) = target.as_ref().and_then(Target::id) else { continue };
        let names: Vec<_> = snapshot.pointing_at(&id).unwrap().into_iter().map(|found| found.unwrap().name).collect();
        let points =
            |target: &Option<Target>| target.as_ref().is_some_and(|target| view_points(&target.as_view(), &id));
        let expected: Vec<_> =
            wanted.iter().filter(|(_, (_, target))| points(target)).map(|(name, _)| name.clone()).collect();
        assert_eq!(names, expected);
    }
}

fn view_points(target: &TargetView<'_>, id: &ObjectId) -> bool {
    target.points_at(id)
}
