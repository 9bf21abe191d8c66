//! What the pages of help show can be done.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::{Repo, feed, for_each_hash, isolated};

/// The commands that a page of help lists.
fn commands(repo: &Repo, page: &[String]) -> Vec<String> {
    let help = repo.ours(page.iter().map(String::as_str).chain(["--help"]));
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names =
        lines.take_while(|line| !line.is_empty()).filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

/// All pages below `page`, and those below them.
fn pages(repo: &Repo, page: &[String]) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for command in commands(repo, page) {
        let below = [page, &[command]].concat();
        all.push(below.clone());
        all.extend(pages(repo, &below));
    }
    all
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
        let pages = pages(repo, &[]);
        assert!(pages.len() >= 35, "{pages:?}");
        for words in ["reflog expire", "refs verify"] {
            assert!(pages.iter().any(|page| page.join(" ") == words), "{words}: {pages:?}");
        }
        // Pages behind 'refs' are those of the commands without it.
        let mut seen = BTreeSet::new();
        for page in &pages {
            let help = repo.ours(page.iter().map(String::as_str).chain(["--help"]));
            assert_eq!(repo.ours(["help"].into_iter().chain(page.iter().map(String::as_str))), help, "help {page:?}");
            let short = repo.ours(page.iter().map(String::as_str).chain(["-h"]));
            assert!(short.starts_with(help.lines().next().unwrap()) && short.len() <= help.len(), "{page:?}: {short}");
            let (_, examples) = help.rsplit_once("Examples:").unwrap_or_else(|| panic!("{page:?} has no examples"));
            let examples: Vec<_> = examples.lines().map(str::trim).filter(|line| line.contains("reftable ")).collect();
            assert!(!examples.is_empty(), "{page:?}");
            for example in examples {
                if seen.insert(example.to_owned()) {
                    understood(repo, example, &id).unwrap();
                }
            }
        }
    });
}

/// The test above would notice.
#[test]
fn an_example_that_is_not_understood_is_noticed() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        for (example, is_right) in [
            ("reftable reflog expire --all", true),
            ("reftable reflog expire --everything", false),
            ("reftable refs verify --strikt", false),
            ("reftable get HEAD; reftable frobnicate", false),
        ] {
            assert_eq!(understood(repo, example, &id).is_ok(), is_right, "{example}");
        }
    });
}

/// The rows of the table of options in docs/cli.md: the words of a command, its options, and what
/// is said of them.
fn options() -> Vec<(Vec<&'static str>, Vec<&'static str>, &'static str)> {
    let text = include_str!("../../../docs/cli.md");
    let (_, section) = text.split_once("## Options of git").unwrap();
    let (table, _) = section.split_once("\n## ").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let quoted = |text: &'static str| text.split('`').skip(1).step_by(2).collect::<Vec<_>>();
        (quoted(columns[1])[0].split(' ').collect(), quoted(columns[2]), columns[3])
    })
    .collect()
}

/// Each option that the page says we know is understood, and each that it says we refuse is refused
/// with a message.
#[test]
fn options_of_git_are_understood_as_the_page_says() {
    for_each_hash(|repo| {
        repo.commit("one");
        let values = [
            ("REASON", "why"),
            ("PATTERN", "refs/*"),
            ("OBJECT", "HEAD"),
            ("COMMIT", "HEAD"),
            ("TIME", "90.days.ago"),
            ("FORMAT", "%(refname)"),
            ("NAME", "refs/heads/a"),
            ("WHEN", "always"),
            ("N", "7"),
        ];
        let is_understood = |command: &[&str], option: &str| {
            let option = values.iter().fold(option.to_owned(), |option, (word, value)| option.replace(word, value));
            let run = repo.run(command.iter().copied().chain(option.split(' ')));
            let wrong = ["unexpected argument", "unrecognized", "invalid value", "unexpected value", "Usage:"];
            !wrong.iter().any(|wrong| run.err.contains(wrong))
        };
        let rows = options();
        assert!(rows.len() >= 18, "{rows:?}");
        for (command, options, here) in &rows {
            for option in options {
                if here.starts_with("refused") {
                    repo.run(command.iter().chain([option])).failed(128);
                } else {
                    assert!(is_understood(command, option), "{command:?} {option}");
                }
            }
        }
        assert!(!is_understood(&["show-ref"], "--abrv"));
        assert!(!is_understood(&["reflog", "expire"], "--expire=soon"));
    });
}

/// The table has all options that the git on this machine tells of.
#[test]
fn no_option_of_git_is_missing_on_the_page() {
    for_each_hash(|repo| {
        for command in [
            &["update-ref"][..],
            &["symbolic-ref"],
            &["show-ref"],
            &["reflog", "delete"],
            &["reflog", "expire"],
            &["pack-refs"],
            &["refs", "migrate"],
        ] {
            let output = isolated("git").current_dir(repo.path()).args(command).arg("-h").output().unwrap();
            let usage = String::from_utf8_lossy(&output.stdout).into_owned();
            let known: Vec<&str> =
                options().into_iter().filter(|(of, ..)| of == command).flat_map(|(_, options, _)| options).collect();
            let mut count = 0;
            for line in usage.lines().map(str::trim_start).filter(|line| line.starts_with('-')) {
                let names =
                    line.split([' ', ',', '[', '=']).take_while(|word| word.starts_with('-') || word.is_empty());
                // As in '--[no-]head'.
                let long = line.replace("[no-]", "");
                let long = long.split([' ', ',', '[', '=']).find(|word| word.starts_with("--"));
                for name in names.filter(|name| name.len() == 2 && *name != "--").chain(long) {
                    count += 1;
                    let is_known = known.iter().any(|option| option.split([' ', '=']).next() == Some(name));
                    assert!(is_known, "{command:?} {name} is not in docs/cli.md");
                }
            }
            assert!(count > 0, "{command:?}: {usage}");
        }
    });
}

/// Whether `example` is understood.
fn understood(repo: &Repo, example: &str, id: &str) -> Result<(), String> {
    let copy = repo.copy();
    // No example is to be sent to a real object store: with a place that is none all of it is
    // read, and then refused.
    let is_place = |word: &str| word.starts_with("s3://");
    let is_remote = example.split(' ').any(is_place);
    let words = example.split(' ').map(|word| if is_place(word) { "s3://bucket" } else { word });
    let example = &words.collect::<Vec<_>>().join(" ");
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
    let is_understood = match is_remote {
        true => said.contains("names no store"),
        false => matches!(output.status.code(), Some(0 | 1)) && !said.contains("Usage:"),
    };
    if is_understood { Ok(()) } else { Err(format!("{example}: {output:?}")) }
}
