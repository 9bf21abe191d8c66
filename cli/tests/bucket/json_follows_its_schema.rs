//! Whatever is printed with `--json` about a store in a bucket is in `docs/cli.schema.json`.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::schema::{OF_BUCKETS, problem, schema};
use crate::server::{Mood, Server};
use crate::{A, B, command, ok};

/// The objects that a run prints, each of which must follow the schema.
fn objects(server: &Server, words: &[&str], input: &str) -> Vec<Value> {
    let mut command = command(server, "s3://bucket/repos/42", &[words, &["--json"]].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let object = |line: &str| {
        let object: Value = serde_json::from_str(line).unwrap();
        assert_eq!(problem(&schema(), &object), None, "{words:?}: {line}");
        object
    };
    text.lines().map(object).collect()
}

#[test]
fn of_every_command() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    let mut seen = BTreeSet::new();
    let mut see = |words: &[&str], input: &str, kinds: &[&str]| {
        let objects = objects(&server, words, input);
        let found: BTreeSet<&str> = objects.iter().map(|object| object["type"].as_str().unwrap()).collect();
        assert_eq!(found, BTreeSet::from_iter(kinds.iter().copied()), "{words:?}");
        seen.extend(found.into_iter().map(str::to_owned));
        objects
    };
    see(&["update", "refs/heads/main", A], "", &[]);
    see(&["update", "--stdin"], &format!("start\nupdate refs/heads/main {B} {A}\ncommit\n"), &["done"]);
    see(&["list"], "", &["reference"]);
    see(&["get", "refs/heads/main"], "", &["reference"]);
    see(&["log", "refs/heads/main"], "", &["log_entry"]);
    let stats = see(&["stats"], "", &["table", "store"]);
    assert_eq!(stats[0]["inline"], true);
    let merged = see(&["compact", "--all"], "", &["compaction"]);
    let tables = stats.iter().filter(|object| object["type"] == "table").count();
    assert_eq!(merged[0]["merged"].as_array().unwrap().len(), if tables > 1 { tables } else { 0 });
    see(&["verify"], "", &["summary"]);
    server.set("repos/42/0x000000000001-0x000000000001-00000001.ref", "x");
    let cleaned = see(&["clean", "--dry-run"], "", &["cleaning"]);
    assert_eq!(cleaned[0]["dry_run"], true);
    see(&["clean"], "", &["cleaning"]);
    see(&["probe"], "", &["probe"]);
    let exported = see(&["export", first.to_str().unwrap()], "", &["export"]);
    assert_eq!(exported[0]["from"], "s3://bucket/repos/42");
    assert_eq!(exported[0]["to"], first.to_str().unwrap());
    // What is not as it should be.
    see(&["export", first.to_str().unwrap()], "", &["error"]);
    see(&["import", first.to_str().unwrap()], "", &["error"]);
    see(&["update", "refs/heads/main", A, A], "", &["error"]);
    see(&["update"], "", &["error"]);
    see(&["repair"], "", &["error"]);
    server.set("repos/42/root", "damaged");
    for words in [&["verify"][..], &["stats"], &["list"], &["compact"], &["export", second.to_str().unwrap()]] {
        assert_eq!(see(words, "", &["error"])[0]["kind"], "broken");
    }
    server.set_mood(Mood::ChecksThenWrites);
    assert_eq!(see(&["probe"], "", &["error"])[0]["kind"], "broken");
    server.set_mood(Mood::Good);
    server.remove("repos/42/root");
    std::fs::create_dir(dir.path().join("copy")).unwrap();
    std::fs::rename(&first, dir.path().join("copy/reftable")).unwrap();
    let copy = dir.path().join("copy/reftable");
    see(&["import", copy.to_str().unwrap()], "", &["import"]);
    assert_eq!(ok(&server, &["list"]), format!("{B} refs/heads/main\n"));
    assert!(OF_BUCKETS.iter().all(|kind| seen.contains(*kind)), "{seen:?}");
}
