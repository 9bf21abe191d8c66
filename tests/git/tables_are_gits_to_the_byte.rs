//! Every table of repositories made by git is written again from its records. The result is git's
//! file, byte for byte; only deflated bytes may differ, and inflated they are the same.

use std::sync::Arc;

use crate::support::git::{self, Repo};
use reftable::HashKind;
use reftable::format::BlockKind;
use reftable::merge::{Merged, Tombstones};
use reftable::table::{Table, TableWriter, WriteOptions};

/// What git was told, and what we are to be told.
struct Settings {
    block_size: u32,
    restart_interval: u16,
    object_index: bool,
}

const USUAL: Settings = Settings { block_size: 4096, restart_interval: 16, object_index: true };

impl Settings {
    fn git(&self) -> Vec<String> {
        vec![
            format!("reftable.blockSize={}", self.block_size),
            format!("reftable.restartInterval={}", self.restart_interval),
            format!("reftable.indexObjects={}", self.object_index),
        ]
    }

    fn ours(&self) -> WriteOptions {
        WriteOptions::default()
            .block_size(self.block_size)
            .restart_interval(self.restart_interval)
            .object_index(self.object_index)
    }
}

fn repo(hash: HashKind, settings: &Settings) -> Repo {
    let config = settings.git();
    let config: Vec<&str> = config.iter().map(String::as_str).collect();
    Repo::with(hash, &config, false)
}

/// Blobs, quickly. References outside of `refs/heads/` may point at them.
fn blobs(repo: &Repo, count: usize) -> Vec<String> {
    let mut stream = String::new();
    for number in 0..count {
        let text = format!("blob {number}");
        stream += &format!("blob\nmark :{}\ndata {}\n{text}\n", number + 1, text.len());
    }
    let marks = repo.beside("marks");
    repo.feed(["fast-import", "--quiet", &format!("--export-marks={}", marks.display())], stream.as_bytes());
    let marks = std::fs::read_to_string(marks).unwrap();
    marks.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
}

fn create(repo: &Repo, refs: impl Iterator<Item = (String, String)>) {
    let commands: String = refs.map(|(name, id)| format!("create {name} {id}\n")).collect();
    repo.feed(["update-ref", "--stdin"], commands.as_bytes());
}

/// Writes the table again and compares. Returns the kinds of blocks that were seen, for tests of
/// the test.
fn check(bytes: &[u8], settings: &Settings) -> Vec<BlockKind> {
    let theirs = Arc::new(Table::open("theirs", bytes.to_vec()).unwrap());
    let header = *theirs.header();
    let range = header.min_update_index..=header.max_update_index;
    let mut writer = TableWriter::new(Vec::new(), header.hash, range, &settings.ours()).unwrap();
    let merged = Merged::new(vec![Arc::clone(&theirs)]);
    let mut refs = merged.refs(b"", Tombstones::Show).unwrap();
    while let Some(record) = refs.next().unwrap() {
        writer.add_ref(&record).unwrap();
    }
    let mut logs = merged.logs(b"", Tombstones::Show).unwrap();
    while let Some(record) = logs.next().unwrap() {
        writer.add_log(&record).unwrap();
    }
    let (written, _) = writer.finish().unwrap();
    let ours = Table::open("ours", written.clone()).unwrap();
    let logs_at = |table: &Table| {
        let mut blocks = table.blocks();
        while let Some(block) = blocks.next().unwrap() {
            if block.kind() == BlockKind::Log {
                return Some(block.offset() as usize);
            }
        }
        None
    };
    let kinds = same_blocks(&theirs, &ours);
    match logs_at(&theirs) {
        None => assert!(written == bytes, "the files differ"),
        // A first block starts with the file header.
        Some(end) => {
            assert_eq!(logs_at(&ours), Some(end));
            assert!(written[..end] == bytes[..end], "the files differ before the logs");
            let strip = |table: &Table| {
                (
                    table.footer().ref_index,
                    table.footer().obj,
                    table.footer().obj_index,
                    table.footer().log,
                    table.footer().obj_id_len,
                )
            };
            assert_eq!(strip(&ours), strip(&theirs));
        }
    }
    kinds
}

/// Compares block by block, inflated.
fn same_blocks(theirs: &Table, ours: &Table) -> Vec<BlockKind> {
    let (mut theirs, mut ours) = (theirs.blocks(), ours.blocks());
    let mut kinds = Vec::new();
    loop {
        let (their, our) = (theirs.next().unwrap(), ours.next().unwrap());
        let (Some(their), Some(our)) = (their, our) else { return kinds };
        assert_eq!(their.kind(), our.kind());
        // Deflated sizes differ between implementations of zlib, and with them offsets in an index
        // over logs.
        if their.kind() != BlockKind::Index || !kinds.contains(&BlockKind::Log) {
            assert!(their.bytes() == our.bytes(), "the {:?} blocks at {} differ", their.kind(), their.offset());
        }
        kinds.push(their.kind());
    }
}

/// Checks every table in the repository, and those that git makes of them.
fn check_all(repo: &Repo, settings: &Settings) -> Vec<BlockKind> {
    let mut kinds = Vec::new();
    let mut tables = 0;
    for round in 0..2 {
        for entry in std::fs::read_dir(repo.reftable_dir()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "ref") {
                kinds.append(&mut check(&std::fs::read(path).unwrap(), settings));
                tables += 1;
            }
        }
        if round == 0 {
            repo.git(["pack-refs"]);
        }
    }
    assert!(tables >= 2);
    kinds
}

#[test]
fn small_repositories() {
    if !git::is_there() {
        return;
    }
    for hash in [HashKind::Sha1, HashKind::Sha256] {
        for count in [0, 1, 20] {
            let repo = repo(hash, &USUAL);
            let ids = repo.commits(count.max(1));
            create(&repo, (0..count).map(|i| (format!("refs/heads/b{i}"), ids[i].clone())));
            check_all(&repo, &USUAL);
        }
    }
}

#[test]
fn all_kinds_of_records() {
    if !git::is_there() {
        return;
    }
    for hash in [HashKind::Sha1, HashKind::Sha256] {
        let repo = repo(hash, &USUAL);
        let ids = repo.commits(3);
        create(&repo, (0..30).map(|i| (format!("refs/heads/b{i}"), ids[i % 3].clone())));
        repo.git(["tag", "-a", "-m", "annotated", "v1", &ids[0]]);
        repo.git(["tag", "light", &ids[1]]);
        repo.git(["symbolic-ref", "refs/remotes/origin/HEAD", "refs/heads/b1"]);
        repo.git(["update-ref", "-d", "refs/heads/b7"]);
        for (number, id) in ids.iter().cycle().take(12).enumerate() {
            let message = format!("change number {number}");
            repo.git(["update-ref", "--create-reflog", "-m", &message, "refs/heads/b2", id]);
        }
        repo.git(["reflog", "delete", "refs/heads/b2@{3}"]);
        let kinds = check_all(&repo, &USUAL);
        assert!(kinds.contains(&BlockKind::Log) && kinds.contains(&BlockKind::Ref));
    }
}

#[test]
fn block_sizes_and_restart_intervals() {
    if !git::is_there() {
        return;
    }
    for (hash, count) in [(HashKind::Sha1, 5_000), (HashKind::Sha256, 1_000)] {
        for (block_size, restart_interval, object_index) in
            [(256, 16, true), (4096, 1, true), (4096, 64, true), (65536, 16, true), (4096, 16, false)]
        {
            let settings = Settings { block_size, restart_interval, object_index };
            let repo = repo(hash, &settings);
            let ids = blobs(&repo, count);
            create(&repo, ids.iter().enumerate().map(|(i, id)| (format!("refs/x/{i:05}"), id.clone())));
            let kinds = check_all(&repo, &settings);
            assert_eq!(kinds.contains(&BlockKind::Obj), object_index && block_size < 65536);
        }
    }
}

#[test]
fn two_levels_of_index() {
    if !git::is_there() {
        return;
    }
    for hash in [HashKind::Sha1, HashKind::Sha256] {
        let repo = repo(hash, &USUAL);
        let ids = blobs(&repo, 60_000);
        create(&repo, ids.iter().enumerate().map(|(i, id)| (format!("refs/merge-requests/{i:07}/head"), id.clone())));
        let kinds = check_all(&repo, &USUAL);
        assert!(kinds.iter().filter(|kind| **kind == BlockKind::Index).count() > 4);
    }
}

#[test]
fn one_id_for_all_overflows_its_object_record() {
    if !git::is_there() {
        return;
    }
    for hash in [HashKind::Sha1, HashKind::Sha256] {
        let settings = Settings { block_size: 256, ..USUAL };
        let repo = repo(hash, &settings);
        let id = blobs(&repo, 1).remove(0);
        create(&repo, (0..5_000).map(|i| (format!("refs/x/{i:05}"), id.clone())));
        assert!(check_all(&repo, &settings).contains(&BlockKind::Obj));
    }
}

#[test]
fn ids_that_ascend_with_the_names() {
    if !git::is_there() {
        return;
    }
    for hash in [HashKind::Sha1, HashKind::Sha256] {
        let repo = repo(hash, &USUAL);
        let ids = blobs(&repo, 8_000);
        create(&repo, ids.iter().map(|id| (format!("refs/keep-around/{id}"), id.clone())));
        assert!(check_all(&repo, &USUAL).contains(&BlockKind::Obj));
    }
}

#[test]
fn many_logs_with_an_index() {
    if !git::is_there() {
        return;
    }
    let mut repo = repo(HashKind::Sha1, &USUAL);
    repo.set_env("GIT_COMMITTER_NAME", b"N\xc3\xa4me \xff");
    let ids = blobs(&repo, 2_000);
    let commands: String = ids.iter().enumerate().map(|(i, id)| format!("create refs/x/{i:05} {id}\n")).collect();
    repo.git(["config", "core.logAllRefUpdates", "always"]);
    repo.feed(["update-ref", "-m", "created", "--stdin"], commands.as_bytes());
    let kinds = check_all(&repo, &USUAL);
    assert!(kinds.iter().filter(|kind| **kind == BlockKind::Log).count() > 20);
}
