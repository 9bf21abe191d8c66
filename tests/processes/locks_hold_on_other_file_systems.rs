//! Locks exclude each other on file systems where a kernel lock belongs to a name (bindfs, sshfs),
//! where there are no hard links (FAT), and in containers (overlay): nothing that was acknowledged
//! is lost.

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::effort::bound;
use crate::support::mounts::Mounts;
use crate::support::victim::{self, Victim, say};
use reftable::compact::Compact;
use reftable::{Durability, Expect, ObjectId, Options, Stack};

/// How long each process commits.
fn time() -> Duration {
    Duration::from_millis(bound("ms of commits on each file system", 1_500, 700))
}

fn patient() -> Options {
    Options::default().durability(Durability::Off).lock_timeout(Some(Duration::from_secs(20)))
}

fn put(stack: &Stack, name: &str) -> reftable::Result<()> {
    let mut tx = stack.transaction();
    tx.set(name, Expect::Any, ObjectId::from_bytes(&[7; 20]).unwrap());
    tx.commit().map(|_| ())
}

/// Commits as fast as it can, saying what was acknowledged.
#[test]
fn victim_that_commits() {
    let Some(dir) = victim::dir() else { return };
    let stack = Stack::open(&dir, patient()).unwrap();
    let (start, time) = (Instant::now(), time());
    let mut number = 0;
    while start.elapsed() < time {
        let name = format!("refs/heads/{}/{number:06}", std::process::id());
        match put(&stack, &name) {
            Ok(()) => say(&name),
            Err(error) => say(&format!("FAILED: {error}")),
        }
        number += 1;
    }
}

/// Processes commit at once, one in each of the directories, which are one by different ways.
/// Nobody fails, and all that was acknowledged is there.
fn nothing_is_lost(ways: &[&Path]) -> usize {
    let crowd: Vec<_> = ways.iter().map(|way| Victim::start(victim_that_commits, way)).collect();
    let said: Vec<String> = crowd.into_iter().flat_map(Victim::said).collect();
    let failed: Vec<_> = said.iter().filter(|line| line.starts_with("FAILED")).take(3).collect();
    assert!(failed.is_empty(), "of {} commits some failed: {failed:?}", said.len());
    let stack = Stack::open(ways[0], patient()).unwrap();
    let snapshot = stack.snapshot().unwrap();
    let lost: Vec<_> = said.iter().filter(|name| snapshot.get(name).unwrap().is_none()).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged commits are lost", lost.len(), said.len());
    assert!(said.len() > 4 * ways.len(), "hardly anything was committed: {}", said.len());
    println!("{} commits", said.len());
    leaves_two_files(&stack, ways[0]);
    said.len()
}

/// After a compaction there are the list and one table.
fn leaves_two_files(stack: &Stack, dir: &Path) {
    stack.compact(Compact::all()).unwrap();
    assert!(stack.verify().unwrap().is_clean());
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    // Our own owner file; and FUSE keeps what is removed while it is open.
    let names: Vec<_> = names.filter(|name| !name.ends_with(".owner") && !name.starts_with(".fuse_hidden")).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

fn by(ways: &[&PathBuf]) {
    nothing_is_lost(&ways.iter().map(|way| way.as_path()).collect::<Vec<_>>());
}

#[test]
fn bindfs() {
    let Some(mut mounts) = Mounts::with(&["bindfs"]) else { return };
    let source = mounts.dir("source");
    let mount = mounts.bindfs(&source, "mount");
    by(&[&mount; 4]);
}

#[test]
fn two_mounts_of_bindfs_and_the_directory_itself() {
    let Some(mut mounts) = Mounts::with(&["bindfs"]) else { return };
    let source = mounts.dir("source");
    let (first, second) = (mounts.bindfs(&source, "first"), mounts.bindfs(&source, "second"));
    by(&[&first, &second, &source, &first, &second]);
}

#[test]
fn sshfs() {
    let Some(mut mounts) = Mounts::with(&["sshfs", "sftp-server"]) else { return };
    let source = mounts.dir("source");
    let mount = mounts.sshfs(&source, "mount", &[]);
    by(&[&mount; 4]);
}

/// sshfs remembers for 20 seconds which names there are, unless told otherwise.
#[test]
fn two_mounts_of_sshfs_and_the_directory_itself() {
    let Some(mut mounts) = Mounts::with(&["sshfs", "sftp-server"]) else { return };
    let source = mounts.dir("source");
    let (first, second) =
        (mounts.sshfs(&source, "first", &["dir_cache=no"]), mounts.sshfs(&source, "second", &["dir_cache=no"]));
    by(&[&first, &second, &source]);
}

#[test]
fn overlay() {
    let Some(mut mounts) = Mounts::with(&["mount"]) else { return };
    let mount = mounts.overlay("mount");
    by(&[&mount; 4]);
}

#[test]
fn sshfs_without_hard_links() {
    let Some(mut mounts) = Mounts::with(&["sshfs", "sftp-server"]) else { return };
    let source = mounts.dir("source");
    let mount = mounts.sshfs(&source, "mount", &["disable_hardlink"]);
    by(&[&mount; 4]);
}

#[test]
fn xfs_and_btrfs() {
    let Some(mut mounts) = Mounts::with(&["mount", "mkfs.xfs", "mkfs.btrfs"]) else { return };
    for (kind, bytes) in [("xfs", 320 << 20), ("btrfs", 128 << 20)] {
        let Some(mount) = mounts.image(kind, &[], bytes, kind) else { continue };
        by(&[&mount; 3]);
    }
}

#[test]
fn fat() {
    let Some(mut mounts) = Mounts::with(&["mount", "mkfs.vfat"]) else { return };
    let Some(mount) = mounts.image("vfat", &[], 64 << 20, "mount") else { return };
    by(&[&mount; 4]);
}

/// It has no hard links either, on kernels that do not know FAT.
#[test]
fn exfat() {
    let Some(mut mounts) = Mounts::with(&["mount", "mkfs.exfat", "mount.exfat-fuse"]) else { return };
    let mount = mounts.exfat(64 << 20, "mount");
    assert!(
        std::fs::write(mount.join("file"), "").is_ok()
            && std::fs::hard_link(mount.join("file"), mount.join("link")).is_err()
    );
    std::fs::remove_file(mount.join("file")).unwrap();
    by(&[&mount; 4]);
}
