//! A disk with a sector that cannot be read: an error that says where, never a signal.
//!
//! The disk is a loop device whose image ends within a table. That takes root, `mkfs.ext4` and
//! `mount`: without them the tests say SKIPPED; with `REFTABLE_REQUIRE_LOOP` set they fail.

#![cfg(test)]
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use reftable::bytes::Reading;
use reftable::compact::Compact;
use reftable::{AutoCompact, Durability, ErrorKind, Expect, HashKind, ObjectId, Options, Stack};
use tempfile::TempDir;

/// Enough for a table of 6 MB: more than the system reads ahead.
const REFS: u32 = 200_000;

/// A file system in a file.
struct Disk {
    dir: TempDir,
    is_mounted: bool,
}

impl Disk {
    /// Says so and returns `None` where such a thing cannot be made.
    fn new() -> Option<Disk> {
        let mut disk = Disk { dir: tempfile::tempdir().unwrap(), is_mounted: false };
        fs::File::create(disk.image()).unwrap().set_len(64 << 20).unwrap();
        fs::create_dir(disk.root()).unwrap();
        // Without a journal: nothing is written after the end of the image later on.
        let made = run("mkfs.ext4", &["-q", "-F", "-O", "^has_journal", disk.image().to_str().unwrap()]);
        if made.and_then(|()| disk.mount()).is_ok() {
            return Some(disk);
        }
        let message = "a loop device needs root, mkfs.ext4 and mount";
        assert!(std::env::var_os("REFTABLE_REQUIRE_LOOP").is_none(), "{message}");
        eprintln!("SKIPPED: {message}");
        None
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn store(&self) -> PathBuf {
        self.root().join("reftable")
    }

    fn mount(&mut self) -> Result<(), String> {
        run("mount", &["-o", "loop", self.image().to_str().unwrap(), self.root().to_str().unwrap()])?;
        self.is_mounted = true;
        Ok(())
    }

    fn unmount(&mut self) {
        run("umount", &[self.root().to_str().unwrap()]).unwrap();
        self.is_mounted = false;
    }

    /// The number of the sector in the middle of the table. Nothing of the table stays in the page
    /// cache.
    fn sector_of(&mut self, table: &str) -> u64 {
        let bytes = fs::read(self.store().join(table)).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        self.unmount();
        let image = fs::read(self.image()).unwrap();
        let sector = image.chunks_exact(512).position(|sector| sector == &bytes[middle..middle + 512]).unwrap();
        self.mount().unwrap();
        // What is small, and may lie after it, is in the page cache.
        fs::read(self.store().join("tables.list")).unwrap();
        fs::read_dir(self.store()).unwrap().count();
        sector as u64
    }

    /// This sector and all after it cannot be read any more.
    fn end_at(&self, sector: u64) {
        fs::File::options().write(true).open(self.image()).unwrap().set_len(sector * 512).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            let _the_machine_may_be_in_use = run("umount", &["-l", self.root().to_str().unwrap()]);
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    // Both are in directories for root.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let done = Command::new(program).args(arguments).env("PATH", path).output();
    let done = done.map_err(|error| format!("{program}: {error}"))?;
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
}

fn reftable(store: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_reftable")).arg("-C").arg(store).args(arguments).output().unwrap()
}

fn quick() -> Options {
    Options::default().durability(Durability::Off).auto_compact(AutoCompact::Off)
}

fn id(number: u32) -> ObjectId {
    let mixed = u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
    ObjectId::from_bytes(&[mixed, mixed, mixed].concat()[..20]).unwrap()
}

/// A store with a large table, whose name is returned, and a small one above it.
fn write_store(dir: &Path) -> String {
    fs::create_dir_all(dir).unwrap();
    let stack = Stack::open(dir, quick().hash(HashKind::Sha1)).unwrap();
    let mut tx = stack.transaction();
    for number in 0..REFS {
        tx.set(format!("refs/heads/{number:06}"), Expect::Any, id(number + 1));
    }
    tx.commit().unwrap();
    let mut tx = stack.transaction();
    tx.set("refs/heads/small", Expect::Any, id(1));
    tx.commit().unwrap();
    fs::read_to_string(dir.join("tables.list")).unwrap().lines().next().unwrap().to_owned()
}

#[test]
fn every_command_says_where_it_could_not_read() {
    let Some(mut disk) = Disk::new() else { return };
    let table = write_store(&disk.store());
    let sector = disk.sector_of(&table);
    disk.end_at(sector);
    let commands: [&[&str]; 9] = [
        &["list"],
        &["get", "refs/heads/150000"],
        &["log", "refs/heads/150000"],
        &["stats"],
        &["verify"],
        &["dump", "."],
        &["compact", "--all"],
        &["update", "refs/heads/new", "1111111111111111111111111111111111111111"],
        &["repair", "--dry-run"],
    ];
    for arguments in commands {
        let done = reftable(&disk.store(), arguments);
        let said = [done.stdout, done.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(done.status.signal(), None, "{arguments:?}: {said}");
        if arguments[0] == "repair" {
            // Nothing is taken out of the store: another disk may still have it.
            assert!(said.contains("no safe fix") && said.contains("copy what can be read"), "{said}");
        } else {
            // The first and the one that writes are git's words, and answer as git does.
            let code = if matches!(arguments[0], "list" | "update") { 128 } else { 3 };
            assert_eq!(done.status.code(), Some(code), "{arguments:?}: {said}");
            let shown = &said[said.len().saturating_sub(2000)..];
            assert!(said.contains(&table) && said.contains("at offset"), "{arguments:?}: {shown}");
        }
    }
}

#[test]
fn a_handle_that_maps_compacts_nothing_that_cannot_be_read() {
    let Some(mut disk) = Disk::new() else { return };
    let table = write_store(&disk.store());
    let sector = disk.sector_of(&table);
    let list = fs::read(disk.store().join("tables.list")).unwrap();
    // Reads header and footer.
    let stack = Stack::open(disk.store(), quick().reading(Reading::Mapped)).unwrap();
    disk.end_at(sector);
    let error = stack.compact(Compact::all()).unwrap_err();
    assert_eq!((error.kind(), error.path().unwrap().ends_with(&table)), (ErrorKind::Io, true), "{error}");
    assert!(error.offset().is_some_and(|offset| offset > 4096), "{error}");
    assert_eq!(fs::read(disk.store().join("tables.list")).unwrap(), list);
}
