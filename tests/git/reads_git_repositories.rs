//! Repositories that git made read as git lists them: references, peeled tags, symbolic references
//! and logs.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::support::effort::bound;
use crate::support::git::{self, Repo};
use crate::support::{HASHES, assert_verifies, quick, table_names};
use reftable::{Ident, LogEntry};

/// Settings of git that change how tables look.
const SETTINGS: [&[&str]; 5] = [
    &[],
    &["reftable.blockSize=256", "reftable.restartInterval=1"],
    &["reftable.blockSize=65536", "reftable.restartInterval=1000"],
    &["reftable.indexObjects=false", "reftable.blockSize=512"],
    &["reftable.geometricFactor=7", "core.logAllRefUpdates=false"],
];

fn check(repo: &Repo) {
    repo.assert_reads_equal();
    assert_verifies(&repo.open(quick()));
}

/// Runs `scenario` for both hashes and all settings; git compacts with some and leaves many tables
/// with others.
fn everywhere(scenario: impl Fn(&Repo)) {
    if !git::is_there() {
        return;
    }
    for hash in HASHES {
        for (settings, compacts) in
            SETTINGS.into_iter().zip([true, true, false, true, false]).chain([(SETTINGS[0], false)])
        {
            let repo = Repo::with(hash, settings, compacts);
            scenario(&repo);
            check(&repo);
        }
    }
}

/// One transaction that creates `count` references to `ids` by turns.
fn create(repo: &Repo, count: usize, ids: &[String]) {
    let mut input = String::new();
    for number in 0..count {
        let id = &ids[number % ids.len()];
        writeln!(input, "create refs/heads/topic/{number:05}-{} {id}", "x".repeat(number % 13)).unwrap();
    }
    repo.feed(["update-ref", "--stdin"], input.as_bytes());
}

#[test]
fn without_references() {
    everywhere(|repo| assert_eq!(table_names(&repo.reftable_dir()).len(), 1));
}

#[test]
fn with_one_reference() {
    everywhere(|repo| {
        let ids = repo.commits(1);
        repo.git(["update-ref", "refs/heads/main", &ids[0]]);
    });
}

#[test]
fn with_twenty_references_in_as_many_commits() {
    everywhere(|repo| {
        let ids = repo.commits(3);
        for number in 0..20 {
            repo.git(["update-ref", &format!("refs/heads/b{number}"), &ids[number % 3]]);
        }
    });
}

#[test]
fn with_many_references() {
    let number = bound("references that git wrote", 5000, 1000);
    everywhere(|repo| {
        let ids = repo.commits(7);
        create(repo, number, &ids);
        repo.git(["update-ref", "refs/heads/topic/00042-xxx", &ids[5]]);
        repo.git(["update-ref", "-d", "refs/heads/topic/00043-xxxx"]);
    });
}

#[test]
fn with_tags_and_symbolic_references() {
    everywhere(|repo| {
        let ids = repo.commits(2);
        repo.git(["update-ref", "refs/heads/main", &ids[0]]);
        repo.git(["tag", "light", &ids[0]]);
        repo.git(["tag", "-a", "-m", "annotated", "v1", &ids[0]]);
        repo.git(["tag", "-a", "-m", "a tag of a tag", "v1-signed-off", "v1"]);
        repo.git(["symbolic-ref", "refs/remotes/origin/HEAD", "refs/heads/main"]);
        repo.git(["symbolic-ref", "refs/heads/dangling", "refs/heads/nowhere"]);
        repo.git(["symbolic-ref", "refs/heads/alias", "refs/remotes/origin/HEAD"]);
        repo.git(["update-ref", "ORIG_HEAD", &ids[1]]);
        repo.git(["update-ref", "refs/heads/h\u{e4}h\u{e4}/\u{1f600}", &ids[1]]);
    });
}

#[test]
fn with_deletions() {
    everywhere(|repo| {
        let ids = repo.commits(2);
        create(repo, 30, &ids);
        for number in (0..30).step_by(2) {
            let name = format!("refs/heads/topic/{number:05}-{}", "x".repeat(number % 13));
            repo.git(["update-ref", "-d", &name]);
        }
        repo.git(["update-ref", "refs/heads/topic/00000-", &ids[1]]);
        repo.git(["symbolic-ref", "refs/heads/s", "refs/heads/main"]);
        repo.git(["symbolic-ref", "-d", "refs/heads/s"]);
    });
}

#[test]
fn with_everything_deleted_and_packed() {
    everywhere(|repo| {
        let ids = repo.commits(1);
        create(repo, 3, &ids);
        repo.git(["update-ref", "--stdin"]);
        let listed = repo.git(["for-each-ref", "--format=delete %(refname)"]);
        repo.feed(["update-ref", "--stdin"], &listed);
        repo.git(["pack-refs", "--all"]);
    });
}

#[test]
fn with_logs_of_all_kinds() {
    if !git::is_there() {
        return;
    }
    for hash in HASHES {
        // Messages and their people must fit into a block.
        for settings in [[].as_slice(), &["reftable.blockSize=1024", "reftable.restartInterval=1"], SETTINGS[2]] {
            for compacts in [true, false] {
                let mut repo = Repo::with(hash, settings, compacts);
                write_logs(&mut repo);
                check(&repo);
                repo.git(["pack-refs"]);
                check(&repo);
            }
        }
    }
}

/// Logs with messages that are odd, empty and of many bytes, by people with odd names at odd times.
fn write_logs(repo: &mut Repo) {
    let ids = repo.commits(4);
    let messages: [&[u8]; 6] = [
        b"plain",
        b"caf\xe9 \xff\xfe",
        b"tab\tand \x01\x7f",
        b"  spaces  ",
        "\u{e4}\u{1f600}".as_bytes(),
        &[b'm'; 100],
    ];
    for (turn, message) in messages.iter().enumerate() {
        repo.set_env("GIT_COMMITTER_NAME", [b"N\xf6\xff ".as_slice(), &[b'n'; 3]].concat());
        repo.set_env("GIT_COMMITTER_EMAIL", b"\xe9@example.com");
        repo.set_env(
            "GIT_COMMITTER_DATE",
            format!("{} {}", 1_000_000_000 + turn, ["+0000", "-1130", "+1400"][turn % 3]),
        );
        repo.git([os("update-ref"), os("-m"), bytes(message), os("refs/heads/main"), os(&ids[turn % 4])]);
    }
    for id in &ids {
        // Without -m the message is empty.
        repo.git(["update-ref", "refs/heads/quiet", id]);
        repo.git(["update-ref", "--create-reflog", "-m", "notes", "refs/notes/commits", id]);
        repo.git(["update-ref", "-m", "gone", "refs/heads/gone", id]);
    }
    repo.git(["update-ref", "-d", "refs/heads/gone"]);
    repo.git(["reflog", "delete", "refs/heads/main@{1}"]);
    repo.git(["reflog", "delete", "--rewrite", "refs/heads/main@{2}"]);
    repo.git(["reflog", "delete", "--updateref", "refs/notes/commits@{0}"]);
    repo.git(["update-ref", "-m", "again", "refs/heads/gone", &ids[0]]);
}

#[test]
fn with_expired_logs() {
    everywhere(|repo| {
        let ids = repo.commits(3);
        for id in &ids {
            repo.git(["update-ref", "--create-reflog", "-m", "old", "refs/heads/main", id]);
            repo.git(["update-ref", "--create-reflog", "-m", "old", "refs/heads/kept", id]);
        }
        repo.git(["reflog", "expire", "--expire=all", "refs/heads/main"]);
        repo.git(["update-ref", "-m", "new", "refs/heads/kept", &ids[0]]);
    });
}

#[test]
fn with_ordinary_work() {
    everywhere(|repo| {
        for number in 0..4 {
            repo.git(["commit", "-q", "--allow-empty", "-m", &format!("number {number}")]);
            repo.git(["checkout", "-q", "-b", &format!("branch-{number}")]);
        }
        repo.git(["tag", "-a", "-m", "release", "v1"]);
        repo.git(["branch", "-m", "branch-1", "renamed"]);
        repo.git(["branch", "-c", "branch-2", "copied"]);
        repo.git(["branch", "-D", "branch-0"]);
        repo.git(["checkout", "-q", "--detach", "v1"]);
        repo.git(["reset", "-q", "--hard", "HEAD~2"]);
    });
}

#[cfg(unix)]
fn bytes(bytes: &[u8]) -> std::ffi::OsString {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn bytes(bytes: &[u8]) -> std::ffi::OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

fn os(text: &str) -> std::ffi::OsString {
    text.into()
}

/// A repository of git's beside `repo` that keeps its logs in files.
fn with_files(repo: &Repo) -> PathBuf {
    let at = repo.beside("files");
    let format = format!("--object-format={}", repo.hash.name());
    repo.git([OsStr::new("init"), OsStr::new("-q"), OsStr::new("--ref-format=files"), format.as_ref(), at.as_ref()]);
    at
}

#[test]
fn lines_of_log_files_are_printed_as_git_wrote_them() {
    if !git::is_there() {
        return;
    }
    for hash in HASHES {
        let mut repo = Repo::new(hash);
        let at = with_files(&repo);
        let tree = String::from_utf8(repo.git_at(&at, ["hash-object", "-wt", "tree", "/dev/null"])).unwrap();
        let commits = ["c", "d"].map(|message| {
            let told = repo.git_at(&at, ["commit-tree", "-m", message, tree.trim()]);
            String::from_utf8(told).unwrap()
        });
        let mut targets = commits.iter().map(|id| id.trim_end()).cycle();
        let people: [(&[u8], &str, &str); 5] = [
            (b"A U Thor", "a@example.com", "1700000000 +0130"),
            ("\u{e4} \u{65e5}".as_bytes(), "", "@1 -0930"),
            (b"gr\xfcn", "x y", "@2 +0000"),
            (b"a\tb", "a", "1900000000 -1200"),
            (b"O'Hara", "e", "1700000000 +1400"),
        ];
        for (name, email, date) in people {
            repo.set_env("GIT_COMMITTER_NAME", name);
            repo.set_env("GIT_COMMITTER_EMAIL", email);
            repo.set_env("GIT_COMMITTER_DATE", date);
            for message in
                [None, Some("one"), Some("tab\there"), Some("  spaces  "), Some("two\nlines"), Some("\u{e4}")]
            {
                let reason = message.iter().flat_map(|message| ["-m", message]);
                let target = targets.next().unwrap();
                repo.git_at(&at, ["update-ref"].into_iter().chain(reason).chain(["refs/heads/a", target]));
            }
        }
        let log = std::fs::read(at.join(".git/logs/refs/heads/a")).unwrap();
        let lines: Vec<&[u8]> = log.split_inclusive(|byte| *byte == b'\n').collect();
        assert_eq!(lines.len(), 5 * 6, "{}", String::from_utf8_lossy(&log));
        for line in &lines {
            let entry = LogEntry::parse_line(line).unwrap();
            assert_eq!(entry.to_line().unwrap(), *line);
            let who = Ident { name: entry.committer.name.clone(), ..entry.committer.clone() };
            assert_eq!(Ident::parse(&who.to_bytes().unwrap()).unwrap(), who);
        }
        check_as_git_shows(&repo, &at, &lines);
    }
}

/// git shows of each line what we read in it.
fn check_as_git_shows(repo: &Repo, at: &Path, lines: &[&[u8]]) {
    let format = "--format=%gn%x00%ge%x00%gd%x00%gs";
    let told = repo.git_at(at, ["log", "-g", "--date=raw", format, "refs/heads/a", "--"]);
    let told = told.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n');
    for (line, told) in lines.iter().rev().zip(told) {
        let LogEntry { committer, message, .. } = LogEntry::parse_line(line).unwrap();
        let when = format!("a@{{{} {:+05}}}", committer.time, committer.time_zone);
        let subject = message.strip_suffix(b"\n").unwrap();
        let fields = [&committer.name[..], &committer.email, when.as_bytes(), subject];
        let expected = fields.join(&0);
        assert_eq!(String::from_utf8_lossy(told), String::from_utf8_lossy(&expected));
    }
}
