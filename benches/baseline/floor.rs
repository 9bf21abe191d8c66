//! The floor under commits: the same system calls as a commit of this library, bare.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use crate::measure::{Bench, remove};

const COUNT: usize = 500;

/// What a commit of this library costs if all that is not the file system's were free: with all
/// syncs, those of `Ordered`, none.
pub(crate) fn run(bench: &Bench) {
    for (mode, syncs, directory) in [("full", true, true), ("ordered", true, false), ("off", false, false)] {
        let workload = format!("floor/{mode}");
        if !bench.wants(&workload) {
            continue;
        }
        let mut rates: Vec<f64> = (0..bench.repetitions)
            .map(|_| {
                let dir = bench.dir();
                let start = Instant::now();
                sequence(&dir, syncs, directory);
                let rate = COUNT as f64 / start.elapsed().as_secs_f64();
                remove(&dir);
                rate
            })
            .collect();
        rates.sort_by(f64::total_cmp);
        bench.report(&workload, rates[rates.len() / 2], "tx/s");
    }
}

fn sequence(dir: &Path, syncs: bool, directory: bool) {
    let (owner, lock, list) = (dir.join("owner"), dir.join("tables.list.lock"), dir.join("tables.list"));
    fs::write(&owner, b"owner").unwrap();
    fs::write(&list, b"").unwrap();
    let create = |name: String, contents: &[u8]| {
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(dir.join(name)).unwrap();
        file.write_all(contents).unwrap();
        file
    };
    for number in 0..COUNT {
        fs::hard_link(&owner, &lock).unwrap();
        fs::symlink_metadata(&list).unwrap();
        let table = create(format!("0x{number:012x}-0x{number:012x}-deadbeef.ref"), &[7; 150]);
        let new = create(format!("reftable-{number:016x}.tmp"), &[7; 400]);
        if syncs {
            table.sync_all().unwrap();
            new.sync_all().unwrap();
        }
        if directory {
            File::open(dir).unwrap().sync_all().unwrap();
        }
        fs::symlink_metadata(&lock).unwrap();
        fs::rename(dir.join(format!("reftable-{number:016x}.tmp")), &list).unwrap();
        fs::symlink_metadata(&lock).unwrap();
        fs::remove_file(&lock).unwrap();
        if directory {
            File::open(dir).unwrap().sync_all().unwrap();
        }
    }
}
