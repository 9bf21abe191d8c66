//! Runs the program as people do, for some seconds, with few processes.

#![expect(clippy::unwrap_used, reason = "a helper that fails is to fail its test")]

#[path = "../../tests/support/effort.rs"]
mod effort;

use std::process::{Command, Output};
use std::sync::{LazyLock, PoisonError, RwLock};

/// Runs with kills judge how soon others go on: beside other runs they would judge those.
static MACHINE: RwLock<()> = RwLock::new(());

fn stress(args: &[&str]) -> Output {
    let judges_times = args.contains(&"--chaos");
    let _alone = judges_times.then(|| MACHINE.write().unwrap_or_else(PoisonError::into_inner));
    let _beside = (!judges_times).then(|| MACHINE.read().unwrap_or_else(PoisonError::into_inner));
    run(args)
}

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_reftable-stress")).args(args).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

/// Whether to do `what`, which has the machine to itself for seconds, or waits for it as long: only
/// if tests may take their time.
fn takes_its_time(what: &str) -> bool {
    effort::bound(what, 1, 0) == 1
}

/// The control runs find violations, so they keep their repository: in a directory that goes away
/// with the test. What others do beside them finds no fewer.
fn broken(flags: &[&str]) -> (Output, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let mut args = vec!["--git=0", "--seed=3", "--durability=off", "--dir", root.to_str().unwrap()];
    args.extend(flags);
    let _beside = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    (run(&args), dir)
}

/// Exits with 1 and says `what`.
fn is_found_out(flags: &[&str], what: &str) {
    let (output, _dir) = broken(flags);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains(what), "{}", text(&output));
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_str(text(output).lines().last().unwrap()).unwrap()
}

#[test]
fn a_run_is_clean_and_says_so_in_json() {
    for hash in [None, Some("--sha256")] {
        let seconds = format!("--seconds={}", effort::bound("seconds of a clean run", 2, 1));
        let mut args = vec![&*seconds, "--processes=4", "--git=2", "--seed=1", "--durability=off", "--json"];
        args.extend(hash);
        let output = stress(&args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        let (shown, last) = (text(&output), json(&output));
        assert_eq!(last["violations"], 0);
        assert!(last["ours"]["commits"].as_u64().unwrap() > 0, "{shown}");
        assert!(last["ours"]["reads"].as_u64().unwrap() > 0, "{shown}");
        assert!(last["checked"]["transfers"].as_u64().unwrap() > 0, "{shown}");
    }
}

/// A clean run with kills, of which several tests look at a side.
#[cfg(unix)]
struct Killed {
    run: Output,
    page: String,
    judged_again: Output,
}

#[cfg(unix)]
static KILLED: LazyLock<Killed> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let (root, page) = (dir.path().join("run"), dir.path().join("run.html"));
    let (root, html) = (root.to_str().unwrap(), format!("--html={}", page.display()));
    let who = ["--seconds=3", "--processes=5", "--git=2", "--threads=2", "--seed=8", "--durability=off", "--chaos"];
    let run = stress(&[&who[..], &["--json", "--dir", root, &html]].concat());
    let page = std::fs::read_to_string(page).unwrap_or_default();
    Killed { run, page, judged_again: stress(&["check", root, "--json"]) }
});

#[test]
#[cfg(unix)]
fn a_kept_run_has_a_history_that_is_judged_again() {
    let Killed { run, page, judged_again: again } = &*KILLED;
    assert_eq!(run.status.code(), Some(0), "{}", text(run));
    assert!(page.contains("No violation") && page.contains("class=\"kill\"") && page.contains("ours-0"), "{page}");
    assert_eq!(again.status.code(), Some(0), "{}", text(again));
    let claims = json(again)["verdict"]["claims"].clone();
    let looked_at = |claim: &str| {
        let judged = claims.as_array().unwrap().iter().find(|judged| judged["claim"] == claim).unwrap();
        judged["looked_at"].as_u64().unwrap()
    };
    assert!(looked_at("kept") > 10 && looked_at("whole") > 5 && looked_at("ordered") > 10, "{claims}");
    // The control: transfers in two commits.
    let (output, kept) = broken(&["--seconds=2", "--processes=3", "--break-atomicity"]);
    assert!(text(&output).contains("by its history: all or nothing"), "{}", text(&output));
    let again = stress(&["check", kept.path().join("run").to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again));
}

#[test]
#[cfg(unix)]
fn chaos_loses_nothing_and_says_how_long_others_waited() {
    let run = &KILLED.run;
    assert_eq!(run.status.code(), Some(0), "{}", text(run));
    let checked = &json(run)["checked"];
    assert!(checked["stalls"]["kills"].as_u64().unwrap() > 10, "{checked}");
    assert!(checked["stalls"]["stops"].as_u64().unwrap() > 0, "{checked}");
    assert!(checked["stalls"]["counted"].as_u64().unwrap() > 0, "{checked}");
    assert!(checked["stalls"]["is_robust"].as_bool().unwrap(), "{checked}");
    assert!(checked["stalls"]["p50_ms"].as_f64().unwrap() > 0.0, "{checked}");
    assert!(checked["in_flight"].as_u64().unwrap() > 0, "{checked}");
}

#[test]
fn without_git_processes_ours_are_checked_all_the_same() {
    let output = stress(&["--seconds=1", "--processes=2", "--git=0", "--seed=2"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn without_git_on_the_machine_it_says_so_and_runs() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reftable-stress"));
    let output = command.args(["--seconds=1", "--processes=3", "--seed=2"]).env("PATH", "").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("running without git"), "{}", text(&output));
}

#[test]
fn threads_share_a_stack_and_its_tables() {
    let output = stress(&["--seconds=2", "--processes=4", "--git=1", "--threads=4", "--seed=4", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let metrics = &json(&output)["metrics"];
    assert!(metrics["commits"].as_u64().unwrap() > metrics["groups"].as_u64().unwrap(), "{metrics}");
    assert!(metrics["largest_group"].as_u64().unwrap() > 1, "{metrics}");
}

#[test]
fn a_rare_git_commits_now_and_then_amid_kills() {
    if !takes_its_time("runs of 6 s with a rare git amid kills") {
        return;
    }
    let output = stress(&["--seconds=6", "--processes=4", "--git=0", "--rare-git=2", "--seed=6", "--chaos", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report = json(&output);
    let rare = &report["rare_git"];
    let failed: u64 = rare["failures"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    let tried = rare["commits"].as_u64().unwrap() + failed;
    assert!((2..=24).contains(&tried) && rare["processes"] == 2, "{rare}");
    assert_eq!(report["git"]["processes"], 0);
}

/// `None`, and a word about it, unless we may be several users.
#[cfg(unix)]
fn by_users(flags: &[&str]) -> Option<Output> {
    let output = stress(&[&["--users=3", "--seed=7", "--json"], flags].concat());
    if text(&output).contains("SKIPPED") {
        // Past the capture of tests: it is to be seen.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), text(&output).as_bytes());
        return None;
    }
    Some(output)
}

#[test]
#[cfg(unix)]
fn three_users_share_a_repository_amid_kills() {
    use std::os::unix::fs::MetadataExt;

    let dir = tempfile::tempdir().unwrap();
    // All processes have to come through.
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let root = dir.path().join("run");
    let seconds = format!("--seconds={}", effort::bound("seconds of a run of three users", 4, 2));
    let flags = ["--processes=6", "--git=2", "--threads=2", "--chaos", "--dir", root.to_str().unwrap(), &seconds];
    let Some(output) = by_users(&flags) else { return };
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(json(&output)["git"]["commits"].as_u64().unwrap() > 0, "{}", text(&output));
    let histories = std::fs::read_dir(root.join("history")).unwrap();
    let owners: std::collections::BTreeSet<u32> =
        histories.map(|entry| entry.unwrap().metadata().unwrap().uid()).collect();
    assert!(owners.len() == 3 && !owners.contains(&0), "{owners:?}");
}

#[test]
fn transfers_in_two_commits_are_found_out() {
    is_found_out(&["--seconds=2", "--processes=3", "--break-atomicity"], "broken sum");
}

#[test]
fn acknowledged_commits_that_are_missing_are_found_out() {
    is_found_out(&["--seconds=2", "--processes=3", "--break-acks"], "lost: ");
}

#[test]
fn a_thread_whose_acknowledged_commits_are_missing_is_found_out() {
    if !takes_its_time("runs in which threads lose commits") {
        return;
    }
    is_found_out(&["--seconds=2", "--processes=3", "--threads=4", "--break-acks"], "lost: ours-0-t");
}

#[test]
fn a_table_that_is_lost_after_kills_is_found_out() {
    is_found_out(&["--seconds=2", "--processes=3", "--chaos", "--break-store"], "lost: ");
}

#[test]
fn what_a_kill_leaves_in_part_is_found_out() {
    if !takes_its_time("runs of 4 s in which kills break atomicity") {
        return;
    }
    is_found_out(&["--seconds=4", "--processes=4", "--threads=4", "--chaos", "--break-atomicity"], "in part: ");
}

#[test]
fn a_lock_that_outlives_its_dead_owner_is_found_out() {
    is_found_out(&["--seconds=4", "--processes=3", "--chaos", "--break-robustness"], "nobody could commit for ");
}

#[test]
fn a_rare_git_tries_so_often_in_each_row() {
    let tries = effort::bound("tries of a rare git in each row", 2, 1);
    let output = stress(&["neighbours", "--rare", &tries.to_string(), "--rounds=1", "--processes=2", "--json"]);
    let verdict = json(&output);
    let rows = verdict["measured"].as_array().unwrap();
    let tried = |row: &serde_json::Value, who: &str| row[who]["tried"].as_u64();
    assert_eq!(rows.iter().map(|row| row["tried"].as_u64().unwrap()).collect::<Vec<_>>(), [tries; 3]);
    assert!(tried(&rows[0], "crowd").unwrap() > 2 && tried(&rows[1], "ours").unwrap() > 2, "{}", text(&output));
    assert!(text(&output).contains("fewer than 200 tries a row say little"), "{}", text(&output));
    assert_eq!(stress(&["neighbours", "--rare", "0"]).status.code(), Some(2));
}

/// Whether the power can be cut: only root can mount.
#[cfg(target_os = "linux")]
fn power_cut(flags: &[&str]) -> Option<Output> {
    let output = stress(&[&["power-cut", "--seed=1", "--json"], flags].concat());
    let says = text(&output);
    let lacks_a_tool = says.contains("is not installed") && std::env::var_os("REFTABLE_REQUIRE_MOUNTS").is_none();
    let lacks_a_right = ["SKIPPED", "only root can mount", "this kernel has no"].iter().any(|why| says.contains(why));
    if lacks_a_tool || lacks_a_right {
        // Past the capture of tests: it is to be seen.
        let says = format!("{}{says}", if says.contains("SKIPPED") { "" } else { "SKIPPED: " });
        let _ = std::io::Write::write_all(&mut std::io::stderr(), says.as_bytes());
        return None;
    }
    Some(output)
}

#[test]
#[cfg(target_os = "linux")]
fn losses_of_power_lose_nothing_that_was_promised() {
    let Some(output) = power_cut(&["--file-system=ext4-ordered", "--images=5"]) else { return };
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report = json(&output);
    assert_eq!(report["images"], 5);
    assert!(report["rows"]["ext4-ordered: full"]["promised"].as_u64().unwrap() > 0, "{report}");
}

#[test]
#[cfg(target_os = "linux")]
fn whatever_a_disk_with_a_cache_forgets_nothing_promised_is_lost() {
    if !takes_its_time("runs of 25 s that mount every state of a disk") {
        return;
    }
    let Some(output) = power_cut(&["--file-system=ext4-ordered", "--record-writes=4"]) else { return };
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let images = json(&output)["images"].as_u64().unwrap();
    assert!(images > 5 * 4, "each variant has more states than writes: {}", text(&output));
}

#[test]
#[cfg(target_os = "linux")]
fn commits_that_were_acknowledged_and_are_not_in_the_image_are_found_out() {
    let Some(output) = power_cut(&["--file-system=ext4-ordered", "--images=10", "--break-acks"]) else { return };
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("lost: "), "{}", text(&output));
}

/// Stock git does not know the policy that it is judged by.
#[test]
#[cfg(target_os = "linux")]
fn a_git_that_does_not_sync_what_it_promises_is_found_out() {
    let Some(git) = git_that_knows_reftable().filter(|_| takes_its_time("losses of power of a given git")) else {
        return;
    };
    let flags = [&format!("--git={git}"), "--images=8", "--file-system=ext4-ordered"];
    let Some(output) = power_cut(&flags) else { return };
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("host full, image"), "{}", text(&output));
}

#[test]
fn wrong_usage_exits_with_2() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("precious"), "").unwrap();
    assert_eq!(stress(&["--seconds=0"]).status.code(), Some(2));
    assert_eq!(stress(&["--chaos", "--processes=0", "--git=0"]).status.code(), Some(2), "nobody could be killed");
    assert_eq!(stress(&["--no-such-option"]).status.code(), Some(2));
    assert_eq!(stress(&["--dir", dir.path().to_str().unwrap()]).status.code(), Some(2));
}

/// Where the git of this machine is, if it knows the format.
fn git_that_knows_reftable() -> Option<String> {
    let help = Command::new("git").args(["init", "--ref-format=reftable", "-h"]).output().ok()?;
    if !text(&help).contains("--ref-format") {
        return None;
    }
    let path = Command::new("sh").args(["-c", "command -v git"]).output().unwrap();
    Some(String::from_utf8_lossy(&path.stdout).trim().to_owned())
}

/// The git of this machine, which may well fail; what counts is that it is asked and judged.
#[test]
fn a_git_that_is_given_is_judged() {
    let Some(git) = git_that_knows_reftable() else { return };
    let git = format!("--git={git}");
    for (what, said) in [
        (vec!["agents", &git, "--worktrees=2", "--commits=2"], "of 4 commits lost"),
        (vec!["kill-git", &git, "--times=5"], "after"),
        (vec!["loops", &git, "--loops=2", "--seconds=1", "--config=core.fsync=committed"], "a second succeeded"),
        (vec!["loops", &git, "--loops=2", "--seconds=1", "--stdin"], "a second succeeded"),
    ] {
        let output = stress(&what);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}", text(&output));
        assert!(text(&output).contains(said), "{}", text(&output));
        assert!(!text(&output).contains(": 0.0 a second"), "{}", text(&output));
    }
    assert_eq!(stress(&["agents", "--git=/nowhere/git"]).status.code(), Some(3));
}

/// No libgit2 that one can install knows the format, so this one is in this directory.
#[cfg(target_os = "linux")]
#[test]
fn threads_of_a_libgit2_are_judged() {
    let Some(git) = git_that_knows_reftable() else { return };
    let git = format!("--git={git}");
    let at = tempfile::tempdir().unwrap();
    for (flag, code, said) in [
        ("-DHONEST", 0, "0 of 10 failed, 0 lost; "),
        ("-DLIES", 1, "0 of 10 failed, 2 lost; "),
        ("-DREFUSES", 1, "/4 the fake refuses"),
    ] {
        let library = at.path().join(format!("{flag}.so"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake_libgit2.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", flag, source, "-o"]).arg(&library);
        assert!(cc.status().unwrap().success());
        let library = format!("--library={}", library.display());
        let output = stress(&["libgit2", &library, &git, "--threads=2", "--changes=5"]);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert!(text(&output).contains(said), "{}", text(&output));
    }
    let library = format!("--library={}", env!("CARGO_BIN_EXE_reftable-stress"));
    assert_eq!(stress(&["libgit2", &library, &git]).status.code(), Some(3), "that is no library");
}
