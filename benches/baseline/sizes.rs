//! Where a second thread pays: compactions of growing size, by one thread and by two in turn.

use std::path::Path;
use std::time::{Duration, Instant};

use reftable::Stack;
use reftable::compact::Compact;
use reftable::table::WriteOptions;

use crate::data::{Data, Ids, Names};
use crate::logs::make_ten;
use crate::measure::{Bench, remove};
use crate::reads::options;

/// KiB of the tables that are merged.
const SIZES: [u64; 8] = [64, 128, 256, 512, 1024, 2048, 4096, 8192];
/// Bytes that a record takes in its table, about.
const OF_REF: u64 = 27;
const OF_LOG: u64 = 36;

/// Tables of references, without object index and with (whose size does not count), and of logs.
/// Runs only when it is asked for by name: `BREPS` should be some tens.
pub(crate) fn run(bench: &Bench) {
    if !bench.is_named("compact/size") {
        return;
    }
    for kib in SIZES {
        for (index, kind) in [(false, "refs"), (true, "ids")] {
            let write = WriteOptions::default().object_index(index);
            compare(bench, &format!("compact/size/{kind}/{kib}k"), &write, |dir| {
                Data::new((kib * 1024 / OF_REF) as usize, Names::Uniform, Ids::Random).make_st10(dir, &write);
            });
        }
        let write = WriteOptions::default();
        if kib <= 1024 {
            compare(bench, &format!("compact/size/logs/{kib}k"), &write, |dir| make_ten(dir, kib * 1024 / OF_LOG / 10));
        }
    }
}

fn compare(bench: &Bench, workload: &str, write: &WriteOptions, make: impl Fn(&Path)) {
    if !bench.wants(workload) {
        return;
    }
    let tables = bench.dir();
    make(&tables);
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..2 * bench.repetitions {
        let dir = bench.dir();
        for file in std::fs::read_dir(&tables).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), dir.join(file.file_name())).unwrap();
        }
        let stack = Stack::open(&dir, options().write(write.clone()).threads(1 + round % 2)).unwrap();
        stack.snapshot().unwrap();
        let start = Instant::now();
        stack.compact(Compact::all()).unwrap().unwrap();
        times[round % 2].push(start.elapsed());
        remove(&dir);
    }
    remove(&tables);
    let [one, two] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    let microseconds = |time: Duration| time.as_secs_f64() * 1e6;
    bench.report(&format!("{workload}/t1"), microseconds(one), "us");
    bench.report(&format!("{workload}/t2"), microseconds(two), "us");
}
