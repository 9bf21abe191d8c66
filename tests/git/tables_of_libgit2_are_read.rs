//! libgit2's C library rewrites a reflog into a table whose update indexes run backwards, from
//! 2^64 - 1 to one after the newest entry of that log, which may lie below those of other tables.
//! git reads such tables, and commits upon them; then so do we. `verify` tells, our commits go on
//! from the largest update index of all, and merging everything mends the store.

use std::fs;

use crate::support::git::{self, Repo};
use crate::support::{HASHES, assert_verifies, ident, quick};
use reftable::compact::Compact;
use reftable::repair::Repair;
use reftable::table::LogRecordView;
use reftable::table::{TableWriter, WriteOptions};
use reftable::verify::Severity;
use reftable::{AutoCompact, Expect, HashKind, LogEntry, ObjectId, Stack};

const REWRITTEN: &str = "refs/heads/rewritten";

/// A repository whose references were all updated by git, `REWRITTEN` before the others; in one
/// table, or many upon a big one.
fn repository(hash: HashKind, tags: usize, packed: bool) -> (Repo, Vec<String>) {
    let repo = Repo::with(hash, &[], false);
    let ids = repo.commits(6);
    let big: String = (0..tags).map(|number| format!("create refs/tags/{number:04} {}\n", ids[0])).collect();
    repo.feed(["update-ref", "--stdin"], big.as_bytes());
    repo.git(["pack-refs"]);
    for id in &ids[..2] {
        repo.git(["update-ref", "-m", "before", "--create-reflog", REWRITTEN, id]);
    }
    for id in &ids {
        repo.git(["update-ref", "-m", "later", "--create-reflog", "refs/heads/main", id]);
    }
    if packed {
        repo.git(["pack-refs"]);
    }
    (repo, ids)
}

/// Replaces a reflog by three entries, as libgit2 does. Returns the largest update index of the
/// table.
fn rewrite(repo: &Repo, hash: HashKind, ids: &[String]) -> u64 {
    let stack = repo.open(quick());
    let log: Vec<_> = stack.snapshot().unwrap().log(REWRITTEN).unwrap().into_iter().map(|log| log.unwrap()).collect();
    let newest = log[0].update_index;
    let most = newest + 3;
    let mut writer = TableWriter::new(Vec::new(), hash, most..=most, &WriteOptions::default()).unwrap();
    let id = |at: usize| ids[at].parse::<ObjectId>().unwrap();
    let entry = |old, new, message: &str| LogEntry { old, new, committer: ident(), message: message.into() };
    let entries = [entry(id(4), id(5), "second\n"), entry(ObjectId::null(hash), id(4), "first\n")];
    // Not a small table.
    let filler = entry(id(5), id(5), &format!("{}\n", ids.concat()));
    for (back, entry) in [&filler].into_iter().chain(&entries).enumerate() {
        let update_index = newest + 3 - back as u64;
        let entry = Some(entry.as_view());
        writer.add_log(&LogRecordView { refname: REWRITTEN.as_bytes(), update_index, entry }).unwrap();
    }
    for gone in &log {
        let view = LogRecordView { refname: REWRITTEN.as_bytes(), update_index: gone.update_index, entry: None };
        writer.add_log(&view).unwrap();
    }
    let mut table = writer.finish().unwrap().0;
    // The writer makes no such table. Entries of logs do not depend on what its header says.
    let footer = table.len() - if hash == HashKind::Sha1 { 68 } else { 72 };
    for at in [8, footer + 8] {
        table[at..at + 8].copy_from_slice(&u64::MAX.to_be_bytes());
    }
    let end = table.len() - 4;
    let checksum = crc32fast::hash(&table[footer..end]);
    table[end..].copy_from_slice(&checksum.to_be_bytes());
    add(&repo.reftable_dir(), &format!("0x{:016x}-0x{most:012x}-00000001.ref", u64::MAX), &table);
    most
}

fn add(dir: &std::path::Path, name: &str, table: &[u8]) {
    fs::write(dir.join(name), table).unwrap();
    let list = fs::read_to_string(dir.join("tables.list")).unwrap();
    fs::write(dir.join("tables.list"), format!("{list}{name}\n")).unwrap();
}

fn messages(stack: &Stack, name: &str) -> Vec<String> {
    let logs = stack.snapshot().unwrap().log(name).unwrap().into_iter();
    logs.map(|log| String::from_utf8(log.unwrap().entry.message).unwrap()).collect()
}

#[test]
fn they_are_read_committed_upon_and_merged() {
    if !git::is_there() {
        return;
    }
    for (hash, packed) in HASHES.into_iter().flat_map(|hash| [(hash, false), (hash, true)]) {
        let (repo, ids) = repository(hash, 4000, packed);
        let before = repo.snapshot().update_index();
        let most = rewrite(&repo, hash, &ids);
        assert!(most < before);
        repo.assert_reads_equal();
        let stack = repo.open(quick().auto_compact(AutoCompact::Off));
        assert_eq!(messages(&stack, REWRITTEN)[1..], ["second\n", "first\n"]);
        let report = stack.verify().unwrap();
        assert_eq!(report.findings.len(), 1, "{report:?}");
        assert!(report.findings[0].message.contains("run backwards"));
        assert_eq!((report.findings[0].offset, report.findings[0].severity), (Some(8), Severity::Warning));

        // git would use an update index again, and replace the newest entry of main.
        for number in [1, 2, 3] {
            let mut tx = stack.transaction();
            tx.set("refs/heads/main", Expect::Any, ids[number].parse::<ObjectId>().unwrap()).reflog(ident(), "on top");
            assert_eq!(tx.commit().unwrap().update_index, before + number as u64);
        }
        assert_eq!(messages(&stack, "refs/heads/main").len(), ids.len() + 3);
        repo.assert_reads_equal();

        // The small tables above the big one are merged by themselves. The range of the big one may
        // reach into theirs.
        let geometric = repo.open(quick().auto_compact(AutoCompact::Geometric(2)));
        let due = geometric.compaction_due(&geometric.snapshot().unwrap()).unwrap();
        assert_eq!(due.start, 1);
        geometric.compact(Compact::Auto).unwrap().unwrap();
        let findings = geometric.verify().unwrap().findings;
        assert_eq!(findings.len(), usize::from(packed), "{findings:?}");
        assert!(findings.iter().all(|finding| finding.message.contains("begins with update index")), "{findings:?}");
        repo.assert_reads_equal();

        geometric.compact(Compact::all()).unwrap().unwrap();
        assert_verifies(&geometric);
        assert_eq!(messages(&geometric, REWRITTEN)[1..], ["second\n", "first\n"]);
        assert_eq!(messages(&geometric, "refs/heads/main").len(), ids.len() + 3);
        assert_eq!(geometric.snapshot().unwrap().update_index(), before + 3);
        repo.assert_reads_equal();
        repo.git(["update-ref", "refs/heads/main", &ids[1]]);
        repo.assert_reads_equal();
    }
}

#[test]
fn what_git_has_committed_upon_them_is_told() {
    if !git::is_there() {
        return;
    }
    let (repo, ids) = repository(HashKind::Sha1, 0, true);
    let most = rewrite(&repo, HashKind::Sha1, &ids);
    repo.git(["update-ref", "refs/heads/main", &ids[0]]);
    repo.assert_reads_equal();
    let stack = repo.open(quick().auto_compact(AutoCompact::Geometric(2)));
    let found: Vec<String> = stack.verify().unwrap().findings.iter().map(|finding| finding.message.clone()).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[1].contains(&format!("begins with update index {}, but", most + 1)), "{found:?}");
    // Without git's table the merged one ends where that begins, or after it.
    assert_eq!(stack.compaction_due(&stack.snapshot().unwrap()), Some(0..2));
    stack.compact(Compact::Auto).unwrap().unwrap();
    let found = stack.verify().unwrap().findings;
    assert!(found.len() == 1 && found[0].message.contains("begins with update index"), "{found:?}");
    repo.assert_reads_equal();
    stack.compact(Compact::all()).unwrap();
    assert_verifies(&stack);
    repo.assert_reads_equal();
}

/// Where the list is lost, too, nobody knows which table is the newest.
#[test]
fn a_lost_list_is_not_put_together_from_them() {
    if !git::is_there() {
        return;
    }
    let (repo, ids) = repository(HashKind::Sha1, 0, false);
    rewrite(&repo, HashKind::Sha1, &ids);
    fs::remove_file(repo.reftable_dir().join("tables.list")).unwrap();
    let problems = Repair::new(repo.reftable_dir()).diagnose().unwrap();
    assert!(problems.len() == 1 && !problems[0].has_fix(), "{problems:?}");
}
