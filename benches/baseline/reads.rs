//! Workloads b to f, i and j: scans, lookups, ids, compaction, reload, opening.

use std::fmt::Write;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use reftable::compact::Compact;
use reftable::table::WriteOptions;
use reftable::{AutoCompact, Durability, Options, Snapshot, Stack};

use crate::data::{Data, Ids, Names, oid};
use crate::measure::{Bench, peak_megabytes, remove, timed};

const LOOKUPS: usize = 100_000;
const WORKLOADS: [&str; 6] = ["scan", "lookup", "refs_for", "compact/st10", "reload", "open"];

pub(crate) fn options() -> Options {
    let options = Options::default().durability(Durability::Off).auto_compact(AutoCompact::Off);
    match std::env::var("BTHREADS").ok().and_then(|text| text.parse().ok()) {
        Some(threads) => options.threads(threads),
        None => options,
    }
}

pub(crate) fn run(bench: &Bench) {
    if !WORKLOADS.iter().any(|workload| bench.wants(workload)) {
        return;
    }
    for (names, label) in [(Names::Uniform, "uniform"), (Names::Mix, "mix")] {
        let data = Data::new(bench.refs, names, Ids::Random);
        let (st1, st10) = (bench.dir(), bench.dir());
        data.make_st1(&st1, &WriteOptions::default());
        data.make_st10(&st10, &WriteOptions::default());
        for (dir, stack) in [(&st1, "st1"), (&st10, "st10")] {
            scan(bench, &format!("scan/{stack}/{label}"), dir, data.names.len());
            let suffix = if names == Names::Mix { "/mix" } else { "" };
            lookup(bench, &format!("lookup/{stack}"), suffix, dir, &data);
        }
        if names == Names::Uniform {
            refs_for(bench, &st1, &data);
            compact(bench, "compact/st10/index", &data, &WriteOptions::default());
            compact(bench, "compact/st10/noindex", &data, &WriteOptions::default().object_index(false));
            reload(bench, &st1);
            open(bench, "open/st1", &st1, &data);
            open(bench, "open/st10", &st10, &data);
        }
        remove(&st1);
        remove(&st10);
    }
}

fn scan(bench: &Bench, workload: &str, dir: &Path, expected: usize) {
    let snapshot = Stack::open(dir, options()).unwrap().snapshot().unwrap();
    bench.each(workload, expected, "ns/record", || {
        let mut refs = snapshot.refs().unwrap();
        let mut count = 0;
        while let Some(found) = refs.next().unwrap() {
            black_box(&found);
            count += 1;
        }
        assert_eq!(count, expected);
    });
    bench.each(&format!("{workload}/each"), expected, "ns/record", || {
        let mut count = 0;
        let ended = snapshot.refs().unwrap().try_for_each(|found| {
            black_box(&found);
            count += 1;
            ControlFlow::<()>::Continue(())
        });
        assert_eq!((ended.unwrap(), count), (ControlFlow::Continue(()), expected));
    });
}

fn lookup(bench: &Bench, workload: &str, suffix: &str, dir: &Path, data: &Data) {
    let snapshot = Stack::open(dir, options()).unwrap().snapshot().unwrap();
    bench.each(&format!("{workload}/hit{suffix}"), LOOKUPS, "ns/lookup", || {
        for j in 0..LOOKUPS as u64 {
            assert!(snapshot.get(&data.names[data.pick(j)]).unwrap().is_some());
        }
    });
    if suffix.is_empty() {
        lookup_made(bench, workload, &snapshot, data);
    }
    let misses: Vec<String> = (0..LOOKUPS as u64).map(|j| format!("{}-x", data.names[data.pick(j)])).collect();
    bench.each(&format!("{workload}/miss{suffix}"), LOOKUPS, "ns/lookup", || {
        for name in &misses {
            assert!(snapshot.get(name).unwrap().is_none());
        }
    });
}

/// As LMDB was measured: names are made for each look-up and not fetched from a list of a million,
/// and nothing is copied.
fn lookup_made(bench: &Bench, workload: &str, snapshot: &Snapshot, data: &Data) {
    for (kind, end) in [("hit", ""), ("miss", "-x")] {
        let mut name = String::new();
        bench.each(&format!("{workload}/made/{kind}"), LOOKUPS, "ns/lookup", || {
            for j in 0..LOOKUPS as u64 {
                name.clear();
                write!(name, "refs/heads/branch-{:08}{end}", data.pick(j)).unwrap();
                assert_eq!(snapshot.view(name.as_bytes()).unwrap().is_some(), end.is_empty());
            }
        });
    }
}

fn refs_for(bench: &Bench, dir: &Path, data: &Data) {
    let snapshot = Stack::open(dir, options()).unwrap().snapshot().unwrap();
    bench.each("refs_for/hit", LOOKUPS, "ns/lookup", || {
        for j in 0..LOOKUPS as u64 {
            let mut found = snapshot.pointing_at(&oid(data.pick(j) as u64)).unwrap();
            assert!(found.next().unwrap().is_some());
        }
    });
    bench.each("refs_for/miss", LOOKUPS, "ns/lookup", || {
        for j in 0..LOOKUPS as u64 {
            let mut found = snapshot.pointing_at(&oid(data.pick(j) as u64 + (1 << 40))).unwrap();
            assert!(found.next().unwrap().is_none());
        }
    });
}

fn compact(bench: &Bench, workload: &str, data: &Data, write: &WriteOptions) {
    if !bench.wants(workload) {
        return;
    }
    let mut peak = 0f64;
    let time = bench.median(|| {
        let dir = bench.dir();
        data.make_st10(&dir, write);
        let stack = Stack::open(&dir, options().write(write.clone())).unwrap();
        let mut time = crate::measure::Time::default();
        let used = peak_megabytes(|| {
            time = timed(|| {
                stack.compact(Compact::all()).unwrap().unwrap();
            });
        });
        peak = peak.max(used);
        remove(&dir);
        time
    });
    bench.report_time(workload, time, 1.0, "s");
    bench.report(&format!("{workload}/peak"), peak, "MB, mapped pages included");
}

fn reload(bench: &Bench, dir: &Path) {
    const LOOKS: usize = 200_000;
    let stack = Stack::open(dir, options()).unwrap();
    bench.each("reload", LOOKS, "ns", || {
        for _ in 0..LOOKS {
            black_box(stack.snapshot().unwrap());
        }
    });
}

/// Opening and the first read: in a loop, and as a process of its own that does nothing else.
fn open(bench: &Bench, workload: &str, dir: &Path, data: &Data) {
    const OPENS: usize = 2_000;
    let name = &data.names[data.pick(0)];
    bench.each(workload, OPENS, "ns", || {
        for _ in 0..OPENS {
            let stack = Stack::open(dir, options()).unwrap();
            assert!(stack.snapshot().unwrap().get(name).unwrap().is_some());
        }
    });
    let fresh = format!("{workload}/process");
    if bench.wants(&fresh) {
        let mut times: Vec<u64> = (0..51)
            .map(|_| {
                let worker =
                    Command::new(std::env::current_exe().unwrap()).args(["worker", "open"]).arg(dir).arg(name).output();
                String::from_utf8(worker.unwrap().stdout).unwrap().trim().parse().unwrap()
            })
            .collect();
        times.sort_unstable();
        bench.report(&fresh, times[times.len() / 2] as f64, "ns");
    }
}
