//! No message, finding or value prints a control character of a hostile store as it is.

#![cfg(test)]

mod support;

use std::fs;

use reftable::{ErrorKind, Expect, OsDir, Stack, Target, check_name, verify_dir};
use support::{HASHES, Store, quick};

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
        if let Err(error) = check_name(&name) {
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
