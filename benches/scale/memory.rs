//! Memory of the process while it writes and scans tables of many references. Mapped pages of the
//! table itself are the system's to take back, and not counted.

use std::hint::black_box;

use crate::plot::{Axis, Chart, Line};
use crate::store;
use crate::{powers, report};

pub(crate) fn run(most: usize) {
    let (mut writing, mut scanning) = (Vec::new(), Vec::new());
    for count in powers(most) {
        let dir = tempfile::tempdir().unwrap();
        let mut peak = Peak::new(count);
        let list = store::write(dir.path(), 1, 0..count as u64, &mut |number| peak.look(number));
        writing.push(report("memory", "writing", count, peak.megabytes()));
        std::fs::write(dir.path().join("tables.list"), list).unwrap();
        let snapshot = store::open(dir.path());
        let mut peak = Peak::new(count);
        let mut refs = snapshot.refs().unwrap();
        let mut number = 0;
        while let Some(found) = refs.next().unwrap() {
            black_box(&found);
            peak.look(number);
            number += 1;
        }
        assert_eq!(number, count as u64);
        scanning.push(report("memory", "scanning", count, peak.megabytes()));
    }
    let lines = [Line { label: "writing", points: writing }, Line { label: "scanning", points: scanning }];
    let y = "MB of anonymous memory, the whole process";
    Chart { file: "memory", title: "Memory, without object index", x: Axis::log("references"), y }.draw(&lines);
}

/// The most anonymous memory that was seen at a hundred moments.
struct Peak {
    every: u64,
    kilobytes: u64,
}

impl Peak {
    fn new(count: usize) -> Peak {
        Peak { every: (count as u64 / 100).max(1), kilobytes: 0 }
    }

    fn look(&mut self, number: u64) {
        if number.is_multiple_of(self.every) {
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default();
            let now = line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0);
            self.kilobytes = self.kilobytes.max(now);
        }
    }

    fn megabytes(&self) -> f64 {
        self.kilobytes as f64 / 1024.0
    }
}
