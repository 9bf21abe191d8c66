//! Compactions of a large table with a few small ones above it, and of ids that ascend with names.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use reftable::compact::{Compact, Progress};
use reftable::table::WriteOptions;
use reftable::{Durability, Expect, Options, Stack};

use crate::data::{Data, Ids, Names, oid, splitmix};
use crate::measure::{Bench, anonymous_megabytes, remove, timed};
use crate::reads::options;

pub(crate) fn run(bench: &Bench) {
    for (index, kind) in [(false, "noindex"), (true, "index")] {
        let write = WriteOptions::default().object_index(index);
        let updates = format!("compact/st1plus9/{kind}");
        if bench.wants(&updates) {
            let data = Data::new(bench.refs, Names::Uniform, Ids::Random);
            compact(bench, &updates, &write, |dir| plus9(&data, dir, &write, |_| true));
        }
        // Every thousandth name is missing below, and comes with the small tables: blocks have to
        // give room.
        let new = format!("compact/st1new9/{kind}");
        if bench.wants(&new) {
            let data = Data::new(bench.refs, Names::Uniform, Ids::Random);
            compact(bench, &new, &write, |dir| plus9(&data, dir, &write, |_| false));
        }
    }
    ten(bench);
    above(bench);
    if bench.wants("compact/ascending") {
        let data = Data::new(40_000, Names::Uniform, Ids::Ascending);
        compact(bench, "compact/ascending", &WriteOptions::default(), |dir| {
            data.make_st10(dir, &WriteOptions::default())
        });
    }
}

/// `worker plus9 DIR` makes what `compact/st1plus9` compacts, for other stores to do the same;
/// `worker new9 DIR`, what `st1new9` does.
pub(crate) fn make(dir: &Path, stay: bool) {
    let data = Data::new(1_000_000, Names::Uniform, Ids::Random);
    plus9(&data, dir, &WriteOptions::default(), |_| stay);
}

/// The memory that ten tables take which all have to be taken apart.
fn ten(bench: &Bench) {
    for (index, kind) in [(false, "noindex"), (true, "index")] {
        let workload = format!("compact/ten/{kind}");
        if bench.wants(&workload) {
            let write = WriteOptions::default().object_index(index);
            let data = Data::new(bench.refs, Names::Uniform, Ids::Random);
            memory(bench, &workload, &write, |dir| data.make_st10(dir, &write));
        }
    }
}

/// Commits of one reference each above a table of some, with compactions when they are due.
fn above(bench: &Bench) {
    const COMMITS: u64 = 10_000;
    for (count, label) in [(1_000, "1k"), (10 * bench.refs, "10n")] {
        let workload = format!("tx/above/{label}");
        if !bench.wants(&workload) {
            continue;
        }
        let dir = bench.dir();
        Data::new(count, Names::Uniform, Ids::Random).make_st1(&dir, &WriteOptions::default());
        let stack = Stack::open(&dir, Options::default().durability(Durability::Off)).unwrap();
        let mut times: Vec<Duration> = (0..COMMITS).map(|number| commit(&stack, number)).collect();
        times.sort_unstable();
        let microseconds = |time: Duration| time.as_secs_f64() * 1e6;
        bench.report(&workload, microseconds(times.iter().sum()) / COMMITS as f64, "us/commit");
        bench.report(&format!("{workload}/p50"), microseconds(times[times.len() / 2]), "us");
        bench.report(&format!("{workload}/max"), microseconds(times[times.len() - 1]), "us");
        remove(&dir);
    }
}

fn commit(stack: &Stack, number: u64) -> Duration {
    let start = Instant::now();
    let mut tx = stack.transaction();
    // Anywhere among the others.
    tx.set(format!("refs/heads/branch-{:08}-new", splitmix(number) % 100_000_000), Expect::Any, oid(number));
    tx.commit().unwrap();
    start.elapsed()
}

/// One table of all, and nine of a hundred references each. Those are in the large one, too, if
/// they `stay`.
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
    let mut copied = 0.0;
    let time = bench.median(|| {
        let dir = bench.dir();
        make(&dir);
        let stack = Stack::open(&dir, options().write(write.clone())).unwrap();
        let time = timed(|| {
            let written = stack.compact(Compact::all()).unwrap().unwrap().written;
            copied = written.copied as f64 / written.blocks as f64;
        });
        remove(&dir);
        time
    });
    bench.report_time(workload, time, 1.0, "s");
    bench.report(&format!("{workload}/copied"), copied, "of the blocks");
    memory(bench, workload, write, &make);
}

/// Memory of the process, without mapped pages, whenever it tells how far it has come, and how long
/// it says nothing at most.
fn memory(bench: &Bench, workload: &str, write: &WriteOptions, make: impl Fn(&Path)) {
    let dir = bench.dir();
    make(&dir);
    let stack = Stack::open(&dir, options().write(write.clone())).unwrap();
    let (before, mut peak) = (anonymous_megabytes(), 0f64);
    let (mut last, mut silence) = (Instant::now(), Duration::ZERO);
    let watch = |_: Progress| {
        silence = silence.max(last.elapsed());
        peak = peak.max(anonymous_megabytes() - before);
        last = Instant::now();
        ControlFlow::Continue(())
    };
    stack.compact_with_progress(Compact::all(), watch).unwrap().unwrap();
    bench.report(&format!("{workload}/memory"), peak, "MB, without mapped pages");
    bench.report(&format!("{workload}/silence"), silence.as_secs_f64() * 1e3, "ms between two calls at most");
    remove(&dir);
}
