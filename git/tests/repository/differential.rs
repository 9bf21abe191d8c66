//! Random repositories and random transactions, done by git in one copy and by us in the other:
//! both must say yes or no alike, and leave the same references and logs.
//!
//! `REFTABLE_CASES` sets how many transactions, `REFTABLE_SEED` with which seed they begin.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use reftable::bytes::Reading;
use reftable::{Durability, Expect, Ident, LogEntry, ObjectId, Options};
use reftable_git::{Action, Batch, Change, Error, Head, Repository, View};

use crate::effort::bound;
use crate::support::{Random, copy_tree, git, git_command, git_knows_reftables, init, number};

const NAMES: [&str; 16] = [
    "HEAD",
    "ORIG_HEAD",
    "refs/heads/main",
    "refs/heads/a",
    "refs/heads/a/x",
    "refs/heads/v1",
    "refs/tags/v1",
    "refs/tags/main",
    "refs/remotes/o/main",
    "refs/remotes/o/HEAD",
    "refs/notes/n",
    "refs/sym/s",
    "refs/sym/t",
    "refs/bisect/bad",
    "refs/worktree/w",
    "refs/odd",
];
const SHORT: [&str; 12] =
    ["HEAD", "main", "a", "a/x", "v1", "o", "o/main", "heads/main", "tags/v1", "sym/s", "refs/tags/main", "nothing"];
/// How many transactions each repository gets.
const ROUNDS: u64 = 5;

/// A git directory with a few commits, a tag, and a linked worktree; and the ids.
fn template(top: &Path) -> (PathBuf, Vec<ObjectId>) {
    init(top, "template", &[]);
    let repo = top.join("template");
    let mut ids = vec![git(&repo, ["rev-parse", "HEAD"])];
    for message in ["two", "three"] {
        git(&repo, ["commit", "-q", "--allow-empty", "-m", message]);
        ids.push(git(&repo, ["rev-parse", "HEAD"]));
    }
    git(&repo, ["worktree", "add", "-q", "--detach", "../linked"]);
    (repo.join(".git"), ids.iter().map(|id| id.parse().unwrap()).collect())
}

fn with_input(command: &mut Command, dir: &Path, input: &str) -> Output {
    let path = dir.join("input");
    fs::write(&path, input).unwrap();
    let output = command.stdin(fs::File::open(&path).unwrap()).output().unwrap();
    fs::remove_file(path).unwrap();
    output
}

/// Gives git commands of `update-ref --stdin` in a git directory; says whether it took them.
fn update_ref(git_dir: &Path, args: &[&str], input: &str) -> Result<(), String> {
    let mut command = git_command(git_dir);
    command.env("GIT_DIR", git_dir).arg("update-ref").args(args).arg("--stdin");
    let output = with_input(&mut command, git_dir, input);
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// All that can be told of a repository, but for the numbers of transactions: a line for each
/// reference, each log and each log entry.
fn state(repository: &Repository) -> Vec<String> {
    let view = repository.view(Reading::Copied).unwrap();
    let mut lines = Vec::new();
    view.refs(b"", |found| {
        lines.push(format!("{} {}", String::from_utf8_lossy(found.name), found.to_ref().target));
        Ok::<_, Error>(())
    })
    .unwrap();
    for name in NAMES.iter().filter(|name| view.log_exists(name.as_bytes()).unwrap()) {
        lines.push(format!("{name}: exists"));
        for LogEntry { old, new, committer, message } in view.log_entries(name.as_bytes()).unwrap() {
            let (who, message) = (String::from_utf8_lossy(&committer.email), String::from_utf8_lossy(&message));
            // git ends messages with a newline.
            let message = message.trim_end_matches('\n');
            lines.push(format!("{name}: {old:.7} {new:.7} {who} {} {} {message}", committer.time, committer.time_zone));
        }
    }
    lines
}

/// What is in one state only.
fn difference(git: &[String], ours: &[String]) -> String {
    let only = |left: &[String], right: &[String], whose: &str| {
        let lines = left.iter().filter(|line| !right.contains(line)).map(|line| format!("{whose}: {line}\n"));
        lines.collect::<String>()
    };
    only(git, ours, "git") + &only(ours, git, "ours")
}

/// References and symbolic references to begin with.
fn fill(random: &mut Random, git_dir: &Path, ids: &[ObjectId]) {
    // These two cannot both be.
    let absent = *random.of(&["refs/heads/a", "refs/heads/a/x"]);
    let mut commands = String::new();
    for name in NAMES.iter().filter(|name| **name != "HEAD" && **name != "refs/heads/main" && **name != absent) {
        match random.below(4) {
            0 => writeln!(commands, "update {name} {}", random.of(ids)).unwrap(),
            1 if name.starts_with("refs/") => {
                writeln!(commands, "symref-update {name} {}", random.of(&NAMES[2..])).unwrap()
            }
            _ => {}
        }
    }
    if random.one_in(3) {
        writeln!(commands, "symref-update HEAD {}", random.of(&NAMES[2..8])).unwrap();
    }
    update_ref(git_dir, &["--no-deref"], &commands).unwrap();
}

/// One command for git, and the same for us.
fn command(random: &mut Random, ids: &[ObjectId]) -> (String, Change) {
    let name = *random.of(&NAMES);
    let (new, old) = (*random.of(ids), *random.of(ids));
    let zero = ObjectId::null(new.kind());
    let (mut text, change) = match random.below(8) {
        0 | 1 => (format!("update {name} {new}"), Change::set(name, Expect::Any, new)),
        2 => (format!("update {name} {new} {old}"), Change::set(name, Expect::Is(old.into()), new)),
        3 => (format!("update {name} {new} {zero}"), Change::set(name, Expect::Absent, new)),
        4 => (format!("create {name} {new}"), Change::set(name, Expect::Absent, new)),
        5 => (format!("delete {name}"), Change::delete(name, Expect::Any)),
        6 => (format!("delete {name} {old}"), Change::delete(name, Expect::Is(old.into()))),
        _ => (format!("verify {name} {old}"), Change::verify(name, Expect::Is(old.into()))),
    };
    let change = if random.one_in(3) {
        text.insert_str(0, "option no-deref\n");
        change.no_deref()
    } else {
        change
    };
    (text + "\n", change)
}

/// The symbolic reference that is itself deleted by `change`: git's code for reftables keeps its
/// log, and adds to it; its code for files deletes it, and so do we.
fn unlinked(change: &Change, view: &View) -> Option<String> {
    let is_symbolic = view.get(&change.name).unwrap().is_some_and(|found| found.target.id().is_none());
    let is_unlinked = !change.follow && change.action == Action::Delete && is_symbolic;
    is_unlinked.then(|| String::from_utf8(change.name.clone()).unwrap())
}

/// The symbolic references through which `change` deletes what does not exist: git 2.47 makes logs
/// without entries of them.
fn emptied(change: &Change, view: &View) -> Vec<String> {
    let chain = view.follow(&change.name).ok().filter(|_| change.follow && change.action == Action::Delete);
    let links = chain.filter(|chain| chain.target.is_none()).map(|chain| chain.links).unwrap_or_default();
    links.into_iter().map(|(name, _)| String::from_utf8(name).unwrap()).collect()
}

/// What git says of names, and what we say.
fn assert_reads_alike(repository: &Repository, git_dir: &Path) {
    let in_git = |args: &[&str]| {
        let output = git_command(git_dir).env("GIT_DIR", git_dir).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    };
    let view = repository.view(Reading::Copied).unwrap();
    let mut ours = String::new();
    view.refs(b"refs/", |found| {
        // git leaves out what leads nowhere.
        if let Some(id) = view.resolve(found.name).unwrap_or(None) {
            let short = view.shorten(found.name)?;
            let (name, short) = (String::from_utf8_lossy(found.name), String::from_utf8_lossy(&short).into_owned());
            writeln!(ours, "{id} {name} {short}").unwrap();
        }
        Ok::<_, Error>(())
    })
    .unwrap();
    assert_eq!(in_git(&["for-each-ref", "--format=%(objectname) %(refname) %(refname:short)"]), ours.trim_end());
    let full = in_git(&[["rev-parse", "--symbolic-full-name"].as_slice(), &["HEAD"]].concat());
    match view.head() {
        Ok(Head::Branch { name, .. }) => assert_eq!(full.as_bytes(), name),
        Ok(Head::Detached { .. }) => assert_eq!(full, "HEAD"),
        _ => assert_eq!(full, "HEAD", "git repeats what it cannot resolve"),
    }
    let short: Vec<&str> = ["worktrees/linked/HEAD", "main-worktree/HEAD"].into_iter().chain(SHORT).collect();
    let mut command = git_command(git_dir);
    command.env("GIT_DIR", git_dir).args(["cat-file", "--batch-check=%(objectname)"]);
    let told = with_input(&mut command, git_dir, &(short.join("\n") + "\n"));
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    for (short, told) in short.iter().zip(told.lines()) {
        let ours = view.expand(short.as_bytes()).unwrap().map(|name| view.resolve(&name).unwrap().unwrap().to_string());
        assert_eq!(told, ours.unwrap_or_else(|| format!("{short} missing")), "{short}");
    }
}

#[test]
fn random_transactions_end_as_in_git() {
    if !git_knows_reftables() {
        return;
    }
    let usual = || bound("random transactions beside git's", 1_000, 300);
    let (cases, seed) = (number("REFTABLE_CASES").unwrap_or_else(usual), number("REFTABLE_SEED").unwrap_or(18));
    let top = tempfile::tempdir().unwrap();
    let (template, ids) = template(top.path());
    let committer =
        Ident { name: b"A U Thor".into(), email: b"author@example.com".into(), time: 1_700_000_000, time_zone: 130 };
    let (mut done, mut refused, mut explained, mut differences) = (0, 0, 0, Vec::new());
    'case: for case in 0..cases / ROUNDS {
        let random = &mut Random(seed.wrapping_mul(1 << 32).wrapping_add(case));
        let [theirs, ours] = ["theirs", "ours"].map(|name| top.path().join(format!("{name}-{case}")));
        copy_tree(&template, &theirs);
        let policy = *random.of(&["", "false", "true", "always"]);
        if !policy.is_empty() {
            let config = fs::read_to_string(theirs.join("config")).unwrap();
            fs::write(theirs.join("config"), format!("{config}[core]\n\tlogAllRefUpdates = {policy}\n")).unwrap();
        }
        fill(random, &theirs, &ids);
        copy_tree(&theirs, &ours);
        let is_linked = random.one_in(3);
        let place = |dir: &Path| if is_linked { dir.join("worktrees/linked") } else { dir.to_owned() };
        assert_reads_alike(&Repository::at(&place(&theirs)).unwrap(), &place(&theirs));
        for round in 0..ROUNDS {
            let commands: Vec<_> = (0..=random.below(3)).map(|_| command(random, &ids)).collect();
            let input: String = commands.iter().map(|(text, _)| text.as_str()).collect();
            let repository = Repository::at(&place(&ours)).unwrap();
            let before = state(&repository);
            // git 2.47 overwrites a symbolic reference that leads to nothing where it should
            // refuse; newer ones do not, nor do we.
            let view = repository.view(Reading::Copied).unwrap();
            let is_overwritten = commands.iter().any(|(_, change)| {
                let is_symbolic = view.get(&change.name).unwrap().is_some_and(|found| found.target.id().is_none());
                !change.follow && change.expect == Expect::Absent && is_symbolic
            });
            if is_overwritten {
                continue;
            }
            let unlinked: Vec<_> = commands.iter().filter_map(|(_, change)| unlinked(change, &view)).collect();
            let emptied: Vec<_> = commands.iter().flat_map(|(_, change)| emptied(change, &view)).collect();
            let git_says = update_ref(&place(&theirs), &["-m", "why"], &input);
            let changes = commands.into_iter().map(|(_, change)| change).collect();
            let batch = Batch { changes, reason: Some((committer.clone(), b"why".into())), ..Batch::default() };
            let options = Options::default().durability(Durability::Off);
            let we_say = batch.commit(&repository.open(&options, Some(Duration::from_secs(2))).unwrap());
            let we_say = we_say.map(drop).map_err(|error| error.to_string());
            // Deleting what is not there does nothing here; git refuses it beside a name that is in
            // the way.
            let is_in_the_way =
                |error: &String| error.contains("exists; cannot create") || error.contains("at the same time");
            if we_say.is_ok() && git_says.as_ref().is_err_and(is_in_the_way) {
                continue 'case;
            }
            let (mut theirs, mut ours) = (state(&Repository::at(&place(&theirs)).unwrap()), state(&repository));
            let log_of = |names: &[String], line: &str| {
                line.split_once(": ").is_some_and(|(name, _)| names.iter().any(|known| known == name))
            };
            if we_say.is_ok() {
                let kept = ours.iter().find(|line| log_of(&unlinked, line));
                assert_eq!(kept, None, "the log goes with the symbolic reference\n{input}");
            }
            let is_alike = theirs == ours;
            for state in [&mut theirs, &mut ours] {
                let empty: Vec<String> = emptied.iter().map(|name| format!("{name}: exists")).collect();
                state.retain(|line| !log_of(&unlinked, line) && !empty.contains(line));
            }
            if we_say.is_ok() != git_says.is_ok() || theirs != ours {
                let before = before.join("\n  ");
                differences.push(format!(
                    "seed {seed}, case {case}, round {round}, linked {is_linked}, logs '{policy}', before:\n  {before}\n\
                     {input}git: {git_says:?}\nwe: {we_say:?}\n{}",
                    difference(&theirs, &ours)
                ));
                continue 'case;
            }
            if git_says.is_ok() {
                done += 1
            } else {
                refused += 1
            }
            if !is_alike {
                // What follows would build on the difference.
                explained += 1;
                continue 'case;
            }
        }
        fs::remove_dir_all(theirs).unwrap();
        fs::remove_dir_all(ours).unwrap();
    }
    let first: String = differences.iter().take(8).map(String::as_str).collect();
    assert!(differences.is_empty(), "{} repositories differ:\n{first}", differences.len());
    assert!(done * 5 > refused && refused * 5 > done, "too one-sided: {done} done, {refused} refused");
    assert!(explained * 20 < done + refused, "{explained} of {done} and {refused} differ by what is known");
}
