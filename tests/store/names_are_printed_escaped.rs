//! No message, finding or value prints a control character of a hostile store as it is.

use std::fmt::Debug;
use std::fs;

use crate::support::{HASHES, Store, quick};
use reftable::compact::Compact;
use reftable::dir::OsDir;
use reftable::name;
use reftable::repair::Repair;
use reftable::table::{LogRecordView, RefRecordView};
use reftable::verify::verify_dir;
use reftable::{Conflict, ConflictKind, ErrorKind, Expect, Ident, Log, LogEntry, Ref, Stack, Target};

/// What a terminal obeys, and a newline, which makes two lines of one.
const HOSTILE: [&[u8]; 5] = [b"\x1b[2J", b"\n", b"\r", b"\x7f\x08", "\u{9b}\u{202e}".as_bytes()];

#[track_caller]
fn assert_printable(text: &str) {
    assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
}

#[test]
fn errors_about_names() {
    let store = Store::new(HASHES[0]);
    store.set("refs/heads/a", 1);
    for hostile in HOSTILE {
        let name = [b"refs/heads/", hostile].concat();
        if let Err(error) = name::check(&name) {
            assert_printable(&error.to_string());
            assert_printable(error.message());
            assert_printable(&format!("{error:?}"));
        }
        let mut tx = store.stack.transaction();
        tx.set("refs/heads/a", Expect::Is(Target::symbolic(&name)), store.id(2));
        let error = tx.commit().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_printable(&error.to_string());
        assert!(error.to_string().contains('\\'), "{error}");
        assert_printable(&Target::symbolic(&name).to_string());
    }
}

#[test]
fn values_in_debug() {
    let store = Store::new(HASHES[0]);
    for hostile in HOSTILE {
        let name = [b"refs/heads/a", hostile].concat();
        let who = Ident::new(&name, &name, 1);
        let entry = LogEntry { old: store.id(1), new: store.id(2), committer: who.clone(), message: name.clone() };
        let mut tx = store.stack.transaction();
        tx.set(&name, Expect::Is(Target::symbolic(&name)), Target::symbolic(&name)).delete(&name, Expect::Any);
        tx.reflog(who, &name).append_log(&name, entry.clone()).delete_log_entry(&name, 1);
        tx.create_log(&name).delete_log(&name);
        let found = Ref { name: name.clone(), update_index: 1, target: Target::symbolic(&name) };
        let log = Log { refname: name.clone(), update_index: 1, entry: entry.clone() };
        let conflict = Conflict::new(&name, ConflictKind::Name { other: name.clone() });
        let record = RefRecordView { name: &name, update_index: 1, target: Some(found.target.as_view()) };
        let log_record = LogRecordView { refname: &name, update_index: 1, entry: Some(entry.as_view()) };
        let prefix = store.stack.snapshot().unwrap().prefix(&name).unwrap();
        let values: [&dyn Debug; 8] = [&tx, &found, &log, &conflict, &record, &log_record, &prefix, &entry];
        for value in values {
            let text = format!("{value:?}");
            assert_printable(&text);
            assert!(text.contains("refs/heads/a"), "{text}");
            assert!(!text.contains("114, 101, 102"), "numbers: {text}");
        }
    }
    assert_eq!(format!("{:?}", Target::symbolic("refs/heads/a\"\x1b")), r#"Symbolic("refs/heads/a\"\033")"#);
}

#[test]
fn errors_and_findings_about_lists() {
    for hostile in HOSTILE {
        let store = Store::new(HASHES[0]);
        store.set("refs/heads/a", 1);
        let list = [hostile, b".ref\n"].concat();
        fs::write(store.path().join("tables.list"), &list).unwrap();
        let error = Stack::open(store.path(), quick()).and_then(|stack| stack.snapshot().map(drop)).unwrap_err();
        assert_printable(&error.to_string());
        for finding in verify_dir(&OsDir::new(store.path(), None)).unwrap().findings {
            assert_printable(&finding.to_string());
        }
    }
}

#[test]
fn errors_about_paths() {
    let top = tempfile::tempdir().unwrap();
    let dir = top.path().join("a\x1b[2J\nb");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("tables.list"), "missing.ref\n").unwrap();
    let options = quick().reload_deadline(std::time::Duration::ZERO);
    let error = Stack::open(&dir, options).and_then(|stack| stack.snapshot().map(drop)).unwrap_err();
    assert_printable(&error.to_string());
    assert!(error.to_string().contains(r"a\033[2J\nb"), "{error}");
}

/// No list can name such a file, so nobody reads it; a person may miss what is in it.
#[cfg(target_os = "linux")]
#[test]
fn files_whose_names_are_not_utf8_are_told_of_and_stay() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let store = Store::new(HASHES[0]);
    store.set("refs/heads/a", 1);
    store.set("refs/heads/b", 2);
    let list = store.path().join("tables.list");
    let tables = fs::read_to_string(&list).unwrap();
    let newest = tables.lines().last().unwrap();
    let strange = [
        [newest.trim_end_matches(".ref").as_bytes(), b"\xff.ref"].concat(),
        [newest.as_bytes(), b".lock\xff\x1b"].concat(),
        b"tables.list.lock\xfe".to_vec(),
        b"reftable-0123456789abcde\xff.tmp".to_vec(),
    ];
    for name in &strange {
        fs::copy(store.path().join(newest), store.path().join(OsStr::from_bytes(name))).unwrap();
    }
    let report = verify_dir(&OsDir::new(store.path(), None)).unwrap();
    report.findings.iter().for_each(|finding| assert_printable(&finding.to_string()));
    let told = |name: &str| report.findings.iter().any(|finding| finding.file == name);
    assert!(report.is_clean() && report.findings.len() == strange.len(), "{:?}", report.findings);
    assert!(told(r"tables.list.lock\376") && told(&format!(r"{newest}.lock\377\033")), "{:?}", report.findings);
    let repair = Repair::new(store.path()).patience(std::time::Duration::from_millis(1));
    assert_eq!(repair.diagnose().unwrap(), []);
    for lost in [tables.replacen("0x", "0X", 1), String::new()] {
        fs::write(&list, lost).unwrap();
        let problems = repair.diagnose().unwrap();
        assert_eq!(problems.len(), 1, "{problems:?}");
        repair.fix(&problems[0]).unwrap();
        assert_eq!(fs::read_to_string(&list).unwrap(), tables);
    }
    store.stack.compact(Compact::all()).unwrap();
    for name in &strange {
        assert!(store.path().join(OsStr::from_bytes(name)).exists(), "{name:?}");
    }
}
