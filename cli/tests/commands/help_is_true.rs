//! What the pages of help show can be done.

use std::process::Command;

use crate::support::{Repo, feed, for_each_hash, isolated};

/// The commands that a page of help lists.
fn commands(repo: &Repo, page: &[&str]) -> Vec<String> {
    let help = repo.ours(page.iter().chain(&["--help"]));
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names =
        lines.take_while(|line| !line.is_empty()).filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Every page has examples, and each is understood: it does what it says, or finds nothing to do it
/// with.
#[test]
fn every_page_has_examples_that_are_understood() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        repo.commit("two");
        repo.git(["branch", "topic"]);
        repo.git(["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"]);
        let commands = commands(repo, &[]);
        assert!(commands.len() >= 20, "{commands:?}");
        for command in &commands {
            let help = repo.ours([command, "--help"]);
            let (_, examples) = help.rsplit_once("Examples:").unwrap_or_else(|| panic!("{command} has no examples"));
            for example in examples.lines().map(str::trim).filter(|line| line.contains("reftable ")) {
                understood(repo, example, &id);
            }
        }
    });
}

fn understood(repo: &Repo, example: &str, id: &str) {
    let copy = repo.copy();
    let table = std::fs::read_to_string(copy.join(".git/reftable/tables.list")).unwrap();
    let script = example
        .split(" | jq ")
        .next()
        .unwrap()
        .replace("2e6f9b0d5885b6010f9167787445617f553a735f", id)
        .replace("/srv/repo.git", ".")
        .replace("0x000000000001-0x000000000001-5aa1a0b2.ref", table.lines().next().unwrap());
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_reftable")).parent().unwrap();
    let path = std::env::join_paths(
        [program.to_owned()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let mut shell: Command = isolated("sh");
    let output = feed(shell.current_dir(&copy).env("PATH", path.unwrap()).args(["-c", &script]), b"");
    let said = String::from_utf8_lossy(&output.stderr);
    // What an example needs need not be there; what it says must be understood.
    let is_understood = matches!(output.status.code(), Some(0 | 1)) && !said.contains("Usage:");
    assert!(is_understood, "{example}: {output:?}");
}
