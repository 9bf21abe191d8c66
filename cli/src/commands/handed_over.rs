//! Commands of git that this process becomes.

use std::io::Write;
use std::process::Command;

use reftable_git::Repository;

use crate::failure::{Code, Failure};
use crate::output::Out;

/// Becomes a command of git in `repo`, to which `add` gives its words, and which pages as `out`
/// does. `why` says why.
pub(super) fn become_git(
    repo: &Repository,
    why: &str,
    out: &mut Out,
    add: impl FnOnce(&mut Command),
) -> Result<Code, Failure> {
    let Some(mut git) = repo.git_command()? else {
        return Err(Failure::usage(format!("{why}, but only of a repository, and here is none")));
    };
    out.paging().hand_over(&mut git);
    add(&mut git);
    out.flush()?;
    become_other(git).map_err(|error| Failure::broken(format!("{why}; git cannot be run: {error}")))
}

/// This process goes on as that one.
#[cfg(unix)]
fn become_other(mut command: Command) -> std::io::Result<Code> {
    use std::os::unix::process::CommandExt;
    Err(command.exec())
}

/// Waits for that one.
#[cfg(not(unix))]
fn become_other(mut command: Command) -> std::io::Result<Code> {
    let status = command.status()?;
    Ok(Code::Git(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(128)))
}
