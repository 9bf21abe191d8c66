//! Which gits the library is built for: `make HOST=` knows their headers, and refuses all others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{compile, run, source};

#[test]
fn layouts_are_those_of_the_header() {
    let at = tempfile::tempdir().unwrap();
    let binary = at.path().join("layout");
    compile(&source("tests/c/layout.c"), &[], &binary);
    run(&mut Command::new(&binary));
}

/// git 2.55 says all options when it opens a stack.
#[cfg(feature = "git-2-55")]
#[test]
fn what_is_said_once_counts_for_all() {
    crate::support::passes("once", &[], crate::support::LOCKING, &[]);
}

/// What `make` says, and would do, for a host's source.
fn make(host: &Path, hosts: Option<&Path>) -> Output {
    let mut make = Command::new("make");
    make.args(["-n", "-C"]).arg(source("")).arg(format!("HOST={}", host.display()));
    make.args(hosts.map(|hosts| format!("HOSTS={}", hosts.display()))).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A source with headers, and a list that knows them as those of "some git 7".
fn known(at: &Path, headers: &str, interface: &str) -> (PathBuf, PathBuf) {
    let host = at.join("host");
    fs::create_dir_all(host.join(headers)).unwrap();
    for name in ["reftable-stack.h", "reftable-basics.h", "system.h"] {
        fs::write(host.join(headers).join(name), name).unwrap();
    }
    fs::write(host.join(headers).join("reftable-system.h"), "a host's own").unwrap();
    let all = at.join("all");
    fs::write(&all, "reftable-basics.hreftable-stack.hsystem.h").unwrap();
    let hash = text(&run(Command::new("sha256sum").arg(&all)).stdout);
    let hash = hash.split(' ').next().unwrap();
    let hosts = at.join("hosts.txt");
    fs::write(&hosts, format!("{} master another git\n{hash} {interface} some git 7\n", "0".repeat(64))).unwrap();
    (host, hosts)
}

#[test]
fn the_interface_is_that_of_the_hosts_headers() {
    for (headers, interface, is_older) in
        [("reftable", "git-2-55", true), ("reftable", "master", false), ("deps/reftable", "master", false)]
    {
        let at = tempfile::tempdir().unwrap();
        let (host, hosts) = known(at.path(), headers, interface);
        let made = make(&host, Some(&hosts));
        let said = text(&made.stdout);
        assert!(made.status.success(), "{}", text(&made.stderr));
        assert!(said.contains("are those of some git 7\n"), "{said}");
        assert_eq!(said.contains("--features git-2-55"), is_older, "{said}");
        assert_eq!(said.contains("-DREFTABLE_GIT_2_55"), is_older, "{said}");
    }
}

#[test]
fn headers_that_nobody_knows_are_refused() {
    for (changed, is_refused) in [("reftable-basics.h", true), ("system.h", true), ("reftable-system.h", false)] {
        let at = tempfile::tempdir().unwrap();
        let (host, hosts) = known(at.path(), "reftable", "master");
        fs::write(host.join("reftable").join(changed), "changed").unwrap();
        let made = make(&host, Some(&hosts));
        assert_eq!(!made.status.success(), is_refused, "{changed}: {}", text(&made.stdout));
        assert_eq!(text(&made.stderr).contains("of no git that this library fits"), is_refused);
    }
    let at = tempfile::tempdir().unwrap();
    let (host, _) = known(at.path(), "reftable", "master");
    assert!(!make(&host, None).status.success(), "our own list knows those of a test");
    let made = make(at.path(), None);
    assert!(text(&made.stderr).contains("is no source of git or libgit2"), "{}", text(&made.stderr));
}

/// make looks from the package's directory, and its caller stands elsewhere.
#[test]
fn where_sources_were_looked_for_is_said_in_full() {
    let made = make(Path::new("../nowhere"), None);
    let looked = source("").parent().unwrap().join("nowhere");
    assert!(text(&made.stderr).contains(&format!("HOST: {} is no source", looked.display())), "{}", text(&made.stderr));
}

/// Compiles what is stated of an interface against a git's headers.
fn fits(git: &Path, is_older: bool) -> bool {
    let at = tempfile::tempdir().unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu11", "-DHOST_HEADERS", "-I"]).arg(git).arg("-I").arg(git.join("reftable"));
    cc.args(is_older.then_some("-DREFTABLE_GIT_2_55"));
    cc.arg("-c").arg(source("tests/c/layout.c")).arg("-o").arg(at.path().join("layout.o"));
    cc.output().unwrap().status.success()
}

/// With the sources of a git: `REFTABLE_GIT_SOURCE=DIRECTORY`.
#[test]
fn layouts_are_those_of_the_host() {
    let Some(git) = std::env::var_os("REFTABLE_GIT_SOURCE") else { return };
    let git = Path::new(&git);
    let made = make(git, None);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let is_older = text(&made.stdout).contains("--features git-2-55");
    assert!(fits(git, is_older));
    assert!(!fits(git, !is_older), "the check sees no difference");
}
