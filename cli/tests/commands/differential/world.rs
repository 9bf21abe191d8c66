//! Two copies of a repository: one for git's commands, one for ours.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use reftable::LogEntry;
use reftable::bytes::Reading;
use reftable::escape::escaped;
use reftable_git::{Error, Repository};

use super::random::Random;
use super::words::Invocation;
use crate::support::{Repo, feed, isolated};

/// The objects of a repository, as hexadecimal ids.
pub(super) struct Objects {
    pub(super) one: String,
    pub(super) two: String,
    pub(super) tag: String,
    pub(super) tree: String,
    pub(super) missing: String,
    pub(super) zero: String,
}

/// Makes all that the copies have: objects, references of every kind, logs, a linked worktree.
pub(super) fn furnish(repo: &Repo) -> Objects {
    let one = repo.commit("one");
    repo.git(["tag", "-a", "-m", "annotated", "v1"]);
    repo.git(["tag", "plain"]);
    let two = repo.commit("two");
    repo.git(["branch", "topic/a"]);
    repo.git(["worktree", "add", "-q", "-b", "linked", "../linked"]);
    for (name, target) in [
        ("refs/heads/sym", "refs/heads/main"),
        ("refs/heads/far", "refs/heads/sym"),
        ("refs/heads/nowhere", "refs/heads/none"),
        ("refs/remotes/origin/HEAD", "refs/remotes/origin/main"),
    ] {
        repo.git(["symbolic-ref", name, target]);
    }
    repo.git(["update-ref", "refs/remotes/origin/main", &one]);
    repo.git(["update-ref", "ORIG_HEAD", &one]);
    let (tag, tree) = (repo.git(["rev-parse", "v1"]), repo.git(["rev-parse", "HEAD^{tree}"]));
    Objects { missing: "1".repeat(one.len()), zero: repo.zero(), one, two, tag, tree }
}

/// Where the commands run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    WorkTree,
    Bare,
    Linked,
}

pub(super) struct World {
    place: Place,
    git: PathBuf,
    pub(super) ours: PathBuf,
    zero: String,
}

/// What can be seen of a command after it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    /// A line for each reference, each log and each log entry.
    pub(super) state: Vec<String>,
    /// What the hook was told.
    pub(super) told: Vec<String>,
    /// The first line of what was said, but for warnings.
    pub(super) said: String,
}

impl World {
    /// Copies of `repo`, which are configured at random.
    pub(super) fn new(repo: &Repo, random: &mut Random) -> World {
        let place = [Place::WorkTree, Place::WorkTree, Place::Bare, Place::Linked][random.below(4)];
        let logs = random.of(&["", "\tlogAllRefUpdates = false\n", "\tlogAllRefUpdates = always\n"]);
        let bare = if place == Place::Bare { "\tbare = true\n" } else { "" };
        let has_hook = random.one_in(3);
        let copies = ["theirs", "ours"].map(|name| {
            let copy = repo.copy_to(name);
            let git_dir = copy.join(".git");
            let config = fs::read_to_string(git_dir.join("config")).unwrap();
            fs::write(git_dir.join("config"), format!("{config}[core]\n{logs}{bare}")).unwrap();
            if has_hook {
                let hook = git_dir.join("hooks/reference-transaction");
                fs::create_dir_all(hook.parent().unwrap()).unwrap();
                let common = git_dir.join("told");
                fs::write(&hook, format!("#!/bin/sh\n(echo \"$1\"; sort) >>'{}'\n", common.display())).unwrap();
                fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
            }
            copy
        });
        let [git, ours] = copies;
        World { place, git, ours, zero: repo.zero() }
    }

    fn git_dir(&self, copy: &Path) -> PathBuf {
        match self.place {
            Place::WorkTree | Place::Bare => copy.join(".git"),
            Place::Linked => copy.join(".git/worktrees/linked"),
        }
    }

    /// Runs the command by git, with `git` as its program.
    pub(super) fn by_git(&self, git: &Path, invocation: &Invocation) -> End {
        self.run(isolated(git), &self.git, invocation)
    }

    /// Runs the command by our program.
    pub(super) fn by_us(&self, invocation: &Invocation) -> End {
        self.run(isolated(env!("CARGO_BIN_EXE_reftable")), &self.ours, invocation)
    }

    fn run(&self, mut command: Command, copy: &Path, invocation: &Invocation) -> End {
        command.current_dir(copy).args(&invocation.words);
        if self.place != Place::WorkTree {
            command.env("GIT_DIR", self.git_dir(copy));
        }
        let output = feed(&mut command, &invocation.input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = said.lines().find(|line| !line.starts_with("warning: ")).unwrap_or_default().to_owned();
        let told = fs::read_to_string(copy.join(".git/told")).unwrap_or_default();
        let told = told.lines().map(str::to_owned).collect();
        let out = in_order(&String::from_utf8_lossy(&output.stdout), &self.zero);
        End { code: output.status.code(), out, state: self.state(copy), told, said }
    }

    fn state(&self, copy: &Path) -> Vec<String> {
        let mut lines = Vec::new();
        for git_dir in [copy.join(".git"), copy.join(".git/worktrees/linked")] {
            let view = Repository::at(&git_dir).unwrap().view(Reading::Copied).unwrap();
            view.refs(b"", |found| {
                lines.push(format!("{} {:?}", escaped(found.name), found.to_ref().target));
                Ok::<_, Error>(())
            })
            .unwrap();
            for name in view.log_names().unwrap() {
                lines.push(format!("log of {}", escaped(&name)));
                for LogEntry { old, new, committer, message } in view.log_entries(&name).unwrap() {
                    let (who, message) = (escaped(&committer.name).to_string(), escaped(&message).to_string());
                    lines.push(format!("  {old:.7} {new:.7} {who} {} {message}", committer.time));
                }
            }
        }
        lines
    }
}

/// Output without what people are told of progress, and with such lines sorted as come in no order:
/// what was rejected, and what became of log entries.
fn in_order(out: &str, zero: &str) -> String {
    let has_no_order =
        |line: &&str| ["rejected ", "keep ", "prune ", "would prune "].iter().any(|start| line.starts_with(start));
    let (mut loose, rest): (Vec<&str>, Vec<&str>) =
        out.split_inclusive('\n').filter(|line| !line.starts_with("Marking ")).partition(has_no_order);
    loose.sort_unstable();
    // In a dry run an older git speaks as if it were none. "(null)" is the old id of what should
    // not exist, in one message of git.
    rest.into_iter().chain(loose).collect::<String>().replace("(null)", zero).replace("would prune ", "prune ")
}

/// What is in one state only.
pub(super) fn difference(git: &[String], ours: &[String]) -> String {
    let only = |left: &[String], right: &[String], whose: &str| {
        let lines = left.iter().filter(|line| !right.contains(line)).map(|line| format!("  only {whose}: {line}\n"));
        lines.collect::<String>()
    };
    let difference = only(git, ours, "git") + &only(ours, git, "ours");
    let number = |line: &String, lines: &[String]| lines.iter().filter(|other| *other == line).count();
    if !difference.is_empty() || git == ours {
        return difference;
    }
    match git.iter().find(|line| number(line, git) != number(line, ours)) {
        Some(line) => format!("  {} times with git, {} with ours: {line}\n", number(line, git), number(line, ours)),
        None => "  in another order\n".to_owned(),
    }
}
