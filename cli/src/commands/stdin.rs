//! `reftable update --stdin`: git's line protocol for transactions.

use std::borrow::Cow;
use std::io::{self, BufRead, Write};

use reftable::escape::{escaped, unquoted};
use reftable::{Expect, ObjectId, Target};
use reftable_git::{Action, Batch, Change, Prepared, Stores};

use super::update::expect_old;
use crate::cli::{check_place, check_ref_name, old_value};
use crate::failure::{Code, Failure};
use crate::output::{Out, tell};

/// Where the conversation is.
enum State {
    /// Collecting changes; without `start` the end of the input commits.
    Open {
        started: bool,
    },
    Prepared(Prepared),
    Closed,
}

struct Session<'a> {
    stores: &'a Stores,
    batch: Batch,
    state: State,
    follow: bool,
    /// `option no-deref` was given for the next command.
    no_deref: bool,
}

/// Reads commands until the input ends.
pub(super) fn run(stores: &Stores, batch: Batch, follow: bool, out: &mut Out) -> Result<(), Failure> {
    let mut session = Session { stores, batch, state: State::Open { started: false }, follow, no_deref: false };
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input.read_until(b'\n', &mut line);
        let read = read.map_err(|error| Failure::broken(format!("cannot read the standard input: {error}")))?;
        if read == 0 {
            break;
        }
        let Some(command) = line.strip_suffix(b"\n") else {
            // It may be a part of a longer one: 'delete refs/heads/feature' of 'delete
            // refs/heads/feature-2'.
            let message = format!("the input ends within the line '{}': nothing was done for it", escaped(&line));
            return Err(Failure::usage(message));
        };
        session.command(command, out).map_err(|failure| match (failure.code(), failure.message()) {
            (Code::Usage, Some(message)) => Failure::usage(format!("'{}': {message}", escaped(command))),
            _ => failure,
        })?;
    }
    if let State::Open { started: false } = session.state {
        tell(&session.batch.commit(stores)?);
    }
    Ok(())
}

impl Session<'_> {
    fn command(&mut self, line: &[u8], out: &mut Out) -> Result<(), Failure> {
        let mut words = Words(split(line)?.into_iter());
        let command = &*words.0.next().unwrap_or_default();
        match command {
            b"start" | b"prepare" | b"commit" | b"abort" => {
                words.end()?;
                self.turn(command)?;
                out.write_all(command)?;
                out.write_all(b": ok\n")?;
                return Ok(out.flush()?);
            }
            b"option" => {
                self.no_deref = *words.required("an option")? == *b"no-deref";
                if !self.no_deref {
                    return Err(Failure::usage("the only option is 'no-deref'"));
                }
                return words.end();
            }
            _ => {}
        }
        match self.state {
            State::Open { .. } => {}
            State::Prepared(_) => {
                return Err(Failure::usage("a prepared transaction can only be committed or aborted"));
            }
            State::Closed => return Err(Failure::usage("the transaction is over; 'start' begins another one")),
        }
        let follow = self.follow && !std::mem::take(&mut self.no_deref);
        let change = parse(command, &mut words, follow)?;
        words.end()?;
        self.batch.changes.push(change);
        Ok(())
    }

    fn turn(&mut self, command: &[u8]) -> Result<(), Failure> {
        match (command, std::mem::replace(&mut self.state, State::Closed)) {
            (b"start", State::Open { started: false } | State::Closed) => self.state = State::Open { started: true },
            (b"prepare", State::Open { .. }) => self.state = State::Prepared(self.batch.prepare(self.stores)?),
            (b"commit", State::Open { .. }) => tell(&self.batch.commit(self.stores)?),
            (b"commit", State::Prepared(prepared)) => tell(&prepared.commit()?),
            (b"abort", State::Open { .. } | State::Prepared(_)) => {}
            (_, State::Closed) => return Err(Failure::usage("the transaction is over; 'start' begins another one")),
            (_, State::Prepared(_)) => {
                return Err(Failure::usage("a prepared transaction can only be committed or aborted"));
            }
            (_, State::Open { .. }) => return Err(Failure::usage("the transaction has begun already")),
        }
        if matches!(self.state, State::Closed) {
            self.batch.changes.clear();
        }
        Ok(())
    }
}

/// The words of a line: each up to a space, or a C string in double quotes. As in git, names with
/// spaces and such are written so, and `""` is a word.
fn split(line: &[u8]) -> Result<Vec<Cow<'_, [u8]>>, Failure> {
    let mut words = Vec::new();
    let mut rest = Some(line);
    while let Some(text) = rest {
        let behind = if text.starts_with(b"\"") {
            let (word, after) = unquoted(text)
                .ok_or_else(|| Failure::usage("a quoted word has no end, or an escape that C does not know"))?;
            words.push(Cow::Owned(word));
            after
        } else {
            let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
            let (word, after) = text.split_at(end);
            words.push(Cow::Borrowed(word));
            after
        };
        rest = match behind.split_first() {
            None => None,
            Some((b' ', after)) => Some(after),
            Some(_) => return Err(Failure::usage("a quoted word is followed by something else than a space")),
        };
    }
    Ok(words)
}

/// The words of a line after the first.
struct Words<'a>(std::vec::IntoIter<Cow<'a, [u8]>>);

impl<'a> Words<'a> {
    fn required(&mut self, what: &str) -> Result<Cow<'a, [u8]>, Failure> {
        self.0.next().filter(|word| !word.is_empty()).ok_or_else(|| Failure::usage(format!("{what} is missing")))
    }

    fn name(&mut self) -> Result<Vec<u8>, Failure> {
        let name = self.required("the reference")?;
        check_ref_name(&name)?;
        Ok(name.into_owned())
    }

    /// The name of something that may only go away.
    fn any_name(&mut self) -> Result<Vec<u8>, Failure> {
        let name = self.required("the reference")?;
        check_place(&name)?;
        Ok(name.into_owned())
    }

    fn new_id(&mut self) -> Result<ObjectId, Failure> {
        Ok(text(&self.required("the new id")?)?.parse()?)
    }

    fn target(&mut self) -> Result<Action, Failure> {
        Ok(Action::Set(Target::symbolic(self.name()?)))
    }

    /// An old id: `None` if there is none on the line.
    fn old(&mut self) -> Result<Option<Option<ObjectId>>, Failure> {
        self.0.next().map(|word| old_value(text(&word)?)).transpose()
    }

    fn end(&mut self) -> Result<(), Failure> {
        match self.0.next() {
            None => Ok(()),
            Some(word) => Err(Failure::usage(format!("'{}' is one word too many", escaped(&word)))),
        }
    }
}

fn text(word: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(word).map_err(|_| Failure::usage("an id is not hexadecimal"))
}

fn parse(command: &[u8], words: &mut Words<'_>, follow: bool) -> Result<Change, Failure> {
    if !matches!(command, b"update" | b"create" | b"delete" | b"verify") {
        return parse_symbolic(command, words, follow);
    }
    let name = words.any_name()?;
    if !matches!(command, b"update" | b"delete") {
        check_ref_name(&name)?;
    }
    let (expect, action) = match command {
        b"update" => {
            let new = words.new_id()?;
            if !new.is_null() {
                check_ref_name(&name)?;
            }
            let action = if new.is_null() { Action::Delete } else { Action::Set(Target::Id(new)) };
            (words.old()?.map_or(Expect::Any, expect_old), action)
        }
        b"create" => {
            let new = words.new_id()?;
            if new.is_null() {
                return Err(Failure::usage("the new id is zero"));
            }
            (Expect::Absent, Action::Set(Target::Id(new)))
        }
        b"delete" => match words.old()? {
            None => (Expect::Any, Action::Delete),
            Some(None) => return Err(Failure::usage("the old id is zero")),
            Some(Some(old)) => (Expect::Is(Target::Id(old)), Action::Delete),
        },
        _ => (words.old()?.map_or(Expect::Absent, expect_old), Action::Verify),
    };
    Ok(Change::new(name, expect, action).following(follow))
}

/// The commands whose values are names of references. As in git, only `symref-update` may follow.
fn parse_symbolic(command: &[u8], words: &mut Words<'_>, follow: bool) -> Result<Change, Failure> {
    if !matches!(command, b"symref-update" | b"symref-create" | b"symref-delete" | b"symref-verify") {
        return Err(Failure::usage("this command is not known"));
    }
    let name = if command == b"symref-delete" { words.any_name()? } else { words.name()? };
    let mut change = Change::verify(name, Expect::Any).no_deref();
    let old_target = |words: &mut Words<'_>| words.0.next().map(|old| Expect::Is(Target::symbolic(old)));
    match command {
        b"symref-update" => {
            change.action = words.target()?;
            change.expect = match words.0.next().as_deref() {
                None => Expect::Any,
                Some(b"ref") => Expect::Is(Target::symbolic(words.required("the old target")?)),
                Some(b"oid") => words.old()?.map_or(Expect::Absent, expect_old),
                Some(_) => return Err(Failure::usage("'ref' or 'oid' must precede the old value")),
            };
            change.follow = follow;
        }
        b"symref-create" => {
            change.action = words.target()?;
            change.expect = Expect::Absent;
        }
        b"symref-delete" => {
            change.expect = old_target(words).unwrap_or(Expect::Any);
            change.action = Action::Delete;
        }
        _ => change.expect = old_target(words).unwrap_or(Expect::Absent),
    }
    Ok(change)
}
