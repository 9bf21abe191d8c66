//! `repair --break-lock` where a lock is held by a process that cannot be seen: `/proc` hides the
//! processes of others, or the directory is on a network. What cannot be seen is no reason, so the
//! lock stays. Needs root, setpriv and unshare; bindfs and sshfs for the networks.

#![cfg(target_os = "linux")]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant, SystemTime};

const USER: u32 = 54_001;
const LOCK: &str = "tables.list.lock";

/// A store with an old lock of git, and a program that another user may run.
struct Locked {
    top: tempfile::TempDir,
    ours: PathBuf,
}

impl Locked {
    /// `None`, and a word about it, unless we are root and have the `tools`.
    fn new(tools: &[&str]) -> Option<Locked> {
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        let is_there =
            |tool: &&&str| Command::new("which").arg(tool).output().is_ok_and(|found| found.status.success());
        let missing = tools.iter().find(|tool| !is_there(tool));
        if !is_root || missing.is_some() {
            let reason = missing.map_or("only root can mount".to_owned(), |tool| format!("{tool} is not installed"));
            assert!(std::env::var_os("REFTABLE_REQUIRE_MOUNTS").is_none(), "REFTABLE_REQUIRE_MOUNTS is set: {reason}");
            eprintln!("SKIPPED: {reason}");
            return None;
        }
        let top = tempfile::tempdir().unwrap();
        fs::set_permissions(top.path(), Permissions::from_mode(0o755)).unwrap();
        let ours = top.path().join("reftable-of-all");
        fs::copy(env!("CARGO_BIN_EXE_reftable"), &ours).unwrap();
        let locked = Locked { top, ours };
        fs::create_dir(locked.store()).unwrap();
        let mut made = Command::new(&locked.ours);
        made.arg("-C").arg(locked.store());
        assert!(made.args(["symbolic-ref", "HEAD", "refs/heads/main"]).status().unwrap().success());
        fs::write(locked.lock(), "").unwrap();
        let then = SystemTime::now() - Duration::from_secs(60);
        File::options().write(true).open(locked.lock()).unwrap().set_modified(then).unwrap();
        for file in fs::read_dir(locked.store()).unwrap().map(|entry| entry.unwrap().path()).chain([locked.store()]) {
            chown(file, Some(USER), Some(USER)).unwrap();
        }
        Some(locked)
    }

    fn store(&self) -> PathBuf {
        self.top.path().join("reftable")
    }

    fn lock(&self) -> PathBuf {
        self.store().join(LOCK)
    }

    /// Asks for the lock to be removed, after `before` in a namespace of mounts.
    fn break_lock(&self, before: &str, store: &Path) -> Output {
        let script = format!("{before} \"$0\" -C \"$1\" repair --break-lock --yes");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
        command.arg(&self.ours).arg(store).output().unwrap()
    }

    #[track_caller]
    fn stays(&self, what: &str, output: &Output, words: &[&str]) {
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(self.lock().exists(), "{what}: {said}");
        assert_eq!(output.status.code(), Some(1), "{what}: {said}");
        assert!(words.iter().any(|word| said.contains(word)), "{what}: {said}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A process that has a file open, as root.
struct Holder(Child);

impl Holder {
    fn of(file: &Path) -> Holder {
        let file = File::options().read(true).open(file).unwrap();
        Holder(Command::new("sleep").arg("600").stdin(file).spawn().unwrap())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn processes_of_others_are_hidden() {
    let Some(locked) = Locked::new(&["setpriv", "unshare"]) else { return };
    let _holder = Holder::of(&locked.lock());
    let user = format!("setpriv --reuid={USER} --regid={USER} --clear-groups");
    let stays = |what: &str, before: &str| {
        let output = locked.break_lock(before, &locked.store());
        locked.stays(what, &output, &["cannot be seen from here"]);
    };
    // At once: each looks for some seconds.
    std::thread::scope(|scope| {
        for options in ["hidepid=1", "hidepid=2", "hidepid=4", &format!("hidepid=2,gid={USER}"), "subset=pid"] {
            let before = format!("mount -t proc -o {options} proc /proc && exec {user}");
            scope.spawn(move || stays(&before, &before));
        }
        scope.spawn(|| stays("nothing is hidden but what others do", &format!("exec {user}")));
        scope.spawn(|| stays("no processes at all", "mount -t tmpfs none /proc &&"));
    });
}

/// Here root sees the holder, unless he has fewer rights than some process.
#[test]
fn who_is_seen_is_named() {
    let Some(locked) = Locked::new(&["unshare"]) else { return };
    let holder = Holder::of(&locked.lock());
    let seen = format!("which is open in [{}]", holder.0.id());
    let output = locked.break_lock("", &locked.store());
    locked.stays("a holder", &output, &[&seen, "cannot be seen from here"]);
}

/// A directory that is one by two ways. The one by FUSE may be on another machine; which process
/// holds the lock by that way holds it for this machine by the server's files.
fn by_network(locked: &Locked, mount: impl FnOnce(&Path) -> Output) {
    let at = locked.top.path().join("mount");
    fs::create_dir(&at).unwrap();
    let mounted = mount(&at);
    assert!(mounted.status.success(), "{}", text(&mounted.stderr));
    let _unmount = Unmount(at.clone());
    let start = Instant::now();
    while !at.join(LOCK).exists() {
        assert!(start.elapsed() < Duration::from_secs(10), "it does not get mounted");
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = locked.break_lock("", &at);
    locked.stays("nobody has it, as far as is known", &output, &["cannot be seen from here"]);
    let _holder = Holder::of(&at.join(LOCK));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            locked.stays("a holder, asked here", &locked.break_lock("", &at), &["cannot be seen from here"]);
        });
        let output = locked.break_lock("", &locked.store());
        locked.stays("a holder, asked there", &output, &["which is open in", "cannot be seen from here"]);
    });
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn bindfs() {
    let Some(locked) = Locked::new(&["unshare", "bindfs"]) else { return };
    by_network(&locked, |at| Command::new("bindfs").arg(locked.store()).arg(at).output().unwrap());
}

#[test]
fn sshfs() {
    let Some(locked) = Locked::new(&["unshare", "sshfs"]) else { return };
    let servers = ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"];
    let Some(server) = servers.into_iter().find(|server| Path::new(server).exists()) else {
        assert!(std::env::var_os("REFTABLE_REQUIRE_MOUNTS").is_none(), "there is no sftp-server");
        eprintln!("SKIPPED: there is no sftp-server");
        return;
    };
    // Over a pipe instead of a network.
    let script = locked.top.path().join("server.sh");
    fs::write(&script, format!("#!/bin/sh\nexec {server}\n")).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o700)).unwrap();
    by_network(&locked, |at| {
        let mut command = Command::new("sshfs");
        command.arg("-o").arg(format!("ssh_command={}", script.display()));
        command.arg(format!("nobody:{}", locked.store().display())).arg(at).output().unwrap()
    });
}
