//! Damaged stores are diagnosed without a change, and mended one problem at a time; what is taken
//! out is kept.

#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use crate::support::brisk_dir::brisk;
use reftable::repair::{Problem, Repair};
use reftable::verify::Severity;
use reftable::{AutoCompact, ErrorKind, Expect, ObjectId, Options, Stack};

fn options() -> Options {
    Options::default().auto_compact(AutoCompact::Off).reload_deadline(Duration::from_millis(5))
}

/// A store of three tables: `a`, `b` and `c`.
fn store() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::open(dir.path(), options()).unwrap();
    for name in ["a", "b", "c"] {
        let mut tx = stack.transaction();
        tx.set(format!("refs/heads/{name}"), Expect::Any, ObjectId::from_bytes(&[7; 20]).unwrap());
        tx.commit().unwrap();
    }
    dir
}

fn list(dir: &Path) -> Vec<String> {
    fs::read_to_string(dir.join("tables.list")).unwrap().lines().map(str::to_owned).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let snapshot = Stack::open(dir, options()).unwrap().snapshot().unwrap();
    snapshot.refs().unwrap().into_iter().map(|found| found.unwrap().name_lossy().into_owned()).collect()
}

fn only(dir: &Path) -> (Repair, Problem) {
    let repair = Repair::new(dir).patience(Duration::from_millis(20));
    let mut problems = repair.diagnose().unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    (repair, problems.remove(0))
}

#[test]
fn a_sound_store_has_no_problem() {
    let dir = store();
    assert_eq!(Repair::new(dir.path()).diagnose().unwrap(), []);
    assert_eq!(Repair::new(dir.path().join("none")).diagnose().unwrap_err().kind(), ErrorKind::Missing);
}

#[test]
fn a_git_that_died_in_its_first_commit() {
    let dir = store();
    let tables = list(dir.path());
    for table in &tables[1..] {
        fs::remove_file(dir.path().join(table)).unwrap();
    }
    fs::remove_file(dir.path().join("tables.list")).unwrap();
    assert_eq!(Stack::open(dir.path(), options()).unwrap_err().kind(), ErrorKind::Missing);
    let (repair, problem) = only(dir.path());
    assert!(problem.to_string().contains(&tables[0]), "{problem}");
    repair.fix(&problem).unwrap();
    assert_eq!(list(dir.path()), tables[..1]);
    assert_eq!(names(dir.path()), ["refs/heads/a"]);
}

#[test]
fn a_lost_list_is_made_again_unless_that_is_a_guess() {
    let dir = store();
    let tables = list(dir.path());
    // Cut off, and without its list.
    File::options().write(true).open(dir.path().join(&tables[2])).unwrap().set_len(30).unwrap();
    fs::remove_file(dir.path().join("tables.list")).unwrap();
    let (repair, problem) = only(dir.path());
    repair.fix(&problem).unwrap();
    assert_eq!(list(dir.path()), tables[..2]);
    assert!(dir.path().join(format!("{}.damaged", tables[2])).exists());
    assert_eq!(names(dir.path()), ["refs/heads/a", "refs/heads/b"]);
    // Two tables for one update index: one of them was replaced by the other, but which?
    let twin = tables[1].replace(".ref", "").rsplit_once('-').unwrap().0.to_owned() + "-00000000.ref";
    fs::copy(dir.path().join(&tables[1]), dir.path().join(twin)).unwrap();
    fs::remove_file(dir.path().join("tables.list")).unwrap();
    let (repair, problem) = only(dir.path());
    assert!(!problem.has_fix(), "{problem}");
    assert_eq!(repair.fix(&problem).unwrap_err().kind(), ErrorKind::Invalid);
    assert!(!dir.path().join("tables.list").exists());
}

#[test]
fn a_newest_table_that_a_loss_of_power_emptied() {
    for len in [0, 50] {
        let dir = store();
        let tables = list(dir.path());
        let newest = dir.path().join(&tables[2]);
        File::options().write(true).open(&newest).unwrap().set_len(len).unwrap();
        assert_eq!(Stack::open(dir.path(), options()).unwrap_err().kind(), ErrorKind::Corrupt);
        let (repair, problem) = only(dir.path());
        assert!(problem.to_string().contains("this drops every change after update index 2"), "{problem}");
        repair.fix(&problem).unwrap();
        assert_eq!(list(dir.path()), tables[..2]);
        assert_eq!(fs::metadata(dir.path().join(format!("{}.damaged", tables[2]))).unwrap().len(), len);
        assert_eq!(names(dir.path()), ["refs/heads/a", "refs/heads/b"]);
        assert_eq!(repair.diagnose().unwrap(), []);
    }
}

#[test]
fn a_newest_table_that_a_loss_of_power_took() {
    let dir = store();
    let tables = list(dir.path());
    fs::remove_file(dir.path().join(&tables[2])).unwrap();
    let (repair, problem) = only(dir.path());
    assert!(!problem.to_string().contains(&format!("{}.damaged", tables[2])), "{problem}");
    let done = repair.fix(&problem).unwrap();
    assert!(done.contains("this drops every change after update index 2"), "{done}");
    assert_eq!(list(dir.path()), tables[..2]);
    assert_eq!(names(dir.path()), ["refs/heads/a", "refs/heads/b"]);
    assert_eq!(repair.diagnose().unwrap(), []);
}

#[test]
fn what_is_kept_takes_nobodys_place() {
    let dir = store();
    let tables = list(dir.path());
    fs::write(dir.path().join(&tables[2]), "cut off").unwrap();
    let old_list = fs::read(dir.path().join("tables.list")).unwrap();
    let kept = |file: &str, number: &str| dir.path().join(format!("{file}.damaged{number}"));
    for file in ["tables.list", &tables[2]] {
        fs::write(kept(file, ""), "a person's").unwrap();
    }
    let (repair, problem) = only(dir.path());
    repair.fix(&problem).unwrap();
    for file in ["tables.list", &tables[2]] {
        assert_eq!(fs::read_to_string(kept(file, "")).unwrap(), "a person's");
    }
    assert_eq!(fs::read(kept("tables.list", ".2")).unwrap(), old_list);
    assert_eq!(fs::read_to_string(kept(&tables[2], ".2")).unwrap(), "cut off");
    assert_eq!(list(dir.path()), tables[..2]);
}

/// To remove what a dead process left, its lock has to be taken over, and with that goes its owner
/// file.
#[test]
fn what_taking_the_lock_removes_is_removed() {
    let dir = store();
    let other = tempfile::tempdir().unwrap();
    let stack = Stack::open(other.path(), options()).unwrap();
    let mut tx = stack.transaction();
    tx.set("refs/heads/x", Expect::Any, ObjectId::from_bytes(&[7; 20]).unwrap());
    let held = tx.prepare().unwrap();
    // A copy has no kernel lock: its owner is dead.
    let owner = fs::read_dir(other.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let owner = owner.into_iter().find(|name| name.ends_with(".owner")).unwrap();
    fs::copy(other.path().join(&owner), dir.path().join(&owner)).unwrap();
    fs::hard_link(dir.path().join(&owner), dir.path().join("tables.list.lock")).unwrap();
    let garbage = "reftable-0123456789abcdef.tmp";
    fs::write(dir.path().join(garbage), "").unwrap();
    let (repair, problem) = only(dir.path());
    let done = repair.fix(&problem).unwrap();
    assert!(done.contains(&owner) && done.contains(garbage), "{done}");
    assert_eq!(repair.diagnose().unwrap(), []);
    drop(held);
}

#[test]
fn what_dead_processes_left_is_removed() {
    let dir = store();
    let tables = list(dir.path());
    let stale = tables[0].rsplit_once('-').unwrap().0.to_owned() + "-00000000.ref";
    File::create(dir.path().join(&stale)).unwrap();
    let temporary = |kind: &str| dir.path().join(format!("reftable-0123456789abcdef.{kind}"));
    for kind in ["tmp", "owner", "request"] {
        fs::write(temporary(kind), "").unwrap();
    }
    fs::write(dir.path().join("notes"), "a person's").unwrap();
    // A file that a process has locked is in use, and what is no file is not this library's.
    let living = dir.path().join("reftable-fedcba9876543210.request");
    let locked = File::create(&living).unwrap();
    fs4::FileExt::lock(&locked).unwrap();
    let strange = dir.path().join("reftable-fedcba9876543210.tmp");
    fs::create_dir(&strange).unwrap();
    let (repair, problem) = only(dir.path());
    let Problem::Garbage { files } = &problem else { panic!("{problem}") };
    assert_eq!(files.len(), 4, "{files:?}");
    repair.fix(&problem).unwrap();
    assert_eq!(repair.diagnose().unwrap(), []);
    assert_eq!(names(dir.path()).len(), 3);
    assert!(dir.path().join("notes").exists() && living.exists() && strange.exists());
}

/// Nothing proves that it was replaced: it may be all that is left of something.
#[test]
fn a_table_that_no_list_names_is_kept() {
    let dir = store();
    let tables = list(dir.path());
    let stale = tables[0].rsplit_once('-').unwrap().0.to_owned() + "-00000000.ref";
    fs::copy(dir.path().join(&tables[0]), dir.path().join(&stale)).unwrap();
    let (repair, problem) = only(dir.path());
    assert!(problem.to_string().contains(&stale), "{problem}");
    repair.fix(&problem).unwrap();
    assert_eq!(repair.diagnose().unwrap(), []);
    let bytes = |name: &str| fs::read(dir.path().join(name)).unwrap();
    let kept = format!("{stale}.unlisted");
    assert_eq!(bytes(&kept), bytes(&tables[0]));
    assert_eq!(list(dir.path()), tables);
    // It takes room, and may be missed.
    let report = Stack::open(dir.path(), options()).unwrap().verify().unwrap();
    let [note] = report.findings.as_slice() else { panic!("{:#?}", report.findings) };
    assert_eq!((note.severity, note.file.as_str()), (Severity::Note, kept.as_str()));
    assert!(note.message.contains(&format!("dump {kept}`")), "{note}");
}

/// Whichever lines the list has lost, all of their tables come back, and `verify` warns before.
#[test]
fn lines_that_the_list_has_lost_come_back() {
    for kept in [vec![0, 2], vec![1, 2], vec![2], vec![0, 1], vec![0]] {
        let dir = store();
        let tables = list(dir.path());
        let old: String = kept.iter().map(|index| format!("{}\n", tables[*index])).collect();
        fs::write(dir.path().join("tables.list"), &old).unwrap();
        let report = reftable::verify::verify_dir(&*brisk(dir.path())).unwrap();
        let warned: Vec<&str> = report.findings.iter().map(|finding| finding.file.as_str()).collect();
        let lost = |table: &&String| !old.contains(table.as_str());
        assert_eq!(warned, tables.iter().filter(lost).collect::<Vec<_>>(), "{kept:?}");
        assert_eq!(report.worst(), Some(reftable::verify::Severity::Warning), "{kept:?}: {report:?}");
        let (repair, problem) = only(dir.path());
        repair.fix(&problem).unwrap();
        assert_eq!(list(dir.path()), tables, "{kept:?}");
        assert_eq!(fs::read_to_string(dir.path().join("tables.list.damaged")).unwrap(), old, "{kept:?}");
        assert_eq!(names(dir.path()), ["refs/heads/a", "refs/heads/b", "refs/heads/c"], "{kept:?}");
        assert_eq!(repair.diagnose().unwrap(), [], "{kept:?}");
    }
}

/// The first of two that cancel each other would bring back what was deleted.
#[test]
fn a_gap_that_is_filled_in_part_stays() {
    let dir = store();
    let tables = list(dir.path());
    fs::write(dir.path().join("tables.list"), format!("{}\n", tables[2])).unwrap();
    fs::remove_file(dir.path().join(&tables[1])).unwrap();
    let (_, problem) = only(dir.path());
    assert!(matches!(&problem, Problem::Unlisted { tables: found, .. } if found[0].0 == tables[0]), "{problem}");
    assert!(problem.to_string().contains("stay unlisted. To get them back"), "{problem}");
}
