//! Tells a crash as a numbered story: what was done, what of it survived, what was found.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::disk::{Choices, Part};
use crate::model::Model;
use crate::op::{Entry, Op, Pid, Place};
use crate::tree::{FileId, Kind};

/// Contents up to this length are shown, if they are text.
const SHORT: usize = 200;
/// Up to so many paths are all listed.
const MANY: usize = 24;

/// A crash, and what is wrong with what it left.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "it has a function in it, and is there to be told")]
pub struct Story<'a> {
    /// What was going on.
    pub title: &'a str,
    /// What the crash was.
    pub model: Model,
    /// The changes that came before it.
    pub log: &'a [Entry],
    /// What could be chosen of the disk, and what was.
    pub choices: &'a Choices<'a>,
    /// What was.
    pub choice: &'a [usize],
    /// What is wrong.
    pub finding: &'a str,
    /// Names of processes.
    pub names: &'a dyn Fn(Pid) -> String,
}

impl Story<'_> {
    /// The story, a change a line.
    #[must_use]
    pub fn tell(&self) -> String {
        let mut story = format!("{}, {}:\n", self.title, self.model.describe());
        for (number, entry) in self.log.iter().enumerate() {
            let (fate, who) = (self.fate(number, &entry.op), (self.names)(entry.process));
            let _ = writeln!(story, "{:>5}. {who} {}{fate}", number.saturating_add(1), deed(&entry.op));
        }
        let end = if self.model.loses_power() { "power is lost" } else { "all are killed" };
        let _ = writeln!(story, "       {end}");
        let _ = writeln!(story, "       left:{}", self.listing());
        let _ = writeln!(story, "    => {}", self.finding);
        story
    }

    /// What is left, a path a line; of many paths only those that the story is about.
    fn listing(&self) -> String {
        let tree = self.choices.tree(self.choice);
        let told: BTreeSet<&str> = self.log.iter().flat_map(|entry| paths(&entry.op)).collect();
        let mut text = String::new();
        for path in tree.names.keys().filter(|path| tree.names.len() <= MANY || told.contains(&***path)) {
            let Some(file) = tree.get(path) else { continue };
            let _ = match file.kind {
                Kind::Directory => write!(text, "\n         {path}/"),
                _ => write!(text, "\n         {path} ({} bytes){}", file.bytes.len(), shown(&file.bytes)),
            };
        }
        if text.is_empty() { " nothing".to_owned() } else { text }
    }

    /// What became of a change.
    fn fate(&self, number: usize, op: &Op) -> String {
        if !self.model.loses_power() {
            return String::new();
        }
        let named = |at: &Place| self.fate_of(number, at, "the name");
        match op {
            Op::Write { file, .. } | Op::Truncate { file, .. } => self.part(*file),
            Op::SetNote { file, note, .. } => {
                let left = self.choices.content(*file, self.choice);
                let survives = left.is_none_or(|content| content.note() == Some(note));
                format!("  [the note {}]", word(survives))
            }
            Op::Create { at, .. } | Op::MakeDir { at, .. } | Op::Symlink { at, .. } | Op::Link { new: at, .. } => {
                named(at)
            }
            Op::Remove { at } => self.fate_of(number, at, "the removal"),
            Op::Rename { from, to, .. } => {
                if self.is_durable(number, from) && self.is_durable(number, to) {
                    return "  [durable]".to_owned();
                }
                let (from, to) = (word(self.survives(number, from)), word(self.survives(number, to)));
                format!("  [the new name {to}, the removal of the old one {from}]")
            }
            _ => String::new(),
        }
    }

    fn fate_of(&self, number: usize, at: &Place, what: &str) -> String {
        if self.is_durable(number, at) {
            return "  [durable]".to_owned();
        }
        format!("  [{what} {}]", word(self.survives(number, at)))
    }

    fn is_durable(&self, number: usize, at: &Place) -> bool {
        self.choices.is_durable(at, number)
    }

    fn survives(&self, number: usize, at: &Place) -> bool {
        self.is_durable(number, at) || self.choices.last_change(at, self.choice).is_some_and(|last| last >= number)
    }

    fn part(&self, file: FileId) -> String {
        let synced = self.choices.synced_len(file);
        let part = self.choices.content(file, self.choice).map_or(Part::All, |content| content.part());
        let fate = match part {
            Part::All => "its bytes survive".to_owned(),
            Part::Writes(0) if synced == 0 => "all bytes are lost".to_owned(),
            Part::Writes(0) => format!("the {synced} bytes that were synced survive"),
            Part::Writes(1) => "only the first write since the last sync survives".to_owned(),
            Part::Writes(writes) => format!("only {writes} writes since the last sync survive"),
            Part::Cut { at, .. } => format!("what the file had when its byte {at} was being written survives"),
            Part::Old => format!("old contents in the place of what follows byte {synced}"),
            Part::Sectors(0) => "its length survives, and not what was written since the last sync".to_owned(),
            Part::Sectors(mask) => format!("of the sectors written since the last sync {mask:b} survive"),
            Part::Torn { at, .. } => format!("a sector is torn at byte {at}"),
        };
        format!("  [{fate}]")
    }
}

fn word(survives: bool) -> &'static str {
    if survives { "survives" } else { "is lost" }
}

/// What was done, in words.
pub(crate) fn deed(op: &Op) -> String {
    match op {
        Op::Create { at, .. } => format!("creates {}", at.path),
        Op::CreateUnnamed { .. } => "creates a file without a name".to_owned(),
        Op::MakeDir { at, .. } => format!("makes the directory {}", at.path),
        Op::Symlink { at, target, .. } => {
            format!("makes {} a symbolic link to {}", at.path, String::from_utf8_lossy(target).escape_debug())
        }
        Op::Write { path, bytes, .. } => format!("writes {} bytes into {path}", bytes.len()),
        Op::Truncate { path, len, .. } => format!("truncates {path} to {len} bytes"),
        Op::SetNote { path, .. } => format!("leaves a note on {path}"),
        Op::Link { existing, new, .. } => format!("links {existing} as {}", new.path),
        Op::Rename { from, to, .. } => format!("renames {} to {}", from.path, to.path),
        Op::Remove { at } => format!("removes {}", at.path),
        Op::SyncFile { path, .. } => format!("syncs {path}"),
        Op::SyncFailed { path, .. } => format!("cannot sync {path}"),
        Op::SyncDir { path, .. } if path.is_empty() => "syncs the directory".to_owned(),
        Op::SyncDir { path, .. } => format!("syncs the directory {path}"),
        Op::SyncAll => "syncs everything".to_owned(),
        Op::Acknowledge { what } => format!("has finished: {what}"),
        Op::Say { what } => format!("says: {what}"),
        Op::Killed => "is killed".to_owned(),
    }
}

/// The paths that an operation is about.
fn paths(op: &Op) -> Vec<&str> {
    match op {
        Op::Create { at, .. } | Op::MakeDir { at, .. } | Op::Symlink { at, .. } | Op::Remove { at } => vec![&at.path],
        Op::Write { path, .. } | Op::Truncate { path, .. } | Op::SetNote { path, .. } => vec![path],
        Op::Link { existing, new, .. } => vec![existing, &new.path],
        Op::Rename { from, to, .. } => vec![&from.path, &to.path],
        _ => Vec::new(),
    }
}

/// Short text, in one line.
fn shown(bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty() && text.len() <= SHORT);
    let is_plain = |text: &&str| text.chars().all(|letter| letter == '\n' || !letter.is_control());
    text.filter(is_plain).map_or(String::new(), |text| format!(": {}", text.lines().collect::<Vec<_>>().join(" ")))
}
