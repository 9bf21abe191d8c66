//! A table list that cannot be right is an error that says what and where, never an empty store.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::support::brisk_dir::brisk;
use crate::support::{self, HASHES, Store, dump, quick, table_names, tables};
use reftable::dir::OsDir;
use reftable::table::WriteOptions;
use reftable::verify::{Severity, verify_dir, verify_repository};
use reftable::{Error, ErrorKind, Expect, Stack};

/// A store of three tables, not compacted.
fn store(hash: reftable::HashKind) -> Store {
    let store = Store::with(hash, quick().auto_compact(reftable::AutoCompact::Off));
    for number in 1..=3 {
        store.set(&format!("refs/heads/b{number}"), number);
    }
    store
}

fn set_list(dir: &Path, names: &[String]) {
    let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
    fs::write(dir.join("tables.list"), lines).unwrap();
}

/// Opening fails, for an open stack reading and committing fail, and nobody touches the files.
fn refused(store: &Store, kind: ErrorKind) -> Error {
    let before = dump(store.path());
    let options = || quick().reload_deadline(Duration::from_millis(30));
    let error = Stack::open(store.path(), options()).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(!error.is_retryable());
    let mut tx = store.stack.transaction();
    tx.set("refs/heads/new", Expect::Any, store.id(1));
    let again = tx.commit().unwrap_err();
    assert_eq!(again.kind(), kind, "{again}");
    assert_eq!(dump(store.path()), before);
    let report = verify_dir(&*brisk(store.path())).unwrap();
    assert!(!report.is_clean(), "verify sees it, too");
    error
}

#[test]
fn a_missing_directory_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nothing");
    let error = Stack::open(&path, quick().reload_deadline(Duration::ZERO)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert_eq!(error.path(), Some(path.as_path()));
}

#[test]
fn an_empty_directory_is_an_empty_store() {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::open(dir.path(), quick()).unwrap();
    let snapshot = stack.snapshot().unwrap();
    assert_eq!((snapshot.update_index(), snapshot.hash()), (0, None));
    assert_eq!(snapshot.refs().unwrap().next().unwrap(), None);
    assert!(dump(dir.path()).is_empty(), "reading creates nothing");
    fs::write(dir.path().join("tables.list"), "").unwrap();
    assert_eq!(stack.snapshot().unwrap().refs().unwrap().next().unwrap(), None);
}

#[test]
fn a_missing_list_beside_tables_is_an_error_after_the_deadline() {
    for hash in HASHES {
        let store = store(hash);
        fs::remove_file(store.path().join("tables.list")).unwrap();
        let start = Instant::now();
        let deadline = Duration::from_millis(80);
        let error = Stack::open(store.path(), quick().reload_deadline(deadline)).unwrap_err();
        assert!(start.elapsed() >= deadline);
        assert_eq!(error.kind(), ErrorKind::Missing);
        assert!(error.to_string().contains("tables.list"), "{error}");
        refused(&store, ErrorKind::Missing);
    }
}

#[test]
fn a_list_that_comes_in_time_is_not_missed() {
    let store = store(HASHES[0]);
    let (list, away) = (store.path().join("tables.list"), store.path().join("away"));
    fs::rename(&list, &away).unwrap();
    std::thread::scope(|scope| {
        let opened = scope.spawn(|| Stack::open(store.path(), quick().reload_deadline(Duration::from_secs(20))));
        std::thread::sleep(Duration::from_millis(50));
        fs::rename(&away, &list).unwrap();
        assert!(opened.join().unwrap().is_ok());
    });
}

#[test]
fn a_list_without_its_last_newline_is_corrupt() {
    for hash in HASHES {
        let store = store(hash);
        let list = store.path().join("tables.list");
        let whole = fs::read(&list).unwrap();
        for cut in [1, 2, whole.len() - 1] {
            fs::write(&list, &whole[..whole.len() - cut]).unwrap();
            let error = refused(&store, ErrorKind::Corrupt);
            assert_eq!(error.path(), Some(list.as_path()));
            assert_eq!(error.offset(), Some((whole.len() - cut) as u64));
        }
    }
}

/// A file of terabytes is not read to see that it is no list.
#[test]
fn a_list_that_is_longer_than_any_is_corrupt() {
    let store = store(HASHES[0]);
    let list = store.path().join("tables.list");
    fs::File::options().write(true).open(&list).unwrap().set_len((64 << 20) + 1).unwrap();
    let error = refused(&store, ErrorKind::Corrupt);
    assert_eq!(error.path(), Some(list.as_path()));
}

#[test]
fn names_that_are_no_file_names_are_corrupt() {
    let store = store(HASHES[0]);
    for bad in ["", "..", "a/b", "../reftable/x.ref", "nul\0"] {
        set_list(store.path(), &[bad.to_owned()]);
        refused(&store, ErrorKind::Corrupt);
    }
}

#[test]
fn a_missing_table_is_named_after_the_deadline() {
    for hash in HASHES {
        let store = store(hash);
        let gone = store.path().join(&store.list()[1]);
        fs::remove_file(&gone).unwrap();
        let start = Instant::now();
        let deadline = Duration::from_millis(80);
        let error = Stack::open(store.path(), quick().reload_deadline(deadline)).unwrap_err();
        assert!(start.elapsed() >= deadline);
        assert_eq!(error.kind(), ErrorKind::Missing);
        assert_eq!(error.path(), Some(gone.as_path()));
        // The open stack still has the table in memory: it goes on reading, as its list is the
        // same.
        assert_eq!(store.get("refs/heads/b2"), Some(store.id(2).into()));
        assert!(!store.stack.verify().unwrap().is_clean());
    }
}

#[test]
fn a_truncated_table_is_corrupt() {
    for hash in HASHES {
        let store = store(hash);
        let path = store.path().join(&store.list()[1]);
        let whole = fs::read(&path).unwrap();
        for len in [0, 1, 23, 24, 28, 68, whole.len() / 2, whole.len() - 68, whole.len() - 1] {
            fs::write(&path, &whole[..len]).unwrap();
            let error = Stack::open(store.path(), quick()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert_eq!(error.path(), Some(path.as_path()));
            assert!(error.offset().is_some());
            assert!(!store.stack.verify().unwrap().is_clean());
        }
    }
}

#[test]
fn a_table_of_another_hash_is_corrupt() {
    for (hash, other) in [(HASHES[0], HASHES[1]), (HASHES[1], HASHES[0])] {
        let store = store(hash);
        let row = ("refs/heads/x".to_owned(), 4, Some(support::id(other, 1).into()));
        let (bytes, _) = tables::write(other, 4..=4, &WriteOptions::default(), &[row], &[]).unwrap();
        let name = "0x000000000004-0x000000000004-00000000.ref".to_owned();
        fs::write(store.path().join(&name), bytes).unwrap();
        let mut names = store.list();
        names.push(name.clone());
        set_list(store.path(), &names);
        let error = refused(&store, ErrorKind::Corrupt);
        assert_eq!(error.path(), Some(store.path().join(&name).as_path()));
        // Options that demand another hash are the caller's mistake: the store is fine.
        let right = Store::new(hash);
        right.set("refs/heads/a", 1);
        let error = Stack::open(right.path(), quick().hash(other)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
}

/// Others, dulwich for one, add tables below the update indexes that there are, and git reads them
/// by their place in the list.
#[test]
fn tables_out_of_order_are_read_by_the_list_and_told() {
    for hash in HASHES {
        let store = store(hash);
        let mut names = store.list();
        names.swap(0, 1);
        set_list(store.path(), &names);
        let stack = Stack::open(store.path(), quick()).unwrap();
        let snapshot = stack.snapshot().unwrap();
        assert!(snapshot.tables().iter().map(|table| table.name()).eq(&names));
        let findings = stack.verify().unwrap().findings;
        assert!(findings.iter().any(|finding| finding.file == names[1] && finding.offset == Some(8)), "{findings:?}");
    }
}

#[test]
fn a_table_listed_twice_is_corrupt() {
    for hash in HASHES {
        let store = store(hash);
        let mut names = store.list();
        names.push(names[2].clone());
        set_list(store.path(), &names);
        refused(&store, ErrorKind::Corrupt);
        // A copy under another name changes nothing.
        let copy = "0x000000000003-0x000000000003-00000000.ref".to_owned();
        fs::copy(store.path().join(&names[2]), store.path().join(&copy)).unwrap();
        names[3] = copy.clone();
        set_list(store.path(), &names);
        let stack = Stack::open(store.path(), quick()).unwrap();
        assert_eq!(stack.snapshot().unwrap().update_index(), 3);
        let findings = stack.verify().unwrap().findings;
        assert!(findings.iter().any(|finding| finding.file == copy), "{findings:?}");
    }
}

#[test]
fn a_flipped_bit_in_the_footer_is_corrupt() {
    let store = store(HASHES[1]);
    let path = store.path().join(&table_names(store.path())[0]);
    let whole = fs::read(&path).unwrap();
    for from_end in 1..=72 {
        let mut bytes = whole.clone();
        let at = bytes.len() - from_end;
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = Stack::open(store.path(), quick()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported), "{error}");
    }
}

/// Of a symbolic link the name has another identity than the list that is read: the two never
/// agreed, and a reader of a list with a missing table looked again for ever.
#[cfg(unix)]
#[test]
fn a_list_that_is_a_symbolic_link_ends_at_the_deadline_too() {
    let store = store(reftable::HashKind::Sha1);
    let list = store.path().join("tables.list");
    fs::rename(&list, store.path().join("real")).unwrap();
    std::os::unix::fs::symlink("real", &list).unwrap();
    let opened = Stack::open(store.path(), quick()).and_then(|stack| stack.snapshot());
    assert_eq!(opened.unwrap().tables().len(), 3);
    let gone = table_names(store.path())[1].clone();
    fs::remove_file(store.path().join(&gone)).unwrap();
    let error = Stack::open(store.path(), quick().reload_deadline(Duration::from_millis(30))).unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Missing, Some(store.path().join(gone).as_path())));
}

/// What a file system says of the list may differ each time: here a program sets its time without
/// end.
#[test]
fn a_list_that_never_looks_the_same_ends_as_well() {
    let store = store(reftable::HashKind::Sha1);
    fs::remove_file(store.path().join(&table_names(store.path())[1])).unwrap();
    let list = fs::File::options().append(true).open(store.path().join("tables.list")).unwrap();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut time = std::time::UNIX_EPOCH;
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                time += Duration::from_secs(1);
                list.set_modified(time).unwrap();
            }
        });
        let begin = Instant::now();
        let opened = Stack::open(store.path(), quick().reload_deadline(Duration::from_millis(10)));
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(opened.unwrap_err().kind(), ErrorKind::Missing);
        assert!(begin.elapsed() < Duration::from_secs(60));
    });
}

/// Opening a pipe used to wait for a writer, and a device read as an empty list.
#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_named_at_once() {
    let make = |what: &str, path: &Path| match what {
        "a pipe" => assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success()),
        "a device" => std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
        _ => fs::create_dir(path).unwrap(),
    };
    for what in ["a pipe", "a device", "a directory"] {
        for is_list in [true, false] {
            let store = store(reftable::HashKind::Sha1);
            let name = if is_list { "tables.list".to_owned() } else { table_names(store.path())[1].clone() };
            fs::remove_file(store.path().join(&name)).unwrap();
            make(what, &store.path().join(&name));
            let error = Stack::open(store.path(), quick()).unwrap_err().to_string();
            assert!(error.contains(&format!("this is {what}")) && error.contains(&name), "{error}");
            match verify_dir(&*brisk(store.path())) {
                Ok(report) => {
                    assert!(report.findings.iter().any(|finding| finding.message.contains(what)), "{report:?}")
                }
                Err(error) => assert!(is_list && error.to_string().contains(what), "{error}"),
            }
        }
    }
}

/// A list that its readers may not open hides every reference from them: the tables tell who they
/// are.
#[cfg(unix)]
#[test]
fn without_a_list_the_newest_table_says_who_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let modes = [0o600, 0o640, 0o660, 0o664, 0o644];
    for mode in modes {
        let store = store(reftable::HashKind::Sha1);
        // The name does not say which one is the newest; the others have been made with another
        // umask.
        let mut names = table_names(store.path());
        names.rotate_left(1);
        for (age, name) in names.iter().enumerate() {
            let file = fs::File::options().write(true).open(store.path().join(name)).unwrap();
            let mode = if age == 0 { mode } else { mode ^ 0o044 };
            file.set_permissions(fs::Permissions::from_mode(mode)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age as u64)).unwrap();
        }
        fs::remove_file(store.path().join("tables.list")).unwrap();
        let dir = OsDir::new(store.path(), None);
        drop(reftable::dir::Dir::create(&dir, "new").unwrap());
        let made = fs::metadata(store.path().join("new")).unwrap().permissions().mode();
        assert_eq!(made & 0o777, mode, "{mode:o}");
    }
}

/// Without its list a store has no HEAD either, which helps nobody; the command to look with does.
#[test]
fn verify_says_how_to_get_a_list_back() {
    let store = store(reftable::HashKind::Sha1);
    for is_empty in [true, false] {
        let list = store.path().join("tables.list");
        if is_empty {
            fs::write(&list, "").unwrap()
        } else {
            fs::remove_file(&list).unwrap()
        }
        let report = verify_repository(&*brisk(store.path())).unwrap();
        let errors: Vec<_> = report.findings.iter().filter(|found| found.severity == Severity::Error).collect();
        let [error] = errors[..] else { panic!("{report:?}") };
        let command = format!("`reftable -C {} repair --dry-run`", store.path().display());
        assert!(error.message.contains(&command), "{error}");
    }
}
