//! A list that is damaged, lost or old is made again from what is there: proposed in so many words,
//! and nothing that leaves the store loses its bytes. Where that would be a guess, or nothing is
//! left, the words say what a person can do.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use crate::support;
use reftable::compact::Compact;
use reftable::dir::OsDir;
use reftable::repair::{Problem, Repair};
use reftable::table::WriteOptions;
use reftable::verify::{Severity, verify_dir};
use reftable::{AutoCompact, Expect, ObjectId, Options, Stack};

fn options() -> Options {
    Options::default().auto_compact(AutoCompact::Off).reload_deadline(Duration::from_millis(5))
}

fn commit(dir: &Path, names: &[&str]) {
    let stack = Stack::open(dir, options()).unwrap();
    for name in names {
        let mut tx = stack.transaction();
        tx.set(format!("refs/heads/{name}"), Expect::Any, ObjectId::from_bytes(&[7; 20]).unwrap());
        tx.commit().unwrap();
    }
}

/// A store of four tables: `a` to `d`.
fn store() -> (tempfile::TempDir, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    commit(dir.path(), &["a", "b", "c", "d"]);
    let tables = list(dir.path());
    (dir, tables)
}

fn list(dir: &Path) -> Vec<String> {
    fs::read_to_string(dir.join("tables.list")).unwrap().lines().map(str::to_owned).collect()
}

fn put_list(dir: &Path, tables: &[&str]) {
    fs::write(dir.join("tables.list"), tables.iter().map(|table| format!("{table}\n")).collect::<String>()).unwrap();
}

/// The references, by their last letters.
fn refs(dir: &Path) -> String {
    let snapshot = Stack::open(dir, options()).unwrap().snapshot().unwrap();
    snapshot.refs().unwrap().into_iter().map(|found| found.unwrap().name_lossy().chars().last().unwrap()).collect()
}

/// Names and bytes of all files.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    files.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn diagnose(dir: &Path) -> (Repair, Vec<Problem>) {
    let repair = Repair::new(dir).patience(Duration::from_millis(20));
    let problems = repair.diagnose().unwrap();
    (repair, problems)
}

/// Agrees to everything. Returns what was said; after that nothing is wrong, and no bytes are gone.
fn mend(dir: &Path) -> String {
    mend_all_but(dir, "")
}

/// As [`mend`], with one file that may go.
fn mend_all_but(dir: &Path, needless: &str) -> String {
    let mut before = files(dir);
    before.remove(needless);
    let mut said = String::new();
    for _ in 0..10 {
        let unchanged = files(dir);
        let (repair, problems) = diagnose(dir);
        assert!(files(dir) == unchanged, "a look changes nothing");
        let Some(problem) = problems.first() else { break };
        said = format!("{said}{problem}\n{}\n", repair.fix(problem).unwrap_or_else(|error| panic!("{said}{error}")));
    }
    assert_eq!(diagnose(dir).1, [], "{said}");
    let report = verify_dir(&OsDir::new(dir, None)).unwrap();
    assert!(report.findings.iter().all(|finding| finding.severity < Severity::Error), "{said}{report:?}");
    let after = files(dir);
    for (name, bytes) in before.iter().filter(|(_, bytes)| !bytes.is_empty()) {
        assert!(after.values().any(|kept| kept == bytes), "{name} is gone:\n{said}");
    }
    said
}

/// A problem that only a person can mend, and what is said of it.
fn words(dir: &Path) -> String {
    let before = files(dir);
    let (repair, problems) = diagnose(dir);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(!problems[0].has_fix(), "{}", problems[0]);
    assert!(repair.fix(&problems[0]).is_err());
    drop(repair);
    assert!(files(dir) == before, "words change nothing");
    problems[0].to_string()
}

/// The failing input of the report: one character, and everything was lost.
#[test]
fn a_name_that_differs_in_a_few_characters_is_meant() {
    for (from, to) in
        [("0x0", "0X0"), ("0x0", "0x"), ("000000001", "00000001"), (".ref", ".re"), ("-", "_"), ("0", "\u{7f}")]
    {
        for line in 0..4 {
            let (dir, tables) = store();
            let mut damaged = tables.clone();
            damaged[line] = damaged[line].replacen(from, to, 1);
            if damaged == tables {
                continue;
            }
            put_list(dir.path(), &damaged.iter().map(String::as_str).collect::<Vec<_>>());
            let said = mend(dir.path());
            assert_eq!((list(dir.path()), refs(dir.path()).as_str()), (tables, "abcd"), "{said}");
            assert!(said.contains("differs little") && said.contains("tables.list.damaged"), "{said}");
        }
    }
}

/// Tables are copied, then they are compacted, then the list is copied.
#[test]
fn a_torn_backup_has_what_the_missing_table_was_merged_from() {
    for later in [&[][..], &["e"]] {
        let (dir, tables) = store();
        let backup = files(dir.path());
        let stack = Stack::open(dir.path(), options()).unwrap();
        stack.compact(Compact::all()).unwrap();
        drop(stack);
        commit(dir.path(), later);
        let torn = tempfile::tempdir().unwrap();
        backup.iter().for_each(|(name, bytes)| fs::write(torn.path().join(name), bytes).unwrap());
        fs::copy(dir.path().join("tables.list"), torn.path().join("tables.list")).unwrap();
        let said = mend(torn.path());
        assert_eq!((list(torn.path()), refs(torn.path()).as_str()), (tables, "abcd"), "{said}");
        assert_eq!(said.contains("drops every change after update index 4"), !later.is_empty(), "{said}");
    }
}

/// The list is copied first, and then the tables: those that it names are merged meanwhile, and
/// more came.
#[test]
fn an_old_list_beside_the_merged_table() {
    for (kept, expected) in [(0, "abcde"), (1, "abcde"), (4, "abcde")] {
        let (dir, tables) = store();
        let before = files(dir.path());
        let stack = Stack::open(dir.path(), options()).unwrap();
        stack.compact(Compact::all()).unwrap();
        drop(stack);
        commit(dir.path(), &["e"]);
        let whole = list(dir.path());
        put_list(dir.path(), &tables.iter().map(String::as_str).collect::<Vec<_>>());
        for table in &tables[..kept] {
            fs::write(dir.path().join(table), &before[table]).unwrap();
        }
        // If all tables that it was merged from are listed, that is proof.
        let said = mend_all_but(dir.path(), if kept == 4 { &whole[0] } else { "" });
        assert_eq!(refs(dir.path()), expected, "{said}");
        assert_eq!(list(dir.path()).last(), whole.last(), "{said}");
        assert!(!said.contains("lost"), "{said}");
    }
}

#[test]
fn a_table_that_is_damaged_gives_way_to_one_of_its_update_indexes() {
    for table in 0..4 {
        let (dir, mut tables) = store();
        let twin = tables[table].rsplit_once('-').unwrap().0.to_owned() + "-00000000.ref";
        fs::rename(dir.path().join(&tables[table]), dir.path().join(&twin)).unwrap();
        fs::write(dir.path().join(&tables[table]), "damaged").unwrap();
        let said = mend(dir.path());
        tables[table] = twin;
        assert_eq!((list(dir.path()), refs(dir.path()).as_str()), (tables, "abcd"), "{said}");
        assert!(!said.contains("lost"), "{said}");
    }
}

#[test]
fn without_one_exactly_that_table_is_dropped_and_it_is_said_what_is_lost() {
    let damages: [fn(&Path); 5] = [
        |table| fs::write(table, "").unwrap(),
        |table| fs::write(table, "no table at all, of some bytes").unwrap(),
        |table| fs::remove_file(table).unwrap(),
        |table| {
            fs::remove_file(table).unwrap();
            fs::create_dir(table).unwrap();
        },
        |table| {
            fs::remove_file(table).unwrap();
            symlink("nowhere", table).unwrap();
        },
    ];
    for damage in damages {
        for (table, expected) in ["bcd", "acd", "abd", "abc"].into_iter().enumerate() {
            let (dir, mut tables) = store();
            damage(&dir.path().join(&tables[table]));
            let said = mend(dir.path());
            let dropped = tables.remove(table);
            assert_eq!((list(dir.path()), refs(dir.path()).as_str()), (tables, expected), "{said}");
            let loss = match table {
                3 => "drops every change after update index 3".to_owned(),
                _ => {
                    format!("what {dropped} changed at update index {} is lost, and older values show again", table + 1)
                }
            };
            assert!(said.contains(&loss), "{said}");
        }
    }
}

#[test]
fn lists_that_editors_and_disks_have_damaged() {
    let damages: [fn(&str) -> Vec<u8>; 12] = [
        |list| list.replace('\n', "\r\n").into(),
        |list| list.replace('\n', "\n\n").into(),
        |list| format!("\n{list}").into(),
        |list| list.trim_end().into(),
        |list| list[..list.len() - 10].into(),
        |list| format!("\u{FEFF}{list}").into(),
        |list| format!("\u{FEFF}{list}").encode_utf16().flat_map(u16::to_le_bytes).collect(),
        |list| list.replace('\n', " \n ").into(),
        |list| format!("{list}{list}").into(),
        |list| [list.as_bytes(), &[0; 100]].concat(),
        |list| [&list.as_bytes()[..60], &vec![0; list.len() - 60][..]].concat(),
        |list| vec![0; list.len()],
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let (dir, tables) = store();
        let path = dir.path().join("tables.list");
        fs::write(&path, damage(&fs::read_to_string(&path).unwrap())).unwrap();
        let said = mend(dir.path());
        assert_eq!((list(dir.path()), refs(dir.path()).as_str()), (tables, "abcd"), "{number}: {said}");
        assert!(!said.contains("lost"), "{number}: {said}");
    }
}

#[test]
fn tables_in_the_wrong_order_are_sorted() {
    for swapped in [[1, 0, 2, 3], [3, 2, 1, 0], [0, 1, 3, 2]] {
        let (dir, tables) = store();
        put_list(dir.path(), &swapped.map(|table: usize| tables[table].as_str()));
        let said = mend(dir.path());
        assert!(said.contains("wrong order"), "{said}");
        assert_eq!(list(dir.path()), tables);
    }
}

/// What has the name of the list is no list at all, or there is none.
#[test]
fn a_list_that_says_nothing_is_made_of_all_tables() {
    let damages: [fn(&Path); 6] = [
        |list| fs::remove_file(list).unwrap(),
        |list| fs::write(list, "").unwrap(),
        |list| fs::write(list, "reftable lock 1\nboot b\nmachine m\nprocess 7\nowner o\ncheck 00000000\n").unwrap(),
        |list| {
            fs::remove_file(list).unwrap();
            fs::create_dir(list).unwrap();
        },
        |list| {
            fs::remove_file(list).unwrap();
            symlink("nowhere", list).unwrap();
        },
        |list| {
            fs::remove_file(list).unwrap();
            assert!(std::process::Command::new("mkfifo").arg(list).status().unwrap().success());
        },
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let (dir, tables) = store();
        damage(&dir.path().join("tables.list"));
        let said = mend(dir.path());
        assert_eq!((list(dir.path()), refs(dir.path()).as_str()), (tables, "abcd"), "{number}: {said}");
        assert!(!said.contains("lost"), "{number}: {said}");
    }
}

/// git's rename was not synced: an older list is there again after a power failure.
#[test]
fn an_older_list_gets_what_came_after_it() {
    for (listed, rest) in [(1, &[1, 2, 3][..]), (3, &[3]), (2, &[3])] {
        let (dir, tables) = store();
        put_list(dir.path(), &tables[..listed].iter().map(String::as_str).collect::<Vec<_>>());
        for (number, table) in tables.iter().enumerate().skip(listed) {
            if !rest.contains(&number) {
                fs::rename(dir.path().join(table), dir.path().join("elsewhere")).unwrap();
            }
        }
        let said = mend(dir.path());
        assert!(said.contains("older list"), "{said}");
        let expected: Vec<&String> =
            tables[..listed].iter().chain(rest.iter().map(|number| &tables[*number])).collect();
        assert_eq!(list(dir.path()).iter().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn several_damages_at_once() {
    let (dir, tables) = store();
    let damaged = format!("\u{FEFF}{}\r\n{}\r\n{}", tables[1], tables[0].replace("0x", "0X"), tables[2]);
    fs::write(dir.path().join("tables.list"), damaged).unwrap();
    fs::write(dir.path().join(&tables[1]), "").unwrap();
    fs::write(dir.path().join("reftable-0123456789abcdef.tmp"), "").unwrap();
    let said = mend(dir.path());
    assert_eq!((list(dir.path()).len(), refs(dir.path()).as_str()), (3, "acd"), "{said}");
}

#[test]
fn two_histories_are_not_mixed() {
    let (dir, tables) = store();
    let other = tempfile::tempdir().unwrap();
    commit(other.path(), &["x", "y", "z"]);
    let stack = Stack::open(other.path(), options()).unwrap();
    stack.compact(Compact::all()).unwrap();
    let foreign = list(other.path()).remove(0);
    fs::copy(other.path().join(&foreign), dir.path().join(&foreign)).unwrap();
    // Update indexes 1 to 3, beside one from 3 to 3 that is beyond the list.
    put_list(dir.path(), &[&tables[0], &tables[3]]);
    fs::remove_file(dir.path().join(&tables[0])).unwrap();
    fs::copy(dir.path().join(&tables[2]), dir.path().join("0x000000000003-0x000000000004-00000000.ref")).unwrap();
    let said = mend(dir.path());
    assert!(said.contains(&foreign), "{said}");
    // Two of the same update indexes: which one?
    let (dir, tables) = store();
    fs::copy(dir.path().join(&tables[1]), dir.path().join("0x000000000002-0x000000000002-00000000.ref")).unwrap();
    fs::remove_file(dir.path().join("tables.list")).unwrap();
    assert!(words(dir.path()).contains("it is not known which of them is current"));
}

#[test]
fn nothing_is_made_of_nothing() {
    let (dir, tables) = store();
    tables.iter().for_each(|table| fs::remove_file(dir.path().join(table)).unwrap());
    assert!(words(dir.path()).contains("of 4 tables none can be read"));
}

#[test]
fn a_working_store_and_an_empty_one_have_no_problem() {
    let (dir, _) = store();
    assert_eq!(diagnose(dir.path()).1, []);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(diagnose(empty.path()).1, []);
    fs::write(empty.path().join("tables.list"), "").unwrap();
    assert_eq!(diagnose(empty.path()).1, []);
}

/// An index helps readers to find records; without it all of them are there.
#[test]
fn a_damaged_index_costs_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::open(dir.path(), options()).unwrap();
    let mut tx = stack.transaction();
    for number in 0..2000u32 {
        let id = ObjectId::from_bytes(&[&number.to_be_bytes()[..], &[7; 16]].concat()).unwrap();
        tx.set(format!("refs/heads/{number:05}"), Expect::Any, id);
    }
    tx.commit().unwrap();
    drop(stack);
    let table = dir.path().join(&list(dir.path())[0]);
    let mut bytes = fs::read(&table).unwrap();
    let object_block = (0..bytes.len()).step_by(4096).find(|at| bytes[*at] == b'o').unwrap();
    bytes[object_block + 100] ^= 0xff;
    bytes[object_block + 4] ^= 0xff;
    fs::write(&table, bytes).unwrap();
    let said = words(dir.path());
    assert!(said.contains("its records are not") && said.contains("compact --rewrite"), "{said}");
}

/// As dulwich packs them: readers go by the order of the list, and merging all mends it. Nothing is
/// sorted, nothing dropped.
#[test]
fn overlapping_update_indexes_are_for_compaction() {
    let (dir, tables) = store();
    let row = ("refs/heads/e".to_owned(), 5, Some(support::id(support::HASHES[0], 1).into()));
    let write = support::tables::write(support::HASHES[0], 2..=5, &WriteOptions::default(), &[row], &[]);
    let name = "0x000000000002-0x000000000005-00000000.ref";
    fs::write(dir.path().join(name), write.unwrap().0).unwrap();
    put_list(dir.path(), &tables.iter().map(String::as_str).chain([name]).collect::<Vec<_>>());
    let said = words(dir.path());
    assert!(said.contains("update indexes in common") && said.contains("compact --all`"), "{said}");
    Stack::open(dir.path(), options()).unwrap().compact(Compact::all()).unwrap();
    assert_eq!(diagnose(dir.path()).1, []);
    assert_eq!(refs(dir.path()), "abcde");
}

/// Names that git does not give, as dulwich: nothing but what is in the tables says how they fit.
#[test]
fn an_empty_list_beside_tables_with_names_of_others() {
    let (dir, tables) = store();
    let names = ["d.ref", "c.ref", "b.ref", "a.ref"];
    for (table, name) in tables.iter().zip(names) {
        fs::rename(dir.path().join(table), dir.path().join(name)).unwrap();
    }
    put_list(dir.path(), &[]);
    let said = mend(dir.path());
    assert!(said.contains("the table list is empty, but there are tables"), "{said}");
    assert_eq!((list(dir.path()), refs(dir.path())), (names.map(str::to_owned).to_vec(), "abcd".to_owned()));
}

/// A disk, or a program, has filled it up: it is not read, and the tables say what was there.
#[test]
fn a_list_longer_than_any() {
    let (dir, tables) = store();
    let file = fs::File::options().write(true).open(dir.path().join("tables.list")).unwrap();
    file.set_len(65 << 20).unwrap();
    let (repair, problems) = diagnose(dir.path());
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert!(problem.to_string().contains("longer than any list"), "{problem}");
    repair.fix(problem).unwrap();
    assert_eq!((list(dir.path()), refs(dir.path())), (tables, "abcd".to_owned()));
    assert!(dir.path().join("tables.list.damaged").exists());
}
