//! What is counted. Everything is made before, so that only the work itself is.

use std::hint::black_box;
use std::ops::ControlFlow;

use reftable::table::LogRecordView;
use reftable::table::{TableWriter, WriteOptions};
use reftable::{AutoCompact, Expect, HashKind, LogEntryView, Options, Snapshot, Stack};

use crate::data::{Data, Ids, Names, oid};

pub(crate) const NAMES: [&str; 11] = [
    "scan-one",
    "scan-ten",
    "lookup-one",
    "lookup-ten",
    "pointing-at",
    "write-plain",
    "write-indexed",
    "log-write",
    "log-scan",
    "log-latest",
    "commit-one",
];

const REFS: usize = 5_000;
const LOOKUPS: u64 = 500;
const LOGS: u64 = 1_000;
/// More bytes than a table of these references has. Whether a vector that grows is moved depends on
/// what else lies on the heap, and copying it is not what is counted.
const ROOM: usize = 1 << 20;

/// The function whose instructions are counted, and its callees'.
#[inline(never)]
fn guard_measured(repetitions: usize, work: &mut dyn FnMut()) {
    for _ in 0..repetitions {
        work();
    }
}

pub(crate) fn run(workload: &str, repetitions: usize) {
    let data = Data::new(REFS, Names::Mix, Ids::Random);
    let options = WriteOptions::default();
    let dir = tempfile::tempdir().unwrap();
    match workload.rsplit_once('-').unwrap() {
        (_, "ten") => data.make_st10(dir.path(), &options),
        ("log", _) => std::fs::write(dir.path().join("tables.list"), log_table(dir.path())).unwrap(),
        _ => data.make_st1(dir.path(), &options),
    }
    // Looking for requests and neighbours depends on the time, and is not what is counted.
    let options = Options::default().auto_compact(AutoCompact::Off).delegation(false).fairness(false);
    let stack = Stack::open(dir.path(), options).unwrap();
    let snapshot = stack.snapshot().unwrap();
    let mut work: Box<dyn FnMut()> = match workload {
        "scan-one" | "scan-ten" => Box::new(|| scan(&snapshot)),
        "lookup-one" | "lookup-ten" => Box::new(|| look_up(&snapshot, &data)),
        "pointing-at" => Box::new(|| point(&snapshot, &data)),
        "write-plain" => Box::new(|| write(&data, false)),
        "write-indexed" => Box::new(|| write(&data, true)),
        "log-write" => Box::new(|| drop(write_logs())),
        "log-scan" => Box::new(|| scan_logs(&snapshot)),
        "log-latest" => Box::new(|| latest(&snapshot)),
        "commit-one" => Box::new(|| commit(&stack, &data)),
        _ => panic!("there is no workload {workload}"),
    };
    // What a first round makes and keeps is not counted.
    work();
    guard_measured(repetitions, &mut work);
}

fn scan(snapshot: &Snapshot) {
    let mut refs = snapshot.refs().unwrap();
    let mut count = 0;
    while let Some(found) = refs.next().unwrap() {
        black_box(&found);
        count += 1;
    }
    assert_eq!(count, REFS);
    let ended = snapshot.refs().unwrap().try_for_each(|found| {
        black_box(&found);
        count -= 1;
        ControlFlow::<()>::Continue(())
    });
    assert_eq!((ended.unwrap(), count), (ControlFlow::Continue(()), 0));
}

fn look_up(snapshot: &Snapshot, data: &Data) {
    for j in 0..LOOKUPS {
        let name = &data.names[data.pick(j)];
        assert!(snapshot.get(name).unwrap().is_some());
        assert!(snapshot.get(format!("{name}-x")).unwrap().is_none());
    }
}

fn point(snapshot: &Snapshot, data: &Data) {
    for j in 0..LOOKUPS {
        let number = data.pick(j) as u64;
        assert!(snapshot.pointing_at(&oid(number)).unwrap().next().unwrap().is_some());
        assert!(snapshot.pointing_at(&oid(number + (1 << 40))).unwrap().next().unwrap().is_none());
    }
}

fn write(data: &Data, index: bool) {
    let options = WriteOptions::default().object_index(index);
    let mut writer = TableWriter::new(Vec::with_capacity(ROOM), HashKind::Sha1, 1..=1, &options).unwrap();
    for i in 0..data.names.len() {
        data.record(i, 1, |record| writer.add_ref(record).unwrap());
    }
    black_box(writer.finish().unwrap());
}

fn log_name(number: u64) -> String {
    format!("refs/heads/branch-{number:08}")
}

fn write_logs() -> Vec<u8> {
    let mut writer = TableWriter::new(Vec::new(), HashKind::Sha1, 1..=10, &WriteOptions::default()).unwrap();
    for number in 0..LOGS {
        let (name, message) = (log_name(number / 10), format!("commit: change number {number}\n"));
        let entry = LogEntryView {
            old: oid(number),
            new: oid(number + 1),
            name: b"Jane Doe",
            email: b"jane.doe@example.com",
            time: 1_700_000_000 + number,
            time_zone: 120,
            message: message.as_bytes(),
        };
        let update_index = 10 - number % 10;
        let record = LogRecordView { refname: name.as_bytes(), update_index, entry: Some(entry) };
        writer.add_log(&record).unwrap();
    }
    writer.finish().unwrap().0
}

/// Writes a table of logs and returns the list that names it.
fn log_table(dir: &std::path::Path) -> String {
    let name = "0x000000000001-0x00000000000a-00000000.ref";
    std::fs::write(dir.join(name), write_logs()).unwrap();
    format!("{name}\n")
}

fn scan_logs(snapshot: &Snapshot) {
    let mut logs = snapshot.logs().unwrap();
    let mut count = 0;
    while let Some(found) = logs.next().unwrap() {
        black_box(&found);
        count += 1;
    }
    assert_eq!(count, LOGS);
}

fn latest(snapshot: &Snapshot) {
    for number in 0..LOGS / 10 {
        assert!(snapshot.log(log_name(number)).unwrap().next().unwrap().is_some());
    }
}

/// One name in a transaction, on top of the tables of those before it.
fn commit(stack: &Stack, data: &Data) {
    let mut tx = stack.transaction();
    tx.set(&data.names[REFS / 2], Expect::Exists, oid(1));
    tx.commit().unwrap();
}
