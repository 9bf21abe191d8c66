//! `Full` needs a file system with a journal, or something as good: a handle tells whether there is
//! one.

#![cfg(target_os = "linux")]

use std::path::Path;

use crate::support::mounts::Mounts;
use reftable::dir::{Dir, OsDir};
use reftable::{Options, Stack};

fn is_told(dir: &Path) -> Option<bool> {
    Stack::open(dir, Options::default()).unwrap().has_journal()
}

#[test]
fn ext4_has_one_or_not() {
    let Some(mut mounts) = Mounts::with(&["mount", "mkfs.ext4"]) else { return };
    let Some(with) = mounts.image("ext4", &["-q"], 64 << 20, "with") else { return };
    let without = mounts.image("ext4", &["-q", "-O", "^has_journal"], 64 << 20, "without").unwrap();
    assert_eq!((is_told(&with), is_told(&without)), (Some(true), Some(false)));
}

#[test]
fn others_have_something_as_good() {
    let Some(mut mounts) = Mounts::with(&["mount"]) else { return };
    for (kind, bytes) in [("xfs", 320 << 20), ("btrfs", 128 << 20)] {
        let Some(mut more) = Mounts::with(&[&format!("mkfs.{kind}")]) else { continue };
        let Some(at) = more.image(kind, &[], bytes, kind) else { continue };
        assert_eq!(is_told(&at), Some(true), "{kind}");
        assert!(OsDir::new(&at, None).is_local(), "{kind}");
    }
    let memory = mounts.memory("memory");
    assert_eq!(is_told(&memory), Some(false), "tmpfs keeps nothing");
}

#[test]
fn what_is_behind_a_server_is_not_known() {
    let Some(mut mounts) = Mounts::with(&["bindfs"]) else { return };
    let source = mounts.dir("source");
    let mount = mounts.bindfs(&source, "mount");
    assert_eq!(is_told(&mount), None);
    assert_eq!(is_told(&mounts.overlay("overlay")), None);
}
