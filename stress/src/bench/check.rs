//! `check`: judges a run that was kept, or a history of any origin, again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use reftable::verify::Severity;
use reftable::{HashKind, Options, Stack};
use serde_json::json;

use super::args::RefFormat;
use super::report::{print_verdict, told};
use super::stalls::Stalls;
use super::{HISTORY, readers};
use crate::args::Usage;
use crate::git;
use crate::judge::claims::{Claim, Verdict};
use crate::judge::event::{Event, Kind, MicroOp, Process, What, parse_all};
use crate::judge::{edn, judge};
use crate::names::PREFIX;
use crate::repo::Layout;
use crate::run::tell;

/// The settings of `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The directory of a run (--dir, or what it says it has kept), or a file with a history
    #[arg(value_name = "DIR|FILE")]
    pub(crate) path: PathBuf,
    /// The git that reads the repository of the run, if there is one
    #[arg(long, value_name = "PATH", default_value = "git")]
    pub(crate) git: PathBuf,
    /// Write the history as Elle and Knossos read it
    #[arg(long, value_name = "FILE")]
    pub(crate) edn: Option<PathBuf>,
    /// Write a page with the run
    #[arg(long, value_name = "FILE", value_parser = super::args::file_to_write)]
    pub(crate) html: Option<PathBuf>,
    /// Print a last line of JSON with the verdict
    #[arg(long)]
    pub(crate) json: bool,
}

/// Returns whether all claims hold.
pub(crate) fn main(args: &CheckArgs) -> Result<bool> {
    let is_dir = args.path.is_dir();
    let file = if is_dir { args.path.join(HISTORY) } else { args.path.clone() };
    let contents = fs::read_to_string(&file).map_err(|error| Usage(format!("{}: {error}", file.display())))?;
    let mut events = parse_all(&contents).map_err(|error| Usage(format!("{}: {error:#}", file.display())))?;
    let mut beyond = Verdict::default();
    let layout = Layout { root: args.path.clone() };
    if is_dir && layout.git_dir().join("config").is_file() {
        look_again(args, &layout, &mut events, &mut beyond)?;
    }
    let mut verdict = judge(&events).map_err(|error| Usage(format!("{}: {error:#}", file.display())))?;
    verdict.join(beyond);
    if let Some(path) = &args.edn {
        let (text, left_out) = edn::history(&events);
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        tell(&format!("edn        {}; {left_out} references that are ever deleted are left out", path.display()))?;
    }
    print_verdict(&verdict, &events)?;
    if let Some(path) = &args.html {
        let title = args.path.display().to_string();
        crate::html::write(path, &title, &events, &verdict, &Stalls::of(&events, Vec::new()))?;
    }
    if args.json {
        tell(&json!({ "verdict": told(&verdict, &events)? }).to_string())?;
    }
    Ok(verdict.count() == 0)
}

/// Where the repository of a run says that git does not know its store.
pub(super) const STORE: &str = "reftable-stress.store";

/// Symbolic references are in no history.
const LISTED: &str = "--format=%(if)%(symref)%(then)%(else)%(objectname) %(refname)%(end)";

/// Reads the store as it is now: it must be as the history left it.
fn look_again(args: &CheckArgs, layout: &Layout, events: &mut Vec<Event>, beyond: &mut Verdict) -> Result<()> {
    let dir = layout.work_tree();
    let config = |key: &str| git::output_of(&args.git, &dir, &["config", key]).unwrap_or_default().trim().to_owned();
    if config(STORE) == RefFormat::Own.name() {
        return tell("store      known to the drivers of the run only: the history is judged alone");
    }
    let hash = if config("extensions.objectformat") == "sha256" { HashKind::Sha256 } else { HashKind::Sha1 };
    let is_tables = config("extensions.refstorage") == "reftable";
    let listed = git::output_of(&args.git, &dir, &["for-each-ref", LISTED, PREFIX])?;
    let found: readers::Found = listed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(id, name)| (name.to_owned(), id.to_owned()))
        .collect();
    let mut names = readers::names(events);
    names.extend(found.keys().cloned());
    let clients = events.iter().filter_map(|event| match event.process {
        Process::Client(number) => Some(number),
        Process::Nemesis => None,
    });
    let process = Process::Client(clients.max().unwrap_or(0) + 1);
    let time = events.last().map_or(0, |event| event.time);
    for kind in [Kind::Invoke, Kind::Ok] {
        let value = |name: &String| if kind == Kind::Ok { found.get(name).cloned() } else { None };
        let reads = names.iter().map(|name| MicroOp::Read { name: name.clone(), value: value(name) }).collect();
        let driver = Some("final git, now".to_owned());
        events.push(Event { time, kind, process, driver, error: None, what: What::Transaction(reads) });
    }
    let format = if is_tables { RefFormat::Reftable } else { RefFormat::Files };
    sound(&args.git, layout, format, hash, beyond)
}

/// Whether git is content with what is there, and this library.
pub(super) fn sound(
    git: &Path,
    layout: &Layout,
    format: RefFormat,
    hash: HashKind,
    verdict: &mut Verdict,
) -> Result<()> {
    let dir = layout.work_tree();
    let mut asked = vec![vec!["fsck", "--no-dangling", "--no-progress"]];
    // There is such a command since 2.47.
    let help = git::command_of(git, &dir).args(["refs", "verify", "-h"]).output()?;
    if help.stdout.starts_with(b"usage: git refs verify") {
        asked.push(vec!["refs", "verify"]);
    }
    for args in asked {
        verdict.looked_at(Claim::Sound, 1);
        let output = git::command_of(git, &dir).args(&args).output().context("cannot run git")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let (args, said) = (args.join(" "), said.lines().next().unwrap_or("nothing").to_owned());
            verdict.broken(Claim::Sound, format!("git {args} is not content: {said}"));
        }
    }
    if format == RefFormat::Reftable {
        verdict.looked_at(Claim::Sound, 1);
        let report = Stack::open(layout.store(), Options::default().hash(hash)).and_then(|stack| stack.verify());
        match report {
            Ok(report) => {
                let bad = report.findings.iter().filter(|finding| finding.severity == Severity::Error);
                bad.for_each(|finding| verdict.broken(Claim::Sound, format!("verify: {finding}")));
            }
            Err(error) => verdict.broken(Claim::Sound, format!("this library cannot read the store: {error}")),
        }
    }
    Ok(())
}
