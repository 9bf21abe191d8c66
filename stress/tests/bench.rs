//! Drives programs of all kinds for a few seconds, liars among them, and has the runs judged.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a helper that fails is to fail its test")]

#[path = "../../tests/support/effort.rs"]
mod effort;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn stress(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_reftable-stress")).args(args).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

fn json(output: &Output) -> serde_json::Value {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
}

/// Whether this machine has a git that knows tables; else a word about it, past the capture of
/// tests.
fn has_git() -> bool {
    let help = Command::new("git").args(["init", "-h"]).output();
    let knows = help.is_ok_and(|help| text(&help).contains("--ref-format"));
    if !knows {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: no git that knows reftables\n");
    }
    knows
}

/// How often the claim with this name was broken.
fn broken(report: &serde_json::Value, claim: &str) -> u64 {
    let claims = report.pointer("/verdict/claims").and_then(|claims| claims.as_array()).unwrap();
    let judged = claims.iter().find(|judged| judged.get("claim").is_some_and(|name| name == claim)).unwrap();
    judged.get("broken").and_then(|broken| broken.as_u64()).unwrap()
}

/// How long a run takes of which only what is shown counts.
fn seconds() -> String {
    format!("--seconds={}", effort::bound("seconds of a run that is shown", 3, 2))
}

/// A liar that must be found out by this claim.
fn liar(kind: &str, sessions: u32, claim: &str) {
    if !has_git() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let program = env!("CARGO_BIN_EXE_reftable-stress");
    let driver = format!("--line-driver={sessions}:exec {program} driver --durability=off --lie {kind}");
    let args = ["--chaos", &seconds(), "--seed=1", "--json", "--dir", root.to_str().unwrap(), &driver];
    let output = stress(&args);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(broken(&json(&output), claim) > 0, "{}", text(&output));
    let again = stress(&["check", root.to_str().unwrap(), "--json"]);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again));
    assert!(broken(&json(&again), claim) > 0, "{}", text(&again));
}

#[test]
fn who_acknowledges_what_it_has_not_done_is_found_out() {
    liar("nothing", 3, "kept");
}

#[test]
fn who_does_a_part_is_found_out() {
    liar("part", 3, "whole");
}

#[test]
fn who_does_it_twice_is_found_out() {
    liar("twice", 3, "kept");
}

#[test]
fn who_answers_from_long_ago_is_found_out() {
    liar("back", 3, "ordered");
}

#[test]
fn who_loses_at_a_kill_is_found_out() {
    // One alone sees nothing wrong but by kills.
    liar("late", 1, "kept");
}

#[test]
fn who_says_that_it_refused_what_it_did_is_found_out() {
    liar("refusal", 3, "honest");
}

#[test]
fn without_kills_a_single_liar_who_is_late_is_as_good_as_any() {
    if !has_git() {
        return;
    }
    let program = env!("CARGO_BIN_EXE_reftable-stress");
    let driver = format!("--line-driver=1:exec {program} driver --durability=off --lie late");
    let output = stress(&["--seconds=2", "--seed=1", &driver]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn gits_are_killed_and_their_locks_counted_and_removed() {
    if !has_git() {
        return;
    }
    let common = ["--chaos", "--processes=0", "--git=3", "--seconds=4", "--seed=1", "--json"];
    let helped = stress(&[&common[..], &["--help-dead-locks"]].concat());
    assert_eq!(helped.status.code(), Some(0), "{}", text(&helped));
    let report = json(&helped);
    assert!(report["stalls"]["kills"].as_u64().unwrap() > 3, "{report}");
    let locks = report["stalls"]["dead_locks"].as_array().unwrap();
    assert!(locks.iter().any(|lock| lock["removed"] == true && lock["driver"].as_str().unwrap().starts_with("git-")));
    // The control: nobody helps, and it is a violation.
    let alone = stress(&[&common[..], &["--max-stall=1500"]].concat());
    assert_eq!(alone.status.code(), Some(1), "{}", text(&alone));
    assert!(broken(&json(&alone), "goes_on") > 0, "{}", text(&alone));
}

#[test]
fn ours_and_git_are_killed_side_by_side() {
    if !has_git() {
        return;
    }
    let driver = "--driver=1:git update-ref --stdin";
    let args =
        ["--chaos", "--processes=2", driver, "--help-dead-locks", "--seconds=4", "--seed=2", "--sha256", "--json"];
    let output = stress(&args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    for side in json(&output)["drivers"].as_array().unwrap() {
        assert!(side["acknowledged"].as_u64().unwrap() > 0, "{side}");
    }
}

#[test]
fn files_are_a_control_of_which_less_holds() {
    if !has_git() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let files = ["--ref-format=files", "--git=3", "--processes=0", "--chaos", "--help-dead-locks"];
    let output =
        stress(&[&files[..], &["--seconds=4", "--seed=1", "--json", "--dir", root.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(broken(&json(&output), "whole") > 0, "{}", text(&output));
    assert_eq!(broken(&json(&output), "kept"), 0, "{}", text(&output));
}

#[test]
fn a_kept_run_is_judged_again_as_it_is_now() {
    if !has_git() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (root, edn) = (dir.path().join("run"), dir.path().join("run.edn"));
    let root = root.to_str().unwrap();
    let run = stress(&["--driver=git update-ref --stdin", "--seconds=2", "--seed=1", "--dir", root]);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run));
    let check = || stress(&["check", root, "--edn", edn.to_str().unwrap(), "--json"]);
    assert_eq!(check().status.code(), Some(0), "{}", text(&check()));
    let written = fs::read_to_string(&edn).unwrap();
    assert!(written.lines().all(|line| line.starts_with("{:index ") && line.ends_with('}')), "{written}");
    // The control: a reference is taken away.
    let lost = ["update-ref", "-d", "refs/stress/account/03"];
    assert!(Command::new("git").args(["-C", &format!("{root}/repository")]).args(lost).status().unwrap().success());
    let output = check();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(broken(&json(&output), "kept") > 0, "{}", text(&output));
}

#[test]
fn every_line_of_a_history_is_as_the_schema_has_it() {
    if !has_git() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let args = ["--git=2", "--processes=1", "--ref-format=reftable", "--chaos", "--help-dead-locks", &seconds()];
    let output = stress(&[&args[..], &["--dir", root.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/history.schema.json");
    let schema: serde_json::Value = serde_json::from_str(&fs::read_to_string(schema).unwrap()).unwrap();
    let known = schema["properties"].as_object().unwrap();
    let history = fs::read_to_string(root.join("history.jsonl")).unwrap();
    for (number, line) in history.lines().enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let fields = line.as_object().unwrap();
        assert!(fields.keys().all(|field| known.contains_key(field)), "{line}");
        let required = schema["required"].as_array().unwrap();
        assert!(required.iter().all(|field| fields.contains_key(field.as_str().unwrap())), "{line}");
        assert_eq!(fields["index"], number, "{line}");
        assert!(known["type"]["enum"].as_array().unwrap().contains(&fields["type"]), "{line}");
    }
}

/// A driver that reads as git does, and refuses whatever it is to do.
const REFUSES: &str = "--line-driver=while read what prefix; do case $what in commit) echo refused;; \
    list) git for-each-ref --format='%(objectname) %(refname)' $prefix; echo end;; esac; done";

/// What a browser makes of a page; `None`, and a word about it, without one.
fn seen_by_a_browser(page: &Path, screenshot: &Path) -> Option<String> {
    let mut browser = Command::new("chromium");
    browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,1600", "--dump-dom"]);
    // No network: what a page would fetch would show as an error.
    browser.args(["--proxy-server=127.0.0.1:9", "--enable-logging=stderr", "--v=0"]);
    browser.arg(format!("--screenshot={}", screenshot.display())).arg(format!("file://{}", page.display()));
    let Ok(output) = browser.output() else {
        assert!(std::env::var_os("REFTABLE_REQUIRE_CHROMIUM").is_none(), "there is no chromium");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: no chromium to look at a page with\n");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("CONSOLE"), "{said}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_page_shows_a_run_in_a_browser() {
    if !has_git() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (page, root) = (dir.path().join("run.html"), dir.path().join("run"));
    let program = env!("CARGO_BIN_EXE_reftable-stress");
    let driver = format!(
        "--line-driver=2:exec {program} driver --durability=off --lie part # </title><script>alert(1)</script>"
    );
    let html = format!("--html={}", page.display());
    let output = stress(&["--chaos", &seconds(), "--seed=1", &driver, &html, "--dir", root.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let Some(dom) = seen_by_a_browser(&page, &dir.path().join("run.png")) else { return };
    assert!(!dom.contains("<script"), "what a run says is escaped");
    assert!(dom.contains("&lt;script&gt;alert(1)") && dom.contains("<td class=\"broken\">broken</td>"), "{dom}");
    for drawing in ["lanes", "latencies", "rates"] {
        assert!(dom.contains(&format!("<svg id=\"{drawing}\"")), "{drawing}");
    }
    let marks = ["class=\"kill\"", "class=\"tick\"", "class=\"dot", "class=\"rate", "lines-0", "lines-1"];
    assert!(marks.iter().all(|mark| dom.contains(mark)), "{dom}");
    assert!(fs::metadata(dir.path().join("run.png")).unwrap().len() > 10_000, "a picture of it");
    // The same of a kept run.
    let again = stress(&["check", root.to_str().unwrap(), &html]);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again));
    assert!(fs::read_to_string(&page).unwrap().contains("class=\"kill\""));
}

/// Sessions of this library over a store that git does not know.
fn elsewhere(lie: &str) -> String {
    let program = env!("CARGO_BIN_EXE_reftable-stress");
    let store = "$STRESS_GIT_DIR/mine";
    format!("--line-driver=3:mkdir -p {store}; exec {program} driver --durability=off --store {store} {lie}")
}

#[test]
fn a_store_that_git_does_not_know_is_judged() {
    if !has_git() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (lie, code) in [("", 0), ("--lie nothing", 1)] {
        let root = dir.path().join(code.to_string());
        let args = ["--ref-format=own", "--chaos", &seconds(), "--seed=1", "--json"];
        let output = stress(&[&args[..], &["--dir", root.to_str().unwrap(), &elsewhere(lie)]].concat());
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert_eq!(broken(&json(&output), "sound"), 0, "{}", text(&output));
        let again = stress(&["check", root.to_str().unwrap()]);
        assert_eq!(again.status.code(), Some(code), "{}", text(&again));
        assert!(text(&again).contains("the history is judged alone"), "{}", text(&again));
    }
}

#[test]
fn a_reading_that_fails_breaks_a_claim() {
    if !has_git() {
        return;
    }
    let driver = elsewhere("").replace("exec ", "")
        + " | { n=0; while read -r line; do n=$(((n + 1) % 40)); [ $n = 39 ] && line='what?'; echo \"$line\"; done; }";
    let (dir, args) = (tempfile::tempdir().unwrap(), ["--ref-format=own", &seconds(), "--seed=1", "--json"]);
    let root = dir.path().join("run");
    let output = stress(&[&args[..], &["--dir", root.to_str().unwrap(), &driver]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains(r#"a reading failed: "what?" is neither"#), "{}", text(&output));
}

#[test]
fn what_says_nothing_is_no_pass() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.jsonl");
    fs::write(&empty, "").unwrap();
    let is_usage = |args: &[&str], what: &str| {
        let output = stress(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output));
        assert!(text(&output).contains(what), "{args:?}: {}", text(&output));
    };
    is_usage(&["check", empty.to_str().unwrap()], "nothing to judge");
    is_usage(&["check", "/nowhere"], "/nowhere");
    is_usage(&["--driver=0:git"], "without sessions");
    is_usage(&["--ref-format=files"], "nobody is driven");
    is_usage(&["--ref-format=own", "--driver=cat"], "give --list");
    is_usage(&["--ref-format=own", "--line-driver=cat", "--git=1"], "git does not know");
    is_usage(&["--processes=0", "--git=0"], "nobody writes");
    is_usage(&["--list=true", "--line-driver=cat"], "there is none");
    is_usage(&["--kill-every=9", "--line-driver=cat"], "--chaos");
    is_usage(&["--html=/nowhere/page.html", "--line-driver=cat"], "no directory /nowhere");
    if !has_git() {
        return;
    }
    is_usage(&["--driver=there-is-no-such-program", "--seconds=1"], "not found");
    is_usage(&["--driver=cat", "--seconds=1"], "`cat`");
    is_usage(&[REFUSES, "--seconds=1"], "acknowledged nothing");
    is_usage(&[&elsewhere(""), "--seconds=1"], "judged with --ref-format own");
    is_usage(&["--ref-format=own", "--line-driver=true", "--seconds=1"], "in an empty store, and ended");
    is_usage(&["--driver=git update-ref --stdin", "--list=echo x", "--seconds=1"], "\"x\" is no \"ID NAME\"");
    let git = "--driver=git update-ref --stdin";
    is_usage(&["--chaos", "--kill-every=3600000", "--seconds=1", "--seed=1", git], "nobody was killed");
    is_usage(&["--threads=2", git], "--threads");
    is_usage(&["--git=/nowhere/git"], "/nowhere/git");
}
