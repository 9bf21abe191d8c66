//! File systems that are mounted for a test and unmounted after it. Needs root, `/dev/fuse` and
//! loop devices.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::effort::loudly;

/// Set where a test that would skip itself for want of root or tools is to fail instead.
const REQUIRE: &str = "REFTABLE_REQUIRE_MOUNTS";
const SFTP_SERVERS: [&str; 3] =
    ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"];

/// A directory with room for sources and mounts, all of which are gone at the end.
pub(crate) struct Mounts {
    temp: tempfile::TempDir,
    mounted: Vec<PathBuf>,
}

impl Mounts {
    /// `None`, and a loud word, where there is no root or one of the `tools` is missing.
    pub(crate) fn with(tools: &[&str]) -> Option<Mounts> {
        let missing = tools.iter().find(|tool| !is_there(tool));
        let reason = match missing {
            _ if !rustix::process::geteuid().is_root() => "only root can mount".to_owned(),
            Some(tool) => format!("{tool} is not installed"),
            None => return Some(Mounts { temp: tempfile::tempdir().unwrap(), mounted: Vec::new() }),
        };
        assert!(std::env::var_os(REQUIRE).is_none(), "{REQUIRE} is set, and {reason}");
        loudly(&format!("SKIPPED: {reason}"));
        None
    }

    /// A new directory beside the mounts.
    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        let dir = self.temp.path().join(name);
        fs::create_dir(&dir).unwrap();
        dir
    }

    /// Another name for `source` by bindfs: FUSE, by paths.
    pub(crate) fn bindfs(&mut self, source: &Path, name: &str) -> PathBuf {
        self.mount(name, |at| Command::new("bindfs").arg(source).arg(at).output())
    }

    /// `source` by sshfs, over a pipe instead of a network, with these options.
    pub(crate) fn sshfs(&mut self, source: &Path, name: &str, options: &[&str]) -> PathBuf {
        let server = SFTP_SERVERS.into_iter().find(|server| Path::new(server).exists()).expect("an sftp-server");
        let script = self.temp.path().join(format!("{name}.sh"));
        fs::write(&script, format!("#!/bin/sh\nexec {server}\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        let command = format!("ssh_command={}", script.display());
        let remote = format!("nobody:{}", source.display());
        let options = options.iter().flat_map(|option| ["-o", option]);
        self.mount(name, |at| Command::new("sshfs").args(["-o", &command]).args(options).arg(remote).arg(at).output())
    }

    /// An overlay with an empty directory below.
    pub(crate) fn overlay(&mut self, name: &str) -> PathBuf {
        let [lower, upper, work] = ["lower", "upper", "work"].map(|part| self.dir(&format!("{name}-{part}")));
        let options = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
        self.mount(name, |at| Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(at).output())
    }

    /// A file system of this kind, made with these options, in an image. `None`, and a loud word,
    /// where the kernel does not know it.
    pub(crate) fn image(&mut self, kind: &str, options: &[&str], bytes: u64, name: &str) -> Option<PathBuf> {
        let _ = Command::new("modprobe").arg(kind).output();
        let known = fs::read_to_string("/proc/filesystems").unwrap();
        if known.lines().all(|line| line.split_whitespace().next_back() != Some(kind)) {
            loudly(&format!("SKIPPED: this kernel has no {kind}"));
            return None;
        }
        Some(self.formatted((kind, kind), options, bytes, name))
    }

    /// An exFAT in an image, by FUSE.
    pub(crate) fn exfat(&mut self, bytes: u64, name: &str) -> PathBuf {
        self.formatted(("exfat", "exfat-fuse"), &[], bytes, name)
    }

    /// An image that is made as one kind, and mounted as another, which may be a program's name for
    /// it.
    fn formatted(&mut self, (made, mounted): (&str, &str), options: &[&str], bytes: u64, name: &str) -> PathBuf {
        let image = self.temp.path().join(format!("{name}.image"));
        fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        done(Command::new(format!("mkfs.{made}")).args(options).arg(&image).output(), "mkfs");
        self.mount(name, |at| Command::new("mount").args(["-o", "loop", "-t", mounted]).arg(&image).arg(at).output())
    }

    /// A tmpfs.
    pub(crate) fn memory(&mut self, name: &str) -> PathBuf {
        self.mount(name, |at| Command::new("mount").args(["-t", "tmpfs", "none"]).arg(at).output())
    }

    fn mount(&mut self, name: &str, mount: impl FnOnce(&Path) -> std::io::Result<Output>) -> PathBuf {
        let at = self.temp.path().join(name);
        if !at.exists() {
            fs::create_dir(&at).unwrap();
        }
        let parent = device(self.temp.path());
        done(mount(&at), "mount");
        // A server in the background may need a moment.
        let start = Instant::now();
        while device(&at) == parent {
            assert!(start.elapsed() < Duration::from_secs(10), "{} does not get mounted", at.display());
            std::thread::sleep(Duration::from_millis(10));
        }
        self.mounted.push(at.clone());
        at
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for at in self.mounted.drain(..).rev() {
            // Whatever a failed test has left open must not keep it.
            let _ = Command::new("umount").arg("--lazy").arg(at).status();
        }
    }
}

fn is_there(tool: &str) -> bool {
    if tool == "sftp-server" {
        return SFTP_SERVERS.into_iter().any(|server| Path::new(server).exists());
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).chain(["/sbin".into(), "/usr/sbin".into()]).any(|path| path.join(tool).exists())
}

fn device(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map_or(0, |metadata| metadata.dev())
}

fn done(output: std::io::Result<Output>, what: &str) {
    let output = output.unwrap();
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}
