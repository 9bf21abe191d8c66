//! The command line with a store in a bucket: a server of S3's dialect in this process.

#![cfg(all(test, feature = "object-store"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "../../../bucket/tests/client/server.rs"]
mod server;

#[path = "../commands/schema.rs"]
mod schema;

mod committer;
mod copies;
mod json_follows_its_schema;
mod troubles;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use server::{Mood, Server};

const A: &str = "2e6f9b0d5885b6010f9167787445617f553a735f";
const B: &str = "3e6f9b0d5885b6010f9167787445617f553a735f";

fn command(server: &Server, address: &str, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reftable"));
    command.args(["-C", address]).args(words).env("AWS_ENDPOINT_URL", server.endpoint());
    command.env("AWS_ACCESS_KEY_ID", "AKSECRET").env("AWS_SECRET_ACCESS_KEY", "SKSECRET").env("AWS_REGION", "x");
    // Nobody's configuration counts.
    command.env("HOME", "/nonexistent").env("GIT_CONFIG_NOSYSTEM", "1").env_remove("XDG_CONFIG_HOME");
    command.env("GIT_COMMITTER_NAME", "C").env("GIT_COMMITTER_EMAIL", "c@x").env("GIT_COMMITTER_DATE", "1 +0000");
    command
}

fn run(server: &Server, words: &[&str]) -> Output {
    command(server, "s3://bucket/repos/42", words).output().unwrap()
}

/// Standard output of a run that succeeds.
fn ok(server: &Server, words: &[&str]) -> String {
    let output = run(server, words);
    let (code, error) = (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned());
    assert_eq!((code, error.as_str()), (Some(0), ""), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and standard error of one that does not.
fn fails(server: &Server, words: &[&str]) -> (i32, String) {
    let output = run(server, words);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("reftable: ") && !text.contains("SECRET"), "{words:?}: {text}");
    (output.status.code().unwrap(), text)
}

fn ok_with_input(server: &Server, words: &[&str], input: &str) -> String {
    let mut command = command(server, "s3://bucket/repos/42", words);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn references_are_changed_and_read() {
    let server = Server::start();
    ok(&server, &["update", "-m", "first", "refs/heads/main", A, ""]);
    let input = format!("symref-create HEAD refs/heads/main\ncreate refs/tags/v1 {A}\n");
    ok_with_input(&server, &["update", "--stdin"], &input);
    let input = format!("start\nupdate HEAD {B} {A}\ncommit\nstart\ndelete refs/tags/v1\nabort\n");
    let told = ok_with_input(&server, &["update", "--stdin", "-m", "second"], &input);
    assert_eq!(told, "start: ok\ncommit: ok\nstart: ok\nabort: ok\n");
    assert_eq!(ok(&server, &["list"]), format!("ref: refs/heads/main HEAD\n{B} refs/heads/main\n{A} refs/tags/v1\n"));
    assert_eq!(ok(&server, &["get", "HEAD"]), format!("{B}\n"));
    assert_eq!(ok(&server, &["log", "HEAD", "-n", "1"]), format!("{A} {B} C <c@x> 1 +0000\tsecond\n"));
    ok(&server, &["update", "refs/tags/v1", &"0".repeat(40)]);
    assert_eq!(ok(&server, &["list", "--prefix", "refs/tags/"]), "");
    assert!(ok(&server, &["verify"]).contains("0 errors, 0 warnings"));
    assert!(ok(&server, &["stats"]).contains("in the root"));
    assert_eq!(server.keys(), ["repos/42/root"]);
}

#[test]
fn what_does_not_fit_is_a_conflict_and_changes_nothing() {
    let server = Server::start();
    ok(&server, &["update", "refs/heads/main", A]);
    let before = server.get("repos/42/root");
    let (code, text) = fails(&server, &["update", "refs/heads/main", B, B]);
    assert_eq!(code, 4);
    assert!(text.contains(&format!("'refs/heads/main' is at {A}, expected {B}")), "{text}");
    assert_eq!(fails(&server, &["update", "refs/heads/main/x", B]).0, 4);
    assert_eq!(fails(&server, &["update", "refs/heads/y", &"a".repeat(64)]).0, 2);
    assert_eq!(fails(&server, &["get", "refs/heads/none"]).0, 1);
    let words = ["--json", "update", "refs/heads/main", B, B];
    let output = run(&server, &words);
    assert!(String::from_utf8(output.stderr).unwrap().contains("\"kind\":\"conflict\",\"message\""));
    assert_eq!(server.get("repos/42/root"), before);
}

#[test]
fn damages_are_told_with_object_and_offset_and_nothing_is_overwritten() {
    let server = Server::start();
    ok(&server, &["update", "refs/heads/main", A]);
    let whole = server.get("repos/42/root").unwrap();
    let other = ["reftable root 9\n".as_bytes(), &whole[16..]].concat();
    for (root, text) in [
        (&whole[..whole.len() - 3], "repos/42/root: the root is cut off"),
        (b"PK\x03\x04 something else", "repos/42/root: this is not the root of a reference store at offset 0"),
        (&other, "version '9'"),
    ] {
        server.set("repos/42/root", root);
        for words in [&["list"][..], &["verify"], &["update", "refs/heads/main", B], &["compact"], &["clean"]] {
            let (code, told) = fails(&server, words);
            assert!(code == 3 && told.contains(text), "{words:?}: {told}");
        }
        assert_eq!(server.get("repos/42/root").as_deref(), Some(root));
    }
}

#[test]
fn places_and_commands_that_cannot_be() {
    let server = Server::start();
    for address in ["s3://bucket", "s3://bucket/", "gs://bucket/x", "s3://bucket/a/../b", "s3://", "file:///srv/x"] {
        let output = command(&server, address, &["list"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{address}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(fails(&server, &["repair"]).0, 2);
    assert_eq!(fails(&server, &["compact", "--rewrite"]).0, 2);
    assert_eq!(server.taken(), Vec::<String>::new(), "nothing was sent");
    let dir = tempfile::tempdir().unwrap();
    let path: &Path = dir.path();
    std::fs::create_dir(path.join("reftable")).unwrap();
    let output = command(&server, path.join("reftable").to_str().unwrap(), &["probe"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_bucket_that_is_fit_is_told_from_one_that_is_not() {
    let server = Server::start();
    assert_eq!(ok(&server, &["probe"]), "s3://bucket: fit for stores\n");
    server.set_mood(Mood::ChecksThenWrites);
    let (code, told) = fails(&server, &["probe"]);
    assert!(code == 3 && told.contains("cannot be used"), "{told}");
}
