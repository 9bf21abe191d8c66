//! Puts a crash state into a real directory, and asks commands what they find there.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::look::Attributes;
use crate::{Kind, Tree};

/// What a command says of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// Its exit code; `None` if a signal has killed it, or it did not end in time.
    pub(super) code: Option<i32>,
    pub(super) output: Vec<u8>,
    pub(super) errors: Vec<u8>,
}

/// What is found in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Findings {
    /// What the judge says.
    pub(super) judge: Said,
    /// What the command says that is run after it, if there is one.
    pub(super) then: Option<Said>,
}

/// The commands that judge, and what they have said so far.
#[derive(Debug)]
pub(super) struct Judge {
    judge: String,
    then: Option<String>,
    time: Duration,
    scratch: TempDir,
    heard: BTreeMap<u64, Findings>,
}

impl Judge {
    /// States are put into a directory beside `dir`: what is judged may depend on the file system.
    ///
    /// # Errors
    ///
    /// No directory can be made there.
    pub(super) fn new(dir: &Path, judge: String, then: Option<String>, time: Duration) -> io::Result<Judge> {
        let dir = fs::canonicalize(dir)?;
        let beside = dir.parent().unwrap_or(&dir);
        let scratch = tempfile::Builder::new().prefix("crash-state-").tempdir_in(beside)?;
        Ok(Judge { judge, then, time, scratch, heard: BTreeMap::new() })
    }

    /// What is found in `tree`, whose fingerprint this is.
    ///
    /// # Errors
    ///
    /// The state could not be made, or a command could not be started.
    pub(super) fn look(&mut self, fingerprint: u64, tree: impl FnOnce() -> Tree) -> io::Result<Findings> {
        if let Some(findings) = self.heard.get(&fingerprint) {
            return Ok(findings.clone());
        }
        let state = self.scratch.path().join("state");
        if state.exists() {
            fs::remove_dir_all(&state)?;
        }
        put(&tree(), &state)?;
        let judge = run(&self.judge, &state, self.time)?;
        let then = self.then.as_ref().map(|then| run(then, &state, self.time)).transpose()?;
        let findings = Findings { judge, then };
        self.heard.insert(fingerprint, findings.clone());
        Ok(findings)
    }

    /// Asks anew when it comes to this state again.
    pub(super) fn forget(&mut self, fingerprint: u64) {
        self.heard.remove(&fingerprint);
    }
}

/// Makes the directory `dir` with all that `tree` has.
pub(super) fn put(tree: &Tree, dir: &Path) -> io::Result<()> {
    fs::create_dir(dir)?;
    let mut first: BTreeMap<u64, PathBuf> = BTreeMap::new();
    for (name, id) in &tree.names {
        let path = dir.join(&**name);
        let Some(file) = tree.files.get(id) else { continue };
        match (file.kind, first.get(id)) {
            (Kind::Directory, _) => fs::create_dir(&path)?,
            (Kind::Symlink, _) => symlink(std::ffi::OsStr::from_bytes(&file.bytes), &path)?,
            (_, Some(other)) => fs::hard_link(other, &path)?,
            (_, None) => fs::write(&path, &*file.bytes)?,
        }
        if file.kind != Kind::Symlink {
            if let Some(note) = &file.note {
                Attributes::from_note(note).write(&path)?;
            }
            if let Some(mode) = file.mode {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            }
        }
        first.entry(*id).or_insert(path);
    }
    Ok(())
}

/// Runs a command line of the shell in `dir`.
fn run(command: &str, dir: &Path, time: Duration) -> io::Result<Said> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let (output, errors) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let code = wait(&mut child, time)?;
    Ok(Said { code, output: output.join().unwrap_or_default(), errors: errors.join().unwrap_or_default() })
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What a pipe does not give is not there: the exit code tells of the rest.
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
        bytes
    })
}

/// Its exit code; after `time` its whole group is killed.
fn wait(child: &mut Child, time: Duration) -> io::Result<Option<i32>> {
    let until = Instant::now() + time;
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        if Instant::now() >= until {
            let group = nix::unistd::Pid::from_raw(child.id().cast_signed());
            nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL)?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
