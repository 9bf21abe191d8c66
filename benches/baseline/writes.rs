//! Workload a: writing one table, not synced.

use std::fs::File;
use std::io::BufWriter;

use reftable::HashKind;
use reftable::table::{TableWriter, WriteOptions};

use crate::data::{Data, Ids, Names};
use crate::measure::{Bench, peak_megabytes, remove, timed};

pub(crate) fn run(bench: &Bench) {
    for (names, label) in [(Names::Uniform, "uniform"), (Names::Mix, "mix")] {
        for (index, kind) in [(false, "noindex"), (true, "index")] {
            let workload = format!("write/{kind}/{label}");
            if bench.wants(&workload) {
                write(bench, &workload, &Data::new(bench.refs, names, Ids::Random), index);
            }
        }
    }
    if bench.wants("write/index/ascending") {
        write(bench, "write/index/ascending", &Data::new(40_000, Names::Uniform, Ids::Ascending), true);
    }
}

fn write(bench: &Bench, workload: &str, data: &Data, index: bool) {
    let dir = bench.dir();
    let path = dir.join("table.ref");
    let options = WriteOptions::default().object_index(index);
    let mut bytes = 0;
    let mut work = || {
        let out = BufWriter::with_capacity(1 << 18, File::create(&path).unwrap());
        let mut writer = TableWriter::new(out, HashKind::Sha1, 1..=1, &options).unwrap();
        for i in 0..data.names.len() {
            data.record(i, 1, |record| writer.add_ref(record).unwrap());
        }
        let (out, stats) = writer.finish().unwrap();
        out.into_inner().unwrap();
        bytes = stats.bytes;
    };
    let peak = peak_megabytes(&mut work);
    let time = bench.median(|| timed(&mut work));
    bench.report_time(workload, time, 1.0, "s");
    bench.report(&format!("{workload}/peak"), peak, "MB over the input");
    bench.report(&format!("{workload}/bytes"), bytes as f64, "bytes");
    remove(&dir);
}
