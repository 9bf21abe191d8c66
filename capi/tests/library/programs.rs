//! C programs against the header and the library: each as it is, then under valgrind.

//!
//! They are written for the interface of git's master; `fits.rs` has what differs.

#![cfg(not(feature = "git-2-55"))]

use std::process::Command;

use crate::support::{ALL, LOCKING, compile, passes, run, source};

#[test]
fn errors_memory_and_buffers() {
    passes("basics", &[], ALL, &[]);
}

#[test]
fn records() {
    passes("records", &[], ALL, &[]);
}

#[test]
fn tables() {
    passes("tables", &[], ALL, &[]);
}

#[test]
fn blocks_and_what_points_at_an_object() {
    passes("blocks", &[], ALL, &[]);
}

#[test]
fn stacks_without_a_host() {
    passes("stack", &[], LOCKING, &[]);
}

#[test]
fn stacks_with_a_host() {
    passes("stack", &["-DWITH_HOST"], LOCKING, &[]);
}

#[test]
fn hosts() {
    passes("host", &[], LOCKING, &[]);
}

#[test]
fn hosts_where_files_need_names() {
    passes("host", &["-DWITHOUT_UNNAMED"], LOCKING, &[]);
    passes("stack", &["-DWITH_HOST", "-DWITHOUT_UNNAMED"], LOCKING, &[]);
}

#[test]
fn hosts_without_a_sync_of_their_own() {
    passes("stack", &["-DWITH_HOST", "-DWITHOUT_FSYNC"], LOCKING, &[]);
}

#[test]
fn hostile_tables() {
    let corpus = source("../fuzz/corpus/table");
    let files: Vec<String> =
        std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path().to_str().unwrap().to_owned()).collect();
    assert!(files.len() >= 8);
    passes("corpus", &[], ALL, &files);
}

#[test]
fn the_header_is_one_for_other_dialects() {
    let at = tempfile::tempdir().unwrap();
    for dialect in ["c99", "gnu17"] {
        let file = at.path().join("include.c");
        std::fs::write(&file, "#include <reftable.h>\n#include <reftable.h>\n").unwrap();
        let mut cc = Command::new("cc");
        cc.arg(format!("-std={dialect}"))
            .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-I"])
            .arg(source("include"));
        run(cc.arg("-c").arg(&file).arg("-o").arg(at.path().join("include.o")));
    }
}

#[test]
fn the_example_lists_what_git_lists() {
    let at = tempfile::tempdir().unwrap();
    let binary = at.path().join("list-refs");
    compile(&source("examples/list-refs.c"), &[], &binary);
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.arg("-C").arg(at.path()).args(["-c", "user.name=A", "-c", "user.email=a@b"]).args(arguments);
        git.output().is_ok_and(|output| output.status.success()).then(|| git.output().unwrap().stdout)
    };
    for format in ["sha1", "sha256"] {
        let name = format!("repository-{format}");
        let init = ["init", "-q", "--ref-format=reftable", "--object-format", format, &name];
        if git(&init).is_none() {
            assert!(std::env::var_os("REFTABLE_REQUIRE_GIT").is_none(), "a git that knows reftable is required");
            return;
        }
        git(&["-C", &name, "commit", "-q", "--allow-empty", "-m", "one"]).unwrap();
        git(&["-C", &name, "tag", "-f", "-m", "tag", "tagged"]).unwrap();
        git(&["-C", &name, "symbolic-ref", "refs/heads/link", "refs/heads/other"]).unwrap();
        let expected = git(&["-C", &name, "show-ref", "--head", "--dereference"]).unwrap();
        let listed = run(Command::new(&binary).arg(at.path().join(name).join(".git/reftable"))).stdout;
        let lines = |text: &[u8]| {
            let all = String::from_utf8(text.to_vec()).unwrap();
            let ids = all.lines().filter(|line| !line.starts_with("ref: "));
            ids.map(str::to_owned).collect::<Vec<_>>()
        };
        let expected: Vec<String> = lines(&expected).into_iter().filter(|line| !line.ends_with(" HEAD")).collect();
        assert_eq!(lines(&listed), expected);
        assert!(expected.len() >= 3, "{expected:?}");
        assert!(String::from_utf8_lossy(&listed).contains("ref: refs/heads/other refs/heads/link\n"));
    }
}
