//! The committed counts.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Map, Value, json};

/// Counts by workload, and the compiler they were made with.
pub(crate) struct Figures(Map<String, Value>);

const COMPILER: &str = "compiler";

impl Figures {
    pub(crate) fn new(counts: Vec<(String, u64)>) -> Figures {
        let mut map = Map::new();
        map.insert(COMPILER.to_owned(), json!(compiler()));
        map.extend(counts.into_iter().map(|(workload, count)| (workload, json!(count))));
        Figures(map)
    }

    pub(crate) fn read() -> Figures {
        Figures(serde_json::from_str(&std::fs::read_to_string(path()).unwrap()).unwrap())
    }

    pub(crate) fn write(&self) {
        std::fs::write(path(), format!("{}\n", serde_json::to_string_pretty(&self.0).unwrap())).unwrap();
    }

    /// The count of a workload; 0 for one that is new.
    pub(crate) fn of(&self, workload: &str) -> u64 {
        self.0.get(workload).and_then(Value::as_u64).unwrap_or(0)
    }

    /// The compiler of the figures, and the current one.
    pub(crate) fn compilers(&self) -> String {
        let then = self.0.get(COMPILER).and_then(Value::as_str).unwrap_or("unknown");
        format!("figures: {then}, now: {}", compiler())
    }
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/guard/figures.json")
}

fn compiler() -> String {
    let version = Command::new("rustc").arg("--version").output().unwrap().stdout;
    format!("{} {}", String::from_utf8_lossy(&version).trim(), std::env::consts::ARCH)
}
