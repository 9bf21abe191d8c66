//! The lines of `update-ref --stdin`: from one record of the input to a [`Command`].
//!
//! A record is a line, whose words may be C strings in double quotes, or with `-z` a command up to
//! its first NUL and as many arguments, each up to a NUL, as the command may have. Scripts match
//! what is said about a record that is none, so it is said as git says it.

use std::io::{self, BufRead};

use reftable::escape::unquoted;
use reftable::{Expect, ObjectId, Target};

use super::{Action, Change};
use crate::error::{Error, Result};

/// How the fields of the input end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fields {
    /// Spaces between words that may be C strings, a newline at the end.
    Lines,
    /// A NUL after each, but a space after the command.
    Nul,
}

impl Fields {
    fn end(self) -> u8 {
        match self {
            Fields::Lines => b'\n',
            Fields::Nul => 0,
        }
    }
}

/// What a record asks for.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and nearly all are changes")]
#[non_exhaustive]
pub enum Command {
    /// A change, or the check of a reference.
    Change(Change),
    /// The next change is of its name itself.
    NoDeref,
    /// Begins a transaction.
    Start,
    /// Locks and checks.
    Prepare,
    /// Does it.
    Commit,
    /// Forgets it.
    Abort,
}

/// Says which object a word names; `None` if it names none.
pub(super) type Resolve<'a> = dyn FnMut(&[u8]) -> Result<Option<ObjectId>> + 'a;

/// The commands, each with the most arguments that it may have.
const COMMANDS: [(&str, usize); 13] = [
    ("update", 3),
    ("create", 2),
    ("delete", 2),
    ("verify", 2),
    ("symref-update", 4),
    ("symref-create", 2),
    ("symref-delete", 2),
    ("symref-verify", 2),
    ("option", 1),
    ("start", 0),
    ("prepare", 0),
    ("abort", 0),
    ("commit", 0),
];

/// Reads one record into `record`, with the ends of its fields. Returns whether there was one.
///
/// # Errors
/// If the input ends within a line: it may be a part of a longer one, `delete refs/heads/feature`
/// of `delete refs/heads/feature-2`.
pub(super) fn read(input: &mut dyn BufRead, fields: Fields, record: &mut Vec<u8>) -> Result<bool> {
    let failed = |error: io::Error| Error::broken(format!("cannot read the input: {error}"));
    let end = fields.end();
    record.clear();
    if input.read_until(end, record).map_err(failed)? == 0 {
        return Ok(false);
    }
    if record.first().is_some_and(u8::is_ascii_whitespace) {
        // It is none, whatever follows.
        return Ok(true);
    }
    let cut_off = |record: &[u8]| {
        let record = text(record);
        Err(Error::invalid(format!("the input ends within the line '{record}': nothing was done for it")))
    };
    if record.last() != Some(&end) {
        return cut_off(record);
    }
    if fields == Fields::Nul {
        // What is missing the command itself will say.
        for _ in 1..command_of(record, end).map_or(0, |(_, most)| most) {
            if input.read_until(0, record).map_err(failed)? == 0 {
                break;
            }
            if record.last() != Some(&0) {
                return cut_off(record);
            }
        }
    }
    Ok(true)
}

fn command_of(record: &[u8], end: u8) -> Option<(&'static str, usize)> {
    COMMANDS.into_iter().find(|(name, most)| {
        let after = record.strip_prefix(name.as_bytes()).and_then(|rest| rest.first());
        after == Some(if *most > 0 { &b' ' } else { &end })
    })
}

/// The command that `record` begins with, if it is one.
pub(super) fn name_of(record: &[u8], fields: Fields) -> Option<&'static str> {
    command_of(record, fields.end()).map(|(name, _)| name)
}

/// What `record` asks for. Without a word about it, a change is of its name itself if `no_deref`.
/// Warnings are handed to `warn`.
///
/// # Errors
/// If it asks for nothing that there is.
pub(super) fn parse(
    record: &[u8],
    fields: Fields,
    no_deref: bool,
    resolve: &mut Resolve<'_>,
    warn: &mut dyn FnMut(String),
) -> Result<Command> {
    let end = fields.end();
    match record.first() {
        Some(first) if *first == end => return Err(Error::invalid("empty command in input")),
        Some(first) if first.is_ascii_whitespace() => {
            return Err(Error::invalid(format!("whitespace before command: {}", text(record))));
        }
        _ => {}
    }
    let Some((name, most)) = command_of(record, end) else {
        return Err(Error::invalid(format!("unknown command: {}", text(record))));
    };
    let rest = record.get(name.len() + usize::from(most > 0)..).unwrap_or_default();
    let mut words = Words { command: name, of: String::new(), rest, fields, resolve, warn };
    let command = match name {
        "start" => Command::Start,
        "prepare" => Command::Prepare,
        "commit" => Command::Commit,
        "abort" => Command::Abort,
        "option" => {
            words.option()?;
            return Ok(Command::NoDeref);
        }
        "update" | "create" | "delete" | "verify" => Command::Change(words.change(!no_deref)?),
        _ => Command::Change(words.symbolic(!no_deref)?),
    };
    words.end()?;
    Ok(command)
}

/// What is left of a record.
struct Words<'a, 'r> {
    command: &'static str,
    /// The name that the command is about, for messages.
    of: String,
    rest: &'a [u8],
    fields: Fields,
    resolve: &'a mut Resolve<'r>,
    warn: &'a mut dyn FnMut(String),
}

/// Which of its two ids a command asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    New,
    Old,
}

impl Which {
    fn word(self) -> &'static str {
        match self {
            Which::New => "<new-oid>",
            Which::Old => "<old-oid>",
        }
    }
}

impl Words<'_, '_> {
    fn wrong(&self, what: impl std::fmt::Display) -> Error {
        match self.of.as_str() {
            "" => Error::invalid(format!("{}: {what}", self.command)),
            of => Error::invalid(format!("{} {of}: {what}", self.command)),
        }
    }

    /// Up to the end of a word, which stays.
    fn word(&mut self) -> Result<Vec<u8>> {
        let is_end = |byte: &u8| match self.fields {
            Fields::Lines => byte.is_ascii_whitespace() || *byte == 0x0b,
            Fields::Nul => *byte == 0,
        };
        if self.fields == Fields::Lines && self.rest.starts_with(b"\"") {
            let (word, after) = unquoted(self.rest)
                .ok_or_else(|| Error::invalid(format!("badly quoted argument: {}", text(self.rest))))?;
            if !after.first().is_none_or(is_end) {
                let word = text(self.rest);
                return Err(Error::invalid(format!("unexpected character after quoted argument: {word}")));
            }
            self.rest = after;
            return Ok(word);
        }
        let (word, after) = self.rest.split_at(self.rest.iter().position(is_end).unwrap_or(self.rest.len()));
        self.rest = after;
        Ok(word.to_vec())
    }

    /// Steps over what is between two words; `false` if there is no other word.
    fn step(&mut self) -> Result<bool> {
        match (self.fields, self.rest) {
            (_, []) | (Fields::Lines, [b'\n', ..]) => Ok(false),
            (Fields::Lines, [b' ', rest @ ..]) | (Fields::Nul, [0, rest @ ..]) => {
                self.rest = rest;
                Ok(true)
            }
            (Fields::Lines, rest) => Err(self.wrong(format!("expected SP but got: {}", text(rest)))),
            (Fields::Nul, rest) => Err(self.wrong(format!("expected NUL but got: {}", text(rest)))),
        }
    }

    fn name(&mut self, may_be_odd: bool) -> Result<Vec<u8>> {
        let name = self.word()?;
        if name.is_empty() {
            return Err(self.wrong("missing <ref>"));
        }
        self.of = text(&name);
        if !may_be_odd {
            check(&name)?;
        }
        Ok(name)
    }

    /// The name after the first one; `None` if there is none, or an empty one.
    fn other_name(&mut self) -> Result<Option<Vec<u8>>> {
        let name = if self.step()? { self.word()? } else { Vec::new() };
        if name.is_empty() {
            return Ok(None);
        }
        check(&name)?;
        Ok(Some(name))
    }

    /// An id: `None` if there is none, `Some(None)` for zeroes, also if they are left out.
    fn id(&mut self, which: Which) -> Result<Option<Option<ObjectId>>> {
        let missing = |words: &Self| words.wrong(format!("unexpected end of input when reading {}", which.word()));
        if self.fields == Fields::Nul && self.rest.len() <= 1 {
            return Err(missing(self));
        }
        if !self.step()? {
            return Ok(None);
        }
        let word = self.word()?;
        if word.is_empty() {
            return Ok(match (self.fields, which) {
                (Fields::Lines, _) => Some(None),
                (Fields::Nul, Which::New) if self.command == "update" => {
                    (self.warn)(format!("{} {}: missing <new-oid>, treating as zero", self.command, self.of));
                    Some(None)
                }
                (Fields::Nul, _) => None,
            });
        }
        match (self.resolve)(&word)? {
            Some(id) => Ok(Some((!id.is_null()).then_some(id))),
            None => Err(self.wrong(format!("invalid {}: {}", which.word(), text(&word)))),
        }
    }

    fn end(&mut self) -> Result<()> {
        // What was left out at the end has no NUL of its own.
        if *self.rest == [self.fields.end()] || self.fields == Fields::Nul && self.rest.is_empty() {
            return Ok(());
        }
        Err(self.wrong(format!("extra input: {}", text(self.rest))))
    }

    fn option(&mut self) -> Result<()> {
        if self.rest.strip_suffix(&[self.fields.end()]) == Some(b"no-deref") {
            return Ok(());
        }
        Err(Error::invalid(format!("option unknown: {}", text(self.rest))))
    }

    fn change(&mut self, follow: bool) -> Result<Change> {
        let may_go = matches!(self.command, "update" | "delete");
        let name = self.name(may_go)?;
        let (expect, action) = match self.command {
            "update" => {
                let new = self.id(Which::New)?.ok_or_else(|| self.wrong("missing <new-oid>"))?;
                if new.is_some() {
                    check(&name)?;
                }
                let action = new.map_or(Action::Delete, |new| Action::Set(Target::Id(new)));
                (self.id(Which::Old)?.map_or(Expect::Any, expect_old), action)
            }
            "create" => {
                let new = self.id(Which::New)?.ok_or_else(|| self.wrong("missing <new-oid>"))?;
                let new = new.ok_or_else(|| self.wrong("zero <new-oid>"))?;
                (Expect::Absent, Action::Set(Target::Id(new)))
            }
            "delete" => match self.id(Which::Old)? {
                None => (Expect::Any, Action::Delete),
                Some(None) => return Err(self.wrong("zero <old-oid>")),
                old @ Some(_) => (old.map_or(Expect::Any, expect_old), Action::Delete),
            },
            _ => (self.id(Which::Old)?.map_or(Expect::Absent, expect_old), Action::Verify),
        };
        Ok(Change::new(name, expect, action).following(follow))
    }

    /// The commands whose values are names of references.
    fn symbolic(&mut self, follow: bool) -> Result<Change> {
        if follow && matches!(self.command, "symref-delete" | "symref-verify") {
            return Err(self.wrong("cannot operate with deref mode"));
        }
        let name = self.name(self.command == "symref-delete")?;
        let (expect, action) = match self.command {
            "symref-update" => {
                let target = self.new_target()?;
                let expect = self.old_value()?;
                return Ok(Change::new(name, expect, target).following(follow));
            }
            "symref-create" => (Expect::Absent, self.new_target()?),
            command => {
                let old = self.other_name()?.map(|old| Expect::Is(Target::symbolic(old)));
                match command {
                    "symref-delete" => (old.unwrap_or(Expect::Any), Action::Delete),
                    _ => (old.unwrap_or(Expect::Absent), Action::Verify),
                }
            }
        };
        Ok(Change::new(name, expect, action).no_deref())
    }

    fn new_target(&mut self) -> Result<Action> {
        let target = self.other_name()?.ok_or_else(|| self.wrong("missing <new-target>"))?;
        Ok(Action::Set(Target::symbolic(target)))
    }

    /// `ref NAME` or `oid ID`.
    fn old_value(&mut self) -> Result<Expect> {
        let kind = if self.step()? { self.word()? } else { Vec::new() };
        if kind.is_empty() {
            return Ok(Expect::Any);
        }
        let value = if self.step()? { self.word()? } else { Vec::new() };
        if value.is_empty() {
            return Err(self.wrong("expected old value"));
        }
        match kind.as_slice() {
            b"oid" => match (self.resolve)(&value)? {
                Some(id) => Ok(expect_old((!id.is_null()).then_some(id))),
                None => Err(self.wrong(format!("invalid oid: {}", text(&value)))),
            },
            b"ref" if reftable::name::check(&value).is_ok() => Ok(Expect::Is(Target::symbolic(value))),
            b"ref" => Err(self.wrong(format!("invalid ref: {}", text(&value)))),
            _ => Err(self.wrong(format!("invalid arg '{}' for old value", text(&kind)))),
        }
    }
}

fn check(name: &[u8]) -> Result<()> {
    reftable::name::check(name)
        .map_err(|error| Error::invalid(format!("invalid ref format: {}: {}", text(name), error.message())))
}

/// The expectation that an old id states; `None` for "must not exist".
pub(super) fn expect_old(old: Option<ObjectId>) -> Expect {
    old.map_or(Expect::Absent, |id| Expect::Is(Target::Id(id)))
}

/// A part of a record as messages have it: without the end of the line, and of the first field.
fn text(part: &[u8]) -> String {
    let part = part.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(part.strip_suffix(b"\n").unwrap_or(part)).into_owned()
}
