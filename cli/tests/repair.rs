//! `reftable repair` says what it saw, asks, and mends.

#![cfg(test)]
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

fn reftable(dir: &Path, arguments: &[&str], answer: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reftable"));
    command.arg("-C").arg(dir).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have ended without a question.
    let _ = child.stdin.take().unwrap().write_all(answer.as_bytes());
    child.wait_with_output().unwrap()
}

/// A store with one table and an old lock of git.
fn locked_store() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("reftable");
    fs::create_dir(&dir).unwrap();
    assert!(reftable(&dir, &["symbolic-ref", "HEAD", "refs/heads/main"], "").status.success());
    let lock = dir.join("tables.list.lock");
    fs::write(&lock, "").unwrap();
    let then = SystemTime::now() - Duration::from_secs(60);
    File::options().write(true).open(lock).unwrap().set_modified(then).unwrap();
    root
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether the evidence can be had here: as root, outside of containers. Says so if not.
fn sees_processes(dir: &Path) -> bool {
    let sees = !text(&reftable(dir, &["repair", "--dry-run"], "").stdout).contains("cannot be seen");
    if !sees {
        eprintln!("SKIPPED: who has a lock open cannot be seen here");
    }
    sees
}

/// In a namespace of its own a process sees no others: then the lock stays, whatever is asked.
#[test]
fn a_lock_stays_where_other_processes_cannot_be_seen() {
    let root = locked_store();
    let dir = root.path().join("reftable");
    let unshare = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--pid", "--fork", "--mount-proc"]).args(arguments).output().unwrap()
    };
    if !unshare(&["true"]).status.success() {
        eprintln!("SKIPPED: no namespaces here");
        return;
    }
    let dir_name = dir.to_str().unwrap();
    let output = unshare(&[env!("CARGO_BIN_EXE_reftable"), "-C", dir_name, "repair", "--break-lock", "--yes"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("cannot be seen from here"), "{}", text(&output.stdout));
    assert!(dir.join("tables.list.lock").exists());
}

#[test]
fn a_lock_goes_only_when_asked_for_and_confirmed() {
    let root = locked_store();
    let dir = root.path().join("reftable");
    if !sees_processes(&dir) {
        return;
    }
    let lock = dir.join("tables.list.lock");
    for (arguments, answer) in [
        (vec!["repair"], ""),
        (vec!["repair", "--yes"], ""),
        (vec!["repair", "--break-lock", "--dry-run"], "y\n"),
        (vec!["repair", "--break-lock"], "n\n"),
        (vec!["repair", "--break-lock"], ""),
    ] {
        let output = reftable(&dir, &arguments, answer);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stdout).contains("left as it is"), "{arguments:?}");
        assert!(lock.exists(), "{arguments:?}");
    }
    let output = reftable(&dir, &["repair", "--break-lock"], "y\n");
    assert!(text(&output.stderr).contains("which no process has open"));
    assert_eq!(output.status.code(), Some(0));
    assert!(!lock.exists());
    assert!(text(&reftable(&dir, &["repair"], "").stdout).contains("nothing to mend"));
}

#[test]
fn yes_does_not_ask_and_json_tells_programs() {
    let root = locked_store();
    let dir = root.path().join("reftable");
    if !sees_processes(&dir) {
        return;
    }
    let output = reftable(&dir, &["repair", "--break-lock", "--yes", "--json"], "");
    assert_eq!(output.status.code(), Some(0));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line.get("mended"), Some(&serde_json::Value::Bool(true)));
    assert!(output.stderr.is_empty());
}
