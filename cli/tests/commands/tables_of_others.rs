//! All commands on tables as git or JGit may write them, in which blocks, padding and indexes lie
//! otherwise than in ours.

#[path = "../../../tests/support/foreign.rs"]
mod foreign;

use std::fs;

use crate::support::{Repo, for_each_hash};
use foreign::{Index, LogRow, RefRow, Restarts, Style};
use reftable::{HashKind, Ident, LogEntry, ObjectId, Target};

const REFS: u64 = 900;
const LOGS: u64 = 150;

/// JGit's layout: one level of index, which is longer than a block, and padding after it.
fn long_index(hash: HashKind) -> Style {
    Style {
        hash,
        version: if hash == HashKind::Sha1 { 1 } else { 2 },
        block_size: 512,
        fill: 512,
        log_fill: 1024,
        aligned: true,
        pads_from_file: true,
        pads_before_logs: true,
        pads_the_end: false,
        restarts: Restarts::Every(16),
        ref_index: Index::Single,
        obj_index: Index::Single,
        log_index: Index::Single,
        id_len: Some(2),
        most_positions: 1000,
        logs_apart: true,
        deflate: 6,
    }
}

fn id(hash: HashKind, number: u64) -> ObjectId {
    let bytes: Vec<u8> = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().repeat(4);
    ObjectId::from_bytes(&bytes[..hash.len()]).unwrap()
}

fn refs(hash: HashKind, count: u64) -> Vec<RefRow> {
    let head = ("HEAD".to_owned(), 1, Some(Target::symbolic("refs/heads/00001")));
    let others =
        (0..count).map(|number| (format!("refs/heads/{number:05}"), 1, Some(Target::Id(id(hash, 1 + number)))));
    [head].into_iter().chain(others).collect()
}

fn logs(hash: HashKind, count: u64) -> Vec<LogRow> {
    let committer = Ident { time_zone: 130, ..Ident::new("A U Thor", "author@example.com", 1_700_000_000) };
    let entry = |number| LogEntry {
        old: ObjectId::null(hash),
        new: id(hash, 1 + number),
        committer: committer.clone(),
        message: format!("message {number}\n").into_bytes(),
    };
    (0..count).map(|number| (format!("refs/heads/{number:05}"), 2, Some(entry(number)))).collect()
}

/// The store has these tables and no others.
fn put(repo: &Repo, tables: &[Vec<u8>]) {
    let store = repo.store();
    for entry in fs::read_dir(&store).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let mut list = String::new();
    for (number, table) in (1..).zip(tables) {
        let name = format!("0x{number:012x}-0x{number:012x}-{number:08x}.ref");
        fs::write(store.join(&name), table).unwrap();
        list += &format!("{name}\n");
    }
    fs::write(store.join("tables.list"), list).unwrap();
}

fn tried(repo: &Repo, style: &Style) {
    let hash = style.hash;
    // Logs of their own, which begin after the header.
    let (refs, logs) = (refs(hash, REFS), logs(hash, LOGS));
    put(repo, &[style.table(1..=1, &refs, &[]), style.table(2..=2, &[], &logs)]);

    let listed = repo.ours(["list"]);
    assert_eq!(listed.lines().count() as u64, REFS + 1);
    assert!(repo.ours(["get", "refs/heads/00700"]).contains(&id(hash, 701).to_string()));
    let logged = repo.ours(["log", "refs/heads/00149"]);
    assert!(logged.contains("message 149"), "{logged}");
    let report = &repo.run(["verify", "--json"]).json();
    let is_bad = |line: &serde_json::Value| line.get("severity").is_some_and(|severity| severity != "note");
    assert!(!report.iter().any(is_bad), "{report:?}");

    let dump = repo.run(["dump", ".git/reftable", "--json"]).json();
    let records =
        |kind: &str| dump.iter().filter(|line| line["type"] == "record" && line["kind"] == kind).count() as u64;
    assert_eq!((records("ref"), records("log")), (REFS + 1, LOGS));
    let logs_at = dump.iter().find(|line| line["type"] == "block" && line["kind"] == "log").unwrap()["offset"].as_u64();
    let header = if style.version == 1 { 24 } else { 28 };
    assert_eq!(logs_at, Some(if style.logs_apart { header } else { 0 }));
    assert!(repo.ours(["dump", "."]).contains("footer: "));
    repo.ours(["stats"]);
    repo.run(["stats", "--json"]).json();
    assert!(repo.ours(["repair", "--dry-run"]).contains("nothing to mend"));

    for way in ["--all", "--rewrite"] {
        repo.ours(["compact", way]);
        assert_eq!(repo.ours(["list"]), listed);
        assert_eq!(repo.ours(["log", "refs/heads/00149"]), logged);
        repo.ours(["verify"]);
    }
}

#[test]
fn every_command_works_on_them() {
    for_each_hash(|repo| {
        let hash = if repo.hash == "sha1" { HashKind::Sha1 } else { HashKind::Sha256 };
        let style = long_index(hash);
        tried(repo, &style);
        tried(repo, &Style { version: 2, logs_apart: false, pads_from_file: false, ..style.clone() });
        tried(repo, &Style { aligned: false, block_size: 0, ref_index: Index::Levels(3), ..style.clone() });
        tried(repo, &Style { restarts: Restarts::First, most_positions: 0, log_fill: 9000, ..style });
    });
}
