//! `--users`: our processes and git's run as several users of one group, in a repository that the
//! group shares.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::fs::Mode;
use rustix::process::{geteuid, umask};

/// The group that all have in common; users follow. Nothing else on a machine is likely to have
/// these numbers.
const GROUP: u32 = 54_100;

/// Where no user may be changed, this makes an error of what else is skipped.
const REQUIRED: &str = "REFTABLE_REQUIRE_MOUNTS";

/// Whether this process may start others as other users.
///
/// # Errors
/// When it may not, and the environment requires it.
pub(crate) fn may_be_others() -> Result<bool> {
    if geteuid().is_root() {
        return Ok(true);
    }
    if std::env::var_os(REQUIRED).is_some() {
        bail!("--users: only root can be several users, and {REQUIRED} is set");
    }
    Ok(false)
}

/// Makes `root` a setgid directory of the group, before anything is in it: whatever is made there
/// belongs to the group, and the group may write. The program is copied there, because not
/// all users may enter where it is.
pub(crate) fn share(root: &Path) -> Result<()> {
    umask(Mode::WOTH);
    chown(root, None, Some(GROUP)).context("cannot give the directory to a group")?;
    fs::set_permissions(root, Permissions::from_mode(0o2775)).context("cannot share the directory")?;
    let program = std::env::current_exe().context("cannot find this program")?;
    fs::copy(program, program_in(root)).context("cannot copy this program")?;
    fs::set_permissions(program_in(root), Permissions::from_mode(0o755)).context("cannot share this program")
}

/// The copy of this program that all users may run.
pub(crate) fn program_in(root: &Path) -> PathBuf {
    root.join("reftable-stress")
}

/// The command is run by user number `number`.
pub(crate) fn run_as(command: &mut Command, number: u32, root: &Path) {
    // Without a list of groups of its own a process has none but this one.
    command.uid(GROUP + 1 + number).gid(GROUP).env("HOME", root).current_dir(root);
}
