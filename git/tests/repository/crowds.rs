//! Many threads of many processes that change one repository at once, each by what it sees there:
//! all of them succeed, in the time that one waits for a lock.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reftable::bytes::Reading;
use reftable::{Expect, Ident, ObjectId};
use reftable_git::{Batch, Change, Error, Rename, Repository, View};

use crate::support::{git, git_knows_reftables, init};

const PROCESSES: usize = 4;
const THREADS: usize = 8;
const TURNS: usize = 4;
/// Names the repository to the processes of a crowd, and says what they are to do.
const REPOSITORY: &str = "REFTABLE_CROWD_REPOSITORY";
const WHAT: &str = "REFTABLE_CROWD_WHAT";
const PROCESS: &str = "REFTABLE_CROWD_PROCESS";

fn committer() -> Ident {
    Ident { name: b"A U Thor".into(), email: b"author@example.com".into(), time: 1_700_000_000, time_zone: 130 }
}

fn count(view: &View, prefix: &[u8]) -> usize {
    let mut count = 0;
    let each = |_: &reftable::RefView<'_>| {
        count += 1;
        Ok::<_, Error>(())
    };
    view.refs(prefix, each).unwrap();
    count
}

/// Appends to a row of references: each has the number of those before it.
fn append(repository: &Repository, id: ObjectId) {
    let stores = repository.open_to_write().unwrap();
    for _ in 0..TURNS {
        let decide = |view: &View| {
            let name = format!("refs/row/{}", count(view, b"refs/row/"));
            let changes = vec![Change::set(name, Expect::Absent, id)];
            Ok::<_, Error>(Batch { changes, ..Batch::default() })
        };
        stores.transact(decide).unwrap();
    }
}

/// Moves what `HEAD` leads to, wherever it is, with a log: the entries say where it was.
fn move_head(repository: &Repository, ids: [ObjectId; 2], thread: usize) {
    let stores = repository.open_to_write().unwrap();
    for turn in 0..TURNS {
        let mut batch = Batch { reason: Some((committer(), b"moved".into())), ..Batch::default() };
        batch.changes.push(Change::set("HEAD", Expect::Any, ids[(turn + thread) % 2]));
        batch.commit(&stores).unwrap();
    }
}

/// Gives a branch of its own other names, all the time.
fn rename(repository: &Repository, number: usize, id: ObjectId) {
    let stores = repository.open_to_write().unwrap();
    let names = ["a", "b"].map(|name| format!("refs/heads/{name}{number}"));
    let mut batch = Batch { forces_logs: true, reason: Some((committer(), b"made".into())), ..Batch::default() };
    batch.changes.push(Change::set(names[0].as_str(), Expect::Absent, id));
    batch.commit(&stores).unwrap();
    for turn in 0..TURNS {
        let [from, to] = if turn % 2 == 0 { [0, 1] } else { [1, 0] };
        let (from, to) = (names[from].as_str(), names[to].as_str());
        Rename::new(from, to, committer(), "renamed").with_heads().commit(&stores).unwrap();
    }
}

/// Not a test: one process of a crowd.
#[test]
fn one_process_of_a_crowd() {
    let Some(path) = std::env::var_os(REPOSITORY).map(PathBuf::from) else { return };
    let (what, process) = (std::env::var(WHAT).unwrap(), std::env::var(PROCESS).unwrap());
    let process: usize = process.parse().unwrap();
    let repository = Repository::at(&path).unwrap();
    let view = repository.view(Reading::Copied).unwrap();
    let ids = [b"refs/tags/one", b"refs/tags/two"].map(|name| view.resolve(name).unwrap().unwrap());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (what, repository) = (&what, &repository);
            scope.spawn(move || match what.as_str() {
                "append" => append(repository, ids[0]),
                "move" => move_head(repository, ids, thread),
                _ => rename(repository, process * THREADS + thread, ids[0]),
            });
        }
    });
}

/// Half of the processes are in a linked worktree.
fn crowd(top: &Path, what: &str) {
    let me = std::env::current_exe().unwrap();
    let start = |process: usize| {
        let mut command = Command::new(&me);
        command
            .args(["--exact", "crowds::one_process_of_a_crowd"])
            .env(REPOSITORY, top.join(if process.is_multiple_of(2) { "repo" } else { "linked" }));
        command.env(WHAT, what).env(PROCESS, process.to_string()).stdout(Stdio::null()).spawn().unwrap()
    };
    let processes: Vec<_> = (0..PROCESSES).map(start).collect();
    for mut process in processes {
        assert!(process.wait().unwrap().success(), "{what}");
    }
}

fn make(top: &Path) -> PathBuf {
    init(top, "repo", &[]);
    let repo = top.join("repo");
    git(&repo, ["tag", "one"]);
    git(&repo, ["commit", "-q", "--allow-empty", "-m", "second"]);
    git(&repo, ["tag", "two"]);
    git(&repo, ["worktree", "add", "-q", "-b", "there", "../linked"]);
    repo
}

#[test]
fn who_appends_to_what_is_there_succeeds_in_a_crowd() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let repo = make(top.path());
    crowd(top.path(), "append");
    let view = Repository::at(&repo).unwrap().view(Reading::Copied).unwrap();
    assert_eq!(count(&view, b"refs/row/"), PROCESSES * THREADS * TURNS);
}

#[test]
fn who_moves_what_head_leads_to_succeeds_in_a_crowd() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let repo = make(top.path());
    crowd(top.path(), "move");
    for worktree in [repo, top.path().join("linked")] {
        let view = Repository::at(&worktree).unwrap().view(Reading::Copied).unwrap();
        let (branch, id) = (view.follow(b"HEAD").unwrap().name, view.resolve(b"HEAD").unwrap().unwrap());
        let mut log = view.log_entries(&branch).unwrap();
        assert_eq!(log[0].new, id);
        assert!(log.windows(2).all(|pair| pair[0].old == pair[1].new), "an entry is missing");
        // Those of HEAD tell the same, and as in git also of moves to where it was.
        log.retain(|entry| entry.message.starts_with(b"moved"));
        let mut of_head = view.log_entries(b"HEAD").unwrap();
        of_head.retain(|entry| entry.message.starts_with(b"moved"));
        assert_eq!(of_head.len(), PROCESSES * THREADS * TURNS / 2);
        of_head.retain(|entry| entry.old != entry.new);
        assert!(of_head == log, "the logs differ");
    }
}

#[test]
fn who_renames_succeeds_in_a_crowd() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let repo = make(top.path());
    crowd(top.path(), "rename");
    let view = Repository::at(&repo).unwrap().view(Reading::Copied).unwrap();
    assert_eq!(count(&view, b"refs/heads/a"), PROCESSES * THREADS);
    for number in 0..PROCESSES * THREADS {
        let log = view.log_entries(format!("refs/heads/a{number}").as_bytes()).unwrap();
        assert_eq!(log.len(), 1 + 2 * TURNS, "{number}");
    }
}
