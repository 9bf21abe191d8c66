//! Small programs whose crash states were counted by hand: a model that forgets what a disk may do,
//! or allows what it may not, is seen here.

#![cfg(test)]

use std::collections::BTreeSet;

use reftable_crash::{Bounds, Disk, FileId, Kind, Looked, Model, Op, Random, Tree, Volume};

/// A program at work.
struct Program {
    volume: Volume,
    disk: Disk,
}

impl Program {
    /// Begins with these files, which are durable.
    fn on(files: &[(&str, &str)]) -> Program {
        let mut tree = Tree::default();
        for (path, contents) in files {
            tree.put(path, *contents);
        }
        Program { disk: Disk::synced(&tree), volume: Volume::new(tree) }
    }

    fn done(&mut self, op: &Op) {
        self.disk.apply(op).unwrap();
    }

    fn create(&mut self, path: &str, contents: &str) -> FileId {
        let (file, op) = self.volume.create(path).unwrap();
        self.done(&op);
        self.append(path, contents);
        file
    }

    fn append(&mut self, path: &str, contents: &str) {
        let op = self.volume.append(self.volume.find(path).unwrap(), path, contents.as_bytes()).unwrap();
        self.done(&op);
    }

    fn write(&mut self, path: &str, offset: u64, contents: &str) {
        let op = self.volume.write(self.volume.find(path).unwrap(), path, offset, contents.as_bytes()).unwrap();
        self.done(&op);
    }

    fn truncate(&mut self, path: &str, len: u64) {
        let op = self.volume.truncate(self.volume.find(path).unwrap(), path, len).unwrap();
        self.done(&op);
    }

    fn rename(&mut self, from: &str, to: &str) {
        let op = self.volume.rename(from, to).unwrap().unwrap();
        self.done(&op);
    }

    fn remove(&mut self, path: &str) {
        let op = self.volume.remove(path).unwrap();
        self.done(&op);
    }

    fn link(&mut self, existing: &str, new: &str) {
        let op = self.volume.link(existing, new).unwrap();
        self.done(&op);
    }

    fn note(&mut self, path: &str, note: &str) {
        let op = self.volume.set_note(self.volume.find(path).unwrap(), path, note.as_bytes()).unwrap();
        self.done(&op);
    }

    fn make_dir(&mut self, path: &str) {
        let op = self.volume.make_dir(path).unwrap();
        self.done(&op);
    }

    fn sync(&mut self, path: &str) {
        let file = self.volume.find(path).unwrap();
        self.done(&Op::SyncFile { path: path.into(), file });
    }

    fn fail_sync(&mut self, path: &str) {
        let file = self.volume.find(path).unwrap();
        self.done(&Op::SyncFailed { path: path.into(), file });
    }

    fn sync_dir(&mut self, path: &str) {
        let op = self.volume.sync_dir(path).unwrap();
        self.done(&op);
    }

    /// All that a crash may leave now, as text.
    fn states(&self, model: Model) -> BTreeSet<String> {
        let (choices, mut states) = (self.disk.choices(model), BTreeSet::new());
        let looked = choices.each(Bounds::new(1 << 16, 0), &mut Random::new(1), &mut |choice| {
            states.insert(show(&choices.tree(choice)));
        });
        assert_eq!(looked, Looked::Everywhere);
        states
    }

    fn may_leave(&self, model: Model, expected: &[&str]) {
        let expected: BTreeSet<String> = expected.iter().map(|state| (*state).to_owned()).collect();
        assert_eq!(self.states(model), expected, "{model:?}");
    }
}

/// Paths with contents; runs of one byte as `3x`, directories with `/`.
fn show(tree: &Tree) -> String {
    let one = |path: &str| {
        let file = tree.get(path).unwrap();
        let note = file.note.as_ref().map_or(String::new(), |note| format!("[{}]", String::from_utf8_lossy(note)));
        match file.kind {
            Kind::Directory => format!("{path}/"),
            Kind::Symlink => format!("{path}->{}", String::from_utf8_lossy(&file.bytes)),
            _ => format!("{path}={}{note}", runs(&file.bytes)),
        }
    };
    tree.names.keys().map(|path| one(path)).collect::<Vec<_>>().join(" ")
}

fn runs(bytes: &[u8]) -> String {
    let runs = bytes.chunk_by(|one, other| one == other);
    runs.map(|run| format!("{}{}", run.len(), if run[0] == 0 { '0' } else { run[0] as char })).collect()
}

fn text(letter: &str, len: usize) -> String {
    letter.repeat(len)
}

#[test]
fn a_kill_loses_nothing() {
    let mut program = Program::on(&[("a", "old")]);
    program.create("b", "new");
    program.rename("b", "a");
    program.may_leave(Model::Kill, &["a=1n1e1w"]);
}

#[test]
fn a_new_file_is_there_or_not_and_its_bytes_are_or_not_or_are_zero() {
    let mut program = Program::on(&[]);
    program.create("a", "x");
    let expected = ["", "a=", "a=10", "a=1x"];
    program.may_leave(Model::OnlySynced, &expected);
    program.may_leave(Model::Ordered, &expected);
    program.sync("a");
    program.may_leave(Model::OnlySynced, &["", "a=1x"]);
    program.sync_dir("");
    program.may_leave(Model::OnlySynced, &["a=1x"]);
    program.may_leave(Model::Ordered, &["a=1x"]);
}

#[test]
fn a_name_that_is_synced_says_nothing_about_bytes() {
    let mut program = Program::on(&[]);
    program.create("a", "x");
    program.sync_dir("");
    program.may_leave(Model::OnlySynced, &["a=", "a=10", "a=1x"]);
}

#[test]
fn a_rename_gives_and_takes_a_name_each_by_itself_or_in_order() {
    let mut program = Program::on(&[("a", "o")]);
    program.create("b", "n");
    program.sync("b");
    program.rename("b", "a");
    program.may_leave(Model::OnlySynced, &["a=1o", "a=1o b=1n", "a=1n", "a=1n b=1n"]);
    program.may_leave(Model::Ordered, &["a=1o", "a=1o b=1n", "a=1n"]);
    program.sync_dir("");
    program.may_leave(Model::OnlySynced, &["a=1n"]);
}

#[test]
fn a_file_in_the_place_of_another_has_its_bytes_only_where_names_have_an_order() {
    let mut program = Program::on(&[("a", "o")]);
    program.create("b", "n");
    program.rename("b", "a");
    program.sync_dir("");
    program.may_leave(Model::OnlySynced, &["a=", "a=10", "a=1n"]);
    program.may_leave(Model::Ordered, &["a=1n"]);
    // What comes after the rename has no such promise.
    program.append("a", "m");
    program.may_leave(Model::Ordered, &["a=1n", "a=1n10", "a=1n1m"]);
}

#[test]
fn two_removals_have_an_order_or_none() {
    let mut program = Program::on(&[("a", ""), ("b", "")]);
    program.remove("a");
    program.remove("b");
    program.may_leave(Model::OnlySynced, &["a= b=", "a=", "b=", ""]);
    program.may_leave(Model::Ordered, &["a= b=", "b=", ""]);
}

#[test]
fn a_name_keeps_every_value_it_had_since_the_sync() {
    let mut program = Program::on(&[("a", "1")]);
    for contents in ["2", "3"] {
        program.create("new", contents);
        program.sync("new");
        program.rename("new", "a");
    }
    let with_new = |a: &str| {
        ["", "2", "3"].map(|new| if new.is_empty() { format!("a=1{a}") } else { format!("a=1{a} new=1{new}") })
    };
    let expected: BTreeSet<String> = ["1", "2", "3"].iter().flat_map(|a| with_new(a)).collect();
    assert_eq!(program.states(Model::OnlySynced), expected);
    program.may_leave(Model::Ordered, &["a=11", "a=11 new=12", "a=12", "a=12 new=13", "a=13"]);
}

#[test]
fn each_directory_has_a_sync_of_its_own() {
    let mut program = Program::on(&[("a/f", "x")]);
    program.make_dir("b");
    program.sync_dir("");
    program.rename("a/f", "b/f");
    program.may_leave(Model::OnlySynced, &["a/ a/f=1x b/", "a/ b/", "a/ b/ b/f=1x", "a/ a/f=1x b/ b/f=1x"]);
    // The one that gives is synced, and not the one that takes: both are lost.
    program.sync_dir("a");
    program.may_leave(Model::OnlySynced, &["a/ b/", "a/ b/ b/f=1x"]);
    // In order a rename is whole, and so is what came before it.
    program.may_leave(Model::Ordered, &["a/ b/ b/f=1x"]);
}

#[test]
fn what_is_in_a_directory_is_lost_with_its_name() {
    let mut program = Program::on(&[]);
    program.make_dir("a");
    program.create("a/f", "x");
    program.sync("a/f");
    program.sync_dir("a");
    program.may_leave(Model::OnlySynced, &["", "a/ a/f=1x"]);
}

#[test]
fn a_directory_that_is_renamed_is_under_one_name_with_all_that_is_in_it() {
    let mut program = Program::on(&[("a/f", "x")]);
    program.rename("a", "b");
    program.may_leave(Model::OnlySynced, &["a/ a/f=1x", "b/ b/f=1x", ""]);
    program.may_leave(Model::Ordered, &["a/ a/f=1x", "b/ b/f=1x"]);
}

#[test]
fn hard_links_are_names_of_one_file() {
    let mut program = Program::on(&[("a", "x")]);
    program.link("a", "b");
    program.append("b", "y");
    program.sync("a");
    program.may_leave(Model::OnlySynced, &["a=1x1y", "a=1x1y b=1x1y"]);
}

#[test]
fn appended_sectors_are_there_each_by_itself_or_up_to_a_write_or_a_sector() {
    let mut program = Program::on(&[("a", "")]);
    program.append("a", &text("x", 600));
    program.append("a", &text("y", 100));
    program.may_leave(
        Model::OnlySynced,
        // Nothing; the first sector; the first write; everything; zeros in one sector, in both.
        &["a=", "a=512x", "a=600x", "a=600x100y", "a=512x1880", "a=512088x100y", "a=7000"],
    );
    // Whole writes, or zeros.
    program.may_leave(Model::Ordered, &["a=", "a=600x", "a=600x100y", "a=7000"]);
}

#[test]
fn overwritten_sectors_are_old_or_new_each_by_itself() {
    let before = text("o", 1024);
    let mut program = Program::on(&[("a", &before)]);
    program.write("a", 0, &text("n", 1024));
    let expected = ["a=1024o", "a=1024n", "a=512n512o", "a=512o512n"];
    program.may_leave(Model::OnlySynced, &expected);
    // There is no order in place, not even there.
    program.may_leave(Model::Ordered, &expected);
    program.sync("a");
    program.may_leave(Model::OnlySynced, &["a=1024n"]);
}

#[test]
fn two_writes_in_one_place_leave_each_of_three_values() {
    let mut program = Program::on(&[("a", "1")]);
    program.write("a", 0, "2");
    program.write("a", 0, "3");
    program.may_leave(Model::OnlySynced, &["a=11", "a=12", "a=13"]);
}

#[test]
fn only_where_sectors_tear_is_one_half_old() {
    let mut program = Program::on(&[("a", "oooo")]);
    program.write("a", 0, "nnnn");
    program.may_leave(Model::OnlySynced, &["a=4o", "a=4n"]);
    program.may_leave(Model::TornSectors, &["a=4o", "a=4n", "a=2n2o", "a=2o2n"]);
}

#[test]
fn what_was_truncated_is_as_before_or_gone_or_new() {
    let mut program = Program::on(&[("a", "old")]);
    program.truncate("a", 0);
    program.may_leave(Model::OnlySynced, &["a=1o1l1d", "a="]);
    program.append("a", "n");
    // Zeros or old bytes where the new ones have not come.
    program.may_leave(Model::OnlySynced, &["a=1o1l1d", "a=", "a=1n", "a=10", "a=1o"]);
}

#[test]
fn a_gap_is_zeros() {
    let mut program = Program::on(&[("a", "x")]);
    program.write("a", 1024, "y");
    assert!(program.states(Model::OnlySynced).contains("a=1x102301y"));
    assert!(!program.states(Model::OnlySynced).contains("a=1y"));
}

#[test]
fn a_sync_that_fails_loses_what_it_was_for_whatever_comes_later() {
    let mut program = Program::on(&[("a", "x")]);
    program.append("a", "y");
    program.fail_sync("a");
    program.sync("a");
    program.may_leave(Model::OnlySynced, &["a=1x", "a=1x10", "a=1x1y"]);
}

#[test]
fn syncing_everything_leaves_one_state() {
    let mut program = Program::on(&[]);
    program.make_dir("a");
    program.create("a/f", "x");
    program.done(&Op::SyncAll);
    program.may_leave(Model::OnlySynced, &["a/ a/f=1x"]);
    program.may_leave(Model::Ordered, &["a/ a/f=1x"]);
}

#[test]
fn a_new_file_may_show_what_the_disk_had_before() {
    let before = text("s", 600);
    let mut program = Program::on(&[("secret", &before)]);
    program.remove("secret");
    program.create("a", &text("n", 600));
    program.sync_dir("");
    assert!(program.states(Model::OnlySynced).contains("a=600s"));
    assert!(!program.states(Model::Ordered).contains("a=600s"));
}

#[test]
fn an_attribute_is_old_or_new_whatever_the_bytes_are() {
    let mut program = Program::on(&[("a", "x")]);
    let file = program.volume.find("a").unwrap();
    let op = program.volume.set_note(file, "a", b"n").unwrap();
    program.done(&op);
    program.may_leave(Model::OnlySynced, &["a=1x", "a=1x[n]"]);
    program.append("a", "y");
    program.may_leave(Model::Ordered, &["a=1x", "a=1x10", "a=1x1y", "a=1x[n]", "a=1x10[n]", "a=1x1y[n]"]);
    program.sync("a");
    program.may_leave(Model::OnlySynced, &["a=1x1y[n]"]);
}

#[test]
fn a_symbolic_link_is_there_whole_or_not_at_all() {
    let mut program = Program::on(&[]);
    let op = program.volume.symlink("a", "l").unwrap();
    program.done(&op);
    program.may_leave(Model::OnlySynced, &["", "l->a"]);
    program.sync_dir("");
    program.may_leave(Model::Ordered, &["l->a"]);
}

#[test]
fn a_file_without_a_name_leaves_nothing_until_it_is_linked() {
    let mut program = Program::on(&[]);
    let (file, op) = program.volume.create_unnamed();
    program.done(&op);
    let op = program.volume.append(file, "", b"x").unwrap();
    program.done(&op);
    program.may_leave(Model::OnlySynced, &[""]);
    program.done(&Op::SyncFile { path: "".into(), file });
    let op = program.volume.link_file(file, "", "a").unwrap();
    program.done(&op);
    program.may_leave(Model::OnlySynced, &["", "a=1x"]);
}

#[test]
fn a_directory_that_is_removed_is_there_or_not() {
    let mut program = Program::on(&[("a/f", "x")]);
    program.remove("a/f");
    let op = program.volume.remove_dir("a").unwrap();
    program.done(&op);
    program.may_leave(Model::OnlySynced, &["a/ a/f=1x", "a/", ""]);
    program.may_leave(Model::Ordered, &["a/ a/f=1x", "a/", ""]);
    program.sync_dir("");
    program.may_leave(Model::OnlySynced, &[""]);
}

#[test]
fn a_sync_of_one_directory_leaves_the_changes_of_another_open() {
    let mut program = Program::on(&[("a/f", "x"), ("b/f", "x")]);
    program.remove("a/f");
    program.remove("b/f");
    program.sync_dir("a");
    program.may_leave(Model::OnlySynced, &["a/ b/ b/f=1x", "a/ b/"]);
    // What came after is not part of it, in order either.
    program.may_leave(Model::Ordered, &["a/ b/ b/f=1x", "a/ b/"]);
    program.create("a/g", "");
    program.sync_dir("b");
    program.may_leave(Model::OnlySynced, &["a/ a/g= b/", "a/ b/"]);
    program.may_leave(Model::Ordered, &["a/ a/g= b/", "a/ b/"]);
}

#[test]
fn a_rename_to_a_free_name_promises_no_bytes() {
    let mut program = Program::on(&[]);
    program.create("b", "n");
    program.rename("b", "a");
    program.sync_dir("");
    program.may_leave(Model::Ordered, &["a=", "a=10", "a=1n"]);
}

#[test]
fn attributes_are_journaled_with_names_or_not() {
    let mut program = Program::on(&[("a", "")]);
    program.note("a", "m");
    program.link("a", "b");
    program.may_leave(Model::Ordered, &["a=", "a=[m]", "a= b=", "a=[m] b=[m]"]);
    program.may_leave(Model::Journaled, &["a=", "a=[m]", "a=[m] b=[m]"]);
    program.note("a", "n");
    program.may_leave(Model::Journaled, &["a=", "a=[n]", "a=[m] b=[m]", "a=[n] b=[n]"]);
    program.sync_dir("");
    program.may_leave(Model::Journaled, &["a=[m] b=[m]", "a=[n] b=[n]"]);
    program.sync("a");
    program.may_leave(Model::Journaled, &["a=[n] b=[n]"]);
}
