//! Compactions of a large table with a few small ones above it, and of ids that ascend with names.

use std::collections::BTreeSet;
use std::path::Path;

use reftable::table::WriteOptions;
use reftable::{Compact, Stack};

use crate::data::{Data, Ids, Names};
use crate::measure::{Bench, Time, peak_megabytes, remove, timed};
use crate::reads::options;

pub(crate) fn run(bench: &Bench) {
    for (index, kind) in [(false, "noindex"), (true, "index")] {
        let write = WriteOptions::default().object_index(index);
        let updates = format!("compact/st1plus9/{kind}");
        if bench.wants(&updates) {
            let data = Data::new(bench.refs, Names::Uniform, Ids::Random);
            compact(bench, &updates, &write, |dir| plus9(&data, dir, &write, |_| true));
        }
        // Every thousandth name is missing below, and comes with the small tables: blocks have to give room.
        let new = format!("compact/st1new9/{kind}");
        if bench.wants(&new) {
            let data = Data::new(bench.refs, Names::Uniform, Ids::Random);
            compact(bench, &new, &write, |dir| plus9(&data, dir, &write, |_| false));
        }
    }
    if bench.wants("compact/ascending") {
        let data = Data::new(40_000, Names::Uniform, Ids::Ascending);
        compact(bench, "compact/ascending", &WriteOptions::default(), |dir| {
            data.make_st10(dir, &WriteOptions::default())
        });
    }
}

/// One table of all, and nine of a hundred references each. Those are in the large one, too, if they `stay`.
fn plus9(data: &Data, dir: &Path, write: &WriteOptions, stay: impl Fn(usize) -> bool) {
    let mut taken = BTreeSet::new();
    let mut tables = vec![Vec::new()];
    for k in 0..9 {
        let picks = (0..).map(|j| data.pick(k * 1_000_000 + j)).filter(|i| taken.insert(*i));
        let mut members: Vec<usize> = picks.take(100).collect();
        members.sort_unstable();
        tables.push(members);
    }
    tables[0] = (0..data.names.len()).filter(|i| !taken.contains(i) || stay(*i)).collect();
    data.write_tables(dir, write, &tables);
}

fn compact(bench: &Bench, workload: &str, write: &WriteOptions, make: impl Fn(&Path)) {
    let (mut peak, mut copied) = (0f64, 0.0);
    let time = bench.median(|| {
        let dir = bench.dir();
        make(&dir);
        let stack = Stack::open(&dir, options().write(write.clone())).unwrap();
        let mut time = Time::default();
        let used = peak_megabytes(|| {
            time = timed(|| {
                let written = stack.compact(Compact::all()).unwrap().unwrap().written;
                copied = written.copied as f64 / written.blocks as f64;
            });
        });
        peak = peak.max(used);
        remove(&dir);
        time
    });
    bench.report_time(workload, time, 1.0, "s");
    bench.report(&format!("{workload}/peak"), peak, "MB, mapped pages included");
    bench.report(&format!("{workload}/copied"), copied, "of the blocks");
}
