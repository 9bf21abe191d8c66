//! A process that is killed: the test binary runs itself again, to do only what it is told by the
//! environment.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::name_of;

const DIR: &str = "REFTABLE_VICTIM_DIR";

/// In a victim: the directory to work in. Everywhere else `None`, and the test that asks returns at
/// once.
pub(crate) fn dir() -> Option<PathBuf> {
    std::env::var_os(DIR).map(PathBuf::from)
}

/// A running victim.
pub(crate) struct Victim {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Victim {
    /// Runs the test `test` of this binary in a process of its own.
    pub(crate) fn start(test: impl Fn(), dir: &Path) -> Victim {
        Self::start_with(Command::new(std::env::current_exe().unwrap()), test, dir)
    }

    /// The same with at most this many descriptors.
    pub(crate) fn start_limited(test: impl Fn(), dir: &Path, descriptors: usize) -> Victim {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {descriptors}; exec \"$@\""), "sh"]);
        command.arg(std::env::current_exe().unwrap());
        Self::start_with(command, test, dir)
    }

    /// The same by a program that takes it as its last arguments, with some of its own before.
    pub(crate) fn start_by(program: &[&str], test: impl Fn(), dir: &Path) -> Victim {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(std::env::current_exe().unwrap());
        Self::start_with(command, test, dir)
    }

    fn start_with(mut command: Command, test: impl Fn(), dir: &Path) -> Victim {
        command.args(["--exact", name_of(test), "--nocapture", "--test-threads=1"]);
        let mut child = command.env(DIR, dir).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Victim { child, lines }
    }

    /// The next line that starts with `>`, without it; what the test harness prints is passed over.
    /// `None` at the end.
    pub(crate) fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some((_, said)) = line.split_once('>') {
                return Some(said.trim().to_owned());
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// kill -9, and waits for its end, not for that of its children, which may go on speaking.
    pub(crate) fn kill_only(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// kill -9, and waits for the end.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.line()).collect()
    }

    /// Waits until it ends by itself, which must be well. What it has said.
    pub(crate) fn said(mut self) -> Vec<String> {
        let said = std::iter::from_fn(|| self.line()).collect();
        self.finish();
        said
    }

    /// Waits until it ends by itself, which must be well.
    pub(crate) fn finish(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

/// What a victim tells its test.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, ">{line}").unwrap();
    out.flush().unwrap();
}
