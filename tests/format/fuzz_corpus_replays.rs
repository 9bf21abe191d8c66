//! What the fuzzers started from, and what they found, does not fail.

use crate::support::fuzz_targets;

fn replay(target: &str, run: fn(&[u8])) {
    let corpus = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for entry in std::fs::read_dir(&corpus).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        run(&std::fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 0, "{corpus} is empty");
}

#[test]
fn tables() {
    replay("table", fuzz_targets::table);
}

#[test]
fn lists() {
    replay("list", fuzz_targets::list);
}

#[test]
fn models() {
    replay("model", fuzz_targets::model);
}
