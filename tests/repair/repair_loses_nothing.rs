//! Whatever is damaged, and whatever fails while it is mended: no bytes that were in the directory
//! are ever gone, who says no changes nothing, and a second repair goes on where the first one
//! ended.

#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::fault_dir::{FaultDir, Fuse};
use reftable::compact::Compact;
use reftable::dir::OsDir;
use reftable::lock::RobustLocks;
use reftable::repair::Repair;
use reftable::verify::verify_dir;
use reftable::{AutoCompact, Expect, ObjectId, Options, Stack};

type Files = BTreeMap<String, Vec<u8>>;

fn options() -> Options {
    Options::default().auto_compact(AutoCompact::Off).reload_deadline(Duration::from_millis(5))
}

fn commit(dir: &Path, number: u32) {
    let mut tx = Stack::open(dir, options()).unwrap().transaction();
    for change in 0..=number % 3 {
        let name = format!("refs/heads/{}", (number * 7 + change) % 11);
        tx.set(name, Expect::Any, ObjectId::from_bytes(&[number as u8 + 1; 20]).unwrap());
    }
    tx.commit().unwrap();
}

fn files(dir: &Path) -> Files {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    named.filter(|(_, path)| path.is_file()).map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

fn put(dir: &Path, files: &Files) {
    fs::read_dir(dir).unwrap().for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
    files.iter().for_each(|(name, bytes)| fs::write(dir.join(name), bytes).unwrap());
}

/// Everything that may hold records, or says which of it counts.
fn bytes_of(files: &Files) -> BTreeSet<&[u8]> {
    let counts = |name: &str| name.contains(".ref") || name.starts_with("tables.list");
    let kept = files.iter().filter(|(name, bytes)| counts(name) && !bytes.is_empty());
    kept.map(|(_, bytes)| bytes.as_slice()).collect()
}

fn repair(dir: &Path) -> Repair {
    Repair::new(dir).patience(Duration::from_millis(2))
}

/// Agrees to everything. Returns what was said.
fn mend(dir: &Path) -> String {
    let mut said = String::new();
    for _ in 0..20 {
        let repair = repair(dir);
        let problems = repair.diagnose().unwrap();
        let Some(problem) = problems.iter().find(|problem| problem.has_fix()) else {
            // A store that is said to be well is.
            if problems.is_empty() {
                assert!(Stack::open(dir, options()).is_ok(), "{said}");
                verify_dir(&OsDir::new(dir, None)).unwrap();
            } else {
                said = format!("{said}{problems:?}\n");
            }
            return said;
        };
        said = format!("{said}{problem}\n{}\n", repair.fix(problem).unwrap());
    }
    panic!("no end: {said}");
}

/// Numbers that only look random.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides.max(1)
    }
}

/// A store after some commits and compactions, and all states that it has had.
fn history(dice: &mut Dice) -> Vec<Files> {
    let dir = tempfile::tempdir().unwrap();
    let mut states = Vec::new();
    for number in 0..2 + dice.roll(6) as u32 {
        commit(dir.path(), number);
        if dice.roll(3) == 0 {
            let stack = Stack::open(dir.path(), options()).unwrap();
            stack.compact([Compact::Auto, Compact::all()][dice.roll(2)].clone()).unwrap();
        }
        states.push(files(dir.path()));
    }
    states
}

/// One damage, of the kinds that people and disks do.
fn damage(files: &mut Files, states: &[Files], dice: &mut Dice) {
    let old = &states[dice.roll(states.len())];
    let tables: Vec<String> = files.keys().filter(|name| name.ends_with(".ref")).cloned().collect();
    let table = tables.get(dice.roll(tables.len())).cloned().unwrap_or_default();
    let list = files.entry("tables.list".to_owned()).or_default();
    match dice.roll(11) {
        0 if !list.is_empty() => {
            let at = dice.roll(list.len());
            list[at] ^= 1 << dice.roll(8);
        }
        1 => list.truncate(dice.roll(list.len() + 1)),
        2 => {
            let mut lines: Vec<Vec<u8>> = list.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            if !lines.is_empty() {
                let (a, b) = (dice.roll(lines.len()), dice.roll(lines.len()));
                lines.swap(a, b);
            }
            *list = lines.concat();
        }
        3 => drop(files.remove("tables.list")),
        4 => *list = old["tables.list"].clone(),
        5 => list.clear(),
        6 => drop(files.remove(&table)),
        7 => files.entry(table).or_default().truncate(dice.roll(200)),
        8 => {
            // A torn backup: the tables are those of another time.
            files.retain(|name, _| !name.ends_with(".ref"));
            files.extend(old.iter().filter(|(name, _)| name.ends_with(".ref")).map(|(a, b)| (a.clone(), b.clone())));
        }
        9 => files.extend(old.iter().filter(|(name, _)| name.ends_with(".ref")).map(|(a, b)| (a.clone(), b.clone()))),
        _ => {
            let bytes = files.entry(table).or_default();
            let (at, bit) = (dice.roll(bytes.len()), 1 << dice.roll(8));
            bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= bit);
        }
    }
    files.remove("");
}

/// Some damaged stores, from the seed of each.
fn damaged(seed: u64) -> Files {
    let mut dice = Dice(seed);
    let states = history(&mut dice);
    let mut files = states.last().unwrap().clone();
    for _ in 0..1 + dice.roll(3) {
        damage(&mut files, &states, &mut dice);
    }
    files
}

#[test]
fn no_bytes_are_ever_gone() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..150 {
        let before = damaged(seed);
        put(dir.path(), &before);
        // Who only looks, or says no, changes nothing.
        let problems = repair(dir.path()).diagnose().unwrap();
        assert!(files(dir.path()) == before, "seed {seed}: a look has changed something: {problems:?}");
        let said = mend(dir.path());
        let after = files(dir.path());
        let gone: Vec<usize> = bytes_of(&before).difference(&bytes_of(&after)).map(|bytes| bytes.len()).collect();
        assert!(gone.is_empty(), "seed {seed}: files of {gone:?} bytes are gone: {said}");
    }
}

/// Each kind of fix, by what it starts from.
fn sick_stores() -> Vec<(&'static str, Files)> {
    let dir = tempfile::tempdir().unwrap();
    (0..4).for_each(|number| commit(dir.path(), number));
    let whole = files(dir.path());
    let list = String::from_utf8(whole["tables.list"].clone()).unwrap();
    let tables: Vec<&str> = list.lines().collect();
    let with = |change: &dyn Fn(&mut Files)| {
        let mut files = whole.clone();
        change(&mut files);
        files
    };
    let set = |files: &mut Files, name: &str, bytes: &[u8]| drop(files.insert(name.to_owned(), bytes.to_vec()));
    vec![
        ("a name", with(&|files| set(files, "tables.list", list.replacen("0x0", "0X0", 1).as_bytes()))),
        ("no list", with(&|files| drop(files.remove("tables.list")))),
        ("an empty list", with(&|files| set(files, "tables.list", b""))),
        ("an older list", with(&|files| set(files, "tables.list", format!("{}\n", tables[0]).as_bytes()))),
        ("a damaged table", with(&|files| set(files, tables[1], b"damaged"))),
        ("a missing table", with(&|files| drop(files.remove(tables[3])))),
        ("left by dead processes", with(&|files| set(files, "reftable-0123456789abcdef.tmp", b"rest"))),
        (
            "an unlisted table",
            with(&|files| {
                let twin = format!("{}-00000000.ref", tables[0].rsplit_once('-').unwrap().0);
                set(files, &twin, &whole[tables[0]]);
            }),
        ),
    ]
}

/// Every call fails once. Nothing is lost, and a second repair mends what is left.
#[test]
fn a_second_repair_mends_what_a_failing_one_has_left() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, sick) in sick_stores() {
        let mut failed = BTreeSet::new();
        for nth in 1.. {
            put(dir.path(), &sick);
            let problems = repair(dir.path()).diagnose().unwrap();
            let Some(problem) = problems.iter().find(|problem| problem.has_fix()) else { break };
            let fuse = Fuse::new(nth, 5);
            let failing = Repair::new_in(FaultDir::new(dir.path(), &fuse), Box::new(RobustLocks::new(true)));
            let outcome = failing.fix(problem);
            drop(failing);
            let Some(call) = fuse.failed() else {
                outcome.unwrap();
                break;
            };
            failed.insert(call);
            let left = files(dir.path());
            assert!(bytes_of(&sick).is_subset(&bytes_of(&left)), "{kind}: lost when {call} failed: {outcome:?}");
            let said = mend(dir.path());
            assert!(bytes_of(&sick).is_subset(&bytes_of(&files(dir.path()))), "{kind}: lost later: {said}");
            assert!(Stack::open(dir.path(), options()).is_ok(), "{kind}: {call} failed, and then: {said}");
            assert_eq!(repair(dir.path()).diagnose().unwrap(), [], "{kind}: {call} failed, and then: {said}");
        }
        assert!(kind.contains("dead") || failed.len() >= 3, "{kind}: only {failed:?} were made to fail");
    }
}
