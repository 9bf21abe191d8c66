//! What is said to a driver, and what its answers mean. docs/bench.md has both dialects.

use std::collections::BTreeMap;
use std::time::Instant;

use super::program::{Program, Silence};

/// What drivers understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `git update-ref --stdin`, with answers.
    UpdateRef,
    /// The lines of docs/bench.md.
    Lines,
}

/// A change that a driver is to make; `None` is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) old: Option<String>,
    pub(crate) new: Option<String>,
}

/// What became of a transaction, as far as the driver lets one know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It was acknowledged.
    Done,
    /// Nothing was done: the driver says so, or it was never told to commit. The driver goes on.
    Refused(String),
    /// The driver ended, or was silent, before it was told to commit: nothing was done.
    NeverTold(Silence),
    /// The driver ended, or was silent, after it was told: nobody knows.
    Unknown(Silence),
    /// It says itself that it does not know.
    Unsure(String),
    /// It said something that is no answer.
    Nonsense(String),
}

/// How far a transaction is, for telling what a kill has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The driver was told the changes, and not yet to make them.
    Preparing,
    /// It was told to make them.
    Committing,
}

impl Phase {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Phase::Preparing => "preparing",
            Phase::Committing => "committing",
        }
    }
}

impl Dialect {
    /// Has a transaction carried out. `at` is told how far it is, before it gets there.
    pub(crate) fn transact(
        self,
        program: &mut Program,
        changes: &[Change],
        until: Instant,
        at: impl FnMut(Phase),
    ) -> Reply {
        match self {
            Dialect::UpdateRef => update_ref(program, changes, until, at),
            Dialect::Lines => lines(program, changes, until, at),
        }
    }
}

fn update_ref(program: &mut Program, changes: &[Change], until: Instant, mut at: impl FnMut(Phase)) -> Reply {
    let instructions: String = changes.iter().map(instruction).collect();
    at(Phase::Preparing);
    program.say(&format!("start\n{instructions}prepare\n"));
    for expected in ["start: ok", "prepare: ok"] {
        match program.answer(until) {
            // It runs and answers, so it may be killed: also while it waits for a lock.
            Ok(line) if line == expected => at(Phase::Preparing),
            Ok(line) => return Reply::Nonsense(line),
            Err(silence) => return Reply::NeverTold(silence),
        }
    }
    at(Phase::Committing);
    program.say("commit\n");
    match program.answer(until) {
        Ok(line) if line == "commit: ok" => Reply::Done,
        Ok(line) => Reply::Nonsense(line),
        Err(silence) => Reply::Unknown(silence),
    }
}

fn instruction(change: &Change) -> String {
    let Change { name, old, new } = change;
    match (old, new) {
        (Some(old), Some(new)) => format!("update {name} {new} {old}\n"),
        (None, Some(new)) => format!("create {name} {new}\n"),
        (Some(old), None) => format!("delete {name} {old}\n"),
        (None, None) => String::new(),
    }
}

fn lines(program: &mut Program, changes: &[Change], until: Instant, mut at: impl FnMut(Phase)) -> Reply {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let shown = |change: &Change| format!("change {} {} {}\n", change.name, value(&change.old), value(&change.new));
    let changes: String = changes.iter().map(shown).collect();
    at(Phase::Committing);
    program.say(&format!("{changes}commit\n"));
    match program.answer(until) {
        Ok(line) => {
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match word {
                "ok" => Reply::Done,
                "refused" => Reply::Refused(rest.to_owned()),
                "unknown" => Reply::Unsure(rest.to_owned()),
                _ => Reply::Nonsense(line),
            }
        }
        Err(silence) => Reply::Unknown(silence),
    }
}

/// Whether this may be the id of an object, of either hash.
fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The references below a prefix, as a driver that speaks lines has them.
pub(crate) fn list(program: &mut Program, prefix: &str, until: Instant) -> Result<BTreeMap<String, String>, String> {
    program.say(&format!("list {prefix}\n"));
    let mut found = BTreeMap::new();
    loop {
        let line = program.answer(until).map_err(|silence| match silence {
            Silence::Ended => "it ended".to_owned(),
            Silence::TooLong => "no answer".to_owned(),
        })?;
        if line == "end" {
            return Ok(found);
        }
        let Some((id, name)) = line.split_once(' ').filter(|(id, _)| is_id(id)) else {
            if line == "refused" || line.starts_with("refused ") {
                return Err(line);
            }
            return Err(format!("{line:?} is neither \"ID NAME\" nor \"end\""));
        };
        found.insert(name.to_owned(), id.to_owned());
    }
}
