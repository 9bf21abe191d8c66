//! What reads references: git, any command, drivers that speak lines, and our library.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use reftable::{Options, Stack};

use super::args::RefFormat;
use super::dialect::{Dialect, list};
use super::program::Program;
use super::{Bench, Driver};
use crate::git;
use crate::judge::claims::Claim;
use crate::judge::event::{Event, Kind, MicroOp};
use crate::names::PREFIX;

/// References by name.
pub(crate) type Found = BTreeMap<String, String>;

/// What reads for drivers that cannot.
#[derive(Debug, Clone)]
pub(crate) enum Reader {
    /// `git for-each-ref`, of the git of this run.
    Git,
    /// A command for the shell.
    Command(String),
}

impl Reader {
    /// All references of the run, or what went wrong.
    pub(crate) fn list(&self, bench: &Bench) -> Result<Found, String> {
        let dir = bench.layout.work_tree();
        let mut command = match self {
            Reader::Git => {
                let mut command = git::command_of(&bench.git, &dir);
                command.args(["for-each-ref", "--format=%(objectname) %(refname)", PREFIX]);
                command
            }
            Reader::Command(text) => {
                let mut command = git::environment(Command::new("sh"), &dir);
                command.args(["-c", text]);
                command
            }
        };
        let output = command.output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: {}", output.status, said.trim()));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let pairs = text.lines().map(|line| line.split_once(' ').ok_or_else(|| format!("{line:?} is no \"ID NAME\"")));
        let named = pairs.map(|pair| pair.map(|(id, name)| (name.to_owned(), id.to_owned())));
        // Commands that list everything are content with it.
        named.filter(|pair| pair.as_ref().map_or(true, |(name, _)| name.starts_with(PREFIX))).collect()
    }
}

/// Has all readers read everything, after all have ended, and compares what they found.
pub(crate) fn read_finally(bench: &Bench, drivers: &[Driver], events: &[Event]) -> Result<()> {
    let mut found: Vec<(String, Result<Found, String>)> = Vec::new();
    if bench.ref_format != RefFormat::Own {
        found.push(("final git".to_owned(), Reader::Git.list(bench)));
    }
    if bench.ref_format == RefFormat::Reftable {
        found.push(("final reftable".to_owned(), by_library(bench).map_err(|error| format!("{error:#}"))));
    }
    for driver in drivers {
        match (&driver.reader, driver.dialect) {
            (_, Dialect::Lines) => found.push((format!("final {}", driver.name), by_driver(bench, driver))),
            (Reader::Command(_), _) => found.push((format!("final {}", driver.name), driver.reader.list(bench))),
            (Reader::Git, _) => {}
        }
    }
    let mut names = names(events);
    names.extend(found.iter().filter_map(|(_, found)| found.as_ref().ok()).flat_map(|found| found.keys().cloned()));
    let first = found.iter().find_map(|(who, found)| found.as_ref().ok().map(|found| (who.clone(), found.clone())));
    for (who, found) in found {
        match found {
            Ok(found) => {
                bench.looked_at(Claim::Sound);
                record(bench, &who, &names, &found)?;
                compare(bench, (&who, &found), first.as_ref());
            }
            Err(error) => bench.broken(Claim::Sound, format!("{who} cannot read the references: {error}")),
        }
    }
    Ok(())
}

fn compare(bench: &Bench, (who, found): (&str, &Found), first: Option<&(String, Found)>) {
    let Some((other, theirs)) = first.filter(|(_, theirs)| theirs != found) else { return };
    let names: BTreeSet<&String> = found.keys().chain(theirs.keys()).collect();
    for name in names.into_iter().filter(|name| found.get(*name) != theirs.get(*name)).take(3) {
        let shown = |found: &Found| found.get(name).map_or_else(|| "absent".to_owned(), Clone::clone);
        let (one, two) = (shown(found), shown(theirs));
        bench.broken(Claim::Sound, format!("{who} has {name} at {one}, {other} at {two}"));
    }
}

fn record(bench: &Bench, who: &str, names: &BTreeSet<String>, found: &Found) -> Result<()> {
    let client = (bench.recorder.client(), who);
    let read = |value: &dyn Fn(&String) -> Option<String>| -> Vec<MicroOp> {
        names.iter().map(|name| MicroOp::Read { name: name.clone(), value: value(name) }).collect()
    };
    bench.recorder.transaction(Kind::Invoke, client, read(&|_| None), None)?;
    bench.recorder.transaction(Kind::Ok, client, read(&|name| found.get(name).cloned()), None)
}

/// Every reference of which a history speaks.
pub(crate) fn names(events: &[Event]) -> BTreeSet<String> {
    let micro_ops = events.iter().filter_map(Event::transaction).flatten();
    micro_ops.map(|micro_op| micro_op.name().to_owned()).collect()
}

fn by_library(bench: &Bench) -> Result<Found> {
    let options = Options::default().hash(bench.hash);
    let stack = Stack::open(bench.layout.store(), options).context("cannot open the store")?;
    let mut found = Found::new();
    for reference in stack.snapshot()?.prefix(PREFIX)? {
        let reference = reference?;
        found.insert(reference.name_lossy().into_owned(), reference.target.to_string());
    }
    Ok(found)
}

fn by_driver(bench: &Bench, driver: &Driver) -> Result<Found, String> {
    let name = format!("final-{}", driver.name);
    let errors = bench.errors_of(&name);
    let program = Program::start(&driver.command, &name, &bench.layout.work_tree(), &errors);
    let mut program = program.map_err(|error| format!("{error:#}"))?;
    let found = list(&mut program, PREFIX, Instant::now() + bench.patience);
    program.end().map_err(|error| format!("{error:#}"))?;
    found
}
