//! Whatever is printed with `--json` is in `docs/cli.schema.json`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::schema::{OF_BUCKETS, problem, schema};
use crate::support::{Repo, for_each_hash};

fn check(repo: &Repo, seen: &mut BTreeSet<String>, args: &[&str], input: &[u8]) {
    let schema = schema();
    let run = repo.run_with(["--json"].iter().chain(args), input);
    for line in run.out.lines().chain(run.err.lines()) {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{args:?}: {line}"));
        assert_eq!(problem(&schema, &object), None, "{args:?}: {line}");
        for conflict in object["conflicts"].as_array().into_iter().flatten() {
            assert_eq!(problem(&schema, conflict), None, "{line}");
            seen.insert(conflict["type"].as_str().unwrap().to_owned());
        }
        if object["type"] == "error" {
            seen.insert(format!("error: {}", object["kind"].as_str().unwrap()));
        }
        seen.insert(object["type"].as_str().unwrap().to_owned());
    }
}

/// Cuts the newest table off.
fn damage_newest(repo: &Repo) {
    let list = std::fs::read_to_string(repo.store().join("tables.list")).unwrap();
    let table = repo.store().join(list.lines().last().unwrap());
    let bytes = std::fs::read(&table).unwrap();
    std::fs::remove_file(&table).unwrap();
    std::fs::write(&table, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn of_every_command() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        repo.git(["tag", "-a", "-m", "annotated", "v1"]);
        let (mut seen, missing) = (BTreeSet::new(), "1".repeat(id.len()));
        for args in [
            &["list"][..],
            &["get", "HEAD"],
            &["get", "--no-deref", "HEAD"],
            &["head"],
            &["symbolic-ref", "HEAD"],
            &["show-ref", "-d"],
            &["reflog", "list"],
            &["log", "HEAD"],
            &["stats"],
            &["dump", "."],
            &["compact", "--all"],
            &["compact"],
            &["repair", "--dry-run"],
            &["refs", "list"],
            &["refs", "verify", "--strict", "--verbose"],
            &["show-ref", "--abbrev", "--hash=4"],
            &["reflog", "expire", "--dry-run", "--verbose", "--all"],
            &["reflog", "delete", "--dry-run", "main@{0}"],
            &["get", "refs/heads/none"],
            &["exists", "refs/heads/none"],
            &["refs", "rename", "refs/heads/none", "refs/heads/x"],
            &["refs", "migrate", "--ref-format=files"],
            &["reflog", "show"],
            &["reflog", "drop", "none"],
            &["reflog", "delete", "none@{0}"],
            &["reflog", "expire", "none"],
            &["create", "refs/heads/main", &id],
            &["delete", "refs/heads/main", &missing],
            &["update-ref", "refs/heads/x", &missing],
            &["symbolic-ref", "refs/heads/main"],
            &["list", "--format=%(subject)"],
            &["log", "refs/heads/none"],
            &["frobnicate"],
            &["update", "refs/heads/main", &id, &missing],
            &["update", "refs/heads/main/below", &id],
            &["update"],
        ] {
            check(repo, &mut seen, args, b"");
        }
        let batch = format!("start\nupdate refs/heads/main {id} {missing}\ncommit\n");
        check(repo, &mut seen, &["update", "--stdin", "--batch-updates"], batch.as_bytes());
        let zeroed = format!("update refs/heads/gone\0\0{}\0", "0".repeat(id.len()));
        check(repo, &mut seen, &["update", "--stdin", "-z"], zeroed.as_bytes());
        check(repo, &mut seen, &["show-ref", "--exclude-existing"], b"refs/heads/gone\nbad..name/x\n");
        std::fs::write(repo.store().join("tables.list.lock"), "").unwrap();
        check(repo, &mut seen, &["repair", "--dry-run"], b"");
        check(repo, &mut seen, &["compact", "--all", "--wait", "0"], b"");
        check(repo, &mut seen, &["pack-refs", "--wait", "0"], b"");
        std::fs::remove_file(repo.store().join("tables.list.lock")).unwrap();
        repo.git(["symbolic-ref", "HEAD", "refs/tags/v1"]);
        check(repo, &mut seen, &["verify"], b"");
        check(repo, &mut seen, &["repair"], b"");
        std::fs::remove_file(repo.store().join("tables.list")).unwrap();
        check(repo, &mut seen, &["get", "HEAD"], b"");
        check(repo, &mut seen, &["repair"], b"y\n");
        assert!(!repo.store().join("tables.list").exists(), "mended, and nobody was asked");
        check(repo, &mut seen, &["repair", "--yes"], b"");
        damage_newest(repo);
        check(repo, &mut seen, &["dump", "."], b"");
        check(repo, &mut seen, &["repair"], b"y\n");
        let schema = schema();
        let mut known: BTreeSet<String> = schema["$defs"].as_object().unwrap().keys().cloned().collect();
        let kinds = schema["$defs"]["error"]["properties"]["kind"]["enum"].as_array().unwrap();
        known.extend(kinds.iter().map(|kind| format!("error: {}", kind.as_str().unwrap())));
        // That takes a signal at the right moment: see interrupt.rs.
        known.remove("error: interrupted");
        seen.extend(OF_BUCKETS.map(str::to_owned));
        assert_eq!(seen, known);
    });
}

/// The test above would notice.
#[test]
fn what_is_not_in_the_schema_is_noticed() {
    let schema = schema();
    for (text, is_right) in [
        (r#"{"type":"done","command":"start"}"#, true),
        (r#"{"type":"done"}"#, false),
        (r#"{"type":"done","command":1}"#, false),
        (r#"{"type":"done","command":"start","more":true}"#, false),
        (r#"{"type":"none"}"#, false),
        (r#"{"command":"start"}"#, false),
        (r#"{"type":"error","kind":"locked","message":""}"#, true),
        (r#"{"type":"error","kind":"failed","message":""}"#, false),
    ] {
        assert_eq!(problem(&schema, &serde_json::from_str(text).unwrap()).is_none(), is_right, "{text}");
    }
}
