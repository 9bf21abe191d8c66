//! Tells a crash as a numbered story: what was done, what of it survived, what was found.

use std::fmt::Write;

use super::persist::{Choices, Model, Part};
use super::world::{Entry, Op, Pid, Tree};

/// A crash, and what is wrong with what it left.
pub(crate) struct Crash<'a> {
    pub(crate) scenario: &'a str,
    pub(crate) model: Model,
    pub(crate) log: &'a [Entry],
    pub(crate) choices: &'a Choices<'a>,
    pub(crate) digits: &'a [usize],
    pub(crate) tree: &'a Tree,
    pub(crate) finding: &'a str,
    pub(crate) names: &'a dyn Fn(Pid) -> String,
}

impl Crash<'_> {
    pub(crate) fn tell(&self) -> String {
        let mut story = format!("{}, {}:\n", self.scenario, what(self.model));
        for (number, entry) in self.log.iter().enumerate() {
            let fate = self.fate(number, &entry.op);
            let _ = writeln!(story, "{:>5}. {} {}{fate}", number + 1, (self.names)(entry.process), deed(&entry.op));
        }
        let _ =
            writeln!(story, "       {}", if self.model == Model::Kill { "all are killed" } else { "power is lost" });
        let _ = writeln!(story, "       left:{}", listing(self.tree));
        let _ = writeln!(story, "    => {}", self.finding);
        story
    }

    fn fate(&self, number: usize, op: &Op) -> String {
        if self.model == Model::Kill {
            return String::new();
        }
        let survives = |name: &str| self.choices.last_change(name, self.digits).is_some_and(|last| last >= number);
        let word = |name: &str| if survives(name) { "survives" } else { "is lost" };
        let named = |name: &str| format!("  [the name {}]", word(name));
        match op {
            Op::Write { file, .. } => format!("  [{}]", self.part(*file)),
            Op::SetNote { file, note, .. } => {
                let survives = self.choices.content(*file, self.digits).note.as_ref() == Some(note);
                format!("  [the note {}]", if survives { "survives" } else { "is lost" })
            }
            Op::Acknowledge { .. } | Op::Killed | Op::SyncDir | Op::SyncFile { .. } | Op::SyncFailed { .. } => {
                String::new()
            }
            _ if self.choices.is_durable(number) => "  [durable]".to_owned(),
            Op::Create { name, .. } | Op::Symlink { name, .. } | Op::Link { new: name, .. } => named(name),
            Op::Remove { name } => format!("  [the removal {}]", word(name)),
            Op::Rename { from, to, .. } => {
                format!("  [the new name {}, the removal of the old one {}]", word(to), word(from))
            }
        }
    }

    fn part(&self, file: u64) -> String {
        let synced = self.choices.synced(file);
        match self.choices.content(file, self.digits).part {
            Part::All => "its bytes survive".to_owned(),
            Part::Prefix(0) => "all bytes are lost".to_owned(),
            Part::Prefix(len) if len == synced => format!("the {len} bytes that were synced survive"),
            Part::Prefix(len) => format!("the first {len} bytes survive"),
            Part::Old => format!("old contents in the place of what follows byte {synced}"),
            Part::Sectors(0) => format!("zeros in the place of what follows byte {synced}"),
            Part::Sectors(mask) => format!("zeros in some sectors behind byte {synced}: {mask:b} survive"),
        }
    }
}

fn what(model: Model) -> &'static str {
    match model {
        Model::Kill => "everybody is killed",
        Model::OnlySynced => "only what was synced survives for certain",
        Model::Ordered => "metadata survive in order",
    }
}

fn deed(op: &Op) -> String {
    match op {
        Op::Create { name, .. } => format!("creates {name}"),
        Op::Write { name, bytes, from, .. } => format!("writes {} bytes into {name}", bytes.len() - from),
        Op::SetNote { name, .. } => format!("leaves a note on {name}"),
        Op::SyncFile { name, .. } => format!("syncs {name}"),
        Op::SyncFailed { name, .. } => format!("cannot sync {name}"),
        Op::Symlink { name, target, .. } => {
            format!("makes {name} a symbolic link to {}", String::from_utf8_lossy(target))
        }
        Op::Link { existing, new, .. } => format!("links {existing} as {new}"),
        Op::Rename { from, to, .. } => format!("renames {from} to {to}"),
        Op::Remove { name } => format!("removes {name}"),
        Op::SyncDir => "syncs the directory".to_owned(),
        Op::Acknowledge { what } => format!("has finished: {what}"),
        Op::Killed => "is killed".to_owned(),
    }
}

fn listing(tree: &Tree) -> String {
    let mut text = String::new();
    for (name, file) in &tree.names {
        let _ = write!(text, "\n         {name} ({} bytes)", tree.files[file].bytes.len());
        if &**name == "tables.list" {
            let _ = write!(text, ": {}", tree.list().join(" "));
        }
    }
    text
}
