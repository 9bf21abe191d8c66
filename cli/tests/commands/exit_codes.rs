//! Exit codes and messages.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::for_each_hash;

#[test]
fn usage_is_2() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        let foreign = "a".repeat(if id.len() == 40 { 64 } else { 40 });
        for args in [
            vec!["bogus"],
            vec!["get"],
            vec!["get", "bad..name"],
            vec!["update", "refs/heads/x", "abc"],
            vec!["update", "refs/heads/x", &foreign],
            vec!["update", "refs/heads/x", &id, &foreign],
            vec!["update", "refs/heads/x", &id, "--peeled", &foreign],
            vec!["update", "--timeout", "-2", "refs/heads/x", &id],
            vec!["delete", "refs/heads/x", "xyz"],
            vec!["list", "--points-at", &foreign],
            vec!["compact", "--expire-logs", "soon"],
            vec!["log", "HEAD", "-n", "-1"],
        ] {
            repo.run(args).failed(2);
        }
    });
}

#[test]
fn a_lock_held_by_others_is_1_and_names_the_file() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        let lock = repo.store().join("tables.list.lock");
        fs::write(&lock, "").unwrap();
        let error = repo.run(["update", "--timeout", "10", "refs/heads/x", &id]).failed(1);
        assert!(error.contains("tables.list.lock"), "{error}");
        fs::remove_file(&lock).unwrap();
        for durability in ["full", "ordered", "off"] {
            repo.ours(["update", "--timeout", "-1", "--durability", durability, "refs/heads/x", &id]);
        }
    });
}

#[test]
fn a_damaged_store_is_3() {
    for_each_hash(|repo| {
        repo.commit("one");
        let store = repo.store();
        let list = fs::read_to_string(store.join("tables.list")).unwrap();
        let table = store.join(list.lines().next().unwrap());
        let mut bytes = fs::read(&table).unwrap();
        let end = bytes.len() - 1;
        bytes[end] ^= 1;
        fs::write(&table, bytes).unwrap();
        repo.run(["list"]).failed(3);
        repo.run(["dump", "."]).failed(3);
        let verified = repo.run(["verify"]);
        assert_eq!(verified.code, Some(3));
        assert!(verified.out.starts_with("error: ") && verified.out.contains("checksum"), "{}", verified.out);
        assert!(verified.out.ends_with(": 1 errors, 0 warnings, 0 notes\n"), "{}", verified.out);
        let json = repo.run(["verify", "--json"]);
        assert_eq!(json.code, Some(3));
        assert!(json.out.starts_with("{\"type\":\"finding\","), "{}", json.out);
        assert!(json.out.contains("\"severity\":\"error\""), "{}", json.out);
        assert!(json.out.contains("\"kind\":\"unreadable\""), "{}", json.out);
    });
}

/// Everything else than the first commit of a git that is alive is damage, and a prompt must not
/// wait for it.
#[test]
fn what_is_missing_is_reported_soon_with_the_command_that_helps() {
    for_each_hash(|repo| {
        repo.commit("one");
        let store = repo.store();
        let list = fs::read(store.join("tables.list")).unwrap();
        let table = String::from_utf8(list.clone()).unwrap().lines().next().unwrap().to_owned();
        for missing in ["tables.list", &table] {
            fs::rename(store.join(missing), store.join("away")).unwrap();
            for args in [&["list"][..], &["get", "HEAD"], &["log", "HEAD"], &["stats"]] {
                let begin = Instant::now();
                let error = repo.run(args).failed(3);
                let took = begin.elapsed();
                assert!(took < Duration::from_millis(1500), "{args:?} took {took:?}");
                let command = format!("reftable -C {} repair --dry-run", store.display());
                assert!(error.contains(missing) && error.contains(&command), "{error}");
            }
            let begin = Instant::now();
            assert_eq!(repo.run(["verify"]).code, Some(3));
            // With half a second for files that nothing leads to, if there is a list.
            let took = begin.elapsed();
            assert!(took < Duration::from_millis(900), "verify took {took:?}");
            fs::rename(store.join("away"), store.join(missing)).unwrap();
        }
        repo.ours(["list"]);
    });
}

/// A list without tables, which git leaves where it has merged tables with nothing left in them,
/// does not say which ids belong there: the repository does.
#[test]
fn a_store_without_tables_takes_the_ids_of_its_repository() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        let foreign = "a".repeat(if id.len() == 40 { 64 } else { 40 });
        let list = repo.store().join("tables.list");
        for table in fs::read_to_string(&list).unwrap().lines() {
            fs::remove_file(repo.store().join(table)).unwrap();
        }
        fs::write(&list, "").unwrap();
        repo.run(["update", "refs/heads/x", &foreign]).failed(2);
        assert_eq!(fs::read(&list).unwrap(), b"");
        // No id says anything here.
        repo.ours(["symbolic-ref", "HEAD", "refs/heads/main"]);
        repo.run(["update", "refs/heads/main", &foreign]).failed(2);
        repo.ours(["update", "refs/heads/main", &id]);
        assert_eq!(repo.git(["rev-parse", "HEAD"]).trim(), id);
    });
}

#[test]
fn a_head_that_is_no_branch_is_3() {
    for_each_hash(|repo| {
        repo.commit("one");
        repo.git(["symbolic-ref", "HEAD", "refs/tags/v1"]);
        let verified = repo.run(["verify"]);
        assert_eq!(verified.code, Some(3), "{}", verified.out);
        assert!(verified.out.contains("'HEAD' leads to something that is not a branch"), "{}", verified.out);
        let json = repo.run(["verify", "--json"]).out;
        assert!(json.contains("\"name\":\"HEAD\""), "{json}");
        // A store alone need not have one.
        let (alone, list) = (repo.top().join("alone"), "tables.list");
        fs::create_dir(&alone).unwrap();
        fs::write(alone.join(list), "").unwrap();
        repo.ours(["-C", alone.to_str().unwrap(), "verify"]);
    });
}

#[test]
fn a_store_that_is_only_unusual_is_0() {
    for_each_hash(|repo| {
        repo.commit("one");
        let (store, list) = (repo.store(), repo.store().join("tables.list"));
        let names = fs::read_to_string(&list).unwrap();
        let mut renamed = String::new();
        for (number, name) in names.lines().enumerate() {
            fs::rename(store.join(name), store.join(format!("{number}.ref"))).unwrap();
            renamed += &format!("{number}.ref\n");
        }
        fs::write(list, renamed).unwrap();
        let verified = repo.run(["verify"]);
        assert_eq!(verified.code, Some(0), "{}", verified.out);
        assert!(verified.out.starts_with("note: 0.ref: the file name"), "{}", verified.out);
        let summary = repo.run(["verify", "--json"]).json().pop().unwrap();
        assert_eq!((&summary["errors"], &summary["warnings"]), (&0.into(), &0.into()));
        assert_eq!(summary["notes"], summary["findings"]);
    });
}

#[test]
fn a_warning_of_verify_is_1() {
    for_each_hash(|repo| {
        repo.commit("one");
        let (store, list) = (repo.store(), repo.store().join("tables.list"));
        let names = fs::read_to_string(&list).unwrap();
        let table = names.lines().last().unwrap();
        fs::copy(store.join(table), store.join("again.ref")).unwrap();
        fs::write(list, format!("{names}again.ref\n")).unwrap();
        let verified = repo.run(["verify"]);
        assert_eq!(verified.code, Some(1), "{}", verified.out);
        assert!(verified.out.contains("warning: again.ref: at offset 8: begins with"), "{}", verified.out);
        let json = repo.run(["verify", "--json"]).out;
        assert!(json.contains("\"severity\":\"warning\""), "{json}");
    });
}

#[test]
fn help_of_every_subcommand_has_examples() {
    for_each_hash(|repo| {
        for command in ["list", "get", "log", "update", "delete", "symbolic-ref", "compact", "verify", "dump", "stats"]
        {
            let help = repo.ours([command, "--help"]);
            assert!(help.contains("Examples:\n  reftable ") || help.contains("Examples:\n  printf"), "{help}");
        }
        assert!(repo.ours(["--version"]).starts_with("reftable "));
    });
}

/// `dump` reads the list itself when a store cannot be opened, and waited there for somebody who
/// writes to the pipe.
#[test]
fn dump_does_not_wait_at_a_pipe() {
    for_each_hash(|repo| {
        let list = repo.store().join("tables.list");
        fs::remove_file(&list).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&list).status().unwrap().success());
        for path in [repo.store(), list] {
            let error = repo.run(["dump", path.to_str().unwrap()]).failed(3);
            assert!(error.contains("this is a pipe"), "{error}");
        }
    });
}
