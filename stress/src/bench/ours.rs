//! Our library as a driver that speaks lines; and liars, by which it is seen that lies are found.

use std::collections::VecDeque;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;
use reftable::{ErrorKind, Expect, Ident, ObjectId, Snapshot, Stack, Transaction};

use super::dialect::Change;
use crate::args::Shared;

/// One of so many transactions is lied about.
const SELDOM: u32 = 8;
/// The liar that loses at a kill has told of so many transactions that it has not made yet.
const AHEAD: usize = 3;

/// The settings of `driver`.
#[derive(Debug, clap::Args)]
pub(crate) struct DriverArgs {
    /// Do not do what is said: a control that must be found out
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) lie: Option<Lie>,
    /// The store; that of the repository if not given
    #[arg(long, value_name = "DIR", default_value = ".git/reftable")]
    pub(crate) store: PathBuf,
    /// How it is opened.
    #[command(flatten)]
    pub(crate) shared: Shared,
}

/// Kinds of liars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lie {
    /// Acknowledges what it has not done
    Nothing,
    /// Does the first change of a transaction only
    Part,
    /// Does a transaction again later, over whatever has come since
    Twice,
    /// Answers readings from long ago
    Back,
    /// Acknowledges before it does anything: a kill loses it
    Late,
    /// Says that it has refused what it has done
    Refusal,
}

/// Answers until its input ends.
pub(crate) fn main(args: &DriverArgs) -> Result<bool> {
    let stack = Stack::open(&args.store, args.shared.options()).context("cannot open the store")?;
    let mut ours = Ours {
        old: stack.snapshot()?,
        stack,
        lie: args.lie,
        rng: fastrand::Rng::new(),
        owed: VecDeque::new(),
        done: VecDeque::new(),
    };
    let mut changes = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split(' ');
        let answer = match (words.next(), words.next(), words.next(), words.next()) {
            (Some("change"), Some(name), Some(old), Some(new)) => {
                let value = |text: &str| (text != "-").then(|| text.to_owned());
                changes.push(Change { name: name.to_owned(), old: value(old), new: value(new) });
                continue;
            }
            (Some("commit"), ..) => ours.commit(std::mem::take(&mut changes)),
            (Some("list"), Some(prefix), ..) => ours.list(prefix)?,
            _ => format!("refused {line:?} is no request\n"),
        };
        let mut out = io::stdout().lock();
        out.write_all(answer.as_bytes())?;
        out.flush()?;
    }
    ours.settle();
    Ok(true)
}

/// A driver, and what a liar has to keep.
struct Ours {
    stack: Stack,
    lie: Option<Lie>,
    rng: fastrand::Rng,
    /// A state from long ago.
    old: Snapshot,
    /// What it has acknowledged and not done.
    owed: VecDeque<Vec<Change>>,
    /// What it has done.
    done: VecDeque<Vec<Change>>,
}

impl Ours {
    fn commit(&mut self, changes: Vec<Change>) -> String {
        let lies = self.rng.u32(..SELDOM) == 0;
        match self.lie {
            Some(Lie::Nothing) if lies => return "ok\n".to_owned(),
            Some(Lie::Late) => {
                self.owed.push_back(changes);
                if self.owed.len() > AHEAD {
                    let due = self.owed.pop_front().unwrap_or_default();
                    let _ = self.publish(&due, true);
                }
                return "ok\n".to_owned();
            }
            _ => {}
        }
        let part = self.lie == Some(Lie::Part) && lies;
        let made = if part { changes.get(..1).unwrap_or_default() } else { &changes };
        let result = self.publish(made, true);
        match (result, self.lie) {
            (Ok(()), Some(Lie::Refusal)) if lies => "refused\n".to_owned(),
            (Ok(()), Some(Lie::Twice)) => {
                self.done.push_back(changes);
                if self.done.len() > AHEAD && lies {
                    let again = self.done.pop_front().unwrap_or_default();
                    let _ = self.publish(&again, false);
                }
                "ok\n".to_owned()
            }
            (Ok(()), _) => "ok\n".to_owned(),
            (Err(error), _) if error.kind() == ErrorKind::Indeterminate => format!("unknown {}\n", one_line(&error)),
            (Err(error), _) => format!("refused {}\n", one_line(&error)),
        }
    }

    fn publish(&self, changes: &[Change], expects: bool) -> reftable::Result<()> {
        let mut tx = self.stack.transaction();
        for Change { name, old, new } in changes {
            add(&mut tx, name, (old.as_deref(), new.as_deref()), expects)?;
        }
        let who = std::env::var("STRESS_NAME").unwrap_or_default();
        tx.reflog(Ident::new(&who, "stress@example.org", 1_700_000_000), "stress");
        tx.commit().map(drop)
    }

    /// Does what it has acknowledged, and could be asked about.
    fn settle(&mut self) {
        for owed in std::mem::take(&mut self.owed) {
            let _ = self.publish(&owed, true);
        }
    }

    fn list(&mut self, prefix: &str) -> Result<String> {
        self.settle();
        let now = self.stack.snapshot()?;
        let is_back = self.lie == Some(Lie::Back) && self.rng.bool();
        let snapshot = if is_back { &self.old } else { &now };
        let mut answer = String::new();
        for found in snapshot.prefix(prefix)? {
            let found = found?;
            answer.push_str(&format!("{} {}\n", found.target, found.name_lossy()));
        }
        answer.push_str("end\n");
        if self.rng.u32(..SELDOM) == 0 {
            self.old = now;
        }
        Ok(answer)
    }
}

fn add(
    tx: &mut Transaction,
    name: &str,
    (old, new): (Option<&str>, Option<&str>),
    expects: bool,
) -> reftable::Result<()> {
    let id = |hex: &str| hex.parse::<ObjectId>();
    let expect = match (expects, old) {
        (false, _) => Expect::Any,
        (true, None) => Expect::Absent,
        (true, Some(old)) => Expect::Is(id(old)?.into()),
    };
    match new {
        Some(new) => tx.set(name, expect, id(new)?),
        None => tx.delete(name, expect),
    };
    Ok(())
}

fn one_line(error: &reftable::Error) -> String {
    error.to_string().replace('\n', " ")
}
