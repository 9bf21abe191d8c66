//! Many processes that change references at the same time all succeed: they wait for the lock, and
//! commit for each other.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::effort::bound;
use crate::support::{self, Repo, for_each_hash};

const WORKTREES: usize = 12;
const UPDATES: usize = 10;

fn processes() -> usize {
    bound("processes at once", 32, 12)
}

/// Runs `processes` shells at once, each of which runs `UPDATES` times what `args` says for a
/// process and a number. Returns what the runs that failed had to say.
fn storm(repo: &Repo, processes: usize, args: impl Fn(usize, usize) -> Vec<String>) -> Vec<String> {
    let children: Vec<Child> = (0..processes)
        .map(|process| {
            let runs = (0..UPDATES).map(|number| format!("\"$0\" {} || echo failed", args(process, number).join(" ")));
            let mut shell = support::isolated("sh");
            shell.arg("-c").arg(runs.collect::<Vec<_>>().join("\n")).arg(env!("CARGO_BIN_EXE_reftable"));
            shell.current_dir(repo.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let outputs = children.into_iter().map(|child| child.wait_with_output().unwrap());
    let failed = outputs.filter(|output| !output.stdout.is_empty() || !output.stderr.is_empty());
    failed.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).collect()
}

/// The old and new ids of the log, newest first.
fn moves(repo: &Repo, name: &str) -> Vec<(String, String)> {
    let log = repo.ours(["log", name]);
    let words = |line: &str| line.split(' ').take(2).map(str::to_owned).collect::<Vec<_>>();
    log.lines().map(|line| (words(line)[0].clone(), words(line)[1].clone())).collect()
}

/// Each entry of the log begins where the one before it ends, and there are as many as there were
/// updates.
#[track_caller]
fn assert_unbroken(moves: &[(String, String)], count: usize) {
    assert_eq!(moves.len(), count);
    for pair in moves.windows(2) {
        assert_eq!(pair[0].0, pair[1].1);
    }
}

/// An id for each update, of as many digits as `like` has: a reference that stays where it is gets
/// no log entry.
fn numbered(like: &str, process: usize, number: usize) -> String {
    format!("{:0width$x}", 1 + process * 16 + number, width = like.len())
}

#[test]
fn on_names_of_their_own() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        let name = |process, number| format!("refs/heads/{process}/{number}");
        let failed = storm(repo, processes(), |process, number| {
            ["update", "-m", "x", &name(process, number), &id].map(str::to_owned).to_vec()
        });
        assert_eq!(failed, [""; 0]);
        let listed = repo.git(["for-each-ref", "--format=%(refname)", "refs/heads/*/*"]);
        let expected: BTreeSet<String> =
            (0..processes()).flat_map(|process| (0..UPDATES).map(move |number| name(process, number))).collect();
        assert_eq!(listed.lines().map(str::to_owned).collect::<BTreeSet<_>>(), expected);
        for name in expected {
            assert_eq!(repo.ours(["log", &name]).lines().count(), 1, "{name}");
        }
        repo.run(["verify"]).ok();
    });
}

#[test]
fn on_one_name_and_no_entry_of_its_log_is_lost() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        let before = moves(repo, "refs/heads/main").len();
        let failed = storm(repo, processes(), |process, number| {
            ["update", "--unchecked", "-m", "x", "refs/heads/main", &numbered(&id, process, number)]
                .map(str::to_owned)
                .to_vec()
        });
        assert_eq!(failed, [""; 0]);
        assert_unbroken(&moves(repo, "refs/heads/main"), before + processes() * UPDATES);
    });
}

#[test]
fn through_head_and_no_entry_of_either_log_is_lost() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        let before = moves(repo, "HEAD").len();
        let failed = storm(repo, processes(), |process, number| {
            ["update", "--unchecked", "-m", "x", "HEAD", &numbered(&id, process, number)].map(str::to_owned).to_vec()
        });
        assert_eq!(failed, [""; 0]);
        for name in ["HEAD", "refs/heads/main"] {
            assert_unbroken(&moves(repo, name), before + processes() * UPDATES);
        }
    });
}

#[test]
fn on_a_name_that_only_one_can_have_all_others_are_told_of_the_conflict() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        let zero = repo.zero();
        let failed = storm(repo, processes(), |_, number| {
            ["update", &format!("refs/heads/{number}"), &id, &zero].map(str::to_owned).to_vec()
        });
        let complaints: Vec<&str> = failed.iter().flat_map(|failed| failed.lines()).collect();
        assert_eq!(complaints.len(), (processes() - 1) * UPDATES);
        assert!(complaints.iter().all(|line| line.ends_with("reference already exists")), "{complaints:?}");
    });
}

/// HEAD goes to and fro between two branches while many update it. Its log says when it moved; what
/// was written after that must be in the log of the branch that it led to.
#[test]
fn through_a_head_that_moves_nothing_is_written_to_the_wrong_branch() {
    const BRANCHES: [&str; 2] = ["refs/heads/main", "refs/heads/other"];
    for_each_hash(|repo| {
        let id = repo.commit("one");
        repo.ours(["update", "-m", "x", BRANCHES[1], &id]);
        let failed = storm(repo, processes(), |process, number| {
            let new = numbered(&id, process, number);
            let args = match process % 4 {
                0 => ["symbolic-ref", "--wait=10", "-m", BRANCHES[number % 2], "HEAD", BRANCHES[number % 2]],
                _ => ["update", "--unchecked", "-m", "x", "HEAD", &new],
            };
            args.map(str::to_owned).to_vec()
        });
        assert_eq!(failed, [""; 0]);
        let written = BRANCHES.map(|branch| {
            let entries = repo.run(["log", "--json", branch]).json();
            entries.iter().map(|entry| entry["update_index"].as_u64().unwrap()).collect::<BTreeSet<u64>>()
        });
        let mut at = 0;
        for entry in repo.run(["log", "--json", "HEAD"]).json().iter().rev() {
            let message = entry["message"].as_str().unwrap();
            match BRANCHES.iter().position(|branch| *branch == message) {
                Some(branch) => at = branch,
                None => assert!(written[at].contains(&entry["update_index"].as_u64().unwrap()), "{entry}"),
            }
        }
        assert!(repo.ours(["get", "--no-deref", "HEAD"]).starts_with("ref: "));
    });
}

/// Two stores are changed by each update, that of the worktree for HEAD's log, and the shared one
/// for the branch.
#[test]
fn in_worktrees_of_their_own() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        for process in 0..WORKTREES {
            repo.git(["worktree", "add", "-q", "-b", &format!("w{process}"), &format!("../w{process}")]);
        }
        let failed = storm(repo, WORKTREES, |process, number| {
            let (dir, new) = (format!("../w{process}"), numbered(&id, process, number));
            ["-C", &dir, "update", "--unchecked", "-m", "x", "HEAD", &new].map(str::to_owned).to_vec()
        });
        assert_eq!(failed, [""; 0]);
        for process in 0..WORKTREES {
            let dir = format!("../w{process}");
            for name in ["HEAD", &format!("refs/heads/w{process}")] {
                let log = repo.ours(["-C", &dir, "log", name]);
                assert_eq!(log.lines().filter(|line| line.ends_with("\tx")).count(), UPDATES, "{name}");
            }
        }
    });
}

/// A process that needs two locks and gets only one lets go of it, again and again: others are not
/// kept from it.
#[test]
fn a_lock_that_stays_in_a_worktree_keeps_nobody_from_the_repository() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        repo.git(["worktree", "add", "-q", "-b", "topic", "../linked"]);
        std::fs::write(repo.path().join(".git/worktrees/linked/reftable/tables.list.lock"), "").unwrap();
        let mut stuck = repo.command();
        stuck.args(["-C", "../linked", "update", "-m", "x", "--timeout", "3000", "HEAD", &id]);
        let start = Instant::now();
        let mut stuck = stuck.stderr(Stdio::piped()).spawn().unwrap();
        for number in 0..20 {
            repo.ours(["update", "--timeout", "1000", &format!("refs/heads/{number}"), &id]);
        }
        assert_eq!(stuck.wait().unwrap().code(), Some(1));
        assert!(start.elapsed() >= Duration::from_millis(2900));
    });
}

#[test]
fn a_lock_that_stays_is_reported_in_time() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        std::fs::write(repo.store().join("tables.list.lock"), "").unwrap();
        let start = Instant::now();
        repo.run(["update", "--timeout", "300", "refs/heads/x", &id]).failed(1);
        assert!(start.elapsed() >= Duration::from_millis(300) && start.elapsed() < Duration::from_secs(5));
    });
}
