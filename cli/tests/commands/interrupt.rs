//! Ctrl-C ends a long compaction without a trace, and as a signal would.

#![cfg(unix)]

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reftable::{AutoCompact, Durability, Expect, ObjectId, Options, Stack};

const SIGINT: i32 = 2;

fn names(store: &Path) -> Vec<String> {
    let names = std::fs::read_dir(store).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.ends_with(".lock")).collect();
    names.sort();
    names
}

fn large_store(store: &Path) {
    std::fs::create_dir(store).unwrap();
    let options = Options::default().durability(Durability::Off).auto_compact(AutoCompact::Off);
    let stack = Stack::open(store, options).unwrap();
    let id: ObjectId = "2e6f9b0d5885b6010f9167787445617f553a735f".parse().unwrap();
    for table in 0..4 {
        let mut tx = stack.transaction();
        for number in 0..150_000 {
            tx.set(format!("refs/heads/{number:06}-{table}"), Expect::Absent, id);
        }
        tx.commit().unwrap();
    }
}

fn compact(store: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reftable"));
    command.arg("-C").arg(store).args(["compact", "--all", "--threads", "2", "--durability", "off"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn nothing_is_left_of_a_compaction_that_was_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("reftable");
    large_store(&store);
    let before = names(&store);
    let child = compact(&store).spawn().unwrap();
    let start = Instant::now();
    while !names(&store).iter().any(|name| name.ends_with(".tmp")) {
        assert!(start.elapsed() < Duration::from_secs(20), "it does not begin");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.signal(), Some(SIGINT), "{:?}: {message}", output.status);
    assert!(message.contains("stopped; nothing has changed"), "{message}");
    assert_eq!(names(&store), before);

    let output = compact(&store).arg("--quiet").output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(names(&store).iter().filter(|name| name.ends_with(".ref")).count(), 1);
}
