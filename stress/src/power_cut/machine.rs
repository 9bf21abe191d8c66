//! File systems in loop devices: one to clone images on, one to work on, and the clones.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tempfile::TempDir;

/// How long a file system may stay in use after its last writer was killed.
const PATIENCE: Duration = Duration::from_secs(10);
/// The file system that clones, and the image on it.
const POOL: &str = "pool";
const IMAGE: &str = "image";

/// What the writers work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileSystem {
    /// ext4, data=ordered, its default
    Ext4Ordered,
    /// ext4, data=journal
    Ext4Journal,
    /// ext4, data=writeback
    Ext4Writeback,
    /// XFS
    Xfs,
    /// Btrfs
    Btrfs,
}

impl FileSystem {
    /// As on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn kind(self) -> &'static str {
        match self {
            FileSystem::Ext4Ordered | FileSystem::Ext4Journal | FileSystem::Ext4Writeback => "ext4",
            FileSystem::Xfs => "xfs",
            FileSystem::Btrfs => "btrfs",
        }
    }

    fn options(self) -> &'static str {
        match self {
            FileSystem::Ext4Ordered => "loop,data=ordered",
            FileSystem::Ext4Journal => "loop,data=journal",
            FileSystem::Ext4Writeback => "loop,data=writeback",
            FileSystem::Xfs => "loop,nouuid",
            FileSystem::Btrfs => "loop",
        }
    }

    fn bytes(self) -> u64 {
        match self {
            FileSystem::Xfs => 320 << 20,
            _ => 160 << 20,
        }
    }

    /// Why it cannot be used here; it and the XFS that clones.
    pub(super) fn is_missing(self) -> Option<String> {
        let kinds = [self.kind(), "xfs"];
        for kind in kinds {
            // Where there are no modules it is built in, or missing.
            let _ = Command::new("modprobe").arg(kind).output();
            let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
            if known.lines().all(|line| line.split_whitespace().next_back() != Some(kind)) {
                return Some(format!("this kernel has no {kind}"));
            }
            if Command::new(format!("mkfs.{kind}")).arg("-V").output().is_err() {
                return Some(format!("mkfs.{kind} is not installed"));
            }
        }
        None
    }
}

/// Everything that is mounted for one session. It is gone with this.
pub(crate) struct Machine {
    file_system: FileSystem,
    temp: TempDir,
    /// What the loop device of the writers stands on: the image, or a way to it.
    device: PathBuf,
    mounted: Vec<PathBuf>,
}

impl Machine {
    /// Makes the pool of images, and the image.
    pub(super) fn new(scratch: Option<&Path>, file_system: FileSystem) -> Result<Machine> {
        let mut named = tempfile::Builder::new();
        let named = named.prefix("reftable-power-cut-");
        let temp = scratch.map_or_else(|| named.tempdir(), |dir| named.tempdir_in(dir));
        let temp = temp.context("cannot create a temporary directory")?;
        let device = temp.path().join(POOL).join(IMAGE);
        let mut machine = Machine { file_system, temp, device, mounted: Vec::new() };
        let pool = machine.temp.path().join("pool.image");
        sparse(&pool, 8 << 30)?;
        run(Command::new("mkfs.xfs").args(["-q", "-m", "reflink=1"]).arg(&pool))?;
        machine.mount("xfs", "loop,nouuid", &pool, &machine.path(POOL))?;
        let image = machine.image();
        sparse(&image, file_system.bytes())?;
        run(Command::new(format!("mkfs.{}", file_system.kind())).arg("-q").arg(&image))?;
        Ok(machine)
    }

    /// A path outside of the file system under test.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// The image of the file system.
    pub(super) fn image(&self) -> PathBuf {
        self.in_pool(IMAGE)
    }

    /// A file beside the image, where it can be cloned to.
    pub(super) fn in_pool(&self, name: &str) -> PathBuf {
        self.path(POOL).join(name)
    }

    /// Where the image cut off as number `number` is.
    pub(super) fn clone_of(&self, number: u32) -> PathBuf {
        self.in_pool(&format!("cut-{number}"))
    }

    /// Has the writers' file system reach the image by another way.
    pub(super) fn reach_image_by(&mut self, device: PathBuf) {
        self.device = device;
    }

    /// Mounts the file system for the writers.
    pub(super) fn start(&mut self, at: &Path) -> Result<()> {
        let device = self.device.clone();
        self.mount(self.file_system.kind(), self.file_system.options(), &device, at)
    }

    /// Has everything written that is there now.
    pub(super) fn settle(&self, at: &Path) -> Result<()> {
        run(Command::new("sync").arg("--file-system").arg(at))
    }

    /// Ends it. The git of a writer that was killed may take a moment to notice.
    pub(super) fn stop(&mut self, at: &Path) -> Result<()> {
        unmount(at)?;
        self.mounted.retain(|mounted| mounted != at);
        Ok(())
    }

    /// Clones the image as it is at one moment.
    pub(super) fn cut(&self, number: u32) -> Result<()> {
        clone(&self.image(), &self.clone_of(number))
    }

    /// Mounts an image that was cut off, as after a power failure.
    pub(super) fn mount_cut(&self, number: u32) -> Result<Mounted> {
        if self.file_system == FileSystem::Btrfs {
            // All images have one id, and the kernel remembers where it saw that last.
            run(Command::new("btrfs").args(["device", "scan", "--forget"]))?;
        }
        let at = self.path("cut").join("repository");
        mount(self.file_system.kind(), self.file_system.options(), &self.clone_of(number), &at)?;
        Ok(Mounted(at))
    }

    fn mount(&mut self, kind: &str, options: &str, image: &Path, at: &Path) -> Result<()> {
        mount(kind, options, image, at)?;
        self.mounted.push(at.to_owned());
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for at in self.mounted.drain(..).rev() {
            // Whatever a failed run has left open must not keep it.
            let _ = Command::new("umount").arg("--lazy").arg(at).status();
        }
    }
}

/// A mount that ends with this.
pub(super) struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        // Who judged it, or any other process, may have looked at it a moment ago.
        let _ = unmount(&self.0);
    }
}

/// Unmounts what may be in use for a moment yet.
pub(super) fn unmount(at: &Path) -> Result<()> {
    let start = Instant::now();
    while let Err(error) = run(Command::new("umount").arg(at)) {
        if start.elapsed() > PATIENCE {
            return Err(error);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Makes `to` the same as `from` is at one moment. Both are in the pool.
pub(super) fn clone(from: &Path, to: &Path) -> Result<()> {
    run(Command::new("cp").arg("--reflink=always").arg(from).arg(to))
}

fn mount(kind: &str, options: &str, image: &Path, at: &Path) -> Result<()> {
    fs::create_dir_all(at).with_context(|| format!("cannot create {}", at.display()))?;
    run(Command::new("mount").args(["-t", kind, "-o", options]).arg(image).arg(at))
}

fn sparse(path: &Path, bytes: u64) -> Result<()> {
    let made = File::create(path).and_then(|file| file.set_len(bytes));
    made.with_context(|| format!("cannot create {}", path.display()))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
