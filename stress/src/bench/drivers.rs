//! The drivers of a run, and the repository that they find.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, Result};

use super::Bench;
use super::args::RefFormat;
use super::check::STORE;
use super::dialect::{Change, Dialect, Reply};
use super::program::{Program, Silence};
use super::readers::Reader;
use crate::args::{RunArgs, Usage};
use crate::git;
use crate::judge::event::{Event, Kind, MicroOp};
use crate::names::{ACCOUNTS, account};
use crate::object::Mint;
use crate::pack::write_loose;

/// The name of the session that makes the first references.
const OPENING: &str = "opening";

/// A program, how it is talked to, and what reads for it.
pub(crate) struct Driver {
    /// What its sessions are called, with a number.
    pub(crate) name: String,
    pub(crate) command: String,
    pub(crate) dialect: Dialect,
    pub(crate) count: u32,
    pub(crate) reader: Reader,
    /// Whether it has ever given an answer that makes sense.
    pub(crate) was_heard: AtomicBool,
}

impl Driver {
    /// Whether any transaction of it was.
    pub(crate) fn was_acknowledged(&self, events: &[Event]) -> bool {
        events.iter().any(|event| {
            let changes = event.transaction().into_iter().flatten().any(|op| matches!(op, MicroOp::Swap { .. }));
            changes && event.kind == Kind::Ok && is_of(event, &self.name)
        })
    }
}

/// Whether an event is of a session of this driver: they are called like it, with a number.
pub(crate) fn is_of(event: &Event, driver: &str) -> bool {
    let number = event.driver.as_deref().and_then(|name| name.strip_prefix(driver)?.strip_prefix('-'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Those that were asked for: ours, git's, and all others.
pub(crate) fn of(args: &RunArgs) -> Result<Vec<Driver>> {
    let mut drivers = Vec::new();
    let mut add = |name: String, (count, command): (u32, String), dialect, reader: &Reader| {
        if count > 0 {
            let (reader, was_heard) = (reader.clone(), AtomicBool::new(false));
            drivers.push(Driver { name, command, dialect, count, reader, was_heard });
        }
    };
    let options = &args.bench;
    let list = options.list.clone().map_or(Reader::Git, Reader::Command);
    if let Some(processes) = args.processes.filter(|processes| *processes > 0) {
        let program = std::env::current_exe().context("cannot find this program")?;
        let flags = args.shared.to_args().into_iter().filter(|flag| !flag.starts_with("--threads"));
        let flags: String = flags.map(|flag| format!(" {flag}")).collect();
        let command = format!("exec {} driver{flags}", quoted(&program)?);
        add("ours".to_owned(), (processes, command), Dialect::Lines, &list);
    }
    let git = args.git.clone().or_else(|| {
        let kills_git = args.chaos && options.driver.is_empty() && options.line_driver.is_empty();
        kills_git.then_some(super::spec::GitSpec { count: 2, program: None })
    });
    if let Some(git) = git {
        let program = git.program.as_deref().map_or(Ok("git".into()), absolute)?;
        let command = format!("exec {} update-ref -m \"$STRESS_NAME\" --stdin", quoted(&program)?);
        add("git".to_owned(), (git.count, command), Dialect::UpdateRef, &Reader::Git);
    }
    for (number, spec) in options.driver.iter().enumerate() {
        let name = numbered("driver", number, options.driver.len());
        add(name, (spec.count, spec.command.clone()), Dialect::UpdateRef, &list);
    }
    for (number, spec) in options.line_driver.iter().enumerate() {
        let name = numbered("lines", number, options.line_driver.len());
        add(name, (spec.count, spec.command.clone()), Dialect::Lines, &list);
    }
    if options.list.is_some() && options.driver.is_empty() {
        return Err(Usage("--list reads for programs of --driver, and there is none".to_owned()).into());
    }
    if options.ref_format == Some(RefFormat::Own) {
        all_know_the_store(&drivers)?;
    }
    if drivers.is_empty() {
        return Err(Usage("nobody is driven: give --driver, --line-driver, --git or --processes".to_owned()).into());
    }
    Ok(drivers)
}

/// In a store that git does not know, those are of no use who write or read by git.
fn all_know_the_store(drivers: &[Driver]) -> Result<()> {
    for driver in drivers {
        if driver.name == "ours" || driver.name == "git" {
            let why = format!("--ref-format own: {} does not know such a store", driver.name);
            return Err(Usage(why).into());
        }
        if driver.dialect == Dialect::UpdateRef && matches!(driver.reader, Reader::Git) {
            let why = format!("--ref-format own: git cannot read for `{}`: give --list", driver.command);
            return Err(Usage(why).into());
        }
    }
    Ok(())
}

fn numbered(name: &str, number: usize, of: usize) -> String {
    if of > 1 { format!("{name}{}", number + 1) } else { name.to_owned() }
}

/// A path that holds in any directory.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    let usage = |error| Usage(format!("--git: {}: {error}", path.display()));
    Ok(std::path::absolute(path.canonicalize().map_err(usage)?)?)
}

/// As the shell takes it for one word.
fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(format!("'{}'", text.replace('\'', "'\\''")))
}

/// Makes the repository by git, with all accounts in it: by git as well, or by the first driver
/// where git does not know the store.
pub(crate) fn make_repository(bench: &Bench, drivers: &[Driver], config: &[String]) -> Result<()> {
    let work_tree = bench.layout.work_tree();
    std::fs::create_dir_all(&work_tree).context("cannot create the work tree")?;
    let run = |args: &[&str]| git::output_of(&bench.git, &work_tree, args);
    let format = format!("--ref-format={}", bench.ref_format.of_git());
    let hash = format!("--object-format={}", bench.hash);
    run(&["init", "--quiet", &format, "--initial-branch=main", &hash])?;
    let ours = ["core.logAllRefUpdates=always", "gc.auto=0", "maintenance.auto=false"].map(str::to_owned);
    for setting in ours.iter().chain(config) {
        let (key, value) = setting.split_once('=').ok_or_else(|| Usage(format!("--config: {setting} has no =")))?;
        run(&["config", key, value])?;
    }
    if bench.ref_format == RefFormat::Own {
        run(&["config", STORE, bench.ref_format.name()])?;
    }
    run(&["commit", "--quiet", "--allow-empty", "-m", "nothing yet"])?;
    let mut first = match (bench.ref_format, drivers.first()) {
        (RefFormat::Own, Some(driver)) => Some(Opening::start(bench, driver)?),
        _ => None,
    };
    let mut mint = Mint::new(bench.hash, OPENING);
    let client = (bench.recorder.client(), OPENING);
    for number in 0..ACCOUNTS {
        let (name, id) = (account(number), mint.plain());
        write_loose(&bench.git_dir(), bench.hash, &id.text)?;
        let new = id.id.to_string();
        let swap = || vec![MicroOp::Swap { name: name.clone(), old: None, new: Some(new.clone()) }];
        bench.recorder.transaction(Kind::Invoke, client, swap(), None)?;
        match &mut first {
            Some(first) => first.create(bench, &name, &new)?,
            None => drop(run(&["update-ref", &name, &new])?),
        }
        bench.recorder.transaction(Kind::Ok, client, swap(), None)?;
    }
    first.map_or(Ok(()), |first| first.program.end().map(drop))
}

/// A driver that makes the references that all share, before any other session works.
struct Opening<'a> {
    driver: &'a Driver,
    program: Program,
}

impl<'a> Opening<'a> {
    fn start(bench: &Bench, driver: &'a Driver) -> Result<Opening<'a>> {
        let errors = bench.errors_of(OPENING);
        let program = Program::start(&driver.command, OPENING, &bench.layout.work_tree(), &errors)?;
        Ok(Opening { driver, program })
    }

    /// Without these references nothing can be judged, so whatever else it answers ends the run.
    fn create(&mut self, bench: &Bench, name: &str, id: &str) -> Result<()> {
        let change = Change { name: name.to_owned(), old: None, new: Some(id.to_owned()) };
        let until = Instant::now() + bench.patience;
        let said = match self.driver.dialect.transact(&mut self.program, &[change], until, |_| ()) {
            Reply::Done => return Ok(()),
            Reply::NeverTold(Silence::Ended) | Reply::Unknown(Silence::Ended) => "ended".to_owned(),
            Reply::NeverTold(Silence::TooLong) | Reply::Unknown(Silence::TooLong) => "did not answer".to_owned(),
            Reply::Refused(why) => format!("refused: {why}"),
            Reply::Unsure(why) => format!("does not know: {why}"),
            Reply::Nonsense(line) => format!("answered {line:?}"),
        };
        let (command, last) = (&self.driver.command, bench.last_words(OPENING));
        let why = format!("`{command}` was told to create {name} in an empty store, and {said}. It said: {last}");
        Err(Usage(why).into())
    }
}
