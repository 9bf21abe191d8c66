//! What becomes of git's own commands in a crowd, and when they are killed: with the git that is
//! given, so that a git linked with the C library can be held beside another one. The same for
//! threads of a libgit2.

mod agents;
mod kills;
mod libgit2;
mod loops;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

pub(crate) use agents::main as agents;
pub(crate) use kills::main as kills;
pub(crate) use libgit2::main as libgit2;
pub(crate) use loops::main as loops;

/// One git, and a directory in which it works.
struct Git {
    program: PathBuf,
    at: tempfile::TempDir,
}

impl Git {
    /// Makes a repository with one commit, in reftable format.
    fn with_repository(program: &Path) -> Result<Git> {
        let program = program.canonicalize().with_context(|| format!("there is no {}", program.display()))?;
        let git = Git { program, at: tempfile::tempdir()? };
        git.run(git.at.path(), &["init", "-q", "--ref-format=reftable", "repository"])?;
        for setting in ["gc.auto", "maintenance.auto"] {
            git.run(&git.repository(), &["config", setting, "0"])?;
        }
        git.run(&git.repository(), &["commit", "-q", "--allow-empty", "-m", "first"])?;
        Ok(git)
    }

    fn repository(&self) -> PathBuf {
        self.at.path().join("repository")
    }

    /// A call of it, without what the user has configured. Programs that it starts are found beside
    /// it.
    fn command(&self, directory: &Path) -> Command {
        let mut command = Command::new(&self.program);
        let beside = self.program.parent().unwrap_or(Path::new("/"));
        let mut path = OsString::from(beside);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        command.env("PATH", path).env("HOME", self.at.path()).env("GIT_CONFIG_NOSYSTEM", "1");
        if beside.join("git-update-ref").exists() {
            command.env("GIT_EXEC_PATH", beside);
        }
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "A").env(format!("GIT_{who}_EMAIL"), "a@b");
        }
        command.env("GIT_TEMPLATE_DIR", "").current_dir(directory).stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs it, and returns what it says.
    fn run(&self, directory: &Path, arguments: &[&str]) -> Result<String> {
        let output = self.command(directory).args(arguments).output()?;
        if !output.status.success() {
            bail!("{} {}: {}", self.program.display(), arguments.join(" "), output.status);
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Whether a call of it succeeds.
    fn succeeds(&self, directory: &Path, arguments: &[&str]) -> Result<bool> {
        Ok(self.command(directory).args(arguments).stdout(Stdio::null()).status()?.success())
    }
}
