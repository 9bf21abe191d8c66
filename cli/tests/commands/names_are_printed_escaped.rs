//! Whatever a store has in its names and texts, people see one line for each reference and nothing
//! that their terminal obeys; programs get the exact bytes.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::support::{self, Repo, for_each_hash};
use reftable::table::{LogRecordView, RefRecordView};
use reftable::table::{TableWriter, WriteOptions};
use reftable::{HashKind, LogEntryView, ObjectId, TargetView};

/// Names that no check lets through, in the order of a table.
const NAMES: [&[u8]; 8] = [
    b"refs/heads/a\n1111111111111111111111111111111111111111 refs/heads/b",
    b"refs/heads/\x1b[2J",
    b"refs/heads/\x7f",
    b"refs/heads/gr\xfcn",
    "refs/heads/gr\u{fc}n".as_bytes(),
    "refs/heads/\u{9b}\u{202e}".as_bytes(),
    "refs/heads/ma\u{200b}in".as_bytes(),
    "refs/heads/ma\u{e0061}in".as_bytes(),
];
const TEXT: &[u8] = b"tea\x1b[31m\r\ncake";

/// A store outside of any repository with one table: the names, a symbolic reference to the first,
/// and logs.
fn hostile_store(repo: &Repo) -> std::path::PathBuf {
    let store = repo.top().join("hostile");
    fs::create_dir(&store).unwrap();
    let hash = if repo.hash == "sha1" { HashKind::Sha1 } else { HashKind::Sha256 };
    let id = ObjectId::from_bytes(&vec![0x11; hash.len()]).unwrap();
    let mut table = TableWriter::new(Vec::new(), hash, 1..=1, &WriteOptions::default()).unwrap();
    let target = TargetView::Symbolic(NAMES[0]);
    table.add_ref(&RefRecordView { name: b"HEAD", update_index: 1, target: Some(target) }).unwrap();
    let mut names = NAMES.to_vec();
    names.sort_unstable();
    for name in &names {
        let target = Some(TargetView::Id(id.as_view()));
        table.add_ref(&RefRecordView { name, update_index: 1, target }).unwrap();
    }
    let entry = LogEntryView { old: id, new: id, name: TEXT, email: TEXT, time: 1, time_zone: 0, message: TEXT };
    table.add_log(&LogRecordView { refname: b"HEAD", update_index: 1, entry: Some(entry) }).unwrap();
    let (bytes, _) = table.finish().unwrap();
    let name = "0x000000000001-0x000000000001-00000001.ref";
    fs::write(store.join(name), bytes).unwrap();
    fs::write(store.join("tables.list"), format!("{name}\n")).unwrap();
    store
}

/// Nothing but text and newlines.
#[track_caller]
fn assert_printable(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap();
    let acts = |c: char| (c.is_control() && c != '\n' && c != '\t') || "\u{200b}\u{202e}\u{feff}\u{e0061}".contains(c);
    assert!(!text.chars().any(acts), "{text:?}");
}

fn run(repo: &Repo, store: &Path, args: &[&str]) -> support::Run {
    let run = repo.run([["-C", store.to_str().unwrap()].as_slice(), args].concat());
    assert_printable(&run.raw);
    assert_printable(run.err.as_bytes());
    run
}

#[test]
fn people_see_one_line_for_each_reference() {
    for_each_hash(|repo| {
        let store = hostile_store(repo);
        let list = run(repo, &store, &["list"]).ok();
        assert_eq!(list.lines().count(), NAMES.len() + 1, "{list}");
        let ones = "1".repeat(40);
        assert!(list.starts_with(&format!("ref: \"refs/heads/a\\n{ones} refs/heads/b\" HEAD\n")), "{list}");
        for shown in
            ["\"refs/heads/\\033[2J\"", "\"refs/heads/\\177\"", "\"refs/heads/gr\\374n\"", " refs/heads/gr\u{fc}n"]
        {
            assert!(list.lines().any(|line| line.ends_with(shown)), "{shown}: {list}");
        }
        let log = run(repo, &store, &["log", "HEAD"]).ok();
        assert_eq!(log.lines().count(), 1);
        assert!(log.ends_with("\t\"tea\\033[31m\\r\\ncake\"\n"), "{log}");
        assert_eq!(run(repo, &store, &["get", "--no-deref", "HEAD"]).ok().lines().count(), 1);
        assert_eq!(run(repo, &store, &["symbolic-ref", "HEAD"]).ok().lines().count(), 1);
        for args in [["dump", "."].as_slice(), &["stats"], &["verify"], &["repair", "--dry-run"], &["get", "a\x1b\n"]] {
            run(repo, &store, args);
        }
        let file = fs::read_dir(&store)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|e| e == "ref"));
        fs::write(file.unwrap(), "").unwrap();
        run(repo, &store, &["list"]).failed(128);
    });
}

#[test]
fn programs_get_the_bytes() {
    for_each_hash(|repo| {
        let store = hostile_store(repo);
        let listed = run(repo, &store, &["list", "--json"]).json();
        let names: Vec<Vec<u8>> = listed[1..].iter().map(bytes_of_name).collect();
        let mut expected = NAMES.map(<[u8]>::to_vec).to_vec();
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert_eq!(listed[0]["symref"].as_str().unwrap().as_bytes(), NAMES[0]);
        let log = run(repo, &store, &["log", "HEAD", "--json"]).json();
        assert_eq!(log[0]["message"].as_str().unwrap().as_bytes(), TEXT);
        run(repo, &store, &["dump", "--json", "."]).ok();
    });
}

fn bytes_of_name(found: &serde_json::Value) -> Vec<u8> {
    match found.get("name_hex") {
        None => found["name"].as_str().unwrap().as_bytes().to_vec(),
        Some(hex) => {
            let digits = hex.as_str().unwrap().as_bytes().chunks(2);
            digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
        }
    }
}

/// By its bytes, or by what `list` prints.
#[test]
fn what_is_listed_can_be_deleted() {
    for_each_hash(|repo| {
        let store = hostile_store(repo);
        run(repo, &store, &["delete", "--no-deref", "HEAD"]).ok();
        let raw = std::ffi::OsStr::from_bytes(NAMES[0]);
        let found = repo.run([std::ffi::OsStr::new("-C"), store.as_os_str(), "get".as_ref(), raw]).ok();
        assert!(found.starts_with("1111"), "what is listed can be read: {found}");
        repo.run([std::ffi::OsStr::new("-C"), store.as_os_str(), "delete".as_ref(), raw]).ok();
        repo.run([std::ffi::OsStr::new("-C"), store.as_os_str(), "get".as_ref(), raw]).failed(2);
        let list = run(repo, &store, &["list"]).ok();
        assert_eq!(list.lines().count(), NAMES.len() - 1, "{list}");
        let deletions: String =
            list.lines().map(|line| format!("delete {}\n", line.split_once(' ').unwrap().1)).collect();
        repo.run_with(["-C", store.to_str().unwrap(), "update", "--stdin"], deletions.as_bytes()).ok();
        assert_eq!(run(repo, &store, &["list"]).ok(), "");
        // What is not there is a mistake.
        run(repo, &store, &["delete", "refs/heads/\x1b"]).refused();
    });
}

/// A reflog may be there without a reference: it can be read, and it can go.
#[test]
fn reflogs_of_bad_names_can_be_read_and_deleted() {
    for_each_hash(|repo| {
        repo.commit("one");
        let hash = if repo.hash == "sha1" { HashKind::Sha1 } else { HashKind::Sha256 };
        let id = ObjectId::from_bytes(&vec![0x11; hash.len()]).unwrap();
        let names = ["FETCH_HEAD", "refs/heads/a b", "refs/heads/a..b", "refs/heads/c\x1b"];
        let mut table = TableWriter::new(Vec::new(), hash, 1000..=1000, &WriteOptions::default()).unwrap();
        for refname in names.map(str::as_bytes) {
            let entry =
                LogEntryView { old: id, new: id, name: b"A", email: b"a@b", time: 1, time_zone: 0, message: b"m\n" };
            table.add_log(&LogRecordView { refname, update_index: 1000, entry: Some(entry) }).unwrap();
        }
        support::put_on_top(repo, 1000, &table.finish().unwrap().0);
        for name in names {
            assert!(repo.ours(["log", name]).ends_with("\tm"), "{name}");
            repo.run(["delete", name, &id.to_string()]).failed(1);
            repo.run(["update", "--unchecked", name, &id.to_string()]).refused();
            match name.len() % 2 {
                0 => repo.ours(["delete", name]),
                _ => repo.run_with(["update", "--stdin"], format!("delete \"{name}\"\n").as_bytes()).ok(),
            };
            let code = if name == "FETCH_HEAD" { 1 } else { 2 };
            repo.run(["log", name]).failed(code);
            repo.run(["delete", name]).refused();
        }
        repo.ours(["verify"]);
    });
}

#[test]
fn a_target_with_a_space_is_not_taken_for_a_target_and_a_name() {
    for_each_hash(|repo| {
        repo.commit("one");
        support::put_symbolic(repo, 1000, &[("refs/x/link", "refs/heads/x refs/heads/main"), ("refs/x y", "refs/x/z")]);
        let list = repo.ours(["list", "--prefix", "refs/x"]);
        assert_eq!(list, "ref: refs/x/z \"refs/x y\"\nref: \"refs/heads/x refs/heads/main\" refs/x/link");
        repo.run_with(["update", "--stdin"], b"delete \"refs/x y\"\n").ok();
    });
}

#[test]
fn so_are_paths() {
    for_each_hash(|repo| {
        let store = hostile_store(repo);
        let moved = repo.top().join("a\x1b[2J\nb");
        fs::rename(store, &moved).unwrap();
        let stats = run(repo, &moved, &["stats"]).ok();
        assert!(stats.contains("a\\033[2J\\nb"), "{stats}");
        fs::write(moved.join("tables.list"), "missing.ref\n").unwrap();
        run(repo, &moved, &["list"]).failed(128);
    });
}

/// Also in errors, findings and fixes, for a listed table as for files beside the list.
#[test]
fn so_are_names_of_files() {
    for_each_hash(|repo| {
        let store = hostile_store(repo);
        let plain = fs::read_to_string(store.join("tables.list")).unwrap();
        let plain = plain.trim_end();
        let name = format!("\u{feff}\u{202e}\u{200b}{plain}");
        for beside in [name.clone(), format!("{plain}\x1b[2J\n.damaged"), format!("{plain}.damaged")] {
            fs::copy(store.join(plain), store.join(beside)).unwrap();
        }
        fs::copy(store.join(plain), store.join(std::ffi::OsStr::from_bytes(b"\xff\x1b.ref"))).unwrap();
        run(repo, &store, &["verify"]);
        for listed in [format!("{name}.lost\n"), format!("{plain}\n{name}\n"), format!("{name}\x1b\n")] {
            fs::write(store.join("tables.list"), listed).unwrap();
            for args in [["verify"].as_slice(), &["verify", "--json"], &["repair"], &["repair", "--json"], &["list"]] {
                run(repo, &store, args);
            }
        }
    });
}
