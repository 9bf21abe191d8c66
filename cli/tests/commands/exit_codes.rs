//! Exit codes and messages.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::for_each_hash;

#[test]
fn usage_is_2_and_for_words_of_git_129() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        for args in [
            vec!["bogus"],
            vec!["get"],
            vec!["get", "bad..name"],
            vec!["compact", "--expire-logs", "soon"],
            vec!["log", "HEAD", "-n", "-1"],
        ] {
            repo.run(args).failed(2);
        }
        for args in [
            vec!["update", "--bogus", "refs/heads/x", &id],
            vec!["update", "--timeout", "-2", "refs/heads/x", &id],
            vec!["update", "--wait", "soon", "refs/heads/x", &id],
            vec!["update", "refs/heads/x"],
            vec!["update-ref", "refs/heads/x", &id, &id, &id],
            vec!["update-ref", "-z", "refs/heads/x", &id],
            vec!["update-ref", "--stdin", "refs/heads/x"],
            vec!["create", "refs/heads/x"],
            vec!["delete"],
            vec!["symbolic-ref", "HEAD", "refs/heads/x", "refs/heads/y"],
            vec!["reflog", "exists"],
            vec!["refs", "bogus"],
        ] {
            repo.run(args).failed(129);
        }
    });
}

#[test]
fn what_is_fatal_for_git_is_128() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        let foreign = "a".repeat(if id.len() == 40 { 64 } else { 40 });
        let missing = "a".repeat(id.len());
        for args in [
            vec!["update", "refs/heads/x", "abc"],
            vec!["update", "refs/heads/x", &foreign],
            vec!["update", "refs/heads/x", &id, &foreign],
            vec!["delete", "refs/heads/x", "xyz"],
            vec!["delete", "refs/heads/x", &repo.zero()],
            vec!["create", "refs/heads/x", &repo.zero()],
            vec!["list", "--points-at", &foreign],
            vec!["update", "-m", "", "refs/heads/main", &id],
            vec!["update-ref", "refs/heads/main", &id, &missing],
            vec!["update-ref", "refs/heads/x", &missing],
            vec!["update-ref", "--batch-updates", "refs/heads/x", &id],
            vec!["symbolic-ref", "refs/heads/main"],
            vec!["symbolic-ref", "HEAD", "elsewhere"],
        ] {
            repo.run(args).failed(128);
        }
    });
}

#[test]
fn what_git_does_not_call_fatal_is_1_and_exists_knows_2() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        let missing = "a".repeat(id.len());
        for args in [
            vec!["update", "refs/heads/main", &id, &missing],
            vec!["update", "refs/heads/x", &missing],
            vec!["create", "refs/heads/main", &id],
            vec!["delete", "refs/heads/main", &missing],
            vec!["update-ref", "-d", "refs/heads/main", &missing],
        ] {
            assert!(repo.run(args).failed(1).starts_with("error: "));
        }
        for (args, code) in [
            (vec!["symbolic-ref", "-q", "refs/heads/main"], 1),
            (vec!["symbolic-ref", "-q", "refs/heads/none"], 1),
            (vec!["reflog", "list", "main"], 255),
            (vec!["reflog", "delete"], 255),
            (vec!["reflog", "delete", "main"], 255),
            (vec!["reflog", "delete", "none@{0}"], 255),
            (vec!["reflog", "delete", "@{0}"], 255),
            (vec!["reflog", "expire", "none"], 255),
            (vec!["reflog", "drop", "none"], 255),
            (vec!["reflog", "exists", "refs/heads/none"], 1),
            (vec!["show-ref", "none"], 1),
            (vec!["exists", "refs/heads/none"], 2),
            (vec!["show-ref", "--exists", "refs/heads/none"], 2),
            (vec!["exists", "refs/heads/main"], 0),
            (vec!["refs", "exists", "HEAD"], 0),
        ] {
            assert_eq!(repo.run(&args).code, Some(code), "{args:?}");
        }
    });
}

/// git's commands end so, or with 250 and some, for any reason that is the store's.
#[test]
fn commands_for_logs_and_tables_exit_with_255_if_the_store_does_not_let_them() {
    for_each_hash(|repo| {
        repo.commit("one");
        let lock = repo.store().join("tables.list.lock");
        let words = [
            vec!["pack-refs", "--all"],
            vec!["refs", "optimize"],
            vec!["reflog", "delete", "HEAD@{0}"],
            vec!["reflog", "expire", "--expire=all", "--all"],
            vec!["reflog", "drop", "HEAD"],
        ];
        fs::write(&lock, "").unwrap();
        for words in &words {
            let error = repo.run(words.iter().chain(&["--wait", "0"])).failed(255);
            assert!(error.starts_with("error: ") && error.contains("tables.list.lock"), "{words:?}: {error}");
        }
        fs::remove_file(&lock).unwrap();
        fs::write(repo.store().join("tables.list"), "none").unwrap();
        for words in words.iter().chain(&[vec!["reflog", "list"]]) {
            assert!(repo.run(words).failed(255).starts_with("error: "), "{words:?}");
        }
    });
}

/// Our own words say which kind of thing has happened; git's have one code for most of them.
#[test]
fn errors_are_objects_for_programs() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        let missing = "a".repeat(id.len());
        let error = |args: &[&str], code: i32| {
            let run = repo.run(args);
            assert_eq!((run.code, run.out.as_str()), (Some(code), ""), "{args:?}: {}", run.err);
            let error: serde_json::Value = serde_json::from_str(&run.err).unwrap();
            assert_eq!(error["type"], "error", "{error}");
            error
        };
        assert_eq!(error(&["--json", "get", "refs/heads/none"], 1)["kind"], "missing");
        assert_eq!(error(&["get", "--json"], 2)["kind"], "usage");
        assert_eq!(error(&["update", "--json", "refs/heads/x"], 129)["kind"], "usage");
        let refused = error(&["update", "--json", "refs/heads/main", &id, &missing], 1);
        assert_eq!(
            (&refused["kind"], &refused["conflicts"][0]["name"]),
            (&"conflict".into(), &"refs/heads/main".into())
        );
        let lock = repo.store().join("tables.list.lock");
        fs::write(&lock, "").unwrap();
        assert_eq!(error(&["compact", "--json", "--all", "--wait", "0.01"], 5)["kind"], "locked");
        assert_eq!(error(&["update", "--json", "--wait", "0", "refs/heads/x", &id], 1)["kind"], "locked");
    });
}

#[test]
fn a_lock_held_by_others_is_named() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        let lock = repo.store().join("tables.list.lock");
        fs::write(&lock, "").unwrap();
        let error = repo.run(["update", "--timeout", "10", "refs/heads/x", &id]).failed(1);
        assert!(error.contains("tables.list.lock"), "{error}");
        repo.run(["compact", "--all", "--wait", "0"]).failed(5);
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
        repo.run(["list"]).failed(128);
        repo.run(["get", "HEAD"]).failed(3);
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
            for args in [&["get", "HEAD"][..], &["log", "HEAD"], &["stats"]] {
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
        repo.run(["update", "refs/heads/x", &foreign]).failed(128);
        assert_eq!(fs::read(&list).unwrap(), b"");
        // No id says anything here.
        repo.ours(["symbolic-ref", "HEAD", "refs/heads/main"]);
        repo.run(["update", "refs/heads/main", &foreign]).failed(128);
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
        let unlisted = "0x000000000001-0x000000000001-12345678.ref";
        fs::copy(store.join(table), store.join(unlisted)).unwrap();
        let verified = repo.run(["verify"]);
        assert_eq!(verified.code, Some(1), "{}", verified.out);
        assert!(verified.out.contains(&format!("warning: {unlisted}: ")), "{}", verified.out);
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

/// `dump` reads the list itself when a store cannot be opened, and waited there for a process that
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
