//! Real programs, traced: what is caught, what holds, and what cannot be said.

#![cfg(all(feature = "trace", target_os = "linux"))]
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests that say when they skip")]

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use reftable_crash::Model;
use reftable_crash::trace::{Claim, Report, Trace};

/// What the shell does in a directory that has `data`, with `old` in it, judged by its contents.
fn trace(script: &str) -> Trace {
    let dir = tempfile::tempdir().unwrap().keep();
    fs::write(dir.join("data"), "old\n").unwrap();
    let command = ["sh", "-c", script].map(OsString::from).to_vec();
    Trace::new(dir, command, "cat data")
}

/// Runs it, unless nobody may trace here.
fn run(trace: &Trace) -> Option<io::Result<Report>> {
    let result = trace.run(&mut |_, _| {});
    let _ = fs::remove_dir_all(&trace.dir);
    if let Err(error) = &result
        && error.kind() == io::ErrorKind::PermissionDenied
    {
        eprintln!("SKIPPED: processes cannot be traced here: {error}");
        return None;
    }
    Some(result)
}

/// The claims that are broken under a model.
fn broken(report: &Report, model: Model) -> Vec<Claim> {
    let verdict = report.verdicts.iter().find(|verdict| verdict.model == model).unwrap();
    assert!(verdict.states > 1, "{verdict:?}");
    verdict.broken.keys().copied().collect()
}

#[test]
fn a_file_that_is_replaced_without_a_sync_is_lost_with_the_power() {
    let Some(report) = run(&trace("echo new > data.tmp; mv data.tmp data")) else { return };
    let report = report.unwrap();
    assert_eq!(broken(&report, Model::Kill), []);
    // Its length alone may be there, or a half of it.
    assert_eq!(broken(&report, Model::OnlySynced), [Claim::Atomic, Claim::Durable]);
    // The contents are there once the name is, but the name may be late.
    assert_eq!(broken(&report, Model::Ordered), [Claim::Durable]);
}

#[test]
fn a_file_that_is_synced_and_replaced_and_whose_name_is_synced_is_kept() {
    let Some(report) = run(&trace("echo new > data.tmp; sync data.tmp; mv data.tmp data; sync .")) else { return };
    let report = report.unwrap();
    for model in Model::ALL {
        assert_eq!(broken(&report, model), [], "{model:?}");
    }
}

#[test]
fn a_name_that_is_not_synced_is_lost_with_the_power() {
    let Some(report) = run(&trace("echo new > data.tmp; sync data.tmp; mv data.tmp data")) else { return };
    let report = report.unwrap();
    assert_eq!(broken(&report, Model::OnlySynced), [Claim::Durable]);
}

#[test]
fn a_file_that_is_written_in_place_is_found_in_half_by_kills() {
    let Some(report) = run(&trace("echo new > data; sync data .")) else { return };
    assert_eq!(broken(&report.unwrap(), Model::Kill), [Claim::Atomic]);
}

#[test]
fn what_was_told_must_be_there_and_what_comes_next_may_be() {
    let replaced = |text: &str| format!("echo {text} > t; sync t; mv t data; sync .;");
    let script = format!("{} echo done; {} echo done", replaced("one"), replaced("two"));
    let Some(report) = run(&trace(&script)) else { return };
    assert_eq!(broken(&report.unwrap(), Model::OnlySynced), []);
    // The second is told before it is done.
    let script = format!("{} echo done; echo done; {}", replaced("one"), replaced("two"));
    let Some(report) = run(&trace(&script)) else { return };
    assert_eq!(broken(&report.unwrap(), Model::Kill), []);
    let script = format!("echo done; {}", replaced("one")).replace("sync .;", "");
    let Some(report) = run(&trace(&script)) else { return };
    assert_eq!(broken(&report.unwrap(), Model::OnlySynced), [Claim::Durable]);
}

#[test]
fn a_lock_that_a_dead_process_leaves_stops_the_next() {
    let mut trace = trace("set -C; : > lock; echo new > t; sync t; mv t data; sync .; rm lock");
    trace.then = Some("set -C; : > lock".to_owned());
    let Some(report) = run(&trace) else { return };
    assert_eq!(broken(&report.unwrap(), Model::Kill), [Claim::Usable]);
}

#[test]
fn processes_of_all_kinds_links_and_directories_are_followed() {
    let script = "mkdir -p a/b; (echo x > a/b/one & wait); ln a/b/one two; ln -s two three; \
        mv a c; echo y | tee -a c/b/one > /dev/null; truncate -s 2 two; rm three; rmdir c/b 2> /dev/null; \
        cat c/b/one > t; mv t data";
    let Some(report) = run(&trace(script)) else { return };
    let report = report.unwrap();
    assert_eq!(broken(&report, Model::Kill), []);
    assert!(report.operations >= 13, "{report:?}");
}

#[test]
fn a_change_by_somebody_else_is_an_error_and_not_left_out() {
    let trace = trace("while [ ! -e stranger ]; do sleep 0.02; done; echo new > t; mv t data");
    let stranger = trace.dir.join("stranger");
    let other = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        fs::write(stranger, "here").unwrap();
    });
    let result = run(&trace);
    other.join().unwrap();
    let Some(result) = result else { return };
    let error = result.unwrap_err().to_string();
    assert!(error.contains("not traced") && error.contains("creates stranger"), "{error}");
}

#[test]
fn memory_that_is_mapped_and_written_is_an_error() {
    let python = "import mmap; f = open('data', 'r+b'); m = mmap.mmap(f.fileno(), 4); m[0] = 78; m.close()";
    if !Path::new("/usr/bin/python3").exists() {
        eprintln!("SKIPPED: no python3");
        return;
    }
    let Some(result) = run(&trace(&format!("python3 -c \"{python}\""))) else { return };
    let error = result.unwrap_err().to_string();
    assert!(error.contains("mapped") && error.contains("data"), "{error}");
}

#[test]
fn a_file_without_a_name_may_get_one() {
    let python = "import os; fd = os.open('.', os.O_TMPFILE | os.O_RDWR); os.write(fd, b'new\\n'); os.fsync(fd); \
        os.system(f'ln -L /proc/{os.getpid()}/fd/{fd} t'); os.rename('t', 'data')";
    if !Path::new("/usr/bin/python3").exists() {
        eprintln!("SKIPPED: no python3");
        return;
    }
    let Some(result) = run(&trace(&format!("python3 -c \"{python}\""))) else { return };
    let report = result.unwrap();
    assert_eq!(broken(&report, Model::OnlySynced), [Claim::Durable]);
}

#[test]
fn a_command_or_a_judge_that_fails_is_no_verdict() {
    let Some(result) = run(&trace("echo new > data; exit 3")) else { return };
    assert!(result.unwrap_err().to_string().contains("exit code 3"));
    let Some(result) = run(&trace("kill -9 $$")) else { return };
    assert!(result.unwrap_err().to_string().contains("SIGKILL"));
    let mut judged = trace("echo new > data");
    "cat nothing".clone_into(&mut judged.judge);
    let Some(result) = run(&judged) else { return };
    assert!(result.unwrap_err().to_string().contains("before the command"));
}

#[test]
fn a_judge_that_hangs_is_stopped() {
    let mut trace = trace("echo new > t; mv t data");
    "test -e t && sleep 100; cat data".clone_into(&mut trace.judge);
    trace.models = vec![Model::Kill];
    trace.time = Duration::from_millis(300);
    let Some(report) = run(&trace) else { return };
    assert_eq!(broken(&report.unwrap(), Model::Kill), [Claim::Readable]);
}

#[test]
fn those_who_cannot_judge_where_nothing_has_crashed_are_no_verdict() {
    let said = |change: fn(&mut Trace)| {
        let mut trace = trace("echo new > data");
        change(&mut trace);
        run(&trace).map(|result| result.unwrap_err().to_string())
    };
    let Some(unsteady) = said(|trace| trace.judge = "cat /proc/sys/kernel/random/uuid".to_owned()) else { return };
    assert!(unsteady.contains("reads one and the same state differently"), "{unsteady}");
    let then = said(|trace| trace.then = Some("exit 9".to_owned())).unwrap();
    assert!(then.contains("--then fails before anything has crashed: it ends with 9"), "{then}");
}

/// The exit code of the program, and what it prints.
fn program(args: &[&str]) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("data"), "old\n").unwrap();
    let program = env!("CARGO_BIN_EXE_reftable-crash");
    let output = std::process::Command::new(program).args(args).current_dir(dir.path()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_exit_code_tells_the_verdict() {
    let judge = ["trace", "--judge", "cat data", "--"];
    let trace = |script| program(&[&judge[..], &["sh", "-c", script]].concat());
    let (code, text) = trace("echo new > t; sync t; mv t data; sync .");
    if code == Some(3) && run(&self::trace("true")).is_none() {
        return;
    }
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = trace("echo new > t; mv t data");
    assert_eq!(code, Some(1));
    assert!(text.contains("durable is broken under ordered") && text.contains("renames t to data"), "{text}");
    assert_eq!(trace("exit 1").0, Some(3));
    assert_eq!(trace("true").0, Some(3), "nothing was changed");
    assert_eq!(program(&["trace", "--judge", "cat data", "--claim", "usable", "--", "true"]).0, Some(2));
    assert_eq!(program(&["trace", "--judge", "cat data"]).0, Some(2));
}

#[test]
fn claims_that_are_not_asked_for_do_not_count() {
    let asked = ["trace", "--judge", "cat data", "--claim", "readable", "--json", "--", "sh", "-c"];
    let (code, text) = program(&[&asked[..], &["echo new > t; mv t data"]].concat());
    if code == Some(3) && run(&self::trace("true")).is_none() {
        return;
    }
    assert_eq!(code, Some(0), "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["type"], "trace");
    assert!(
        report["verdicts"].as_array().unwrap().iter().any(|verdict| !verdict["broken"].as_array().unwrap().is_empty())
    );
}
