//! The hook `reference-transaction`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use reftable::bytes::Reading;
use reftable::{Expect, ObjectId, Options};
use reftable_git::{Batch, Change, ErrorKind, Repository};

use crate::effort::loudly;
use crate::support::{Random, copy_tree, git, git_knows_reftables, init, number, repository, run_git};

fn put_hook(repo: &Path, refuses_in: &str) {
    let hook = repo.join(".git/hooks/reference-transaction");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let script = format!("#!/bin/sh\n{{ echo \"$1\"; cat; }} >> \"$GIT_DIR/heard\"\n[ \"$1\" != '{refuses_in}' ]\n");
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, Permissions::from_mode(0o755)).unwrap();
}

fn heard(repo: &Path) -> String {
    let file = repo.join(".git/heard");
    let text = fs::read_to_string(&file).unwrap_or_default();
    let _there_may_be_none = fs::remove_file(file);
    text
}

#[test]
fn the_hook_hears_each_phase_and_may_refuse() {
    let Some((_top, repo)) = repository() else { return };
    let old: ObjectId = git(&repo, ["rev-parse", "HEAD"]).parse().unwrap();
    let new: ObjectId = git(&repo, ["commit-tree", "-m", "two", "HEAD^{tree}"]).parse().unwrap();
    let zero = ObjectId::null(old.kind());
    let commit = |id: ObjectId| {
        let mut batch = Batch::default();
        batch.changes.push(Change::set("HEAD", Expect::Is(old.into()), id));
        batch.changes.push(Change::set("refs/heads/b", Expect::Any, id).no_deref());
        batch.commit(&Repository::at(&repo).unwrap().open(&Options::default(), None).unwrap())
    };
    let b = format!("{zero} {new} refs/heads/b\n");
    let before = format!("{old} {new} HEAD\n{b}");
    // The symbolic reference is followed under the lock, and what it leads to comes last.
    let after = format!("{b}{old} {new} refs/heads/main\n");
    for (refuses_in, told) in [
        ("preparing", format!("preparing\n{before}aborted\n{before}")),
        ("prepared", format!("preparing\n{before}prepared\n{after}aborted\n{after}")),
    ] {
        put_hook(&repo, refuses_in);
        let error = commit(new).unwrap_err();
        assert!(error.kind() == ErrorKind::Refused && error.to_string().contains(refuses_in), "{error}");
        assert_eq!(heard(&repo), told);
        assert_eq!(Repository::at(&repo).unwrap().head().unwrap().id(), Some(old));
    }
    put_hook(&repo, "committed");
    commit(new).unwrap();
    assert_eq!(heard(&repo), format!("preparing\n{before}prepared\n{after}committed\n{after}"));
    assert_eq!(Repository::at(&repo).unwrap().view(Reading::Checked).unwrap().resolve(b"HEAD").unwrap(), Some(new));
}

/// A hook of the configuration that notes its name and the phase, and refuses in one.
fn configure(repo: &Path, name: &str, refuses_in: &str) {
    let command = format!("echo {name} >> \"$GIT_DIR/heard\"; cat > /dev/null; [ \"$1\" != '{refuses_in}' ] && true");
    git(repo, ["config", &format!("hook.{name}.command"), &format!("f() {{ {command}; }}; f")]);
    git(repo, ["config", "--add", &format!("hook.{name}.event"), "reference-transaction"]);
}

#[test]
fn hooks_of_the_configuration_run_in_order_and_before_the_file() {
    let Some((_top, repo)) = repository() else { return };
    let id: ObjectId = git(&repo, ["rev-parse", "HEAD"]).parse().unwrap();
    let commit = |name: &str| {
        let mut batch = Batch::default();
        batch.changes.push(Change::set(format!("refs/heads/{name}"), Expect::Absent, id));
        batch.commit(&Repository::at(&repo)?.open(&Options::default(), None)?)
    };
    configure(&repo, "second", "");
    configure(&repo, "first", "");
    // What comes up again comes later.
    let config = repo.join(".git/config");
    let again = "[hook \"second\"]\n\tevent = reference-transaction\n";
    fs::write(&config, fs::read_to_string(&config).unwrap() + again).unwrap();
    configure(&repo, "off", "preparing");
    git(&repo, ["config", "hook.off.enabled", "false"]);
    configure(&repo, "gone", "preparing");
    git(&repo, ["config", "--add", "hook.gone.event", ""]);
    git(&repo, ["config", "hook.other.event", "pre-commit"]);
    git(&repo, ["config", "hook.other.command", "false"]);
    commit("a").unwrap();
    assert_eq!(heard(&repo), "first\nsecond\n".repeat(3));

    // A veto stops the change, and not the hooks after it. The file in hooks/ is the last one.
    configure(&repo, "first", "prepared");
    put_hook(&repo, "");
    let error = commit("b").unwrap_err();
    assert!(error.kind() == ErrorKind::Refused && error.to_string().contains("'first'"), "{error}");
    let told = heard(&repo);
    let words: Vec<&str> = told.lines().filter(|line| !line.contains("refs/heads/b")).collect();
    let each = ["preparing", "prepared", "aborted"].map(|phase| ["first", "second", phase]);
    assert_eq!(words, each.concat());

    // All of the configuration's may be switched off, which leaves the file.
    git(&repo, ["config", "hook.reference-transaction.enabled", "false"]);
    commit("b").unwrap();
    let told = heard(&repo);
    assert!(told.starts_with("preparing\n") && !told.contains("first"), "{told}");
    // With a command it is a hook, and no switch.
    git(&repo, ["config", "hook.reference-transaction.command", "false"]);
    commit("c").unwrap_err();
    assert!(heard(&repo).contains("first"));
    git(&repo, ["config", "--unset", "hook.reference-transaction.command"]);
    git(&repo, ["config", "hook.reference-transaction.enabled", "true"]);

    // Whatever git refuses, which may be about another event, is refused.
    for (key, value) in [
        ("hook.none.event", "reference-transaction"),
        ("hook.none.event", "pre-commit"),
        ("hook.reference-transaction.event", "reference-transaction"),
        ("hook.reference-transaction.event", "pre-commit"),
    ] {
        git(&repo, ["config", key, value]);
        let error = commit("c").unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("hook."), "{error}");
        git(&repo, ["config", "--unset", key]);
    }
}

/// Whether git runs hooks of the configuration; it does from 2.54 on.
fn git_runs_configured_hooks(top: &Path) -> bool {
    init(top, "probe", &[]);
    let probe = top.join("probe");
    git(&probe, ["config", "hook.probe.event", "reference-transaction"]);
    git(&probe, ["config", "hook.probe.command", "echo >> heard"]);
    git(&probe, ["update-ref", "refs/heads/probe", "main"]);
    probe.join("heard").exists()
}

/// One of many configurations of hooks: they note what they are told, some refuse, some are no
/// hooks at all.
fn random_hooks(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..=random.below(5) {
        let name = if random.one_in(40) { "reference-transaction" } else { random.of(&["a", "b", "c d", "E", "x.y"]) };
        text += &format!("[hook \"{name}\"]\n");
        for _ in 0..=random.below(3) {
            let event = random.of(&["reference-transaction", "reference-transaction", "pre-commit", ""]);
            let phase = random.of(&["", "", "", "preparing", "prepared", "committed", "aborted"]);
            let note = format!("echo '{name}' $# \\\"$@\\\" $PWD; cat; [ $1 != '{phase}' ] && true");
            let note = format!("\"f() {{ {{ {note}; }} >> heard; }}; f");
            text += &match random.below(9) {
                0..3 => format!("\tevent = {event}\n"),
                3..5 => format!("\tcommand = {note}\"\n"),
                5 => format!("\tcommand = {note} one 'two  three'\"\n"),
                6 => format!("\tcommand = {}\n", random.of(&["false", "\"exec 0<&-; true\"", "\"true #\"", "exit 3"])),
                7 => format!("\tenabled = {}\n", random.of(&["true", "false", "0", ""])),
                _ => "\tother = 1\n".to_owned(),
            };
        }
        // Last, as what reads the configuration forgets those before another value.
        if random.one_in(20) {
            text += &format!("\t{}\n", random.of(&["enabled", "command", "event"]));
        }
    }
    text
}

#[test]
fn random_hooks_of_the_configuration_hear_and_decide_as_with_git() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    if !git_runs_configured_hooks(top.path()) {
        loudly("SKIPPED: hooks of the configuration beside git's own need git 2.54 or newer");
        return;
    }
    init(top.path(), "template", &[]);
    let template = top.path().join("template");
    git(&template, ["symbolic-ref", "refs/heads/sym", "refs/heads/main"]);
    let new: ObjectId = git(&template, ["commit-tree", "-m", "two", "HEAD^{tree}"]).parse().unwrap();
    let (mut done, mut refused) = (0, 0);
    let (cases, seed) = (number("REFTABLE_CASES").unwrap_or(60), number("REFTABLE_SEED").unwrap_or(18));
    for case in 0..cases {
        let random = &mut Random(seed.wrapping_mul(1 << 32).wrapping_add(case));
        let (hooks, name) = (random_hooks(random), *random.of(&["refs/heads/new", "refs/heads/sym", "HEAD"]));
        let is_filed = random.one_in(3);
        // One after the other in the same place, which the hooks note.
        let repo = top.path().join("repo");
        let [theirs, ours] = [true, false].map(|is_git| {
            copy_tree(&template, &repo);
            let config = fs::read_to_string(repo.join(".git/config")).unwrap();
            fs::write(repo.join(".git/config"), config + &hooks).unwrap();
            if is_filed {
                put_hook(&repo, "");
            }
            let is_done = match is_git {
                true => run_git(&repo, ["update-ref", name, &new.to_string()]).status.success(),
                false => {
                    let changes = vec![Change::set(name, Expect::Any, new)];
                    let stores = Repository::at(&repo).unwrap().open(&Options::default(), None);
                    stores.and_then(|stores| Batch { changes, ..Batch::default() }.commit(&stores)).is_ok()
                }
            };
            let told = fs::read_to_string(repo.join("heard")).unwrap_or_default();
            let at = Repository::at(&repo).unwrap().view(Reading::Copied).unwrap().resolve(name.as_bytes()).unwrap();
            fs::remove_dir_all(&repo).unwrap();
            (is_done, at, told)
        });
        assert_eq!(ours, theirs, "case {case}: {name}\n{hooks}");
        if ours.0 { done += 1 } else { refused += 1 }
    }
    assert!(done > 5 && refused > 5, "{done} were done, {refused} refused");
}

/// As with git: a file without `#!` is for the shell, and a path of hooks that is empty names none,
/// whatever lies at the top of the work tree.
#[test]
fn hooks_are_found_and_run_as_by_git() {
    let Some((_top, repo)) = repository() else { return };
    let id: ObjectId = git(&repo, ["rev-parse", "HEAD"]).parse().unwrap();
    let create = |name: &str| {
        let mut batch = Batch::default();
        batch.changes.push(Change::set(name, Expect::Absent, id));
        batch.commit(&Repository::at(&repo).unwrap().open(&Options::default(), None).unwrap())
    };
    let put = |dir: &Path| {
        fs::create_dir_all(dir).unwrap();
        let hook = dir.join("reference-transaction");
        fs::write(&hook, "exit 1\n").unwrap();
        fs::set_permissions(&hook, Permissions::from_mode(0o755)).unwrap();
    };
    put(&repo.join(".git/hooks"));
    put(&repo);
    let by_git = || run_git(&repo, ["update-ref", "refs/heads/by-git", "HEAD"]).status.success();
    assert_eq!((create("refs/heads/a").is_ok(), by_git()), (false, false));
    git(&repo, ["config", "core.hooksPath", ""]);
    assert_eq!((create("refs/heads/a").is_ok(), by_git()), (true, true));
}
