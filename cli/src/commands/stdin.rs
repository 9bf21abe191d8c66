//! Standard input as `update-ref --stdin` reads it. What its lines mean is in `reftable-git`.

use std::io::{self, Write};

use clap::Args;
use reftable::{Expect, HashKind, ObjectId, Target};
use reftable_git::{Action, Answer, Change, Fields, Refusal, Repository, Session, SessionOptions};

use super::change::{Changing, Logging};
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::output::{Out, complain_as, tell, warn};

/// How standard input is read.
#[derive(Debug, Args)]
pub(crate) struct Input {
    /// Read commands from the standard input, see below
    #[arg(long)]
    pub(super) stdin: bool,

    /// With --stdin, fields end with a NUL
    #[arg(short = 'z')]
    nul: bool,

    /// With --stdin, a change that cannot be made does not stop the others
    #[arg(short = '0', long)]
    pub(crate) batch_updates: bool,
}

impl Input {
    /// How the fields of the input end.
    pub(crate) fn fields(&self) -> Fields {
        if self.nul { Fields::Nul } else { Fields::Lines }
    }

    /// Whether anything of it is asked for.
    pub(super) fn is_given(&self) -> bool {
        self.stdin || self.nul || self.batch_updates
    }
}

/// Reads commands until the input ends.
pub(super) fn run(
    repo: &Repository,
    changing: &Changing,
    logging: &Logging,
    input: &Input,
    out: &mut Out,
) -> Result<Code, Failure> {
    let mut options = SessionOptions::default();
    options.fields = input.fields();
    options.no_deref = changing.no_deref;
    options.allows_refusals = input.batch_updates;
    options.reason = changing.reason(repo)?;
    options.forces_logs = logging.create_reflog;
    let stores = changing.open(repo)?;
    let revisions = changing.revisions(repo);
    let hash = revisions.hash();
    let mut session = Session::new(&stores, revisions, options);
    let mut records = io::stdin().lock();
    while let Some(answer) = session.next(&mut records)? {
        print(&answer, hash, out)?;
    }
    Ok(Code::Done)
}

fn print(answer: &Answer, hash: HashKind, out: &mut Out) -> Result<(), Failure> {
    tell(&answer.commits, out);
    for warning in &answer.warnings {
        warn(warning, out);
    }
    for (change, refusal) in &answer.refused {
        if !out.wants_json() {
            complain_as("error", &refusal.text);
        }
        print_refusal(change, refusal, hash, out)?;
    }
    if let Some(done) = answer.done {
        match out.wants_json() {
            true => out.json(&Object::of("done").put("command", done).build())?,
            false => writeln!(out, "{done}: ok")?,
        }
        // The writer of the input waits for it before the next line.
        out.flush()?;
    }
    Ok(())
}

fn print_refusal(change: &Change, refusal: &Refusal, hash: HashKind, out: &mut Out) -> Result<(), Failure> {
    let id = |target: Option<&Target>| target.and_then(Target::id).unwrap_or(ObjectId::null(hash));
    let new = id(if let Action::Set(target) = &change.action { Some(target) } else { None });
    let old = id(if let Expect::Is(target) = &change.expect { Some(target) } else { None });
    if out.wants_json() {
        let object = Object::of("rejected").put_text("name", &refusal.name);
        let object = object.put("new", new.to_string()).put("old", old.to_string());
        let object = object.put("reason", refusal.reason.to_string()).put("message", refusal.text.as_str());
        return Ok(out.json(&object.build())?);
    }
    out.write_all(b"rejected ")?;
    out.write_all(&refusal.name)?;
    Ok(writeln!(out, " {new} {old} {}", refusal.reason)?)
}
