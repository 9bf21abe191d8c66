//! Workload g: reflogs, and their share of f.

use std::fs::File;
use std::hint::black_box;
use std::io::BufWriter;
use std::path::Path;

use reftable::compact::{Compact, Expiry};
use reftable::table::LogRecordView;
use reftable::table::{TableWriter, WriteOptions};
use reftable::{HashKind, LogEntryView, Stack};

use crate::data::{oid, splitmix};
use crate::measure::{Bench, remove, timed};
use crate::reads::options;

const REFS: u64 = 20_000;
const ENTRIES: u64 = 10;
const ALL: usize = (REFS * ENTRIES) as usize;

pub(crate) fn run(bench: &Bench) {
    if !["logs", "compact/log"].iter().any(|workload| bench.wants(workload)) {
        return;
    }
    let (log1, log10) = (bench.dir(), bench.dir());
    bench.each("logs/write", ALL, "ns/record", || make(&log1, &[1..=ENTRIES]));
    make(&log1, &[1..=ENTRIES]);
    let one_each: Vec<_> = (1..=ENTRIES).map(|e| e..=e).collect();
    make(&log10, &one_each);
    for (dir, workload) in [(&log1, "logs/scan/log1"), (&log10, "logs/scan/log10")] {
        let snapshot = Stack::open(dir, options()).unwrap().snapshot().unwrap();
        bench.each(workload, ALL, "ns/record", || {
            let mut logs = snapshot.logs().unwrap();
            let mut count = 0;
            while let Some(found) = logs.next().unwrap() {
                black_box(&found);
                count += 1;
            }
            assert_eq!(count, ALL);
        });
    }
    latest(bench, &log1);
    compact(bench, "compact/log10", &one_each, &Compact::all());
    let rewrite = Compact::All { expiry: Expiry::default().before_time(1) };
    compact(bench, "compact/log1", &[1..=ENTRIES], &rewrite);
    // Half of the entries: all of half of the logs, or half of each.
    let half = Expiry::default().before_time(1_700_000_000 + ALL as u64 / 2);
    compact(bench, "compact/log1half/time", &[1..=ENTRIES], &Compact::All { expiry: half });
    let half = Expiry::default().before_update_index(ENTRIES / 2 + 1);
    compact(bench, "compact/log1half/index", &[1..=ENTRIES], &Compact::All { expiry: half });
    compact(bench, "compact/log1again", &[1..=ENTRIES], &Compact::Rewrite { expiry: Expiry::default() });
    remove(&log1);
    remove(&log10);
}

fn latest(bench: &Bench, dir: &Path) {
    const LOOKS: u64 = 10_000;
    let snapshot = Stack::open(dir, options()).unwrap().snapshot().unwrap();
    bench.each("logs/latest", LOOKS as usize, "ns", || {
        for j in 0..LOOKS {
            let name = format!("refs/heads/branch-{:08}", splitmix(0x1000 + j) % REFS);
            assert!(snapshot.log(name).unwrap().next().unwrap().is_some());
        }
    });
}

fn compact(bench: &Bench, workload: &str, tables: &[std::ops::RangeInclusive<u64>], what: &Compact) {
    if !bench.wants(workload) {
        return;
    }
    let time = bench.median(|| {
        let dir = bench.dir();
        make(&dir, tables);
        let stack = Stack::open(&dir, options()).unwrap();
        let time = timed(|| {
            stack.compact(what.clone()).unwrap().unwrap();
        });
        remove(&dir);
        time
    });
    bench.report_time(workload, time, 1.0, "s");
}

/// Ten tables, each with an entry for each of so many references.
pub(crate) fn make_ten(dir: &Path, refs: u64) {
    let one_each: Vec<_> = (1..=ENTRIES).map(|e| e..=e).collect();
    make_of(dir, refs, &one_each);
}

fn make(dir: &Path, tables: &[std::ops::RangeInclusive<u64>]) {
    make_of(dir, REFS, tables);
}

/// Writes one table for each range of update indexes, and the list.
fn make_of(dir: &Path, refs: u64, tables: &[std::ops::RangeInclusive<u64>]) {
    let mut list = String::new();
    for (k, range) in tables.iter().enumerate() {
        let name = format!("0x{:012x}-0x{:012x}-{k:08x}.ref", range.start(), range.end());
        let out = BufWriter::with_capacity(1 << 18, File::create(dir.join(&name)).unwrap());
        let mut writer = TableWriter::new(out, HashKind::Sha1, range.clone(), &WriteOptions::default()).unwrap();
        for r in 0..refs {
            for e in range.clone().rev() {
                add(&mut writer, r, e);
            }
        }
        writer.finish().unwrap().0.into_inner().unwrap();
        list += &format!("{name}\n");
    }
    std::fs::write(dir.join("tables.list"), list).unwrap();
}

fn add(writer: &mut TableWriter<BufWriter<File>>, r: u64, e: u64) {
    let (name, number) = (format!("refs/heads/branch-{r:08}"), 10 * r + e);
    let message = format!("commit: change number {number}\n");
    let entry = LogEntryView {
        old: oid(number.wrapping_sub(1)),
        new: oid(number),
        name: b"Jane Doe",
        email: b"jane.doe@example.com",
        time: 1_700_000_000 + number,
        time_zone: 120,
        message: message.as_bytes(),
    };
    let record = LogRecordView { refname: name.as_bytes(), update_index: e, entry: Some(entry) };
    writer.add_log(&record).unwrap();
}
