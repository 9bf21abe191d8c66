//! Compiling and running C programs against the library that cargo has built for these tests.

#![allow(dead_code, reason = "every test file uses its own part of this")]

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A file of this package.
pub(crate) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The library that cargo has built for these tests: beside the test program. The one a directory
/// above is of the last `cargo build`.
pub(crate) fn built(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let directory = test.parent().unwrap();
    let library = directory.join(name);
    assert!(library.exists(), "{} is not there", library.display());
    library
}

/// Runs a command, which must succeed.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The C compiler, told where the header is and to be strict.
pub(crate) fn cc() -> Command {
    let mut cc = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(["-std=c11", "-D_GNU_SOURCE", "-g", "-Wall", "-Wextra", "-Werror", "-I"]).arg(source("include"));
    cc.args(cfg!(feature = "git-2-55").then_some("-DREFTABLE_GIT_2_55"));
    cc
}

/// An archive to link with in the place of the library that cargo has built: one that `make` has
/// optimised.
pub(crate) fn archive() -> Option<PathBuf> {
    env::var_os("REFTABLE_CAPI_ARCHIVE").map(PathBuf::from)
}

/// Compiles a program and links it with the shared library, or with the [`archive`] if there is
/// one.
pub(crate) fn compile(program: &Path, flags: &[&str], to: &Path) {
    if let Some(archive) = archive() {
        run(cc().args(flags).arg(program).arg("-o").arg(to).arg(archive).args(["-lpthread", "-ldl", "-lm"]));
        return;
    }
    let library = built("libreftable_capi.so");
    let search = format!("-Wl,-rpath,{}", library.parent().unwrap().display());
    run(cc().args(flags).arg(program).arg("-o").arg(to).arg(&library).arg(search));
}

/// valgrind; `None`, with a word, when there is none.
pub(crate) fn valgrind(leaks: &str) -> Option<Command> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        assert!(env::var_os("REFTABLE_REQUIRE_VALGRIND").is_none(), "valgrind is required, and not there");
        eprintln!("SKIPPED: there is no valgrind, so reads out of bounds and leaks go unnoticed");
        return None;
    }
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["-q", "--error-exitcode=99", "--leak-check=full"]).arg(format!("--errors-for-leak-kinds={leaks}"));
    Some(valgrind)
}

/// Leaks that count. Taking a lock asks the standard library for the number of its thread, which
/// it remembers until the process ends: reachable, by a pointer that valgrind does not count as
/// one.
pub(crate) const ALL: &str = "definite,indirect,possible,reachable";
pub(crate) const LOCKING: &str = "definite,indirect";

/// Runs a program of `tests/c/`, as it is and under valgrind.
pub(crate) fn passes(name: &str, flags: &[&str], leaks: &str, arguments: &[String]) {
    let at = tempfile::tempdir().unwrap();
    let binary = at.path().join("program");
    compile(&source(&format!("tests/c/{name}.c")), flags, &binary);
    let work = |name: &str| {
        let directory = at.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        directory
    };
    run(Command::new(&binary).arg(work("plain")).args(arguments));
    if let Some(mut valgrind) = valgrind(leaks) {
        run(valgrind.arg(&binary).arg(work("valgrind")).args(arguments));
    }
}
