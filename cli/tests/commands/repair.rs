//! `reftable repair` says what it saw, asks, and mends.

#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use crate::support::code_of;

fn reftable(dir: &Path, arguments: &[&str], answer: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reftable"));
    command.arg("-C").arg(dir).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have ended without a question.
    let _ = child.stdin.take().unwrap().write_all(answer.as_bytes());
    child.wait_with_output().unwrap()
}

/// A store with one table and an old lock of git.
fn locked_store() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("reftable");
    fs::create_dir(&dir).unwrap();
    assert!(reftable(&dir, &["symbolic-ref", "HEAD", "refs/heads/main"], "").status.success());
    let lock = dir.join("tables.list.lock");
    fs::write(&lock, "").unwrap();
    let then = SystemTime::now() - Duration::from_secs(60);
    File::options().write(true).open(lock).unwrap().set_modified(then).unwrap();
    root
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether the evidence can be had here: as root, outside of containers. Says so if not.
fn sees_processes(dir: &Path) -> bool {
    let sees = !text(&reftable(dir, &["repair", "--dry-run"], "").stdout).contains("cannot be seen");
    if !sees {
        eprintln!("SKIPPED: the processes that have a lock open cannot be seen here");
    }
    sees
}

/// In a namespace of its own a process sees no others: then the lock stays, whatever is asked.
#[test]
fn a_lock_stays_where_other_processes_cannot_be_seen() {
    let root = locked_store();
    let dir = root.path().join("reftable");
    let unshare = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--pid", "--fork", "--mount-proc"]).args(arguments).output().unwrap()
    };
    if !unshare(&["true"]).status.success() {
        eprintln!("SKIPPED: no namespaces here");
        return;
    }
    let dir_name = dir.to_str().unwrap();
    let output = unshare(&[env!("CARGO_BIN_EXE_reftable"), "-C", dir_name, "repair", "--break-lock", "--yes"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("cannot be seen from here"), "{}", text(&output.stdout));
    assert!(dir.join("tables.list.lock").exists());
}

#[test]
fn a_lock_goes_only_when_asked_for_and_confirmed() {
    let root = locked_store();
    let dir = root.path().join("reftable");
    if !sees_processes(&dir) {
        return;
    }
    let lock = dir.join("tables.list.lock");
    for (arguments, answer) in [
        (vec!["repair"], ""),
        (vec!["repair", "--yes"], ""),
        (vec!["repair", "--break-lock", "--dry-run"], "y\n"),
        (vec!["repair", "--break-lock"], "n\n"),
        (vec!["repair", "--break-lock"], ""),
    ] {
        let output = reftable(&dir, &arguments, answer);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stdout).contains("left as it is"), "{arguments:?}");
        assert!(lock.exists(), "{arguments:?}");
    }
    let output = reftable(&dir, &["repair", "--break-lock"], "y\n");
    assert!(text(&output.stdout).contains("which no process has open"));
    assert_eq!(output.status.code(), Some(0));
    assert!(!lock.exists());
    assert!(text(&reftable(&dir, &["repair"], "").stdout).contains("nothing to mend"));
}

#[test]
fn yes_does_not_ask_and_json_tells_programs() {
    let root = locked_store();
    let dir = root.path().join("reftable");
    if !sees_processes(&dir) {
        return;
    }
    let output = reftable(&dir, &["repair", "--break-lock", "--yes", "--json"], "");
    assert_eq!(output.status.code(), Some(0));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line.get("mended"), Some(&serde_json::Value::Bool(true)));
    assert!(output.stderr.is_empty());
}

/// A store of three references in three tables.
fn store() -> (tempfile::TempDir, std::path::PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("reftable");
    fs::create_dir(&dir).unwrap();
    for name in ["A_HEAD", "B_HEAD", "C_HEAD"] {
        assert!(reftable(&dir, &["symbolic-ref", name, "refs/heads/main"], "").status.success());
    }
    (root, dir)
}

fn files(dir: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

/// The failing input of a report: all references but two were removed without a question.
#[test]
fn without_an_answer_nothing_happens() {
    let (_root, dir) = store();
    let list = dir.join("tables.list");
    fs::write(&list, fs::read_to_string(&list).unwrap().replacen("0x0", "0X0", 1)).unwrap();
    fs::write(dir.join("reftable-0123456789abcdef.tmp"), "").unwrap();
    let before = files(&dir);
    for (arguments, answer) in [(&["repair"][..], ""), (&["repair"], "n\nn\nn\n"), (&["repair", "--dry-run"], "y\n")] {
        let output = reftable(&dir, arguments, answer);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stdout).contains("left as it is"), "{}", text(&output.stdout));
        let all = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(all.matches("which differs little").count(), 1, "told once: {all}");
        assert!(files(&dir) == before, "{arguments:?}");
    }
}

/// All programs read it, and it says twice what one table says: no command makes it worse, and none
/// calls it well.
#[test]
fn a_copy_in_the_place_of_another_table_is_told_and_read() {
    let (_root, dir) = store();
    let list = fs::read_to_string(dir.join("tables.list")).unwrap();
    let tables: Vec<&str> = list.lines().collect();
    fs::copy(dir.join(tables[0]), dir.join(tables[1])).unwrap();
    let listed = text(&reftable(&dir, &["list"], "").stdout);
    assert!(listed.contains("A_HEAD") && !listed.contains("B_HEAD") && listed.contains("C_HEAD"), "{listed}");
    let verified = reftable(&dir, &["verify"], "");
    assert_eq!(verified.status.code(), Some(3));
    let what = format!("{}: has the same bytes as {}", tables[1], tables[0]);
    assert!(text(&verified.stdout).contains(&what), "{}", text(&verified.stdout));
    for arguments in [&["repair", "--yes"][..], &["compact", "--all"], &["update", "--stdin"]] {
        let code = reftable(&dir, arguments, "").status.code();
        assert_eq!(code, Some(i32::from(arguments[0] == "repair")), "{arguments:?}");
        assert_eq!(text(&reftable(&dir, &["list"], "").stdout), listed, "{arguments:?}");
    }
    assert_eq!(reftable(&dir, &["verify"], "").status.code(), Some(0), "nothing is left that shows it");
}

/// Its tables can be read, and what they say cannot be right: that is not "nothing to mend".
#[test]
fn what_only_verify_finds_is_not_passed_over() {
    let (_root, dir) = store();
    let compacted = reftable(&dir, &["compact", "--all"], "");
    assert!(compacted.status.success(), "{}", text(&compacted.stderr));
    let list = fs::read_to_string(dir.join("tables.list")).unwrap();
    let table = dir.join(list.trim_end());
    let mut bytes = fs::read(&table).unwrap();
    let name = bytes.windows(6).position(|six| six == b"A_HEAD").unwrap();
    bytes[name] = b'X';
    fs::write(&table, &bytes).unwrap();
    assert_eq!(reftable(&dir, &["verify"], "").status.code(), Some(3), "the names are out of order");
    for arguments in [&["repair", "--dry-run"][..], &["repair", "--yes"], &["repair", "--yes", "--json"]] {
        let output = reftable(&dir, arguments, "");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(!text(&output.stdout).contains("nothing to mend"), "{arguments:?}");
        assert!(
            text(&output.stderr).contains(&format!("-C {} verify` names", dir.display())),
            "{}",
            text(&output.stderr)
        );
        assert!(fs::read(&table).unwrap() == bytes, "{arguments:?}");
    }
}

/// One fix after the other, each by what the one before has left.
#[test]
fn what_is_agreed_to_is_done_until_nothing_is_left() {
    for (arguments, answers) in [(&["repair", "--yes"][..], ""), (&["repair"], "y\ny\n")] {
        let (_root, dir) = store();
        let list = dir.join("tables.list");
        let old = fs::read_to_string(&list).unwrap().replacen("0x0", "0X0", 1);
        fs::write(&list, &old).unwrap();
        fs::write(dir.join("reftable-0123456789abcdef.tmp"), "").unwrap();
        let output = reftable(&dir, arguments, answers);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
        assert_eq!(text(&output.stdout).matches("done: ").count(), 2, "{}", text(&output.stdout));
        assert_eq!(fs::read_to_string(dir.join("tables.list.damaged")).unwrap(), old);
        let listed = text(&reftable(&dir, &["list"], "").stdout);
        assert_eq!(listed.lines().count(), 3, "{listed}");
    }
}

/// What a person has to do is said, and that something is left.
#[test]
fn words_are_no_fix() {
    let (_root, dir) = store();
    for table in files(&dir).into_keys().filter(|name| name.ends_with(".ref")) {
        fs::remove_file(dir.join(table)).unwrap();
    }
    let output = reftable(&dir, &["repair", "--yes", "--json"], "");
    assert_eq!(output.status.code(), Some(1));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&line["kind"], &line["mended"]), (&"list".into(), &false.into()));
    assert!(line["problem"].as_str().unwrap().contains("there is no safe fix"));
}

/// The command in a message, run by a shell as it is.
fn copied(message: &str) -> Output {
    run(message.split('`').find(|words| words.starts_with("reftable -C ")).expect(message))
}

fn run(command: &str) -> Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_reftable")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    Command::new("bash").args(["-c", command]).env("PATH", path).stdin(Stdio::null()).output().unwrap()
}

/// Whatever is in backticks in these words is a whole command, with the place that it is about; it
/// runs. Returns the commands.
fn all_run(message: &str, store: &Path) -> Vec<String> {
    let commands: Vec<String> = message.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    for command in &commands {
        assert!(command.starts_with("reftable -C "), "{command}: {message}");
        let output = run(command);
        let said = text(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{command}: {output:?}");
        assert!(!said.contains("Usage") && !said.contains("no such"), "{command} in {}: {said}", store.display());
    }
    commands
}

/// A table that fits nowhere is kept, and the way to get back what is in it can be copied: before,
/// from the outcome, and from what `verify` says later.
#[test]
fn every_command_leads_from_a_table_in_no_list_to_what_is_in_it() {
    let (root, plain) = store();
    let dir = root.path().join("it's\n here");
    fs::rename(plain, &dir).unwrap();
    let list = fs::read_to_string(dir.join("tables.list")).unwrap();
    let first = list.lines().next().unwrap();
    let stray = first.replace(".ref", "").rsplit_once('-').unwrap().0.to_owned() + "-0badcafe.ref";
    fs::copy(dir.join(first), dir.join(&stray)).unwrap();
    fs::write(dir.join("tables.list.lock"), "").unwrap();

    let before = text(&reftable(&dir, &["repair", "--dry-run"], "").stdout);
    let commands = all_run(&before, &dir);
    assert!(commands.iter().any(|command| command.ends_with(" repair --break-lock")), "{before}");
    fs::remove_file(dir.join("tables.list.lock")).unwrap();

    let before = text(&reftable(&dir, &["repair", "--dry-run"], "").stdout);
    let commands = all_run(&before, &dir);
    let dump = commands.iter().find(|command| command.ends_with(&format!(" dump {stray}"))).expect(&before);
    assert!(text(&run(dump).stdout).contains("A_HEAD"), "{dump}");
    assert!(commands.iter().any(|command| command.ends_with(" update --stdin")), "{before}");

    let done = text(&reftable(&dir, &["repair", "--yes"], "").stdout);
    let outcome = done.lines().find(|line| line.contains("done: ")).expect(&done);
    let later = text(&reftable(&dir, &["verify"], "").stdout);
    for said in [outcome, &later] {
        let commands = all_run(said, &dir);
        let dump = commands.iter().find(|command| command.ends_with(&format!(" dump {stray}.unlisted"))).expect(said);
        assert!(text(&run(dump).stdout).contains("A_HEAD"), "{dump}");
    }
}

#[test]
fn every_command_leads_from_a_damaged_table_to_a_way_out() {
    let (root, plain) = store();
    let dir = root.path().join("it's\n here");
    fs::rename(plain, &dir).unwrap();
    let list = fs::read_to_string(dir.join("tables.list")).unwrap();
    let table = list.lines().next().unwrap();
    let mut bytes = fs::read(dir.join(table)).unwrap();
    bytes[24] = b'x';
    fs::write(dir.join(table), &bytes).unwrap();
    let commands: [&[&str]; 8] = [
        &["list"],
        &["get", "A_HEAD"],
        &["log", "A_HEAD"],
        &["stats"],
        &["compact", "--all"],
        &["update", "refs/heads/new", "1111111111111111111111111111111111111111"],
        &["symbolic-ref", "HEAD", "refs/heads/new"],
        &["dump", "."],
    ];
    for arguments in commands {
        let output = reftable(&dir, arguments, "");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code_of(arguments, 3)), "{arguments:?}: {said}");
        assert!(said.contains(table) && said.contains("at offset 24"), "{arguments:?}: {said}");
        let way_out = copied(&said);
        assert!(text(&way_out.stdout).contains("the fix is a list of"), "{said}: {way_out:?}");
    }
    let dumped = text(&reftable(&dir, &["dump", "."], "").stderr);
    let last = dumped.lines().last().unwrap();
    assert!(last.ends_with("verify` names all that is wrong"), "{last}");
    assert!(text(&copied(last).stdout).contains("error: "), "{last}");
    assert_eq!(fs::read(dir.join(table)).unwrap(), bytes);
}

/// There is no repository around it that says that this is a store: the tables say so.
#[test]
fn a_store_without_a_repository_that_has_lost_its_list_is_one_still() {
    let (_root, dir) = store();
    let list = fs::read(dir.join("tables.list")).unwrap();
    fs::remove_file(dir.join("tables.list")).unwrap();
    for arguments in [&["list"][..], &["symbolic-ref", "HEAD", "refs/heads/main"]] {
        let output = reftable(&dir, arguments, "");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code_of(arguments, 3)), "{arguments:?}: {said}");
        assert!(text(&copied(&said).stdout).contains("the fix is a list of"), "{said}");
    }
    assert!(reftable(&dir, &["repair", "--yes"], "").status.success());
    assert_eq!(fs::read(dir.join("tables.list")).unwrap(), list);
}
